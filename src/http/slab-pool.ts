/** Memory that is used again and again for what is about to be sent. */
import type { Bytes } from '../base/bytes.js';

/** What is gathered at the most before it is handed to the socket. */
export const slabSize: Bytes = 64 * 1024;

/** Slabs that were sent, for the next to use. Shared by the connections of one proxy. */
export class SlabPool {
  readonly #free: Buffer[] = [];
  readonly #limit: number;
  #leaving = 0;

  /**
   * Keeps `limit` slabs, or as many as are on their way: what is thrown away and made again waits for the collector, and
   * leaves holes in the heap.
   */
  constructor(limit = 64) {
    this.#limit = limit;
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(slabSize);
  }

  /** A slab begins to leave; `left` follows. */
  leaves(): void {
    this.#leaving += 1;
  }

  /** Its write is over; `slab` where its memory may be used again. */
  left(slab: Buffer | undefined): void {
    this.#leaving -= 1;
    if (slab && this.#free.length < Math.max(this.#limit, this.#leaving)) this.#free.push(slab);
  }

  /** How many wait to be used again. */
  get free(): number {
    return this.#free.length;
  }
}
