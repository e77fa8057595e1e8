/** Whether the place that is shared can be reached: noticed when it cannot, tried again until it can. */
import type { Milliseconds } from '../base/bytes.js';
import type { Context } from '../base/context.js';
import { type SallyportError, toSallyportError } from '../base/errors.js';

/** How long after it could not be reached it is tried again, */
const shortestPause: Milliseconds = 1000;
/** and at the most, when it fails again and again as soon as it was there. */
const longestPause: Milliseconds = 30_000;

/** Thrown by `ask`, so that what the place could not do is not mistaken for what failed elsewhere. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

export interface OutageOptions {
  /** Closed when nothing is to be tried any more. */
  readonly context: Context;
  /** Has the place do what is asked of it. */
  readonly probe: () => Promise<unknown>;
  readonly began: (error: SallyportError) => void;
  readonly ended: () => void;
}

export class Outage {
  readonly #options: OutageOptions;
  #lasts = false;
  /** How many have ended. */
  #past = 0;
  /** How many have begun since an entry was last stored. */
  #row = 0;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  /** Whether the place could not be reached when it was last asked. */
  get lasts(): boolean {
    return this.#lasts;
  }

  /** To be called when an entry was stored: the place can do all that it is for. */
  proven(): void {
    this.#row = 0;
  }

  /**
   * What `question` answers. Where that fails, an outage begins, which ends when a probe succeeds; throws
   * `Unreachable` then, and `ERR_CANCELLED` as it is.
   */
  async ask<T>(question: () => Promise<T>): Promise<T> {
    const past = this.#past;
    try {
      return await question();
    } catch (error) {
      const problem = toSallyportError(error, 'ERR_STORE_UNAVAILABLE');
      if (problem.code === 'ERR_CANCELLED') throw problem;
      // What was asked during an outage that has ended meanwhile tells nothing of today.
      if (past === this.#past) this.#begin(problem);
      throw new Unreachable(problem.message, { cause: problem });
    }
  }

  #begin(error: SallyportError): void {
    if (this.#lasts || this.#options.context.closed) return;
    this.#lasts = true;
    const pause = Math.min(shortestPause * 2 ** this.#row, longestPause);
    this.#row += 1;
    this.#options.began(error);
    void this.#tryAgain(pause);
  }

  /** One question at a time, and nobody's request waits for it. */
  async #tryAgain(pause: Milliseconds): Promise<void> {
    const { context, ended } = this.#options;
    let answered = false;
    while (!answered && !context.closed) answered = await this.#probe(pause);
    if (context.closed) return;
    this.#past += 1;
    this.#lasts = false;
    ended();
  }

  async #probe(pause: Milliseconds): Promise<boolean> {
    try {
      // Nobody waits for it: whoever has nothing else to do may end.
      await this.#options.context.sleep(pause, { holdsProcess: false });
      await this.#options.probe();
      return true;
    } catch {
      // It was reported when the outage began.
      return false;
    }
  }
}
