/**
 * What one leg is about to send: a head and the first bytes of its body leave in one write (one TLS record, one
 * system call), and while a write is on its way what follows is gathered in a slab, to leave in one piece too.
 *
 * Bytes that are given are copied before `bytes` returns or `flush` returns, whichever is later, so their
 * owner may use the memory again: a connection to an origin reads into one buffer for all of them.
 */
import type { Duplex } from 'node:stream';
import type { Bytes } from '../base/bytes.js';

/** What is gathered at the most before it is handed to the socket. */
export const slabSize: Bytes = 64 * 1024;

/** Up to this size a buffer is cut from Node's own pool, which is cheaper than a slab. */
const joinLimit: Bytes = 4096;

/** A chunk of this size is a part of a large body: TLS gives 16 KiB at a time, four of them to a read. */
const bulkChunk: Bytes = 12 * 1024;

/** Slabs that were sent, for the next to use. Shared by the connections of one proxy. */
export class SlabPool {
  readonly #free: Buffer[] = [];
  readonly #limit: number;

  /** Keeps `limit` slabs at the most; the others go with the garbage. */
  constructor(limit = 64) {
    this.#limit = limit;
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(slabSize);
  }

  give(slab: Buffer): void {
    if (this.#free.length < this.#limit) this.#free.push(slab);
  }
}

export class Outbox {
  readonly #socket: Duplex;
  readonly #slabs: SlabPool;
  readonly #onRoom: () => void;
  /** Text that goes before anything else; only while there is no slab. */
  #text = '';
  /** A chunk that is not copied yet, between `bytes` and `flush`. */
  #chunk: Buffer | undefined;
  #slab: Buffer | undefined;
  #fill = 0;
  #turnScheduled = false;

  /** `onRoom` is called whenever a write has left and nothing is gathered: the source may go on. */
  constructor(socket: Duplex, slabs: SlabPool, onRoom: () => void) {
    this.#socket = socket;
    this.#slabs = slabs;
    this.#onRoom = onRoom;
  }

  /** Bytes that were handed over and have not left for the kernel. */
  get backlog(): Bytes {
    return this.#socket.writableLength + this.#fill + (this.#chunk?.length ?? 0);
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
    if (this.#socket.writableLength > 0) {
      this.#gatherPending();
      return;
    }
    const text = this.#text;
    if (!chunk || text.length + chunk.length > joinLimit) {
      if (chunk && chunk.length >= bulkChunk) this.#gatherTurn();
      else this.flushAll();
      return;
    }
    this.#chunk = undefined;
    this.#text = '';
    const all = Buffer.allocUnsafe(text.length + chunk.length);
    if (text !== '') all.write(text, 0, 'latin1');
    all.set(chunk, text.length);
    this.#socket.write(all, this.#written);
  }

  /** More of a large body is likely to be decrypted in this very turn: leaves at its end, in one write. */
  #gatherTurn(): void {
    this.#gatherPending();
    if (!this.#slab || this.#turnScheduled) return;
    this.#turnScheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#turnScheduled = false;
    if (this.#slab && this.#socket.writableLength === 0) this.flushAll();
  };

  /** Hands everything to the socket now: before it is ended or given away. */
  flushAll(): void {
    if (this.#chunk) this.#gatherPending();
    const slab = this.#slab;
    if (slab) this.#send(slab);
    const text = this.#text;
    if (text === '') return;
    this.#text = '';
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
    this.#socket.write(slab.subarray(0, fill), (error) => {
      // After a failed write nobody knows whether the memory is still read.
      if (!error) this.#slabs.give(slab);
      this.#written();
    });
  }

  readonly #written = (): void => {
    const { writableLength } = this.#socket;
    if (writableLength > 0) return;
    if (this.#slab || this.#text !== '') this.flushAll();
    else this.#onRoom();
  };
}
