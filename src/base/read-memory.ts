/** The memory that reads go into: one piece for any number of connections, of which each takes as much as pays. */
import type { Bytes } from './bytes.js';
import { SallyportError } from './errors.js';

export const leastReadBuffer: Bytes = 4096;
export const mostReadBuffer: Bytes = 4 * 1024 * 1024;

/** What a connection begins with, and goes back to when it is idle or its reader is slow. */
const restSize: Bytes = 64 * 1024;

/** Blocks that nobody uses are kept up to so much. */
const mostSpare: Bytes = 8 * 1024 * 1024;

/** What was read ahead of a slow reader. */
export interface HeldBlock {
  readonly block: Buffer;
  readonly bytes: Buffer;
}

/**
 * What is read is consumed before the read returns, so one buffer serves all connections of a thread. A connection
 * has only a size of its own: it doubles when a read fills it, and falls back when a read leaves most of it empty.
 */
export class ReadMemory {
  readonly max: Bytes;
  #memory: Buffer | undefined;
  /** Of 64 KiB (or `max`, where that is less), twice that, …, `max`. Views, so that a read allocates nothing. */
  readonly #views: Buffer[] = [];
  /** Blocks that held what was read ahead: new ones of this size cost a page fault for every 4 KiB. */
  readonly #spare: Buffer[] = [];

  /** Throws `ERR_OPTION_VALUE` unless `max` is a whole number from 4 KiB to 4 MiB. The memory is taken at the first read. */
  constructor(max: Bytes) {
    if (!Number.isInteger(max) || max < leastReadBuffer || max > mostReadBuffer) {
      throw new SallyportError(
        'ERR_OPTION_VALUE',
        `readBufferSize is from 4 KiB to 4 MiB, not ${String(max)}`,
      );
    }
    this.max = max;
  }

  /** The step after `step`, for a connection that read `read` bytes; `scarce`: its reader is slow, or a budget is spent. */
  nextStep(step: number, read: Bytes, scarce: boolean): number {
    if (scarce) return 0;
    const size = this.view(step).length;
    if (read === size) return size < this.max ? step + 1 : step;
    return step > 0 && read < size / 4 ? step - 1 : step;
  }

  /** A copy of `bytes`, in a block that was used before where there is one. To be given back when it is used up. */
  copy(bytes: Buffer): HeldBlock {
    const block = this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.max);
    block.set(bytes);
    return { block, bytes: block.subarray(0, bytes.length) };
  }

  giveBack({ block }: HeldBlock): void {
    if ((this.#spare.length + 1) * this.max <= mostSpare) this.#spare.push(block);
  }

  /** The memory of a step: valid until the next read into it. */
  view(step: number): Buffer {
    const known = this.#views[step];
    if (known) return known;
    this.#memory ??= Buffer.allocUnsafeSlow(this.max);
    const view = this.#memory.subarray(0, Math.min(restSize * 2 ** step, this.max));
    this.#views[step] = view;
    return view;
  }
}
