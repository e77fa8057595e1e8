/**
 * Runs a parser over bytes in any split and writes down what it tells: one record a message, whatever the
 * events were cut into. Two transcripts of the same bytes must be equal.
 */
import assert from 'node:assert/strict';
import { type ErrorCode, SallyportError } from '../../src/base/errors.js';
import { ChunkedDecoder } from '../../src/http/chunked.js';
import type { Framing, H1RequestHead, H1ResponseHead } from '../../src/http/head.js';
import { type ParserLimits, RequestParser, ResponseParser } from '../../src/http/parser.js';

export type Side = 'request' | 'response';
type Head = H1RequestHead | H1ResponseHead;

/** One message; strings are Latin-1, one character a byte. */
export interface Message {
  /** `GET /path HTTP/1.1`, `HTTP/1.1 200 OK`. */
  readonly start: string;
  /** Name, value, name, value, … */
  readonly fields: readonly string[];
  readonly framing: Framing;
  readonly persistent: boolean;
  /** The payload, chunks decoded. */
  readonly body: string;
  readonly trailers: readonly string[];
  /** Whether `end` was told; always false of an interim response. */
  readonly ended: boolean;
}

export interface Transcript {
  readonly messages: readonly Message[];
  /** What the parser threw, at the end or before. */
  readonly error: ErrorCode | undefined;
  /** The bytes after `stop()`. */
  readonly rest: string;
}

export interface RunOptions {
  readonly limits?: ParserLimits;
  /** Methods of the requests that were sent, in order; the last one stays. */
  readonly methods?: readonly string[];
  /** Ask for the encoding of chunked bodies instead of their payload; the transcript is the same. */
  readonly wire?: boolean;
  /** Whether the peer closes after the last chunk; it does unless told otherwise. */
  readonly close?: boolean;
  /** Pauses at event `index` until so many more chunks have arrived; 0 does not pause. */
  readonly pauses?: (index: number) => number;
  /** Stops at a head, as a server does that hands the connection on. */
  readonly stopsAt?: (head: Head) => boolean;
  /** Stops after a message that ends the connection, as a server does. */
  readonly stopsAtClose?: boolean;
  /** Stops after the first message. */
  readonly stopsAtEnd?: boolean;
}

export const defaultLimits: ParserLimits = { head: 64 * 1024, uri: 16 * 1024, fields: 200 };

interface Draft {
  readonly head: Head;
  readonly pieces: Buffer[];
  trailers: readonly string[];
  ended: boolean;
  /** What the parser counted, at the end. */
  counted: number;
}

/** What a parser tells about `chunks`. Throws whatever is not a `SallyportError`. */
export function transcribe(side: Side, chunks: readonly Buffer[], options: RunOptions = {}): Transcript {
  const drafts: Draft[] = [];
  const methods = [...(options.methods ?? ['GET'])];
  const most = 64 + 8 * chunks.reduce((sum, chunk) => sum + chunk.length + 1, 0);
  let index = 0;
  let waitFor = 0;

  const told = (kind: 'begin' | 'head' | 'data' | 'end'): void => {
    // Only the pieces of one buffer come together, and only as wire.
    if (parser.paused) assert.ok(kind === 'data' && options.wire, `${kind} is told while paused`);
    assert.ok(index < most, 'the parser tells more than the bytes can hold');
    const wait = options.pauses?.(index) ?? 0;
    index += 1;
    if (wait === 0) return;
    waitFor = wait;
    parser.pause();
  };
  const handler = {
    begin: () => told('begin'),
    head(head: Head) {
      drafts.push({ head, pieces: [], trailers: [], ended: false, counted: 0 });
      parser.wire = options.wire ?? false;
      if (options.stopsAt?.(head)) parser.stop();
      told('head');
    },
    data(piece: Buffer) {
      assert.ok(piece.length > 0, 'an empty piece of body is told');
      drafts.at(-1)?.pieces.push(piece);
      told('data');
    },
    end(trailers: readonly string[]) {
      const draft = drafts.at(-1);
      assert.ok(draft && !draft.ended, 'an end without a message is told');
      draft.trailers = trailers;
      draft.ended = true;
      draft.counted = parser.bodyBytes;
      if (methods.length > 1) methods.shift();
      if (parser instanceof ResponseParser) parser.requestMethod = methods[0] ?? 'GET';
      if (options.stopsAtEnd || (options.stopsAtClose && !draft.head.persistent)) parser.stop();
      told('end');
    },
  };
  const limits = options.limits ?? defaultLimits;
  const parser =
    side === 'request' ? new RequestParser(handler, limits) : new ResponseParser(handler, limits);
  if (parser instanceof ResponseParser) parser.requestMethod = methods[0] ?? 'GET';

  const error = errorOf(() => {
    for (const chunk of chunks) {
      parser.push(chunk);
      waitFor -= 1;
      if (parser.paused && waitFor <= 0) parser.resume();
    }
    while (parser.paused) parser.resume();
    if (options.close ?? true) parser.finish();
  });
  const rest = parser.takeRest().toString('latin1');
  return { messages: drafts.map((draft) => finished(side, draft, options, error)), error, rest };
}

function finished(
  side: Side,
  { head, pieces, trailers, ended, counted }: Draft,
  options: RunOptions,
  error: ErrorCode | undefined,
): Message {
  const bytes = Buffer.concat(pieces);
  const isWire = options.wire === true && head.framing === 'chunked';
  // Of wire, what was still to be told of the buffer with the fault depends on the split.
  const lost = isWire && !ended && isFault(error);
  const body = lost ? Buffer.alloc(0) : isWire ? unchunked(side, bytes, ended) : bytes;
  if (ended) assert.equal(counted, body.length, 'bodyBytes is the length of the payload');
  return {
    start: 'status' in head ? `HTTP/${head.version} ${head.status} ${head.reason}` : requestLine(head),
    fields: head.headers.raw,
    framing: head.framing,
    persistent: head.persistent,
    body: body.toString('latin1'),
    trailers,
    ended,
  };
}

/** `transcript` as `wire` gives it: without the payload of a chunked body that has a fault. */
export function asWire(transcript: Transcript): Transcript {
  const { messages, error } = transcript;
  const last = messages.at(-1);
  if (!last || last.ended || last.framing !== 'chunked' || !isFault(error)) return transcript;
  return { ...transcript, messages: [...messages.slice(0, -1), { ...last, body: '' }] };
}

/** Whether the bytes are at fault, not only cut short. */
function isFault(error: ErrorCode | undefined): boolean {
  return error !== undefined && error !== 'ERR_CLIENT_GONE' && error !== 'ERR_RESPONSE_TRUNCATED';
}

function requestLine(head: H1RequestHead): string {
  return `${head.method} ${head.target} HTTP/${head.version}`;
}

/** Decodes what `wire` gave: with the last chunk it must be a whole body. */
function unchunked(side: Side, wire: Buffer, ended: boolean): Buffer {
  const decoder = new ChunkedDecoder(side, { ...defaultLimits, head: 16 });
  const bytes = ended ? Buffer.concat([wire, Buffer.from('0\r\n\r\n')]) : wire;
  const payload: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    at = decoder.read(bytes, at, false);
    payload.push(...decoder.take());
    if (decoder.trailers) {
      assert.equal(at, bytes.length, 'the wire goes on after its last chunk');
      assert.ok(ended, 'the wire has a last chunk');
    }
  }
  assert.equal(decoder.trailers !== undefined, ended, 'the wire and a last chunk are a whole body');
  return Buffer.concat(payload);
}

/** The code of the `SallyportError` that `work` throws; anything else thrown is a fault of the parser. */
function errorOf(work: () => void): ErrorCode | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof SallyportError) return error.code;
    throw error;
  }
}

/** Latin-1 text as bytes. */
export function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** `whole` cut before each of the positions `cuts` (taken modulo its length). */
export function split(whole: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (whole.length + 1)))].toSorted((a, b) => a - b);
  const edges = [0, ...at, whole.length];
  const parts: Buffer[] = [];
  for (let index = 1; index < edges.length; index += 1) {
    const from = edges[index - 1] ?? 0;
    const to = edges[index] ?? 0;
    if (to > from) parts.push(whole.subarray(from, to));
  }
  return parts;
}

/** One buffer a byte. */
export function everyByte(whole: Buffer): Buffer[] {
  return Array.from(whole, (_, at) => whole.subarray(at, at + 1));
}
