/** What the fuzzer starts from, and how it changes it. Texts are Latin-1, one character a byte. */
import type { Side } from '../http/events.js';
import { tripping } from '../http/messages.js';
import { tables } from '../http/smuggling/tables.js';
import type { Random } from './random.js';

export interface Seed {
  readonly side: Side;
  readonly text: string;
}

const requests: readonly string[] = [
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /?a=b%20c HTTP/1.0\r\n\r\n',
  'GET http://a:80/ HTTP/1.1\r\nHost: a:80\r\nProxy-Connection: keep-alive\r\nAccept: */*\r\n\r\n',
  'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\x16\x03\x01',
  'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: b\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0A;x="y"\r\n0123456789\r\n0\r\nX: y\r\nZ: 1\r\n\r\n',
  'PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close, x-a\r\nX-A: b\r\nContent-Length: 1\r\n\r\nx',
  'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  '\r\n\r\nHEAD /a HTTP/1.1\r\nHost:a \r\nx:\t\xe4 \t\r\n\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: \r\n\r\n',
];

const responses: readonly string[] = [
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 200\r\n\r\nuntil the close',
  'HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1;a=b\r\na\r\n10\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\0\x01',
];

/** Good messages of every kind, and all that are known to smuggle. */
export function seeds(): Seed[] {
  return [
    ...requests.map((text): Seed => ({ side: 'request', text })),
    ...responses.map((text): Seed => ({ side: 'response', text })),
    ...Object.values(tables).flatMap(([side, vectors]) =>
      vectors.filter(({ text }) => text.length < longest).map(({ text }): Seed => ({ side, text })),
    ),
  ];
}

const longest = 4096;

/** `seed` after one to six changes. */
export function changed(seed: Seed, others: readonly Seed[], random: Random): Seed {
  let { text } = seed;
  for (let changes = 1 + random.below(6); changes > 0; changes -= 1) {
    text = random.pick(operations)(text, random, others);
  }
  return { side: seed.side, text: text.slice(0, longest) };
}

type Operation = (text: string, random: Random, others: readonly Seed[]) => string;

const operations: readonly Operation[] = [
  // One byte, any byte.
  (text, random) => spliced(text, random.below(text.length + 1), 1, character(random.below(256))),
  // One bit.
  (text, random) => {
    const at = random.below(text.length);
    return spliced(text, at, 1, character((text.charCodeAt(at) || 0) ^ (1 << random.below(8))));
  },
  (text, random) => spliced(text, random.below(text.length + 1), 0, random.pick(tripping)),
  (text, random) => spliced(text, atBoundary(text, random), 0, random.pick(tripping)),
  (text, random) => spliced(text, atBoundary(text, random), random.below(4), random.pick(tripping)),
  (text, random) => spliced(text, random.below(text.length + 1), 1 + random.below(8), ''),
  (text, random) => spliced(text, atBoundary(text, random), 1 + random.below(3), ''),
  // A part again, elsewhere or many times.
  (text, random) => {
    const from = random.below(text.length + 1);
    const part = text.slice(from, from + 1 + random.below(40));
    return spliced(text, random.below(text.length + 1), 0, part.repeat(random.oneIn(8) ? 20 : 1));
  },
  // A line of another message.
  (text, random, others) => {
    const lines = random.pick(others).text.split('\r\n');
    return spliced(text, atBoundary(text, random), 0, `\r\n${random.pick(lines)}`);
  },
  // Another message behind or in place of the end.
  (text, random, others) => text + random.pick(others).text,
  (text, random, others) => {
    const other = random.pick(others).text;
    return text.slice(0, random.below(text.length + 1)) + other.slice(random.below(other.length + 1));
  },
  (text, random) => text.slice(0, random.below(text.length + 1)),
  // The case of a letter.
  (text, random) => {
    const at = random.below(text.length + 1);
    const letter = text.charAt(at);
    return spliced(text, at, 1, letter === letter.toLowerCase() ? upper(letter) : letter.toLowerCase());
  },
  // A number, larger or smaller.
  (text, random) => {
    const numbers = [...text.matchAll(/\d+/g)];
    if (numbers.length === 0) return text;
    const { 0: digits, index } = random.pick(numbers);
    const value = Number(digits) + random.below(5) - 2;
    return spliced(text, index, digits.length, String(Math.max(0, value)));
  },
];

function spliced(text: string, at: number, length: number, inserted: string): string {
  return text.slice(0, at) + inserted + text.slice(at + length);
}

/** Beside a byte that ends something. */
function atBoundary(text: string, random: Random): number {
  const boundaries = [...text.matchAll(/[\r\n:;, ]/g)];
  return boundaries.length === 0 ? 0 : random.pick(boundaries).index + random.below(2);
}

function character(code: number): string {
  return String.fromCharCode(code & 0xff);
}

/** Upper case within Latin-1. */
function upper(letter: string): string {
  return letter >= 'a' && letter <= 'z' ? letter.toUpperCase() : letter;
}
