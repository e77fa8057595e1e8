/**
 * The incremental HTTP/1.1 parser: bytes in any split, events out, no sockets.
 *
 * Ownership: a chunk given to `push` is read until `push` returns, and what must be kept is copied; body
 * chunks given to the handler are views of it, to be copied by the handler if it keeps them. Memory held: an
 * unfinished head (bounded by `limits.head`), and what arrived while the parser was paused (the caller pauses
 * its socket at the same time).
 *
 * A violation is thrown from `push`, `resume` or `finish` as a `SallyportError`; the parser is dead after.
 */
import { type ErrorCode, SallyportError } from '../base/errors.js';
import { ChunkedDecoder } from './chunked.js';
import { CR, LF, SP, shown, targetChars, tokenChars } from './chars.js';
import {
  type H1RequestHead,
  type H1ResponseHead,
  type HeadLimits,
  parseRequestHead,
  parseResponseHead,
} from './head.js';

export interface ParserLimits extends HeadLimits {
  /** Bytes of a head, and of a trailer section. */
  readonly head: number;
}

/** What a parser tells, in the order of the message. Any of them may call `pause()`. */
export interface ParserHandler<Head> {
  /** The first byte of a head has arrived and the head is not complete. */
  begin?(): void;
  head(head: Head): void;
  /** Body bytes: payload, or with `wire` set for a chunked body, its checked encoding. */
  data(chunk: Buffer): void;
  /** The message is complete. `trailers` are raw pairs. */
  end(trailers: readonly string[]): void;
}

type State = 'head' | 'length' | 'chunked' | 'close' | 'end' | 'raw' | 'dead';

const emptyLine = Buffer.from('\r\n\r\n');
const noTrailers: readonly string[] = [];

abstract class H1Parser<Head extends H1RequestHead | H1ResponseHead> {
  /**
   * Set it while handling `head` to get a chunked body as it can be sent on: sizes and data verbatim, chunk
   * extensions left out, without the last chunk and the trailers. Cleared for each message.
   */
  wire = false;
  /** Payload bytes of the current message so far. */
  bodyBytes = 0;
  protected readonly limits: ParserLimits;
  readonly #handler: ParserHandler<Head>;
  #state: State = 'head';
  #paused = false;
  /** Most connections never have one. */
  #queue: Buffer[] | undefined;
  #running = false;
  /** While `end` is told: whether bytes follow the message. */
  #more = false;
  /** The unfinished head: the first `#headLength` bytes of `#headBytes`. */
  #headBytes: Buffer | undefined;
  #headLength = 0;
  #remaining = 0;
  #chunked: ChunkedDecoder | undefined;
  #trailers = noTrailers;

  constructor(handler: ParserHandler<Head>, limits: ParserLimits) {
    this.#handler = handler;
    this.limits = limits;
  }

  protected abstract readonly side: 'request' | 'response';
  protected abstract parse(text: string): Head;
  /** Whether another head follows without a body: an interim response. */
  protected abstract isInterim(head: Head): boolean;

  /** Refuses a head that cannot become one, before it is complete. Parsing it whole must give the same code. */
  protected checkPartial(_partial: Buffer): void {
    // A request line can begin with any method.
  }

  /** Whether a message has begun and not ended. */
  get midMessage(): boolean {
    if (this.#state !== 'head') return true;
    return this.#headLength > 1 || (this.#headLength === 1 && !this.#isHalfEmptyLine(this.#headBytes?.[0]));
  }

  /** Takes the bytes that arrived. */
  push(chunk: Buffer): void {
    if (this.#paused || this.#running || this.#state === 'raw') {
      (this.#queue ??= []).push(Buffer.from(chunk));
      return;
    }
    this.#guard(chunk);
    this.#drain();
  }

  /**
   * Stops after the event that is being handled (with `wire`, after the pieces of the buffer that is being
   * read). Bytes pushed from now on wait.
   */
  pause(): void {
    this.#paused = true;
  }

  /** Goes on with what has arrived. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#running) return;
    this.#guard(this.#next() ?? nothing);
    this.#drain();
  }

  #drain(): void {
    while (this.#queue && !this.#paused && this.#state !== 'raw') this.#guard(this.#next() ?? nothing);
  }

  /** What waited longest, taken out. */
  #next(): Buffer | undefined {
    const chunk = this.#queue?.shift();
    if (this.#queue?.length === 0) this.#queue = undefined;
    return chunk;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Whether bytes have arrived that wait for `resume`. */
  get waiting(): boolean {
    return this.#queue !== undefined || this.#more;
  }

  /** Stops parsing for good, after the event that is being handled: what follows is another protocol. */
  stop(): void {
    this.#state = 'raw';
  }

  /** What has arrived and was not parsed. Not while an event is being handled. */
  takeRest(): Buffer {
    const rest = this.#queue ?? [];
    this.#queue = undefined;
    return rest.length === 1 ? (rest[0] ?? nothing) : Buffer.concat(rest);
  }

  /**
   * The peer will send no more. Ends a body that lasts until the close; throws when a message is cut short.
   * Must not be called while paused.
   */
  finish(): void {
    if (this.#state === 'close') {
      this.#state = 'head';
      this.#handler.end(noTrailers);
      return;
    }
    if (this.midMessage && this.#state !== 'dead' && this.#state !== 'raw') {
      const inHead = this.#state === 'head';
      this.#state = 'dead';
      throw this.truncated(inHead);
    }
  }

  protected abstract truncated(inHead: boolean): SallyportError;

  #guard(chunk: Buffer): void {
    this.#running = true;
    try {
      this.#run(chunk);
    } catch (error) {
      this.#state = 'dead';
      this.#queue = undefined;
      throw error;
    } finally {
      this.#running = false;
    }
  }

  #run(chunk: Buffer): void {
    let at = 0;
    for (;;) {
      if (this.#paused || this.#state === 'raw') {
        if (at < chunk.length) (this.#queue ??= []).unshift(Buffer.from(chunk.subarray(at)));
        return;
      }
      if (this.#state === 'end') {
        this.#state = 'head';
        this.#more = at < chunk.length;
        this.#handler.end(this.#trailers);
        this.#more = false;
        continue;
      }
      if (at >= chunk.length || this.#state === 'dead') return;
      at = this.#step(chunk, at);
    }
  }

  /** Takes one event's worth of bytes; returns where the next one begins. */
  #step(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(chunk, at);
      case 'length': {
        const take = Math.min(this.#remaining, chunk.length - at);
        this.#remaining -= take;
        this.bodyBytes += take;
        if (this.#remaining === 0) this.#state = 'end';
        this.#handler.data(take === chunk.length ? chunk : chunk.subarray(at, at + take));
        return at + take;
      }
      case 'close':
        this.bodyBytes += chunk.length - at;
        this.#handler.data(at === 0 ? chunk : chunk.subarray(at));
        return chunk.length;
      default:
        return this.#readChunked(chunk, at);
    }
  }

  #readChunked(chunk: Buffer, at: number): number {
    const decoder = (this.#chunked ??= new ChunkedDecoder(this.side, this.limits));
    const next = decoder.read(chunk, at, this.wire);
    this.bodyBytes = decoder.payloadBytes;
    // The state first: the handler may pause, and `resume` must find the end.
    if (decoder.trailers) {
      this.#trailers = decoder.trailers;
      this.#state = 'end';
    }
    for (const piece of decoder.take()) this.#handler.data(piece);
    return next;
  }

  #readHead(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#headLength === 0) {
      if (this.side === 'request') {
        // RFC 9112 §2.2: empty lines before a request line are passed over.
        while (chunk[at] === CR && chunk[at + 1] === LF) at += 2;
        if (at >= chunk.length) return at;
      }
      const end = chunk.indexOf(emptyLine, at);
      if (end !== -1 && end - at <= this.limits.head) {
        this.#headComplete(chunk.toString('latin1', at, end + 2));
        return end + 4;
      }
      if (chunk.length - at > 1 || !this.#isHalfEmptyLine(chunk[at])) this.#handler.begin?.();
    }
    return this.#readSplitHead(chunk, at);
  }

  /** A head that arrives in pieces: gathered in one buffer that doubles. */
  #readSplitHead(chunk: Buffer, at: number): number {
    const before = this.#headLength;
    if (before === 1 && this.#isHalfEmptyLine(this.#headBytes?.[0]) && chunk[at] === LF) {
      this.#headLength = 0;
      return at + 1;
    }
    const room = this.limits.head + emptyLine.length - before;
    const take = Math.min(chunk.length - at, room);
    const bytes = this.#gather(chunk, at, take);
    const end = bytes.indexOf(emptyLine, Math.max(0, before - 3));
    if (end === -1) {
      const bare = bareLineEnd(bytes, Math.max(0, before - 1));
      if (bare !== -1) throw this.#refused(bytes.subarray(0, bare + 2));
      this.checkPartial(bytes);
      if (take === room) throw this.tooLarge(bytes);
      return at + take;
    }
    this.#headLength = 0;
    this.#headBytes = undefined;
    this.#headComplete(bytes.toString('latin1', 0, end + 2));
    return at + (end + 4 - before);
  }

  /** A CR alone where a request may begin: half of an empty line, and not yet a message. */
  #isHalfEmptyLine(byte: number | undefined): boolean {
    return byte === CR && this.side === 'request';
  }

  /** The fault that comes first in `bytes`, as it is told of a head that arrives whole. */
  #refused(bytes: Buffer): SallyportError {
    try {
      this.parse(bytes.toString('latin1'));
    } catch (error) {
      if (error instanceof SallyportError) return error;
      throw error;
    }
    const code: ErrorCode = this.side === 'request' ? 'ERR_REQUEST_SYNTAX' : 'ERR_RESPONSE_SYNTAX';
    return new SallyportError(code, 'a bare CR or LF in the head (RFC 9112 §2.2)');
  }

  #gather(chunk: Buffer, at: number, take: number): Buffer {
    const length = this.#headLength + take;
    let bytes = this.#headBytes;
    if (!bytes || bytes.length < length) {
      const larger = Buffer.allocUnsafe(Math.max(1024, length, (bytes?.length ?? 0) * 2));
      if (bytes) bytes.copy(larger, 0, 0, this.#headLength);
      bytes = larger;
    }
    chunk.copy(bytes, this.#headLength, at, at + take);
    this.#headBytes = bytes;
    this.#headLength = length;
    return bytes.subarray(0, length);
  }

  #headComplete(text: string): void {
    const head = this.parse(text);
    this.wire = false;
    this.bodyBytes = 0;
    if (!this.isInterim(head)) {
      this.#trailers = noTrailers;
      switch (head.framing) {
        case 'none':
          this.#state = 'end';
          break;
        case 'length':
          this.#remaining = head.section.contentLength;
          this.#state = 'length';
          break;
        case 'chunked':
          this.#chunked = undefined;
          this.#state = 'chunked';
          break;
        default:
          this.#state = 'close';
      }
    }
    this.#handler.head(head);
  }

  protected tooLarge(_bytes: Buffer): SallyportError {
    const code: ErrorCode =
      this.side === 'request' ? 'ERR_REQUEST_HEAD_TOO_LARGE' : 'ERR_RESPONSE_HEAD_TOO_LARGE';
    return new SallyportError(code, `more than ${this.limits.head} bytes`);
  }
}

/** Parses what a client sends: requests, one after the other. */
export class RequestParser extends H1Parser<H1RequestHead> {
  protected override readonly side = 'request';

  protected override parse(text: string): H1RequestHead {
    return parseRequestHead(text, this.limits);
  }

  protected override isInterim(): boolean {
    return false;
  }

  /** A target that is too long is told as such, though its line has not ended. */
  protected override tooLarge(bytes: Buffer): SallyportError {
    let at = 0;
    while (tokenChars[bytes[at] ?? 0] === 1) at += 1;
    const targetStart = at + 1;
    if (at > 0 && bytes[at] === SP) {
      do at += 1;
      while (targetChars[bytes[at] ?? 0] === 1);
      if (at - targetStart > this.limits.uri) {
        return new SallyportError('ERR_URI_TOO_LONG', `more than ${this.limits.uri} bytes`);
      }
    }
    return super.tooLarge(bytes);
  }

  protected override truncated(): SallyportError {
    return new SallyportError('ERR_CLIENT_GONE', 'the client closed its side within a request');
  }
}

/** Parses what an origin sends. Tell it the method of each request that is sent. */
export class ResponseParser extends H1Parser<H1ResponseHead> {
  protected override readonly side = 'response';
  /** The method of the request that the next final response answers. */
  requestMethod = 'GET';

  protected override parse(text: string): H1ResponseHead {
    return parseResponseHead(text, this.requestMethod, this.limits);
  }

  /** 101 is final: what follows is another protocol. */
  protected override isInterim(head: H1ResponseHead): boolean {
    return head.status < 200 && head.status !== 101;
  }

  /** What cannot become a status line is refused at its first bytes, not after a time-out. */
  protected override checkPartial(partial: Buffer): void {
    const start = partial.toString('latin1', 0, 7);
    if (!'HTTP/1.'.startsWith(start)) {
      throw new SallyportError('ERR_RESPONSE_SYNTAX', `the response begins with ${shown(start)}`);
    }
  }

  protected override truncated(inHead: boolean): SallyportError {
    return inHead
      ? new SallyportError('ERR_UPSTREAM_RESET', 'the origin closed the connection within the response head')
      : new SallyportError('ERR_RESPONSE_TRUNCATED', 'the origin closed the connection within the body');
  }
}

const nothing = Buffer.alloc(0);

/** Where a CR or LF without the other is (RFC 9112 §2.2), −1 for nowhere: told as soon as it is seen. */
function bareLineEnd(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length; at += 1) {
    if (bytes[at] === LF && (at === 0 || bytes[at - 1] !== CR)) return at;
    if (bytes[at] === CR && at + 1 < bytes.length && bytes[at + 1] !== LF) return at;
  }
  return -1;
}
