/**
 * How much of what is written goes to TLS at a time. Encrypting 256 KiB at once leaves some 80 KB of buffers behind
 * in the connection for as long as it lives; pieces below 16 KiB, one after the other, leave one.
 */
import { Socket } from 'node:net';
import type { Bytes } from '../base/bytes.js';
import type { BufferBudget } from '../base/budget.js';
import { SallyportError } from '../base/errors.js';
import type { Histogram } from '../base/histogram.js';
import { leanMessage, leanTotal, leanWrite } from '../base/lean-writes.js';

/** One byte less than a full record: with its overhead it fits the smallest buffer that OpenSSL is given. */
export const fullWrite: Bytes = 16_383;

const leastWrite: Bytes = 512;

/** How a stream says that a chunk is bytes; the types know encodings of text only. */
const binary = 'buffer' as BufferEncoding;

type Done = (error?: Error | null) => void;
type Chunks = { readonly chunk: Buffer | string; readonly encoding: BufferEncoding }[];

const plain = Socket.prototype;

/** How much a connection has sent in small messages; `leanTotal` or more: it is busy. */
const sent = Symbol('sent');

type Sender = Socket & { [sent]?: Bytes };

/** Made once for all the connections that keep the same rules: a socket gets no closure of its own. */
export class WriteRules {
  readonly #limit: Bytes;
  readonly #histogram: Histogram | undefined;
  readonly #budget: BufferBudget | undefined;

  /** `limit`: the most that is handed to TLS at a time; `Infinity` for whatever is there. */
  constructor(
    limit: Bytes,
    options: { readonly histogram?: Histogram | undefined; readonly budget?: BufferBudget | undefined } = {},
  ) {
    if (!(limit === Number.POSITIVE_INFINITY || (Number.isInteger(limit) && limit >= leastWrite))) {
      throw new SallyportError('ERR_OPTION_VALUE', `writeBufferSize is 512 B or more, not ${String(limit)}`);
    }
    this.#limit = limit;
    this.#histogram = options.histogram;
    this.#budget = options.budget;
  }

  /** To be called before anything is written. */
  apply(socket: Socket): void {
    socket._write = this.#write;
    socket._writev = this.#writev;
    if (this.#budget) holdBack(socket, this.#budget);
  }

  readonly #write = this.#method(function (
    rules,
    socket,
    chunk: Buffer | string,
    encoding: BufferEncoding,
    done: Done,
  ) {
    const limit = rules.#limitOf(socket, chunk.length);
    // At the most three bytes a character, in whatever encoding.
    if (typeof chunk === 'string' && chunk.length * 3 <= limit) {
      rules.#one(socket, chunk, encoding, chunk.length, done);
      return;
    }
    rules.#pieces(socket, typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk, 0, limit, done);
  });

  readonly #writev = this.#method(function (rules, socket, chunks: Chunks, done: Done) {
    rules.#groups(socket, chunks, 0, rules.#limitOf(socket, totalOf(chunks)), done);
  });

  /** The most that goes in one piece of a message that is so long. */
  #limitOf(socket: Sender, message: Bytes): Bytes {
    if (this.#limit !== fullWrite) return this.#limit;
    const before = socket[sent] ?? 0;
    if (before >= leanTotal) return fullWrite;
    socket[sent] = message > leanMessage ? leanTotal : before + message;
    return message > leanMessage ? fullWrite : leanWrite;
  }

  /** As many chunks in one go as fit; one that does not fit alone goes in pieces. */
  #groups(socket: Socket, chunks: Chunks, from: number, limit: Bytes, done: Done): void {
    let to = from;
    let total = 0;
    for (; to < chunks.length; to += 1) {
      const size = sizeOf(chunks[to]);
      if (total + size > limit) break;
      total += size;
    }
    const first = chunks[from];
    if (!first) {
      done();
      return;
    }
    const next = (error?: Error | null): void => {
      if (error) done(error);
      else this.#groups(socket, chunks, Math.max(to, from + 1), limit, done);
    };
    if (to - from > 1 && plain._writev) {
      this.#histogram?.record(total);
      plain._writev.call(
        socket,
        to - from === chunks.length ? chunks : chunks.slice(from, to),
        to === chunks.length ? done : next,
      );
    } else {
      socket._write(first.chunk, first.encoding, from + 1 === chunks.length ? done : next);
    }
  }

  #pieces(socket: Socket, bytes: Buffer, from: number, limit: Bytes, done: Done): void {
    const rest = bytes.length - from;
    if (rest <= limit) {
      this.#one(socket, from === 0 ? bytes : bytes.subarray(from), binary, rest, done);
      return;
    }
    const to = from + limit;
    this.#one(socket, bytes.subarray(from, to), binary, limit, (error) => {
      if (error) done(error);
      else this.#pieces(socket, bytes, to, limit, done);
    });
  }

  #one(socket: Socket, chunk: Buffer | string, encoding: BufferEncoding, size: Bytes, done: Done): void {
    this.#histogram?.record(size);
    plain._write.call(socket, chunk, encoding, done);
  }

  /** A function that gets the socket it is called on as an argument. */
  #method<A extends unknown[]>(
    body: (rules: WriteRules, socket: Socket, ...args: A) => void,
  ): (this: Socket, ...args: A) => void {
    const rules = this;
    return function (this: Socket, ...args) {
      body(rules, this, ...args);
    };
  }
}

function totalOf(chunks: Chunks): Bytes {
  let total = 0;
  for (const entry of chunks) total += sizeOf(entry);
  return total;
}

function sizeOf(entry: Chunks[number] | undefined): Bytes {
  if (!entry) return 0;
  return typeof entry.chunk === 'string'
    ? Buffer.byteLength(entry.chunk, entry.encoding)
    : entry.chunk.length;
}

/** What waits to be written counts; when the budget is spent, `write` says so at once, and `drain` comes as usual. */
function holdBack(socket: Socket, budget: BufferBudget): void {
  let held = 0;
  let owed = false;
  const settle = (): void => {
    budget.giveBack(held);
    held = socket.destroyed ? 0 : socket.writableLength;
    budget.hold(held);
    if (!owed || held > 0) return;
    owed = false;
    if (!socket.destroyed) socket.emit('drain');
  };
  const written: Done = () => {
    settle();
  };
  socket.on('close', settle);
  socket.write = function (this: Socket, chunk: Buffer | string, ...rest: unknown[]): boolean {
    const done = typeof rest.at(-1) === 'function' ? (rest.at(-1) as Done) : undefined;
    const encoding = typeof rest[0] === 'string' ? (rest[0] as BufferEncoding) : undefined;
    const roomy = plain.write.call(this, chunk, encoding, (error) => {
      done?.(error);
      written();
    });
    settle();
    if (!roomy || !budget.spent || held === 0) return roomy;
    owed = true;
    return false;
  };
}
