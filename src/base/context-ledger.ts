/**
 * The books of all contexts below one root: how many were made, closed, and dropped without being closed.
 *
 * Contexts that live for less than a second cost two additions here. About once a second, while there are new
 * ones, a sweep looks at those that got older than that: they are held weakly from then on (see `Watch`), with a
 * finalizer. That is a microsecond for each, so that a server whose contexts are short pays nothing, and a leak
 * of any size is found within a few seconds and a garbage collection.
 */
import type { Milliseconds } from './bytes.js';
import { OrphanSignals } from './context-signals.js';
import { type ContextLeak, StackSampler, type StackSampling } from './context-stacks.js';
import type { Watch, Watcher } from './context-watch.js';
import { Deadline, type DeadlineCounts, type DeadlineWheel, type Expiring } from './deadlines.js';

export interface ContextCounts {
  readonly created: number;
  readonly closed: number;
  /** Found by the finalizer: dropped by everybody, and never closed. */
  readonly leaked: number;
  readonly outstanding: number;
  /** The most that were outstanding at one time. */
  readonly highWater: number;
  /** How long ago the oldest of the outstanding was made; 0 when there is none. Accurate to a second. */
  readonly oldestMs: Milliseconds;
}

/** How old a context must be to be held weakly, and how long until the next look. */
const sweepTime: Milliseconds = 1000;

const ageUnit: Milliseconds = 10;

/** The time of a birth, in a unit that fits in a word for months. */
export const ageUnits = (ms: Milliseconds): number => Math.floor(ms / ageUnit);

/** A registry's table never shrinks, so nobody's has more than so many: it goes with the last of its watches. */
const perRegistry = 4096;

const makeRegistry = (): FinalizationRegistry<Watch> =>
  new FinalizationRegistry((watch) => {
    watch.finalized();
  });

export class ContextLedger implements Watcher, Expiring {
  readonly wheel: DeadlineWheel;
  readonly signals: OrphanSignals<Watch>;
  readonly #stacks = new StackSampler();
  readonly #sweep = new Deadline(this, { holds: false });
  #registry = makeRegistry();
  /** How many it was given. */
  #registered = 0;
  #created = 0;
  #closed = 0;
  #leaked = 0;
  #highWater = 0;
  /** Watches that are open, as a list. */
  #newest: Watch | undefined;
  #oldest: Watch | undefined;
  /** How many of them are young. */
  #young = 0;
  #settling = false;

  constructor(wheel: DeadlineWheel) {
    this.wheel = wheel;
    this.signals = new OrphanSignals((watch, signal) => {
      watch.registry?.register(signal, watch, watch);
    });
  }

  /** A context was made, watched or not. */
  made(): void {
    const outstanding = (this.#created += 1) - this.#closed - this.#leaked;
    if (outstanding > this.#highWater) this.#highWater = outstanding;
  }

  /** A context was closed, watched or not. */
  ended(): void {
    this.#closed += 1;
  }

  /** Additions and subtractions only, but for the age of the oldest deadline: see `deadlines`. */
  counts(): ContextCounts {
    const outstanding = this.#created - this.#closed - this.#leaked;
    return {
      created: this.#created,
      closed: this.#closed,
      leaked: this.#leaked,
      outstanding,
      highWater: this.#highWater,
      oldestMs: this.#oldest ? this.age(this.#oldest.born) : 0,
    };
  }

  /** The deadlines of the same wheel, those of no context included; goes through all that are armed. */
  deadlines(): DeadlineCounts {
    return this.wheel.counts();
  }

  /** Where the leaked ones were made, most leaks first; stacks of the sample. */
  leaks(): ContextLeak[] {
    return this.#stacks.leaks();
  }

  /** Of how many contexts the creation stack is kept, of those made from now on: see `StackSampling`. */
  sampleStacks(sampling: StackSampling): void {
    this.#stacks.set(sampling);
  }

  /** How long ago `born` was, which is in `ageUnits`. */
  age(born: number): Milliseconds {
    return Math.max(0, this.wheel.clock.now() - born * ageUnit);
  }

  opened(watch: Watch, target: object): void {
    watch.stack = this.#stacks.sample(target.constructor);
    watch.older = this.#newest;
    if (this.#newest) this.#newest.newer = watch;
    else this.#oldest = watch;
    this.#newest = watch;
    this.#young += 1;
    if (!this.#sweep.armed) this.#armSweep(watch);
  }

  #armSweep(watch: Watch): void {
    this.wheel.arm(this.#sweep, sweepTime);
    watch.born = ageUnits(this.wheel.recent);
  }

  closed(watch: Watch): void {
    this.#remove(watch);
  }

  leaked(watch: Watch): void {
    this.#leaked += 1;
    this.#stacks.leaked(watch.stack);
    this.#remove(watch);
  }

  finalize(watch: Watch, target: object): void {
    this.#young -= 1;
    if ((this.#registered += 1) > perRegistry) {
      this.#registry = makeRegistry();
      this.#registered = 1;
    }
    watch.registry = this.#registry;
    this.#registry.register(target, watch, watch);
  }

  disarm(watch: Watch): void {
    this.wheel.disarm(watch);
  }

  #remove(watch: Watch): void {
    const { older, newer } = watch;
    if (newer) newer.older = older;
    else this.#newest = older;
    if (older) older.newer = newer;
    else this.#oldest = newer;
    watch.older = undefined;
    watch.newer = undefined;
    if (watch.young && (this.#young -= 1) === 0) this.#settle();
  }

  /** Without new ones there is nothing to sweep; at the end of the turn, as contexts come and go within one. */
  #settle(): void {
    if (this.#settling) return;
    const { clock } = this.wheel;
    if (!clock.defer) {
      this.wheel.disarm(this.#sweep);
      return;
    }
    this.#settling = true;
    clock.defer(() => {
      this.#settling = false;
      if (this.#young === 0) this.wheel.disarm(this.#sweep);
    });
  }

  /** For the wheel: the sweep. */
  expired(): void {
    this.#stacks.adapt();
    const oldEnough = ageUnits(this.wheel.recent - sweepTime);
    let watch = this.#newest;
    while (watch?.young) {
      // Aging one may close nothing and open nothing: the list stays as it is.
      if (watch.born <= oldEnough) watch.growOld();
      watch = watch.older;
    }
    if (this.#young > 0) this.wheel.arm(this.#sweep, sweepTime);
  }
}
