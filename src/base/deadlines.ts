/**
 * One timer for all deadlines of a process: a hashed timing wheel (Varghese and Lauck, 1987, scheme 6).
 *
 * A proxy has several deadlines per exchange, and nearly all of them are moved or dropped long before they
 * are due. So moving a deadline later is a write to a field: the entry stays in its slot and is looked at
 * when the slot comes round. Arming and dropping are constant-time list operations, one `setTimeout` is armed
 * while anything is outstanding, and none when nothing is. It keeps the process alive for those deadlines
 * that do.
 *
 * Accuracy: a deadline never fires early; it fires at most one tick (10 ms) late, plus the delay of the
 * event loop. The clock is monotonic, so steps of the wall clock do not matter; durations above 2^31−1 ms
 * need no care, because the wheel never sleeps longer than one turn.
 */
import type { Milliseconds } from './bytes.js';

/** Where time comes from; tests pass their own. `now` is monotonic, in milliseconds. */
export interface Clock {
  now(): Milliseconds;
  setTimer(callback: () => void, ms: Milliseconds): unknown;
  clearTimer(timer: unknown): void;
  /**
   * Whether the process stays alive for `timer`, which it does at first. A clock without it keeps it alive
   * always.
   */
  holdProcess?(timer: unknown, holds: boolean): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (callback, ms) => setTimeout(callback, ms),
  clearTimer: (timer) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
  holdProcess: (timer, holds) => {
    if (holds) (timer as NodeJS.Timeout).ref();
    else (timer as NodeJS.Timeout).unref();
  },
};

const tick: Milliseconds = 10;
/** 82 s a turn: every default deadline is due within one, so the next one due is found at its slot. */
const slots = 8192;

const unarmed = -1;
/** Due and taken out of its slot, about to fire unless somebody disarms it or arms it anew. */
const firing = -2;

/** Whom a deadline tells: a method in place of a closure, as every connection and exchange has deadlines. */
export interface Expiring {
  /** The deadline has passed. */
  expired(): void;
}

/** One deadline. The owner disarms it when its work ends; a fired one is disarmed already. */
export class Deadline {
  /** When it is due, on the wheel's clock. */
  at: Milliseconds = 0;
  /** The tick whose slot it is linked in (never later than `at`), `unarmed`, or `firing`. */
  linkedTick: number = unarmed;
  previous: Deadline | undefined = undefined;
  next: Deadline | undefined = undefined;
  /** Whether the process stays alive until it fires. */
  readonly holds: boolean;
  readonly #due: Expiring | (() => void);

  constructor(due: Expiring | (() => void), { holds = true }: { readonly holds?: boolean } = {}) {
    this.#due = due;
    this.holds = holds;
  }

  get armed(): boolean {
    return this.linkedTick >= 0;
  }

  /** For the wheel only. */
  fire(): void {
    if (typeof this.#due === 'function') this.#due();
    else this.#due.expired();
  }
}

export class DeadlineWheel {
  readonly clock: Clock;
  readonly #slots: (Deadline | undefined)[] = new Array<Deadline | undefined>(slots).fill(undefined);
  #outstanding = 0;
  /** Those of them for which the process stays alive. */
  #holding = 0;
  #timer: unknown;
  /** The tick the timer is armed for; Infinity when it is not. */
  #timerTick = Number.POSITIVE_INFINITY;
  /** Every slot up to this tick has been swept. */
  #sweptTick: number;

  constructor(clock: Clock = systemClock) {
    this.clock = clock;
    this.#sweptTick = Math.floor(clock.now() / tick);
  }

  /** How many deadlines are armed. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Sets or moves `deadline` to `ms` from now. `Infinity` disarms it. */
  arm(deadline: Deadline, ms: Milliseconds): void {
    if (ms === Number.POSITIVE_INFINITY) {
      this.disarm(deadline);
      return;
    }
    const at = this.clock.now() + Math.max(0, ms);
    deadline.at = at;
    // Rounded up: a tick is swept when it is over, so nothing fires early.
    const due = Math.ceil(at / tick);
    if (deadline.linkedTick >= 0) {
      if (deadline.linkedTick <= due) return;
      this.#unlink(deadline);
    }
    this.#link(deadline, due);
  }

  /** Drops `deadline`; nothing happens when it is not armed. */
  disarm(deadline: Deadline): void {
    if (deadline.linkedTick < 0) {
      deadline.linkedTick = unarmed;
      return;
    }
    this.#unlink(deadline);
    if (this.#outstanding === 0) this.#stopTimer();
  }

  /** The deadlines that are armed, in no order: for instruments. */
  *entries(): Generator<Deadline> {
    for (const head of this.#slots) {
      for (let entry = head; entry; entry = entry.next) yield entry;
    }
  }

  #link(deadline: Deadline, due: number): void {
    const linked = Math.max(due, this.#sweptTick + 1);
    const slot = linked % slots;
    const head = this.#slots[slot];
    deadline.linkedTick = linked;
    deadline.previous = undefined;
    deadline.next = head;
    if (head) head.previous = deadline;
    this.#slots[slot] = deadline;
    this.#outstanding += 1;
    if (deadline.holds && (this.#holding += 1) === 1) this.#holdProcess(true);
    if (linked < this.#timerTick) this.#startTimer(linked);
  }

  #unlink(deadline: Deadline): void {
    const { previous, next } = deadline;
    if (previous) previous.next = next;
    else this.#slots[deadline.linkedTick % slots] = next;
    if (next) next.previous = previous;
    deadline.linkedTick = unarmed;
    deadline.previous = undefined;
    deadline.next = undefined;
    this.#outstanding -= 1;
    if (deadline.holds && (this.#holding -= 1) === 0) this.#holdProcess(false);
  }

  #holdProcess(holds: boolean): void {
    if (this.#timer !== undefined) this.clock.holdProcess?.(this.#timer, holds);
  }

  #startTimer(wakeTick: number): void {
    const now = this.clock.now();
    // One turn at the most: a later deadline is found again when its slot comes round.
    const capped = Math.min(wakeTick, Math.floor(now / tick) + slots - 1);
    if (this.#timer !== undefined) this.clock.clearTimer(this.#timer);
    this.#timerTick = capped;
    this.#timer = this.clock.setTimer(this.#wake, Math.max(1, Math.ceil(capped * tick - now)));
    if (this.#holding === 0) this.#holdProcess(false);
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) this.clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#timerTick = Number.POSITIVE_INFINITY;
  }

  readonly #wake = (): void => {
    this.#timer = undefined;
    // Nothing that is linked meanwhile starts a timer: which tick is next is known when all is swept and
    // fired.
    this.#timerTick = Number.NEGATIVE_INFINITY;
    const now = this.clock.now();
    const current = Math.floor(now / tick);
    const due: Deadline[] = [];
    const first = Math.max(this.#sweptTick + 1, current - slots + 1);
    this.#sweptTick = current;
    for (let swept = first; swept <= current; swept += 1) this.#sweep(swept % slots, current, now, due);
    try {
      for (const deadline of due) {
        // Disarmed, or armed anew, by one that fired before it in this loop.
        if (deadline.linkedTick === firing) {
          deadline.linkedTick = unarmed;
          deadline.fire();
        }
      }
    } finally {
      // Where one threw, the rest fires at the next tick.
      for (const deadline of due) if (deadline.linkedTick === firing) this.#link(deadline, 0);
      this.#stopTimer();
      if (this.#outstanding > 0) this.#startTimer(this.#nextTick());
    }
  };

  #sweep(slot: number, current: number, now: Milliseconds, due: Deadline[]): void {
    let entry = this.#slots[slot];
    while (entry) {
      const following = entry.next;
      if (entry.linkedTick <= current) {
        this.#unlink(entry);
        if (entry.at <= now) {
          entry.linkedTick = firing;
          due.push(entry);
        } else {
          this.#link(entry, Math.ceil(entry.at / tick));
        }
      }
      entry = following;
    }
  }

  #nextTick(): number {
    let nearest = Number.POSITIVE_INFINITY;
    for (let ahead = 1; ahead <= slots; ahead += 1) {
      const candidate = this.#sweptTick + ahead;
      for (let entry = this.#slots[candidate % slots]; entry; entry = entry.next) {
        if (entry.linkedTick === candidate) return candidate;
        nearest = Math.min(nearest, entry.linkedTick);
      }
    }
    return nearest;
  }
}
