/**
 * Waiting for a promise or for something else, whichever comes first, without a trace on the promise.
 *
 * `Promise.race` leaves a reaction on every promise that it was given until that promise settles: raced a
 * million times against one that lives as long as the process, it holds a million of them and their results.
 * Here a promise gets one reaction, however many wait for it, and those who stop waiting are taken out.
 */

/** Who waits for a promise; exactly one of the two is called, unless it leaves before. */
export interface Waiter<T> {
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export class Waiters {
  readonly #waiting = new WeakMap<object, Set<Waiter<unknown>>>();

  /** A rejection counts as handled from here on, even when everybody has left. */
  join<T>(promise: PromiseLike<T>, waiter: Waiter<T>): void {
    this.#of(promise).add(waiter);
  }

  leave(promise: PromiseLike<unknown>, waiter: Waiter<never>): void {
    this.#waiting.get(promise)?.delete(waiter);
  }

  #of(promise: PromiseLike<unknown>): Set<Waiter<unknown>> {
    const known = this.#waiting.get(promise);
    if (known) return known;
    const waiting = new Set<Waiter<unknown>>();
    this.#waiting.set(promise, waiting);
    promise.then(
      (value) => {
        this.#waiting.delete(promise);
        for (const waiter of waiting) waiter.resolve(value);
      },
      (reason: unknown) => {
        this.#waiting.delete(promise);
        for (const waiter of waiting) waiter.reject(reason);
      },
    );
    return waiting;
  }
}
