/**
 * One key for all leaves that are made within some hours.
 *
 * A key takes longer than everything else in a leaf (P-256: as long; RSA-2048: 200 to 700 ms of one of libuv's
 * threads), and a TLS context that has the key of the leaf before takes the next one for half the price.
 */
import type { Milliseconds } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';
import { isPromise } from './awaiting.js';

export interface SharedKeyOptions<K> {
  /** Makes one key: at once, or off the event loop. */
  readonly make: () => K | Promise<K>;
  /** How long a key is given to new leaves. */
  readonly lifetime: Milliseconds;
  /** A clock that only goes forward; default `performance.now`. */
  readonly now?: (() => Milliseconds) | undefined;
}

interface Waiter<K> {
  readonly resolve: (key: K) => void;
  readonly reject: (error: unknown) => void;
  /** Takes the listener off the caller's signal. */
  readonly release: () => void;
}

export class SharedKey<K> {
  readonly #make: () => K | Promise<K>;
  readonly #lifetime: Milliseconds;
  readonly #now: () => Milliseconds;
  readonly #waiters = new Set<Waiter<K>>();
  #current: { readonly key: K; readonly until: Milliseconds } | undefined;
  #making = false;
  #closed = false;

  constructor({ make, lifetime, now = () => performance.now() }: SharedKeyOptions<K>) {
    this.#make = make;
    this.#lifetime = lifetime;
    this.#now = now;
  }

  /** Has the first key made, so that nobody waits for all of it. */
  prepare(): void {
    if (!this.#current && !this.#closed) this.#begin();
  }

  /**
   * The key of now, without a promise except for the first one, and the first after `forget`, where that takes time. After its lifetime the next
   * one is made; where that takes time, the old one is given until it is there.
   *
   * Throws or rejects with `ERR_CANCELLED` after `close` or when `options.signal` aborts, which is nothing to the
   * others, and with what `make` threw; the next call tries again.
   */
  take(options?: { readonly signal?: AbortSignal | undefined }): K | Promise<K> {
    if (this.#closed) throw closedError();
    if (!this.#current || this.#now() >= this.#current.until) this.#begin();
    return this.#current?.key ?? this.#wait(options?.signal);
  }

  /**
   * The key may be known to others: it is given to nobody from now on, and the next one is begun. One that is being
   * made already stays: nobody has had it.
   */
  forget(): void {
    if (!this.#current || this.#closed) return;
    this.#current = undefined;
    this.#begin();
  }

  /** Drops the key and rejects whoever waits; what is being made is dropped when it is there. */
  close(): void {
    this.#closed = true;
    this.#current = undefined;
    this.#settle((waiter) => {
      waiter.reject(closedError());
    });
  }

  #begin(): void {
    if (this.#making) return;
    const made = this.#make();
    if (!isPromise(made)) {
      this.#made(made);
      return;
    }
    this.#making = true;
    made.then(
      (key) => {
        this.#making = false;
        if (!this.#closed) this.#made(key);
      },
      (error: unknown) => {
        this.#making = false;
        // Who has an old key goes on with it, and the next call tries again.
        this.#settle((waiter) => {
          waiter.reject(error);
        });
      },
    );
  }

  #made(key: K): void {
    this.#current = { key, until: this.#now() + this.#lifetime };
    this.#settle((waiter) => {
      waiter.resolve(key);
    });
  }

  #wait(signal: AbortSignal | undefined): Promise<K> {
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
      if (signal?.aborted) leave();
      else signal?.addEventListener('abort', leave, { once: true });
    });
  }

  #settle(tell: (waiter: Waiter<K>) => void): void {
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      waiter.release();
      tell(waiter);
    }
  }
}

function closedError(): SallyportError {
  return new SallyportError('ERR_CANCELLED', 'the certificates were closed');
}
