/** What origins answer: true, slow, broken and lying. Pure: lists of steps that `play` takes. */

/** Says nothing more until the other side closes. */
export const stall = Symbol('stall');
/** Closes in order, or breaks the connection. */
export const fin = Symbol('fin');
export const rst = Symbol('rst');

/** Bytes to send (Latin-1), at once or one at a time, or something to do. */
export type Step = string | { readonly trickle: string } | typeof stall | typeof fin | typeof rst;

export interface Answer {
  readonly steps: readonly Step[];
  /** Before the request's body was read, which is left unread. */
  readonly early?: boolean;
  /** The body that a client may take for complete; `undefined`: it must be told that this was none. */
  readonly complete: string | undefined;
  /** Or any beginning of it: Node 20 takes a reset that comes with the last bytes for an end in order. */
  readonly orPart?: boolean;
}

/** What the bodies consist of. */
export function bodyOf(size: number): string {
  return 'abcdefghijklmnopqrstuvwxyz-'.repeat(Math.ceil(size / 27)).slice(0, size);
}

const head = (...fields: readonly string[]): string =>
  ['HTTP/1.1 200 OK', 'X-From: origin', ...fields, '', ''].join('\r\n');

const withLength = (size: number, length = size): string => head(`Content-Length: ${length}`) + bodyOf(size);

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

const chunked = (size: number): string =>
  (size > 0 ? chunk(bodyOf(Math.ceil(size / 2))) : '') +
  (size > 1 ? chunk(bodyOf(size).slice(Math.ceil(size / 2))) : '');

const chunkedHead = head('Transfer-Encoding: chunked');

/** Nobody may believe it. */
const bad = (...steps: readonly Step[]): Answer => ({ steps, complete: undefined });
const good = (size: number, ...steps: readonly Step[]): Answer => ({ steps, complete: bodyOf(size) });

const some = (size: number): number => 1 + Math.floor(size / 2);

const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';

const answerTable = {
  // The truth.
  length: (size: number) => good(size, withLength(size)),
  chunked: (size: number) => good(size, chunkedHead, `${chunked(size)}0\r\n\r\n`),
  trailers: (size: number) =>
    good(size, head('Transfer-Encoding: chunked', 'Trailer: X'), `${chunked(size)}0\r\nX: y\r\n\r\n`),
  'until-close': (size: number) => good(size, head(), bodyOf(size), fin),
  nothing: () => good(0, 'HTTP/1.1 204 No Content\r\nX-From: origin\r\n\r\n'),
  closing: (size: number) =>
    good(size, head('Connection: close', `Content-Length: ${size}`), bodyOf(size), fin),
  hints: (size: number) => good(size, hint, hint, withLength(size)),
  early: (size: number) => ({
    ...good(size, head('Connection: close', `Content-Length: ${size}`), bodyOf(size), fin),
    early: true,
  }),
  // Slowness.
  trickle: (size: number) => good(size % 300, { trickle: withLength(size % 300) }),
  'stall at once': () => bad(stall),
  'stall in head': () => bad('HTTP/1.1 200 O', stall),
  'stall in body': (size: number) => bad(withLength(size, size + 1), stall),
  'stall in chunk': (size: number) => bad(chunkedHead, chunk(bodyOf(some(size))), '5\r\nab', stall),
  'stall, unread': () => ({ ...bad(stall), early: true }),
  // Endings.
  'reset at once': () => bad(rst),
  'reset unread': () => ({ ...bad(rst), early: true }),
  'reset in head': () => bad('HTTP/1.1 200 OK\r\nContent-Le', rst),
  'reset in body': (size: number) => bad(withLength(size, size + 10), rst),
  'reset in chunk': (size: number) => bad(chunkedHead, `ffff\r\n${bodyOf(size % 65_535)}`, rst),
  'reset until close': (size: number) => ({ ...good(size, head(), bodyOf(size), rst), orPart: true }),
  'end at once': () => bad(fin),
  'end unread': () => ({ ...bad(fin), early: true }),
  'end in head': () => bad('HTTP/1.1 200 OK\r\nContent-Le', fin),
  'end in body': (size: number) => bad(withLength(size, size + 1), fin),
  'end in chunk': (size: number) => bad(chunkedHead, chunk(bodyOf(some(size))), fin),
  'end in trailers': (size: number) => bad(chunkedHead, `${chunked(size)}0\r\nX: y\r\n`, fin),
  // Lies.
  'too long': (size: number) => good(size, withLength(size), bodyOf(20)),
  'two lengths': () => bad(head('Content-Length: 3', 'Content-Length: 4'), 'abcd'),
  'length and chunks': (size: number) =>
    bad(head('Content-Length: 3', 'Transfer-Encoding: chunked', 'Transfer-Encoding: x'), chunked(size)),
  'negative length': () => bad(head('Content-Length: -1'), 'abc'),
  'bad chunk size': (size: number) => bad(chunkedHead, chunk(bodyOf(some(size))), 'xyz\r\nabc'),
  'bad chunk end': (size: number) => bad(chunkedHead, chunk(bodyOf(some(size))), '3\r\nabcdef\r\n0\r\n\r\n'),
  'huge chunk size': () => bad(chunkedHead, `${'f'.repeat(40)}\r\nabc`, stall),
  'hints without end': () => bad(hint.repeat(500), stall),
  'many hints': (size: number) => good(size, hint.repeat(200), withLength(size)),
  'head without end': () => bad('HTTP/1.1 200 OK\r\n', 'X-Filler: abcdefghijklmnop\r\n'.repeat(5000), stall),
  garbage: (size: number) => bad(`\0\xff\x16\x03\x01${bodyOf(size)}\r\n\r\n`, fin),
  'another protocol': () => bad('SSH-2.0-OpenSSH_9.2\r\n', stall),
  'switch unasked': () =>
    bad('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\0\x01', stall),
  'bad status': () => bad('HTTP/1.1 99999 OK\r\n\r\n', fin),
  'bad field': () => bad('HTTP/1.1 200 OK\r\nBad Field : x\r\nContent-Length: 0\r\n\r\n'),
} as const satisfies Readonly<Record<string, (size: number) => Answer>>;

export type AnswerName = keyof typeof answerTable;

export const answerNames = Object.keys(answerTable) as readonly AnswerName[];

export function answerFor(name: string, size: number): Answer {
  const found = answerTable[name as AnswerName] as ((size: number) => Answer) | undefined;
  // Bytes that are no request of ours: the rest of one that was answered early.
  return found?.(size) ?? bad(fin);
}
