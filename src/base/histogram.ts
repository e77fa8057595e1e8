/** Sizes counted by powers of two: an addition or two each, no allocation, and two histograms add up to a third. */
import type { Bytes } from './bytes.js';

/** One bucket: sizes from its key (a power of two; 0 for nothing at all) up to the next key, not included. */
export interface HistogramBucket {
  readonly count: number;
  readonly bytes: Bytes;
}

/** Plain numbers, which can be added field by field: those of several processes are the sum. */
export interface HistogramCounts {
  readonly count: number;
  readonly bytes: Bytes;
  /** By the least size of a bucket in bytes; empty ones are left out. In ascending order. */
  readonly buckets: Readonly<Record<string, HistogramBucket>>;
}

/** 0, then 2^0 … 2^31. */
const bucketCount = 33;

export class Histogram {
  readonly #counts = new Float64Array(bucketCount);
  readonly #bytes = new Float64Array(bucketCount);

  /** `size`: whole bytes, from 0 to 2^32 − 1. */
  record(size: Bytes): void {
    const at = 32 - Math.clz32(size);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#bytes[at] = (this.#bytes[at] ?? 0) + size;
  }

  /** A copy. */
  get counts(): HistogramCounts {
    const buckets: Record<string, HistogramBucket> = {};
    let count = 0;
    let bytes = 0;
    for (let at = 0; at < bucketCount; at += 1) {
      const inBucket = this.#counts[at] ?? 0;
      if (inBucket === 0) continue;
      const bytesInBucket = this.#bytes[at] ?? 0;
      count += inBucket;
      bytes += bytesInBucket;
      buckets[at === 0 ? '0' : String(2 ** (at - 1))] = { count: inBucket, bytes: bytesInBucket };
    }
    return { count, bytes, buckets };
  }
}
