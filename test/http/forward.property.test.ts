/**
 * What is sent on: the head without its hop-by-hop lines, byte for byte otherwise, with the body's own
 * encoding. It must be the same message to the next parser, ours and Node's.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fieldLines, forwardedRequest, forwardedResponse, responseCoding } from '../../src/http/forward.js';
import {
  type H1RequestHead,
  type H1ResponseHead,
  parseRequestHead,
  parseResponseHead,
} from '../../src/http/head.js';
import { type ParserHandler, RequestParser, ResponseParser } from '../../src/http/parser.js';
import { bytes, defaultLimits, split } from './events.js';
import { commonRequestStream, requestStream, responseStream } from './messages.js';
import { nodeServer, nodeServerReading } from './node-oracle.js';

/** Lines that are for the next hop only, or list fields that are. */
const hopLines: readonly string[] = [
  ...['Connection: keep-alive', 'Connection: x-a', 'connection: X-A,, Cookie ,TE', 'Connection: host, via'],
  ...['Connection: content-length, transfer-encoding', 'Keep-Alive: timeout=5', 'TE: trailers', 'te:'],
  ...['Proxy-Connection: keep-alive', 'Proxy-Authorization: Basic eDp5', 'HTTP2-Settings: AA', 'Upgrade: x'],
];
const hopNames: ReadonlySet<string> = new Set(
  hopLines.map((line) => line.slice(0, line.indexOf(':')).toLowerCase()),
);
/** What the lines above list and is not for every recipient. */
const listable: readonly string[] = ['x-a', 'te'];

const extras = fc.array(fc.tuple(fc.constantFrom(...hopLines), fc.nat(3)), { maxLength: 4 });

/** `text` with lines added to each of its heads, behind the first line or a little later. */
function withLines(text: string, lines: readonly (readonly [line: string, at: number])[]): string {
  let head = text;
  for (const [line, at] of lines) {
    const rows = head.split('\r\n');
    const end = rows.indexOf('');
    rows.splice(1 + (at % Math.max(1, end)), 0, line);
    head = rows.join('\r\n');
  }
  return head;
}

/** The fields that must go on. */
function endToEnd(raw: readonly string[], also: readonly string[] = []): string[] {
  const listed = new Set<string>(also);
  for (let at = 0; at < raw.length; at += 2) {
    if (raw[at]?.toLowerCase() !== 'connection') continue;
    for (const name of raw[at + 1]?.split(',') ?? []) listed.add(name.trim().toLowerCase());
  }
  const kept: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]?.toLowerCase() ?? '';
    const isCut = hopNames.has(name) || also.includes(name) || (listable.includes(name) && listed.has(name));
    if (!isCut) kept.push(raw[at] ?? '', raw[at + 1] ?? '');
  }
  return kept;
}

/** Every message that a parser tells, with its body as wire. */
function collector<Head>(): { handler: ParserHandler<Head>; told: Told<Head>[] } {
  const told: Told<Head>[] = [];
  const handler: ParserHandler<Head> = {
    head: (head) => void told.push({ head, pieces: [], trailers: [] }),
    data: (piece) => void told.at(-1)?.pieces.push(piece),
    end(trailers) {
      const last = told.at(-1);
      if (last) last.trailers = trailers;
    },
  };
  return { handler, told };
}

interface Told<Head> {
  readonly head: Head;
  readonly pieces: Buffer[];
  trailers: readonly string[];
}

function requestsOf(text: string, cuts: readonly number[] = []): Told<H1RequestHead>[] {
  const { handler, told } = collector<H1RequestHead>();
  const parser = new RequestParser(
    {
      ...handler,
      head(head) {
        parser.wire = true;
        handler.head(head);
      },
    },
    defaultLimits,
  );
  for (const part of split(bytes(text), cuts)) parser.push(part);
  return told;
}

test('a forwarded request is the same request without its hop-by-hop lines', () => {
  fc.assert(
    fc.property(requestStream, extras, ({ text }, lines) => {
      const emptyLines = /^(?:\r\n)*/.exec(text)?.[0] ?? '';
      const [first] = requestsOf(emptyLines + withLines(text.slice(emptyLines.length), lines));
      assert.ok(first);
      const { head } = first;
      const forwarded = forwardedRequest(head, head.target, undefined, '');
      assert.ok(forwarded.endsWith('\r\n\r\n'));
      const again = parseRequestHead(forwarded.slice(0, -2), defaultLimits);
      assert.equal(again.method, head.method);
      assert.equal(again.target, head.target);
      assert.equal(again.framing, head.framing);
      assert.equal(again.section.contentLength, head.section.contentLength);
      assert.deepEqual(again.headers.raw, endToEnd(head.headers.raw));
      assert.equal(again.section.hopByHop, undefined);
    }),
    { numRuns: 500 },
  );
});

test('a forwarded response is the same response without its hop-by-hop lines', () => {
  fc.assert(
    fc.property(
      responseStream,
      extras,
      fc.constantFrom('1.0', '1.1'),
      ({ text, methods }, lines, version) => {
        const { handler, told } = collector<H1ResponseHead>();
        const method = methods[0] ?? 'GET';
        const parser = new ResponseParser(
          {
            ...handler,
            head(head) {
              parser.stop();
              handler.head(head);
            },
          },
          defaultLimits,
        );
        parser.requestMethod = method;
        parser.push(bytes(withLines(text, lines)));
        const { head } = told[0] ?? {};
        assert.ok(head);
        const coding = responseCoding(head, version);
        const forwarded = forwardedResponse(head, coding, '', '');
        assert.ok(forwarded.endsWith('\r\n\r\n'));
        const again = parseResponseHead(forwarded.slice(0, -2), method, defaultLimits);
        assert.equal(again.status, head.status);
        assert.equal(again.reason, head.reason);
        assert.equal(again.framing, coding);
        assert.equal(again.section.hopByHop, undefined);
        const framing = ['content-length', 'transfer-encoding'];
        assert.deepEqual(endToEnd(again.headers.raw, framing), endToEnd(head.headers.raw, framing));
      },
    ),
    { numRuns: 500 },
  );
});

test('what is sent on is the same requests with the same bodies to Node', async () => {
  const server = nodeServer();
  await fc.assert(
    fc.asyncProperty(
      commonRequestStream,
      fc.array(fc.nat(), { maxLength: 6 }),
      async ({ text, messages }, cuts) => {
        const sent = requestsOf(text, cuts).map(({ head, pieces, trailers }) => {
          const lines = forwardedRequest(head, head.target, undefined, '');
          const end = head.framing === 'chunked' ? `0\r\n${fieldLines(trailers)}\r\n` : '';
          return Buffer.concat([bytes(lines), ...pieces, bytes(end)]);
        });
        const { messages: read, end } = await nodeServerReading(server, sent);
        assert.deepEqual(
          read,
          messages.map(({ start, body }) => ({ start: start.slice(0, start.lastIndexOf(' ')), body })),
        );
        assert.equal(end, 'clean');
      },
    ),
    { numRuns: 300 },
  );
});
