/**
 * Keys that take long to make, a few of them made ahead.
 *
 * An RSA-2048 key takes 200 to 700 ms of one of libuv's threads, of which a process has four, and which DNS and
 * the file system need too. So at most two keys are made at a time, and one while nobody waits. Nothing is made
 * before the first `take`.
 */
import { SallyportError } from '../base/errors.js';

export interface RsaKeyPoolOptions<K> {
  /** Makes one key off the event loop. */
  readonly make: () => Promise<K>;
  /** How many are kept ready; default 4. */
  readonly size?: number;
}

interface Waiter<K> {
  readonly resolve: (key: K) => void;
  readonly reject: (error: unknown) => void;
  /** Takes the listener off the caller's signal. */
  readonly release: () => void;
}

/** The most keys that are made at the same time, and how many of them for nobody yet. */
const mostAtOnce = 2;
const mostAhead = 1;

export class RsaKeyPool<K> {
  readonly #make: () => Promise<K>;
  readonly #size: number;
  readonly #ready: K[] = [];
  readonly #waiters = new Set<Waiter<K>>();
  #running = 0;
  #refill: NodeJS.Immediate | undefined;
  #closed = false;

  constructor({ make, size = 4 }: RsaKeyPoolOptions<K>) {
    this.#make = make;
    this.#size = size;
  }

  /** Keys that are ready. */
  get ready(): number {
    return this.#ready.length;
  }

  /**
   * A key that nobody else gets: at once where one is ready. First come, first served.
   *
   * Throws or rejects with `ERR_CANCELLED` after `close` or when `options.signal` aborts (the key then goes to the
   * next, or is kept), and with what `make` rejected with.
   */
  take(options?: { readonly signal?: AbortSignal | undefined }): K | Promise<K> {
    if (this.#closed) throw closedError();
    const ready = this.#ready.shift();
    if (ready !== undefined) {
      this.#refillLater();
      return ready;
    }
    const signal = options?.signal;
    return new Promise<K>((resolve, reject) => {
      const leave = (): void => {
        this.#waiters.delete(waiter);
        waiter.release();
        reject(new SallyportError('ERR_CANCELLED', 'nobody waits for the key', { cause: signal?.reason }));
      };
      const release = (): void => {
        signal?.removeEventListener('abort', leave);
      };
      const waiter: Waiter<K> = { resolve, reject, release };
      this.#waiters.add(waiter);
      if (signal?.aborted) {
        leave();
        return;
      }
      signal?.addEventListener('abort', leave, { once: true });
      this.#start();
    });
  }

  /** Drops the keys and rejects whoever waits; what is being made is dropped when it is there. */
  close(): void {
    this.#closed = true;
    this.#ready.length = 0;
    clearImmediate(this.#refill);
    for (const waiter of this.#waiters) this.#settle(waiter).reject(closedError());
  }

  #start(): void {
    const wanted = this.#waiters.size;
    while (this.#running < Math.min(wanted, mostAtOnce)) this.#makeOne();
    if (wanted === 0 && this.#running < mostAhead && this.#ready.length < this.#size) this.#makeOne();
  }

  /**
   * Libuv's work keeps a process alive, so the next key for nobody is begun by a callback that does not: a process
   * that has nothing else to do ends after the one that is being made.
   */
  #refillLater(): void {
    if (this.#refill || this.#closed) return;
    this.#refill = setImmediate(() => {
      this.#refill = undefined;
      this.#start();
    });
    this.#refill.unref();
  }

  #makeOne(): void {
    this.#running += 1;
    this.#make().then(
      (key) => {
        this.#running -= 1;
        this.#made(key);
      },
      (error: unknown) => {
        this.#running -= 1;
        this.#failed(error);
      },
    );
  }

  #made(key: K): void {
    if (this.#closed) return;
    const [first] = this.#waiters;
    if (first) this.#settle(first).resolve(key);
    else if (this.#ready.length < this.#size) this.#ready.push(key);
    if (this.#waiters.size > 0) this.#start();
    else this.#refillLater();
  }

  /** The first who waits is told. With nobody there it is tried again when somebody comes, and not before. */
  #failed(error: unknown): void {
    const [first] = this.#waiters;
    if (!first) return;
    this.#settle(first).reject(error);
    if (this.#waiters.size > 0) this.#start();
  }

  #settle(waiter: Waiter<K>): Waiter<K> {
    this.#waiters.delete(waiter);
    waiter.release();
    return waiter;
  }
}

function closedError(): SallyportError {
  return new SallyportError('ERR_CANCELLED', 'the certificates were closed');
}
