/**
 * One piece of work per key at a time, shared by everybody who asks for it meanwhile.
 *
 * Ownership: the work belongs to the flight and not to the caller whose function it is. A caller can leave at
 * any time; when all have left, the work's signal aborts. If work fails after its own caller left (most likely
 * because of that), the function of a caller that still waits takes its place, so nobody fails for somebody
 * else's cancellation. Work that ends at once never makes a promise.
 */
import { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import { isPromise } from './awaiting.js';

/** What is done for a key. Its signal aborts when nobody waits any more; it is made when first read. */
export type Work<T> = (options: { readonly signal: AbortSignal }) => T | Promise<T>;

/** Ends the wait of one caller; `signal` is read only when there is something to wait for. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
}

interface Waiter<T> {
  readonly work: Work<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
  /** Takes the listener off the caller's signal. */
  readonly release: () => void;
}

interface Flight<T> {
  readonly key: string;
  /** Closed when the work has ended or is not wanted any more: the source of its signal. */
  context: Context;
  /** Whose function runs; `undefined` once that caller left, or when it never had to wait. */
  leader: Waiter<T> | undefined;
  readonly waiters: Set<Waiter<T>>;
  readonly failed: ((error: unknown) => void) | undefined;
}

export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();
  #closed = false;

  /** Keys that are being worked on. */
  get size(): number {
    return this.#flights.size;
  }

  /** Whether somebody works on `key`: a call of `run` would wait. */
  has(key: string): boolean {
    return this.#flights.has(key);
  }

  /**
   * The result of the work that runs for `key`, or else of `work`. Throws or rejects with the error of the
   * work, or with `ERR_CANCELLED` when `options.signal` aborts or the flights are closed.
   *
   * When it is `work` that runs, `failed` is told the error that ends it, just before those who wait are; not
   * when other work takes its place, and not when nobody waits any more.
   */
  run(key: string, work: Work<T>, options?: WaitOptions, failed?: (error: unknown) => void): T | Promise<T> {
    if (this.#closed) throw closedError();
    const running = this.#flights.get(key);
    if (running) return this.#wait(running, work, options?.signal);

    const flight: Flight<T> = {
      key,
      context: Context.background.withCancel(),
      leader: undefined,
      waiters: new Set(),
      failed,
    };
    this.#flights.set(key, flight);
    let outcome: T | Promise<T>;
    try {
      outcome = work(flight.context);
    } catch (error) {
      this.#fail(flight, error);
      throw error;
    }
    if (!isPromise(outcome)) {
      this.#succeed(flight, outcome);
      return outcome;
    }
    const result = this.#wait(flight, work, options?.signal, true);
    this.#follow(flight, outcome);
    return result;
  }

  /** Rejects whoever waits and aborts what runs. A second call does nothing. */
  close(): void {
    this.#closed = true;
    for (const flight of this.#flights.values()) {
      for (const waiter of flight.waiters) settle(flight, waiter).reject(closedError());
      flight.context.close(closedError());
    }
    this.#flights.clear();
  }

  #wait(flight: Flight<T>, work: Work<T>, signal: AbortSignal | undefined, leads = false): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        settle(flight, waiter).reject(cancelledError(signal));
        if (flight.leader === waiter) flight.leader = undefined;
        if (flight.waiters.size === 0) flight.context.close(cancelledError(signal));
      };
      const release = (): void => {
        signal?.removeEventListener('abort', leave);
      };
      const waiter: Waiter<T> = { work, resolve, reject, release };
      flight.waiters.add(waiter);
      if (leads) flight.leader = waiter;
      if (signal?.aborted) leave();
      else signal?.addEventListener('abort', leave, { once: true });
    });
  }

  #follow(flight: Flight<T>, outcome: Promise<T>): void {
    outcome.then(
      (value) => {
        this.#succeed(flight, value);
      },
      (error: unknown) => {
        this.#fail(flight, error);
      },
    );
  }

  #succeed(flight: Flight<T>, value: T): void {
    this.#end(flight);
    for (const waiter of flight.waiters) settle(flight, waiter).resolve(value);
  }

  #fail(flight: Flight<T>, error: unknown): void {
    const [successor] = flight.waiters;
    if (successor && !flight.leader && this.#flights.get(flight.key) === flight) {
      this.#lead(flight, successor);
      return;
    }
    if (!flight.context.closed) flight.failed?.(error);
    this.#end(flight);
    for (const waiter of flight.waiters) settle(flight, waiter).reject(error);
  }

  /** Starts the work anew with the function of a caller that still waits. */
  #lead(flight: Flight<T>, leader: Waiter<T>): void {
    flight.context.close();
    flight.context = Context.background.withCancel();
    flight.leader = leader;
    const { context } = flight;
    // In a promise of its own, so that work which throws at once does not nest one failure in another.
    this.#follow(
      flight,
      Promise.resolve().then(() => leader.work(context)),
    );
  }

  #end(flight: Flight<T>): void {
    flight.context.close();
    if (this.#flights.get(flight.key) === flight) this.#flights.delete(flight.key);
  }
}

/** Takes the waiter out of its flight; its caller is then told once. */
function settle<T>(flight: Flight<T>, waiter: Waiter<T>): Waiter<T> {
  flight.waiters.delete(waiter);
  waiter.release();
  return waiter;
}

function cancelledError(signal: AbortSignal | undefined): SallyportError {
  return new SallyportError('ERR_CANCELLED', 'nobody waits for the certificate any more', {
    cause: signal?.reason,
  });
}

function closedError(): SallyportError {
  return new SallyportError('ERR_CANCELLED', 'the certificates were closed');
}
