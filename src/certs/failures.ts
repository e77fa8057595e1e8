/** A negative cache: what failed lately is not tried again at once. */
import type { Milliseconds } from '../base/bytes.js';

const firstPause: Milliseconds = 100;
const longestPause: Milliseconds = 10_000;
/** How long after its pause a failure still counts as the one before the next. */
const rowEnds: Milliseconds = 60_000;
const mostKeys = 1000;

/** How long to wait after the `count`th failure in a row, from 1: 100 ms, which doubles up to 10 s. */
export function backoff(count: number): Milliseconds {
  return Math.min(firstPause * 2 ** (count - 1), longestPause);
}

/** How often something failed in a row, and until when that counts, in epoch milliseconds. */
export interface FailureRow {
  readonly count: number;
  readonly until: number;
}

/** The row of a failure at `now`, which came after `before`. */
export function nextFailure(before: FailureRow | undefined, now: number): FailureRow {
  const count = before && now < before.until + rowEnds ? before.count + 1 : 1;
  return { count, until: now + backoff(count) };
}

/** Whether it is too early to try again. What was written by a clock far ahead of ours does not count. */
export function isPausing({ until }: FailureRow, now: number): boolean {
  return now < until && until <= now + longestPause;
}

interface Failure extends FailureRow {
  readonly error: unknown;
}

/** The failures of at most 1,000 keys; the one whose last failure is the oldest gives way. */
export class Failures {
  /** In the order of the last failure. */
  readonly #failures = new Map<string, Failure>();
  readonly #now: () => number;

  /** `now` is the time in epoch milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** One more failure of `id`. Its pause starts now. */
  remember(id: string, error: unknown): void {
    const row = nextFailure(this.#failures.get(id), this.#now());
    this.#failures.delete(id);
    this.#failures.set(id, { error, ...row });
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= mostKeys) break;
      this.#failures.delete(oldest);
    }
  }

  /** The error of the last failure of `id` while its pause lasts. */
  find(id: string): unknown {
    const failure = this.#failures.get(id);
    if (!failure) return undefined;
    const now = this.#now();
    if (isPausing(failure, now)) return failure.error;
    if (now >= failure.until + rowEnds) this.#failures.delete(id);
    return undefined;
  }

  /** `id` was made: the next failure is the first of a new row. */
  forget(id: string): void {
    this.#failures.delete(id);
  }
}
