/** When to start a worker again that has died. Pure. */
import type { Milliseconds } from '../base/bytes.js';

const first: Milliseconds = 100;
const longest: Milliseconds = 10_000;
/** A worker that lived so long was healthy: what comes now is not the same trouble. */
const healthy: Milliseconds = 60_000;

/** The restarts of one place among the workers. */
export class RestartDelays {
  #next = first;

  /** How long to wait after a death at the end of a life of `lived`. */
  next(lived: Milliseconds): Milliseconds {
    if (lived >= healthy) this.#next = first;
    const delay = this.#next;
    this.#next = Math.min(longest, delay * 2);
    return delay;
  }
}
