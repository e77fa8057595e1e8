/** The book of one kind of resource: see `Ledger`. */
import type { Milliseconds } from './bytes.js';
import { StackSampler, type StackSampling } from './context-stacks.js';
import { Ages } from './ledger-ages.js';

/** What the ledger tells of one kind. */
export interface LedgerLine {
  readonly created: number;
  readonly closed: number;
  /** Collected without being closed, as far as it was noticed: of what is in the sample of creation stacks. */
  readonly leaked: number;
  readonly outstanding: number;
  /** How old the oldest of the outstanding is; 0 where there is none. Never too little: see `Ledger`. */
  readonly oldestMs: Milliseconds;
  /** The most that were outstanding at one time. */
  readonly highWater: number;
}

/** Where something was made that is still open, or was dropped. */
export interface LedgerStack {
  /** Frames, one a line. */
  readonly stack: string;
  readonly outstanding: number;
  readonly leaked: number;
}

/** How accurate ages are at best, and what they are counted in. */
export const tick: Milliseconds = 64;

/** The sampling adapts so often, where something is opened. */
const adaptEvery = 16;

/** One that has its creation stack. */
export class Sample {
  readonly tick: number;
  readonly stack: string;
  end: 'closed' | 'leaked' | undefined;

  constructor(opened: number, stack: string) {
    this.tick = opened;
    this.stack = stack;
  }
}

/** What `open` gives, for `close`: when it was opened, or the sample that it is. */
export type Mark = number | Sample;

export class Book {
  #created = 0;
  #closed = 0;
  #leaked = 0;
  #highWater = 0;
  readonly #ages = new Ages();
  readonly #stacks = new StackSampler();
  readonly #samples = new Set<Sample>();
  readonly #registry = new FinalizationRegistry<Sample>((sample) => {
    this.#dropped(sample);
  });
  #adapted = 0;

  /** `below`: the function whose callers the stack begins with. */
  open(now: number, amount: number, owner: object | undefined, below: object): Mark {
    if (now - this.#adapted >= adaptEvery) {
      this.#adapted = now;
      this.#stacks.adapt();
    }
    this.#add(now, amount);
    const stack = this.#stacks.sample(below);
    if (stack === undefined) return now;
    const sample = new Sample(now, stack);
    this.#samples.add(sample);
    if (owner) this.#registry.register(owner, sample, sample);
    return sample;
  }

  grow(mark: Mark, amount: number): void {
    this.#add(typeof mark === 'number' ? mark : mark.tick, amount);
  }

  close(mark: Mark, amount: number): void {
    this.#closed += amount;
    if (typeof mark === 'number') this.#ages.add(mark, -amount);
    else this.#closeSample(mark, amount);
  }

  get outstanding(): number {
    return this.#created - this.#closed - this.#leaked;
  }

  line(now: number): LedgerLine {
    const { oldest } = this.#ages;
    return {
      created: this.#created,
      closed: this.#closed,
      leaked: this.#leaked,
      outstanding: this.outstanding,
      oldestMs: oldest === undefined ? 0 : (now + 1 - oldest) * tick,
      highWater: this.#highWater,
    };
  }

  sampleStacks(sampling: StackSampling): void {
    this.#stacks.set(sampling);
  }

  /** Those with most of them first. */
  stacks(): LedgerStack[] {
    const open = [...this.#samples].map(({ stack }) => ({ stack, outstanding: 1, leaked: 0 }));
    const leaks = this.#stacks
      .leaks()
      .map(({ stack = '', count }) => ({ stack, outstanding: 0, leaked: count }));
    return addStacks([...open, ...leaks]);
  }

  #add(at: number, amount: number): void {
    this.#created += amount;
    const { outstanding } = this;
    if (outstanding > this.#highWater) this.#highWater = outstanding;
    this.#ages.add(at, amount);
  }

  #closeSample(sample: Sample, amount: number): void {
    // Who held the mark lived longer than the owner: it was no leak.
    if (sample.end === 'leaked') this.#leaked -= amount;
    else this.#ages.add(sample.tick, -amount);
    sample.end = 'closed';
    this.#samples.delete(sample);
    this.#registry.unregister(sample);
  }

  /** For the finalizer. Owners are of kinds that count one by one. */
  #dropped(sample: Sample): void {
    if (sample.end) return;
    sample.end = 'leaked';
    this.#leaked += 1;
    this.#ages.add(sample.tick, -1);
    this.#samples.delete(sample);
    this.#stacks.leaked(sample.stack);
  }
}

/** Equal stacks as one; those with most of them first. */
export function addStacks(all: readonly LedgerStack[]): LedgerStack[] {
  const found = new Map<string, LedgerStack>();
  for (const { stack, outstanding, leaked } of all) {
    const known = found.get(stack);
    found.set(stack, {
      stack,
      outstanding: outstanding + (known?.outstanding ?? 0),
      leaked: leaked + (known?.leaked ?? 0),
    });
  }
  return [...found.values()].toSorted(
    (one, other) => other.outstanding + other.leaked - one.outstanding - one.leaked,
  );
}
