/** What is counted of one leg, client or upstream: how large its reads and writes are, and its handshakes. */
import type { Bytes } from './bytes.js';
import { Histogram, type HistogramCounts } from './histogram.js';

/** Plain numbers that can be added field by field. */
export interface LegCounts {
  /** System calls that read, where this leg reads by itself: plain http, and TLS with large reads. */
  readonly reads: HistogramCounts;
  /** Pieces of plaintext as TLS gave them, 16 KiB at the most. */
  readonly plaintext: HistogramCounts;
  /** What was handed to TLS, or to the kernel, in one piece. */
  readonly writes: HistogramCounts;
  /** Bytes that were read ahead of a slow reader, now. */
  readonly held: Bytes;
  readonly handshakes: { readonly new: number; readonly resumed: number };
}

export interface LegsCounts {
  readonly client: LegCounts;
  readonly upstream: LegCounts;
}

export class LegCounters {
  readonly reads = new Histogram();
  readonly plaintext = new Histogram();
  readonly writes = new Histogram();
  held: Bytes = 0;
  #new = 0;
  #resumed = 0;

  handshake(resumed: boolean): void {
    if (resumed) this.#resumed += 1;
    else this.#new += 1;
  }

  /** A copy. */
  get counts(): LegCounts {
    return {
      reads: this.reads.counts,
      plaintext: this.plaintext.counts,
      writes: this.writes.counts,
      held: this.held,
      handshakes: { new: this.#new, resumed: this.#resumed },
    };
  }
}
