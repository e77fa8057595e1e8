/**
 * What one leg is about to send: a head and the first bytes of its body leave in one write (one TLS record, one
 * system call), and while a write is on its way what follows is gathered in a slab, to leave in one piece too.
 *
 * Bytes that are given are copied before `bytes` returns or `flush` returns, whichever is later, so their
 * owner may use the memory again: a connection to an origin reads into one buffer for all of them.
 */
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { leanMessage, leanTotal, leanWrite } from '../base/lean-writes.js';
import { type SlabPool, slabSize } from './slab-pool.js';

/** Up to this size a buffer is cut from Node's own pool, which is cheaper than a slab. */
const joinLimit: Bytes = 4096;

/** A chunk of this size is a part of a large body: TLS gives 16 KiB at a time, four of them to a read. */
const bulkChunk: Bytes = 12 * 1024;

/**
 * A TLS connection begins calm: a slab leaves in such pieces, and its source is paused meanwhile. Node keeps what it took
 * for the ciphertext of each larger write: 230 KiB after slabs of 16, 32, 48 and 64 KiB.
 */
const calmPiece: Bytes = 16 * 1024;

/**
 * After so many bytes without a stall a connection is fast: whole slabs, and the next one gathered meanwhile, which
 * costs a seventh less CPU. Of a reader that takes nothing Linux takes 10 MiB (its most for sending and receiving).
 */
const fastAfter: Bytes = 12 * 1024 * 1024;

/** A slab that took longer to leave met a slow reader: below some 5 MiB/s, as the kernel frees a third at a time. */
const stall: Milliseconds = 250;

/** Whom an outbox tells. */
export interface OutboxOwner {
  /** A write has left and nothing is gathered: the source may go on. */
  room(): void;
}

export class Outbox {
  readonly #socket: Duplex;
  readonly #slabs: SlabPool;
  readonly #owner: OutboxOwner;
  readonly #tls: boolean;
  /** Text that goes before anything else; only while there is no slab. */
  #text = '';
  /** A chunk that is not copied yet, between `bytes` and `flush`. */
  #chunk: Buffer | undefined;
  #slab: Buffer | undefined;
  #fill = 0;
  /** How much more is sent in lean writes before the connection counts as busy; 0: it is. */
  #leanLeft: Bytes;
  /** The part of a message that waits for the lean write before it, and the slab that it lies in. */
  #rest: Buffer | undefined;
  #restSlab: Buffer | undefined;
  #turnScheduled = false;
  /** What was sent in slabs since the last stall. */
  #run: Bytes = 0;
  #startedAt: Milliseconds = 0;

  constructor(socket: Duplex, slabs: SlabPool, owner: OutboxOwner) {
    this.#socket = socket;
    this.#slabs = slabs;
    this.#owner = owner;
    this.#tls = socket instanceof TLSSocket;
    this.#leanLeft = this.#tls ? leanTotal : 0;
  }

  /** Bytes that were handed over and have not left for the kernel. */
  get backlog(): Bytes {
    const waiting = this.#fill + (this.#chunk?.length ?? 0) + (this.#rest?.length ?? 0);
    return this.#socket.writableLength + waiting;
  }

  /** Whether the source may go on: `most` is what a fast connection may have in flight. */
  roomy(most: Bytes): boolean {
    return this.backlog < (this.#fast ? most : Math.min(most, 2 * calmPiece));
  }

  get #fast(): boolean {
    return !this.#tls || this.#run >= fastAfter;
  }

  /** Latin-1 text: heads, sizes of chunks. */
  text(text: string): void {
    if (!this.#chunk && !this.#slab) {
      this.#text += text;
      return;
    }
    this.#gatherPending();
    this.#gather(Buffer.from(text, 'latin1'));
  }

  bytes(chunk: Buffer): void {
    if (this.#chunk || this.#slab) {
      this.#gatherPending();
      this.#gather(chunk);
    } else {
      this.#chunk = chunk;
    }
  }

  /** Sends what there is, or keeps it until the write that is on its way has left. */
  flush(): void {
    const chunk = this.#chunk;
    if (this.#socket.writableLength > 0 || this.#rest) {
      this.#gatherPending();
      return;
    }
    const text = this.#text;
    if (!chunk || text.length + chunk.length > joinLimit) {
      if (chunk && chunk.length >= bulkChunk) this.#gatherTurn();
      else this.#sendAll();
      return;
    }
    this.#chunk = undefined;
    this.#text = '';
    const all = Buffer.allocUnsafe(text.length + chunk.length);
    if (text !== '') all.write(text, 0, 'latin1');
    all.set(chunk, text.length);
    if (this.#leanLeft > 0 && this.#sendLean(all, undefined)) return;
    this.#socket.write(all, this.#written);
  }

  /** More of a large body is likely to be decrypted in this very turn: leaves at its end, in one write. */
  #gatherTurn(): void {
    this.#gatherPending();
    if (!this.#slab || this.#turnScheduled) return;
    this.#turnScheduled = true;
    setImmediate(Outbox.#turn, this);
  }

  static #turn(this: void, outbox: Outbox): void {
    outbox.#turnScheduled = false;
    if (outbox.#slab && !outbox.#rest && outbox.#socket.writableLength === 0) outbox.#sendAll();
  }

  /** Hands everything to the socket now: before it is ended or given away. */
  flushAll(): void {
    this.#grow();
    this.#sendAll();
  }

  #sendAll(): void {
    if (this.#chunk) this.#gatherPending();
    const slab = this.#slab;
    if (slab) this.#send(slab);
    const text = this.#text;
    if (text === '') return;
    this.#text = '';
    if (this.#leanLeft > 0 && this.#sendLean(Buffer.from(text, 'latin1'), undefined)) return;
    this.#socket.write(text, 'latin1', this.#written);
  }

  /** Text and chunk that wait outside the slab go into it, in their order. */
  #gatherPending(): void {
    const text = this.#text;
    const chunk = this.#chunk;
    if (text !== '') {
      this.#text = '';
      this.#gather(Buffer.from(text, 'latin1'));
    }
    if (chunk) {
      this.#chunk = undefined;
      this.#gather(chunk);
    }
  }

  #gather(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const slab = (this.#slab ??= this.#slabs.take());
      const take = Math.min(bytes.length - at, slabSize - this.#fill);
      bytes.copy(slab, this.#fill, at, at + take);
      this.#fill += take;
      at += take;
      if (this.#fill === slabSize) this.#send(slab);
    }
  }

  #send(slab: Buffer): void {
    const fill = this.#fill;
    this.#slab = undefined;
    this.#fill = 0;
    const bytes = slab.subarray(0, fill);
    this.#slabs.leaves();
    if (this.#leanLeft > 0 && this.#sendLean(bytes, slab)) return;
    if (this.#rest) this.#sendRest(this.#rest);
    this.#startedAt = performance.now();
    this.#run += fill;
    if (fill > calmPiece && this.#socket.writableLength === 0 && !this.#fast) {
      this.#restSlab = slab;
      this.#sendPiece(bytes, calmPiece);
    } else {
      this.#sendSlab(bytes, slab);
    }
  }

  #sendSlab(bytes: Buffer, slab: Buffer): void {
    this.#socket.write(bytes, (error) => {
      if (performance.now() - this.#startedAt > stall) this.#run = 0;
      // After a failed write nobody knows whether the memory is still read.
      this.#slabs.left(error ? undefined : slab);
      this.#written();
    });
  }

  /** Begins to send a message in lean writes; `false` when it is to be sent as it is. */
  #sendLean(message: Buffer, slab: Buffer | undefined): boolean {
    const left = this.#leanLeft - message.length;
    if (left <= 0 || message.length > leanMessage || this.#rest) {
      this.#grow();
      return false;
    }
    this.#leanLeft = left;
    this.#rest = message;
    this.#restSlab = slab;
    this.#sendPiece(message, leanWrite);
    return true;
  }

  #sendPiece(rest: Buffer, size: Bytes): void {
    if (rest.length > size) {
      this.#rest = rest.subarray(size);
      this.#socket.write(rest.subarray(0, size), this.#written);
    } else {
      this.#sendRest(rest);
    }
  }

  #sendRest(rest: Buffer): void {
    const slab = this.#restSlab;
    this.#rest = undefined;
    this.#restSlab = undefined;
    if (slab) this.#sendSlab(rest, slab);
    else this.#socket.write(rest, this.#written);
  }

  /** From now on what there is leaves at once. */
  #grow(): void {
    this.#leanLeft = 0;
    if (this.#rest) this.#sendRest(this.#rest);
  }

  readonly #written = (): void => {
    const { writableLength } = this.#socket;
    if (writableLength > 0) return;
    if (this.#rest) this.#sendPiece(this.#rest, this.#leanLeft > 0 ? leanWrite : calmPiece);
    else if (this.#slab || this.#text !== '') this.#sendAll();
    else this.#owner.room();
  };
}
