/**
 * Plaintext that is taken at once needs no memory of its own: the connections of a thread share one buffer for it. A
 * `data` event comes with a buffer that is made for it, and for every 16 KiB of an upload.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Histogram } from './histogram.js';
import { userBuffers } from './user-buffer.js';

/** What a full TLS record holds (RFC 8446 §5.1). */
const recordSize = 16_384;

/** Who takes what a socket reads. */
export interface ReadTaker {
  /** `bytes` are valid until it returns. */
  push(bytes: Buffer): void;
}

/** Under which a socket knows its taker; where there is none, what is read goes into the stream. */
export const readTaker = Symbol('readTaker');

export type TakenSocket = Duplex & { [readTaker]?: ReadTaker | undefined };

export class SharedReads {
  readonly #buffer = Buffer.allocUnsafeSlow(recordSize);
  readonly #read: (this: Socket, length: number, buffer: Buffer) => boolean;

  constructor(histogram?: Histogram) {
    // One function for all sockets: a closure for each would be kept with it.
    this.#read = function (length, buffer) {
      histogram?.record(length);
      const bytes = buffer.subarray(0, length);
      const owner = (this as TakenSocket)[readTaker];
      if (!owner) return Socket.prototype.push.call(this, Buffer.from(bytes));
      owner.push(bytes);
      return true;
    };
  }

  /**
   * From now on what `socket` reads goes to its taker, at once. Returns whether that can be had; otherwise it comes by
   * `data` events as ever.
   */
  begin(socket: Socket): boolean {
    // What waits in the stream was read before, and comes first.
    return socket.readableLength === 0 && userBuffers.read(socket, this.#buffer, this.#read);
  }
}
