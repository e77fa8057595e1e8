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
 *
 * The last deadline takes the timer with it at the end of its turn of the event loop, not at once, and so does
 * the last of those that keep the process alive: one that comes and goes with nothing else outstanding would set
 * a timer and clear it each time.
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
  /** Calls back when the current turn of the event loop is over. A clock without it calls back at once. */
  defer?(callback: () => void): void;
  /** The wall clock, in epoch milliseconds; `Date.now` without it. */
  wall?(): Milliseconds;
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
  defer: (callback) => {
    setImmediate(callback);
  },
};

const tick: Milliseconds = 10;
/** 82 s a turn: every default deadline is due within one, so the next one due is found at its slot. */
const slots = 8192;
/** `tick & slotMask` is `tick % slots`, without a division of doubles. */
const slotMask = slots - 1;

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
  /** The tick in which it was armed, moved or not. */
  armedTick = 0;
  previous: Deadline | undefined = undefined;
  next: Deadline | undefined = undefined;
  /** Whether the process stays alive until it fires. */
  readonly holds: boolean;
  readonly #due: Expiring | (() => void);

  constructor(due: Expiring | (() => void), options?: { readonly holds?: boolean }) {
    this.#due = due;
    this.holds = options?.holds ?? true;
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

/** The deadlines of one wheel. */
export interface DeadlineCounts {
  readonly created: number;
  /** Fired, or dropped before. */
  readonly closed: number;
  readonly outstanding: number;
  /** The most that were outstanding at one time. */
  readonly highWater: number;
  /** How long ago the oldest of them was armed, to a tick (10 ms); 0 when there is none. */
  readonly oldestMs: Milliseconds;
}

export class DeadlineWheel {
  readonly clock: Clock;
  readonly #slots: (Deadline | undefined)[] = new Array<Deadline | undefined>(slots).fill(undefined);
  #outstanding = 0;
  #armed = 0;
  #highWater = 0;
  /** When the wheel last looked at its clock. */
  #recent: Milliseconds;
  #settling = false;
  /** Those of them for which the process stays alive. */
  #holding = 0;
  #timer: unknown;
  #timerHolds = true;
  /** The tick the timer is armed for; Infinity when it is not. */
  #timerTick = Number.POSITIVE_INFINITY;
  /** Every slot up to this tick has been swept. */
  #sweptTick: number;

  constructor(clock: Clock = systemClock) {
    this.clock = clock;
    this.#recent = clock.now();
    this.#sweptTick = Math.floor(this.#recent / tick);
  }

  /** How many deadlines are armed. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /**
   * When the wheel last looked at its clock, which it does whenever it arms a deadline and wakes: the time of
   * day for those who do not want to pay for it.
   */
  get recent(): Milliseconds {
    return this.#recent;
  }

  /** The wall clock, in epoch milliseconds. */
  wall(): Milliseconds {
    return this.clock.wall?.() ?? Date.now();
  }

  /** What was armed and what still is; goes through all that are, for the age of the oldest. */
  counts(): DeadlineCounts {
    const now = this.clock.now();
    let oldest = Number.POSITIVE_INFINITY;
    for (const { armedTick } of this.entries()) oldest = Math.min(oldest, armedTick);
    return {
      created: this.#armed,
      closed: this.#armed - this.#outstanding,
      outstanding: this.#outstanding,
      highWater: this.#highWater,
      oldestMs: oldest === Number.POSITIVE_INFINITY ? 0 : Math.max(0, now - oldest * tick),
    };
  }

  /** Sets or moves `deadline` to `ms` from now; `Infinity` disarms it. Throws a `RangeError` for `NaN`. */
  arm(deadline: Deadline, ms: Milliseconds): void {
    if (ms === Number.POSITIVE_INFINITY) {
      this.disarm(deadline);
      return;
    }
    const now = this.clock.now();
    const at = now + Math.max(0, ms);
    if (Number.isNaN(at)) throw new RangeError('a deadline is a number of milliseconds');
    this.#recent = now;
    deadline.at = at;
    // Rounded up: a tick is swept when it is over, so nothing fires early.
    const due = Math.ceil(at / tick);
    if (deadline.linkedTick >= 0) {
      if (deadline.linkedTick <= due) return;
      this.#unlink(deadline);
    } else {
      this.#armed += 1;
      deadline.armedTick = Math.floor(now / tick);
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
    if (this.#holding === 0 || this.#outstanding === 0) this.#settle();
  }

  /** Stops the timer when nothing is outstanding, and lets the process end when nothing keeps it. */
  #settle(): void {
    if (!this.clock.defer) {
      this.#settled();
    } else if (!this.#settling) {
      this.#settling = true;
      this.clock.defer(this.#settled);
    }
  }

  readonly #settled = (): void => {
    this.#settling = false;
    if (this.#outstanding === 0) this.#stopTimer();
    else this.#holdProcess(this.#holding > 0);
  };

  /** The deadlines that are armed, in no order: for instruments. */
  *entries(): Generator<Deadline> {
    for (const head of this.#slots) {
      for (let entry = head; entry; entry = entry.next) yield entry;
    }
  }

  #link(deadline: Deadline, due: number): void {
    const linked = Math.max(due, this.#sweptTick + 1);
    const slot = linked & slotMask;
    const head = this.#slots[slot];
    deadline.linkedTick = linked;
    deadline.previous = undefined;
    deadline.next = head;
    if (head) head.previous = deadline;
    this.#slots[slot] = deadline;
    if ((this.#outstanding += 1) > this.#highWater) this.#highWater = this.#outstanding;
    if (deadline.holds && (this.#holding += 1) === 1) this.#holdProcess(true);
    if (linked < this.#timerTick) this.#startTimer(linked);
  }

  #unlink(deadline: Deadline): void {
    const { previous, next } = deadline;
    if (previous) previous.next = next;
    else this.#slots[deadline.linkedTick & slotMask] = next;
    if (next) next.previous = previous;
    deadline.linkedTick = unarmed;
    deadline.previous = undefined;
    deadline.next = undefined;
    this.#outstanding -= 1;
    if (deadline.holds) this.#holding -= 1;
  }

  #holdProcess(holds: boolean): void {
    if (this.#timer === undefined || this.#timerHolds === holds) return;
    this.#timerHolds = holds;
    this.clock.holdProcess?.(this.#timer, holds);
  }

  #startTimer(wakeTick: number): void {
    const now = this.clock.now();
    // One turn at the most: a later deadline is found again when its slot comes round.
    const capped = Math.min(wakeTick, Math.floor(now / tick) + slots - 1);
    if (this.#timer !== undefined) this.clock.clearTimer(this.#timer);
    this.#timerTick = capped;
    this.#timer = this.clock.setTimer(this.#wake, Math.max(1, Math.ceil(capped * tick - now)));
    this.#timerHolds = true;
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
    this.#recent = now;
    const current = Math.floor(now / tick);
    const due: Deadline[] = [];
    const first = Math.max(this.#sweptTick + 1, current - slots + 1);
    this.#sweptTick = current;
    for (let swept = first; swept <= current; swept += 1) this.#sweep(swept & slotMask, current, now, due);
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
      for (let entry = this.#slots[candidate & slotMask]; entry; entry = entry.next) {
        if (entry.linkedTick === candidate) return candidate;
        nearest = Math.min(nearest, entry.linkedTick);
      }
    }
    return nearest;
  }
}
