/**
 * Whether a deadline is what somebody meant.
 *
 * A timeout of 60,000 where 60 was meant is not refused by anything: it works, and keeps whatever waits for it
 * for 16 hours. So a deadline is clamped, and one that is out of all proportion is told: over an hour, or a
 * thousand times what its route usually has.
 */
import type { Milliseconds } from './bytes.js';

export interface DeadlineSuspicion {
  readonly route: string;
  /** The deadline that was asked for. */
  readonly deadline: Milliseconds;
  /** What the route usually has: the median of its last ones; `undefined` while there are too few. */
  readonly median: Milliseconds | undefined;
  /** What it became. */
  readonly granted: Milliseconds;
  readonly reason: 'over-an-hour' | 'thousandfold';
  /** For people: both values, and the question. */
  readonly message: string;
}

export interface DeadlineHygieneOptions {
  /** No deadline is longer; `Infinity` (the default) clamps nothing. */
  readonly maxDeadline?: Milliseconds;
  /** How many routes are remembered, those seen last. Default 1000, of about 400 bytes each. */
  readonly routes?: number;
  readonly onSuspicion?: (suspicion: DeadlineSuspicion) => void;
}

const hour: Milliseconds = 3_600_000;
/** A thousand, and a fifth more or less: deadlines are set by people and shortened on the way. */
const least = 800;
const most = 1200;
/** Deadlines that make a median: enough that one mistake does not move it, and few enough to forget. */
const remembered = 31;
const enough = 5;

export class DeadlineHygiene {
  readonly #maxDeadline: Milliseconds;
  readonly #routes: number;
  readonly #onSuspicion: ((suspicion: DeadlineSuspicion) => void) | undefined;
  /** In the order in which they were seen last. */
  readonly #recent = new Map<string, RecentDeadlines>();

  constructor({
    maxDeadline = Number.POSITIVE_INFINITY,
    routes = 1000,
    onSuspicion,
  }: DeadlineHygieneOptions = {}) {
    if (!(maxDeadline > 0)) throw new RangeError('maxDeadline is a number of milliseconds above 0');
    if (!(routes >= 1)) throw new RangeError('routes is a number above 0');
    this.#maxDeadline = maxDeadline;
    this.#routes = routes;
    this.#onSuspicion = onSuspicion;
  }

  /**
   * What to grant for a wish of `ms` on `route`, which is whatever has deadlines of one kind: a method and a path
   * pattern, a host. Tells when it is suspicious. `Infinity` is no deadline: it becomes `maxDeadline`, silently.
   */
  check(route: string, ms: Milliseconds): Milliseconds {
    const granted = Math.min(ms, this.#maxDeadline);
    if (!(ms >= 0) || ms === Number.POSITIVE_INFINITY) return Number.isNaN(ms) ? this.#maxDeadline : granted;
    const recent = this.#of(route);
    const { median } = recent;
    const reason = reasonOf(ms, median);
    // A route whose deadlines have really changed is believed after a while.
    recent.add(ms);
    if (reason && this.#onSuspicion) {
      const usual = median === undefined ? '' : ` where ${text(median)} is usual`;
      this.#onSuspicion({
        route,
        deadline: ms,
        median,
        granted,
        reason,
        message:
          `${route}: a deadline of ${text(ms)}${usual}` +
          `${granted < ms ? `, cut to ${text(granted)}` : ''}: seconds given as milliseconds?`,
      });
    }
    return granted;
  }

  /** How many routes are remembered. */
  get size(): number {
    return this.#recent.size;
  }

  #of(route: string): RecentDeadlines {
    const recent = this.#recent.get(route) ?? new RecentDeadlines();
    this.#recent.delete(route);
    this.#recent.set(route, recent);
    if (this.#recent.size > this.#routes) {
      const [oldest] = this.#recent.keys();
      if (oldest !== undefined) this.#recent.delete(oldest);
    }
    return recent;
  }
}

function reasonOf(
  ms: Milliseconds,
  median: Milliseconds | undefined,
): DeadlineSuspicion['reason'] | undefined {
  if (median !== undefined && ms >= median * least && ms <= median * most && ms > 0) return 'thousandfold';
  return ms > hour ? 'over-an-hour' : undefined;
}

const text = (ms: Milliseconds): string => `${ms.toLocaleString('en-US', { maximumFractionDigits: 3 })} ms`;

/** The last deadlines of a route. */
class RecentDeadlines {
  readonly #last = new Float64Array(remembered);
  #count = 0;
  /** Of what is there now; found when it is asked for. */
  #median: Milliseconds | undefined;

  add(ms: Milliseconds): void {
    // Nearly always the same as before; then so is the median.
    const at = this.#count % remembered;
    if (this.#count < remembered || this.#last[at] !== ms) this.#median = undefined;
    this.#last[at] = ms;
    this.#count += 1;
  }

  /** `undefined` while there are too few. */
  get median(): Milliseconds | undefined {
    if (this.#count < enough) return undefined;
    const count = Math.min(this.#count, remembered);
    this.#median ??= this.#last.slice(0, count).toSorted()[count >> 1];
    return this.#median;
  }
}
