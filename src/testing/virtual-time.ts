/** Time that passes only when a test says so. */
import { Context } from '../base/context.js';
import type { Milliseconds } from '../base/bytes.js';
import { type Clock, DeadlineWheel } from '../base/deadlines.js';

interface Timer {
  readonly at: Milliseconds;
  readonly callback: () => void;
}

export interface VirtualTimeOptions {
  /** What the wall clock says at the beginning; default the beginning of 2026, UTC. */
  readonly start?: Date;
}

export interface VirtualTime {
  /** A root for contexts whose deadlines pass on this time; what is made below it is the caller's to close. */
  readonly root: Context;
  /** For what takes a clock, or a wheel of its own: `Pool`, `Deadline`s. */
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  /** Milliseconds since the beginning. */
  readonly now: Milliseconds;
  /** How many timers are set: of the wheel one at the most, and none when nothing is armed. */
  readonly timers: number;
  /**
   * Lets time pass; what is due happens in order, each at its own time, and what follows from it (promises, the rest
   * of the turn) before the next. Throws a `RangeError` for less than nothing.
   */
  advance(ms: Milliseconds): Promise<void>;
}

/** A clock that stands still until `advance`, and a root context on it. Nothing has to be given back. */
export function virtualTime({
  start = new Date(Date.UTC(2026, 0, 1)),
}: VirtualTimeOptions = {}): VirtualTime {
  return new StandingClock(start.getTime());
}

class StandingClock implements VirtualTime {
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly root: Context;
  readonly #timers = new Set<Timer>();
  #now: Milliseconds = 0;

  constructor(start: number) {
    this.clock = {
      now: () => this.#now,
      wall: () => start + this.#now,
      setTimer: (callback, ms) => {
        const timer: Timer = { at: this.#now + ms, callback };
        this.#timers.add(timer);
        return timer;
      },
      clearTimer: (timer) => {
        this.#timers.delete(timer as Timer);
      },
    };
    this.wheel = new DeadlineWheel(this.clock);
    this.root = Context.root(this.wheel);
  }

  get now(): Milliseconds {
    return this.#now;
  }

  get timers(): number {
    return this.#timers.size;
  }

  async advance(ms: Milliseconds): Promise<void> {
    if (!(ms >= 0)) throw new RangeError('time goes forward');
    const end = this.#now + ms;
    for (let due = this.#nextDue(end); due; due = this.#nextDue(end)) {
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.callback();
      await new Promise((resolve) => void setImmediate(resolve));
    }
    this.#now = end;
  }

  #nextDue(end: Milliseconds): Timer | undefined {
    let nearest: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at <= end && (!nearest || timer.at < nearest.at)) nearest = timer;
    }
    return nearest;
  }
}
