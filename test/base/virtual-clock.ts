/** Time that passes only when a test says so. */
import { Context } from '../../src/base/context.js';
import { type Clock, DeadlineWheel } from '../../src/base/deadlines.js';

interface Timer {
  holdsProcess: boolean;
  readonly at: number;
  readonly callback: () => void;
}

export class VirtualClock implements Clock {
  readonly #timers = new Set<Timer>();
  /** The longest timer that was ever asked for. */
  longest = 0;
  #now: number;

  constructor(start = 0) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  setTimer(callback: () => void, ms: number): unknown {
    this.longest = Math.max(this.longest, ms);
    const timer: Timer = { holdsProcess: true, at: this.#now + ms, callback };
    this.#timers.add(timer);
    return timer;
  }

  clearTimer(timer: unknown): void {
    this.#timers.delete(timer as Timer);
  }

  holdProcess(timer: unknown, holds: boolean): void {
    (timer as Timer).holdsProcess = holds;
  }

  /** Whether a process would stay alive for what is set. */
  get holdsProcess(): boolean {
    return [...this.#timers].some(({ holdsProcess }) => holdsProcess);
  }

  /** How many timers are set. */
  get armed(): number {
    return this.#timers.size;
  }

  /** Lets time pass; what is due happens in order, each at its own time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let due = this.#nextDue(end); due; due = this.#nextDue(end)) {
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.callback();
    }
    this.#now = end;
  }

  /** Lets time pass without running anything, as when the event loop was blocked or the machine slept. */
  freeze(ms: number): void {
    this.#now += ms;
  }

  #nextDue(end: number): Timer | undefined {
    let nearest: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at <= end && (!nearest || timer.at < nearest.at)) nearest = timer;
    }
    return nearest;
  }
}

/** A root context on virtual time. */
export function virtualRoot(start = 0): { clock: VirtualClock; wheel: DeadlineWheel; root: Context } {
  const clock = new VirtualClock(start);
  const wheel = new DeadlineWheel(clock);
  return { clock, wheel, root: Context.root(wheel) };
}
