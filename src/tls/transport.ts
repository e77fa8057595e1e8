/**
 * Large reads for TLS: the plain socket reads ciphertext into shared memory of any size, and hands it on from here.
 *
 * TLS on a socket of its own reads 64 KiB at the most, into memory that it keeps for life. Here a read is as large
 * as `ReadMemory` lets it be, and TLS is fed in pieces of a record, so that what it keeps is 16 KiB. This is the
 * stream that TLS is spoken over; to stay cheap it is one in name: each piece is one `data` event, each write goes
 * to the socket as it is, and nothing is queued in it.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { BufferBudget } from '../base/budget.js';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import type { LegCounters } from '../base/leg-counters.js';
import type { HeldBlock, ReadMemory } from '../base/read-memory.js';
import { userBuffers } from '../base/user-buffer.js';

/** A full TLS 1.3 record with its head, content type and tag (RFC 8446 §5.2): OpenSSL has it whole in one go. */
const pieceSize: Bytes = 16_384 + 5 + 1 + 16;

/**
 * A piece of what came in one small read. Node's TLS keeps a ring for ciphertext whose first piece has 1 KiB, or the
 * size of the first bytes where they are more: what fills it takes a second piece, of 16 KiB and for life. The hello
 * of a client with a post-quantum key share (1.5 KB) does, if it comes whole.
 */
export const leanPiece: Bytes = 1000;

/** Up to so much at once is small. */
const smallRead: Bytes = 4096;

/** Longer than this to use up what was read at once: its reader is slow. */
const slowReader: Milliseconds = 50;

/** Below this the system's allocator reuses memory by itself. */
const largeRest: Bytes = 96 * 1024;

/** What the large reads of one leg share. */
export interface LargeReads {
  readonly memory: ReadMemory;
  /** What was read ahead of a slow reader is held of it. */
  readonly budget?: BufferBudget | undefined;
  readonly counters?: LegCounters | undefined;
}

/** What `net.connect` is given, so that what it returns can be read by a `Transport`. */
export class LargeReader {
  readonly shared: LargeReads;
  readonly #memory: ReadMemory;
  #step = 0;
  #slow = false;
  #transport: Transport | undefined;

  constructor(shared: LargeReads) {
    this.shared = shared;
    this.#memory = shared.memory;
  }

  attach(transport: Transport): void {
    this.#transport = transport;
  }

  /** Whoever reads had to be waited for: large reads would only pile up here. */
  slowDown(): void {
    this.#slow = true;
  }

  /** For `onread`. */
  readonly buffer = (): Buffer => this.#memory.view(this.#step);

  /** For `onread`. */
  readonly callback = (length: number): boolean => {
    const bytes = this.#memory.view(this.#step);
    this.shared.counters?.reads.record(length);
    const going = this.#transport?.feed(length === bytes.length ? bytes : bytes.subarray(0, length)) ?? false;
    // Not before: what is read next goes into the memory that is chosen here.
    this.#step = this.#memory.nextStep(this.#step, length, this.#slow || this.shared.budget?.spent === true);
    this.#slow = false;
    return going;
  };

  /** Takes what a socket reads that was not connected with this reader. */
  adopt(socket: Socket): void {
    if (userBuffers.read(socket, this.buffer, this.callback)) return;
    // Its reads are 64 KiB then, and in buffers of their own.
    socket.on('data', (chunk: Buffer) => {
      this.shared.counters?.reads.record(chunk.length);
      if (this.#transport?.feed(chunk) === false) socket.pause();
    });
  }
}

export class Transport extends Duplex {
  readonly plain: Socket;
  readonly #shared: LargeReads;
  readonly #reader: LargeReader;
  #flowing = false;
  /** Copied out of the shared memory when TLS wanted no more. */
  #rest: Buffer | undefined;
  #ended = false;
  #block: HeldBlock | undefined;
  #feeding = false;
  #keptAt: Milliseconds = 0;

  /** Ownership of `plain` passes; the reader must be the one that reads it. */
  constructor(plain: Socket, reader: LargeReader, rest?: Buffer) {
    super({ allowHalfOpen: true, autoDestroy: false });
    this.plain = plain;
    this.#reader = reader;
    this.#shared = reader.shared;
    if (rest) this.#keep(rest);
    reader.attach(this);
    plain.on('end', () => {
      this.#ended = true;
      this.#tellEnd();
    });
    plain.on('error', (error) => this.destroy(error));
    plain.on('close', () => this.destroy());
  }

  /** TLS asks for bytes. */
  override resume(): this {
    if (this.#flowing) return this;
    this.#flowing = true;
    if (this.#rest && !this.#feeding) process.nextTick(this.#feedRest);
    else if (!this.#feeding) this.plain.resume();
    return this;
  }

  override pause(): this {
    this.#flowing = false;
    if (!this.#feeding) this.plain.pause();
    return this;
  }

  /** Gives `bytes` to TLS as long as it takes them, and keeps a copy of the rest. `false`: read no more. */
  feed(bytes: Buffer): boolean {
    if (this.#rest) {
      this.#keep(Buffer.concat([this.#rest, bytes]));
      return false;
    }
    const at = this.#give(bytes);
    if (this.destroyed) return false;
    if (at < bytes.length) {
      this.#keep(this.#copy(bytes.subarray(at)));
      this.#keptAt = performance.now();
    }
    return this.#flowing;
  }

  /** Small rests have memory of their own: a block would hold far more. */
  #copy(rest: Buffer): Buffer {
    if (rest.length <= largeRest) return Buffer.from(rest);
    this.#block = this.#shared.memory.copy(rest);
    return this.#block.bytes;
  }

  /** Returns how many bytes TLS took. */
  #give(bytes: Buffer): Bytes {
    this.#feeding = true;
    let at = 0;
    const size = bytes.length > smallRead ? pieceSize : leanPiece;
    while (at < bytes.length && this.#flowing && !this.destroyed) {
      const end = Math.min(at + size, bytes.length);
      this.emit('data', bytes.subarray(at, end));
      at = end;
    }
    this.#feeding = false;
    return at;
  }

  readonly #feedRest = (): void => {
    const rest = this.#rest;
    if (!rest || !this.#flowing || this.destroyed) return;
    const at = this.#give(rest);
    if (this.destroyed) return;
    this.#keep(at < rest.length ? rest.subarray(at) : undefined);
    if (this.#rest) return;
    if (performance.now() - this.#keptAt > slowReader) this.#reader.slowDown();
    if (this.#ended) this.#tellEnd();
    else if (this.#flowing) this.plain.resume();
  };

  #keep(rest: Buffer | undefined): void {
    const change = (rest?.length ?? 0) - (this.#rest?.length ?? 0);
    this.#rest = rest;
    if (!rest && this.#block) {
      this.#shared.memory.giveBack(this.#block);
      this.#block = undefined;
    }
    if (change === 0) return;
    this.#shared.budget?.hold(change);
    if (this.#shared.counters) this.#shared.counters.held += change;
  }

  #tellEnd(): void {
    if (!this.#rest) this.emit('end');
  }

  override cork(): void {
    this.plain.cork();
  }

  override uncork(): void {
    this.plain.uncork();
  }

  override write(chunk: Buffer, ...rest: unknown[]): boolean {
    const done = rest.at(-1) as ((error: Error | null | undefined) => void) | undefined;
    return this.plain.write(chunk, done);
  }

  override end(...rest: unknown[]): this {
    const done = rest.at(-1) as (() => void) | undefined;
    this.plain.end(done);
    return this;
  }

  override _read(): void {
    // Nothing is queued here, so nothing is asked for.
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#keep(undefined);
    this.plain.destroy();
    done(error);
  }
}
