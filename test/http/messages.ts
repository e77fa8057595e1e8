/**
 * Valid messages with odd but legal content, as models with their bytes: what the property tests, the
 * comparison with other parsers and the fuzzer start from.
 */
import fc from 'fast-check';
import type { Framing } from '../../src/http/head.js';
import { type Message, type Transcript, bytes, everyByte, split } from './events.js';

/** A message as bytes and as what a parser must tell of it. */
export interface Sample {
  readonly text: string;
  readonly messages: readonly Message[];
}

/** The messages of one connection, one after the other. */
export interface Stream extends Sample {
  /** Methods of the requests that the final responses answer. */
  readonly methods: readonly string[];
}

const characters = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => String.fromCharCode(from + at));
const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const tokenCharacters = [...`${letters}!#$%&'*+-.^_\`|~`];
const visible = [...characters(0x21, 0x7e), ...characters(0x80, 0xff)];

const text = (alphabet: readonly string[], min: number, max: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength: min, maxLength: max });

const token = text(tokenCharacters, 1, 12);
const blanks = text([' ', '\t'], 0, 3);

/** A field value: white space only within. */
const value = fc
  .tuple(text([...visible, ' ', '\t'], 0, 24), fc.boolean())
  .map(([any, isEmpty]) => (isEmpty ? '' : any.replace(/^[ \t]+|[ \t]+$/g, '')));

/** One line of a name that means nothing to the codec, or nothing that changes the framing. */
const plainField = fc
  .tuple(
    fc.oneof(
      token.filter((name) => !meaningful.has(name.toLowerCase())),
      fc.constantFrom('Cookie', 'X-A', 'x-a', 'Via', 'Expect', 'Max-Forwards', 'Content-Type', '__proto__'),
    ),
    value,
    blanks,
    blanks,
  )
  .map(([name, content, before, after]) => ({
    name,
    value: content,
    line: `${name}:${before}${content}${after}`,
  }));

const meaningful: ReadonlySet<string> = new Set([
  ...['content-length', 'transfer-encoding', 'host', 'connection', 'proxy-connection', 'upgrade', 'expect'],
  ...['keep-alive', 'te', 'trailer', 'content-type', 'content-encoding', 'range', 'max-forwards'],
]);

type Field = typeof plainField extends fc.Arbitrary<infer T> ? T : never;

/** A field that frames, with spaces around its value. */
const field = (name: string, content: string, spaces = 1): Field => ({
  name,
  value: content,
  line: `${name}:${' '.repeat(spaces % 3)}${content}${' '.repeat(spaces % 2)}`,
});

/** The case of letters changed here and there. */
const anyCase = (word: string): fc.Arbitrary<string> =>
  fc.nat().map((bits) => [...word].map((c, at) => ((bits >> (at % 30)) & 1 ? c.toUpperCase() : c)).join(''));

const payload = text(characters(0, 255), 0, 40);

/** A body's encoding and what it means. */
interface Body {
  readonly framing: Framing;
  readonly field: Field | undefined;
  readonly encoded: string;
  readonly payload: string;
  readonly trailers: readonly string[];
}

const noBody: Body = { framing: 'none', field: undefined, encoded: '', payload: '', trailers: [] };

const lengthBody: fc.Arbitrary<Body> = fc
  .tuple(payload, fc.nat(3), anyCase('content-length'))
  .map(([content, zeros, name]) => ({
    framing: content === '' ? 'none' : 'length',
    field: field(name, '0'.repeat(zeros) + String(content.length), zeros),
    encoded: content,
    payload: content,
    trailers: [],
  }));

const extension = fc.oneof(
  { weight: 3, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: fc.constantFrom(';a', ';a=b', ';a="b"', ' ;a', '\t;\ta', ';a="b c;d"', ';a;b=c') },
  { weight: 1, arbitrary: text([...letters, '='], 1, 9).map((words) => `;x${words}`) },
);

const chunk = fc
  .tuple(text(characters(0, 255), 1, 40), fc.nat(4), fc.boolean(), extension)
  .map(([content, zeros, isUpper, ext]) => {
    const digits = content.length.toString(16);
    return {
      content,
      line: `${'0'.repeat(zeros)}${isUpper ? digits.toUpperCase() : digits}${ext}\r\n${content}\r\n`,
    };
  });

const trailer = plainField.filter(({ name }) => !['Content-Type', 'Expect', 'Max-Forwards'].includes(name));

const chunkedBody: fc.Arbitrary<Body> = fc
  .tuple(
    fc.array(chunk, { maxLength: 4 }),
    fc.nat(3),
    extension,
    fc.array(trailer, { maxLength: 3 }),
    fc.tuple(anyCase('transfer-encoding'), anyCase('chunked')),
  )
  .map(([chunks, zeros, ext, trailers, [name, coding]]) => ({
    framing: 'chunked',
    field: field(name, coding, zeros),
    encoded: [
      ...chunks.map(({ line }) => line),
      `0${'0'.repeat(zeros)}${ext}\r\n`,
      ...trailers.map(({ line }) => `${line}\r\n`),
      '\r\n',
    ].join(''),
    payload: chunks.map(({ content }) => content).join(''),
    trailers: trailers.flatMap((one) => [one.name, one.value]),
  }));

/** Field lines with the body's own somewhere among them. */
const fieldsWith = (own: readonly Field[]): fc.Arbitrary<readonly Field[]> =>
  fc.tuple(fc.array(plainField, { maxLength: 5 }), fc.nat()).map(([others, seed]) => {
    const all = [...others];
    own.forEach((one, at) => all.splice((seed + at * 7) % (all.length + 1), 0, one));
    return all;
  });

function sample(
  start: string,
  fields: readonly Field[],
  body: Body,
  persistent: boolean,
  ended = true,
): Sample {
  return {
    text: `${start}\r\n${fields.map(({ line }) => `${line}\r\n`).join('')}\r\n${body.encoded}`,
    messages: [
      {
        start,
        fields: fields.flatMap((one) => [one.name, one.value]),
        framing: body.framing,
        persistent,
        body: body.payload,
        trailers: body.trailers,
        ended,
      },
    ],
  };
}

const method = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'PATCH') },
  { weight: 1, arbitrary: token.filter((name) => name !== 'CONNECT') },
);

const target = fc.oneof(
  { weight: 3, arbitrary: text(visible, 0, 16).map((path) => `/${path}`) },
  {
    weight: 1,
    arbitrary: text([...letters, '%', '?', '='], 0, 16).map((path) => `http://a.example/${path}`),
  },
  { weight: 1, arbitrary: fc.constant('*') },
);

const host = fc.constantFrom('a', 'a.example:8080', '[::1]', '');

/** How odd the generated messages are. */
interface Oddness {
  /** How many empty lines may come before a request. */
  readonly emptyLines: number;
  readonly method: fc.Arbitrary<string>;
  readonly target: fc.Arbitrary<string>;
}

/** One request. */
const request = (odd: Oddness): fc.Arbitrary<Sample> =>
  fc
    .record({
      method: odd.method,
      target: odd.target,
      host,
      isOld: fc.integer({ min: 0, max: 5 }).map((one) => one === 0),
      emptyLines: fc.integer({ min: -2, max: odd.emptyLines }),
      body: fc.oneof(fc.constant(noBody), lengthBody, chunkedBody),
    })
    .chain((facts) => {
      const body = facts.isOld && facts.body.framing === 'chunked' ? noBody : facts.body;
      const own = [field('Host', facts.host), ...(body.field ? [body.field] : [])];
      const start = `${facts.method} ${facts.target} HTTP/${facts.isOld ? '1.0' : '1.1'}`;
      return fieldsWith(own).map((fields) => {
        const one = sample(start, fields, body, !facts.isOld);
        return { ...one, text: '\r\n'.repeat(Math.max(0, facts.emptyLines)) + one.text };
      });
    });

const reason = text([...visible, ' ', '\t'], 0, 12);

/** An interim response. */
const interim: fc.Arbitrary<Sample> = fc
  .tuple(fc.constantFrom(100, 102, 103), reason, fieldsWith([]))
  .map(([status, words, fields]) => sample(`HTTP/1.1 ${status} ${words}`, fields, noBody, true, false));

/** A final response with the method that it answers; `isLast` may last until the close. */
const final = (isLast: boolean): fc.Arbitrary<Sample & { readonly method: string }> =>
  fc
    .record({
      method: fc.constantFrom('GET', 'POST', 'HEAD'),
      status: fc.constantFrom(200, 201, 204, 205, 206, 301, 304, 404, 500, 599, 799),
      reason,
      isOld: fc.integer({ min: 0, max: 5 }).map((one) => one === 0),
      body: fc.oneof(lengthBody, chunkedBody),
      closing: fc.option(payload, { nil: undefined }),
    })
    .chain((facts) => {
      const isBare = facts.status === 204 || facts.status === 304 || facts.method === 'HEAD';
      let body = facts.isOld && facts.body.framing === 'chunked' ? noLength : facts.body;
      if (isLast && facts.closing !== undefined) {
        body = { ...noBody, framing: 'close', encoded: facts.closing, payload: facts.closing };
      }
      if (isBare) body = { ...noBody, field: body.field };
      const start = `HTTP/${facts.isOld ? '1.0' : '1.1'} ${facts.status} ${facts.reason}`;
      const persistent = !facts.isOld && body.framing !== 'close';
      return fieldsWith(body.field ? [body.field] : []).map((fields) => ({
        ...sample(start, fields, body, persistent),
        method: facts.method,
      }));
    });

const noLength: Body = { ...noBody, field: field('Content-Length', '0') };

const requests = (odd: Oddness): fc.Arbitrary<Stream> =>
  fc
    .array(request(odd), { minLength: 1, maxLength: 4 })
    .map((samples) => ({ ...joined(samples), methods: [] }));

/** What a client sends on one connection. */
export const requestStream: fc.Arbitrary<Stream> = requests({ emptyLines: 2, method, target });

/** The same with the methods and targets that other parsers know too, and without empty lines. */
export const commonRequestStream: fc.Arbitrary<Stream> = requests({
  emptyLines: 0,
  method: fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'PATCH'),
  target: text([...letters, ...'/%?=&.-_~'], 0, 16).map((path) => `/${path}`),
});

/** What an origin sends on one connection, until it closes. */
export const responseStream: fc.Arbitrary<Stream> = fc
  .tuple(
    fc.array(fc.tuple(fc.array(interim, { maxLength: 2 }), final(false)), { maxLength: 2 }),
    fc.array(interim, { maxLength: 2 }),
    final(true),
  )
  .map(([before, interims, last]) => {
    const samples = [...before.flatMap(([some, one]) => [...some, one]), ...interims, last];
    return { ...joined(samples), methods: [...before.map(([, one]) => one.method), last.method] };
  });

function joined(samples: readonly Sample[]): Sample {
  return {
    text: samples.map((one) => one.text).join(''),
    messages: samples.flatMap((one) => one.messages),
  };
}

/** The transcript that a stream must give. */
export function transcriptOf({ messages }: Stream): Transcript {
  return { messages, error: undefined, rest: '' };
}

/** A way to cut bytes: at random places, at every byte, or not at all. */
export const cutting: fc.Arbitrary<(whole: Buffer) => Buffer[]> = fc.oneof(
  fc.array(fc.nat(), { maxLength: 12 }).map((cuts) => (whole: Buffer) => split(whole, cuts)),
  fc.constant((whole: Buffer) => everyByte(whole)),
);

/** When to pause and for how many chunks. */
export const pausing: fc.Arbitrary<(index: number) => number> = fc
  .array(fc.nat(4), { minLength: 1, maxLength: 8 })
  .map((waits) => (index: number) => Math.max(0, (waits[index % waits.length] ?? 0) - 1));

/** One change to a text: what fuzzers do, and the bytes that parsers trip over. */
export interface Mutation {
  readonly kind: 'insert' | 'replace' | 'delete' | 'repeat' | 'truncate' | 'move';
  readonly at: number;
  readonly length: number;
  readonly dropped: string;
}

/** Bytes and words that mean something to some parser. */
export const tripping: readonly string[] = [
  ...[
    '\r',
    '\n',
    '\r\n',
    '\r\n\r\n',
    '\n\n',
    '\r\r\n',
    ' ',
    '\t',
    '\0',
    '\x0b',
    '\x0c',
    '\x1c',
    '\x7f',
    '\x85',
    '\xa0',
  ],
  ...[
    '\xff',
    ':',
    ' :',
    ',',
    ';',
    '"',
    '\\',
    '-',
    '+',
    '_',
    '0',
    '0x',
    '1',
    '9',
    'f',
    'e1',
    '00000000',
    'ffffffff',
  ],
  ...['\r\n ', '\r\n\t', '\r\nContent-Length: 1', '\r\nContent-Length: 0', '\r\nTransfer-Encoding: chunked'],
  ...[
    '\r\nTransfer-Encoding: identity',
    '\r\nConnection: close',
    '\r\nConnection: keep-alive',
    'chunked',
    ', chunked',
  ],
  ...[
    '0\r\n\r\n',
    '1\r\na\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'HTTP/1.1',
    'HTTP/1.0',
    'HTTP/2.0',
    '\r\nHost: b',
  ],
  ...[
    'HTTP/1.1 200 OK\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\n',
    '9007199254740993',
    '18446744073709551616',
    '\r\n:',
  ],
];

export const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('insert', 'replace', 'delete', 'repeat', 'truncate', 'move'),
  at: fc.nat(),
  length: fc.nat(8),
  dropped: fc.oneof(fc.constantFrom(...tripping), text(characters(0, 255), 1, 3)),
});

function mutated(whole: string, { kind, at, length, dropped }: Mutation): string {
  const from = at % (whole.length + 1);
  const to = Math.min(whole.length, from + length);
  switch (kind) {
    case 'insert':
      return whole.slice(0, from) + dropped + whole.slice(from);
    case 'replace':
      return whole.slice(0, from) + dropped + whole.slice(to);
    case 'delete':
      return whole.slice(0, from) + whole.slice(to);
    case 'repeat':
      return whole.slice(0, to) + whole.slice(from);
    case 'truncate':
      return whole.slice(0, from);
    default:
      return whole.slice(to) + whole.slice(0, to);
  }
}

/** The bytes of a stream after some changes. */
export function mutatedBytes(stream: Stream, mutations: readonly Mutation[]): Buffer {
  return bytes(mutations.reduce(mutated, stream.text));
}
