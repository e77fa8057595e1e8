/** A signer elsewhere, asked no more at a time than it can bear, and not waited for without end. */
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import { isPromise } from './awaiting.js';
import type { Signer } from './signer.js';

export interface BoundedSignerOptions {
  /** Signatures that are under way at the same time; default 16. */
  readonly concurrency?: number;
  /** How many more may wait for their turn; default 1,000. */
  readonly queue?: number;
  /** How long one signature may take, without the time in the queue; default 30 s. */
  readonly timeout?: Milliseconds;
  /** Closing it rejects whoever waits with `ERR_CANCELLED`, and so does every later call. Default: never closed. */
  readonly context?: Context;
}

/**
 * `signer`, bounded. Throws or rejects with `ERR_SIGNER` when the queue is full or a signature takes longer than
 * `timeout`, with `ERR_CANCELLED` when `options.signal` aborts, and with what `signer` threw.
 *
 * Who is cancelled while waiting leaves the queue. Who is cancelled later is let go at once, and the signer is told
 * by its signal; as it may work on, its place is free only when it has settled, or after `timeout`. A signer that
 * answers without a promise is never queued.
 */
export function boundedSigner(signer: Signer, options: BoundedSignerOptions = {}): Signer {
  const queue = new SignerQueue(signer, options);
  return { algorithm: signer.algorithm, sign: (tbs, given) => queue.sign(tbs, given) };
}

type SignOptions = Parameters<Signer['sign']>[1];

class SignerQueue {
  readonly #signer: Signer;
  readonly #concurrency: number;
  readonly #longest: number;
  readonly #timeout: Milliseconds;
  readonly #context: Context;
  /** Those who wait, in order; each starts when it is called. */
  readonly #turns = new Set<() => void>();
  #running = 0;

  constructor(signer: Signer, options: BoundedSignerOptions) {
    const { concurrency = 16, queue = 1000, timeout = 30_000, context = Context.background } = options;
    this.#signer = signer;
    this.#concurrency = concurrency;
    this.#longest = queue;
    this.#timeout = timeout;
    this.#context = context;
  }

  /** The signal is read, and so perhaps made, only when there is something to wait for. */
  sign(tbs: Uint8Array, given: SignOptions): Uint8Array | Promise<Uint8Array> {
    if (this.#running < this.#concurrency) {
      this.#running += 1;
      return this.#ask(tbs, given);
    }
    const waiting = this.#turns.size;
    if (waiting >= this.#longest) {
      const detail = `${this.#running} signatures are under way and ${waiting} wait already`;
      throw new SallyportError('ERR_SIGNER', detail);
    }
    return this.#turn(given?.signal).then(() => this.#ask(tbs, given));
  }

  /** Resolves, with a place, when it is the caller's turn. */
  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#turns.delete(turn);
        signal?.removeEventListener('abort', leave);
        reject(cancelled(signal));
      };
      const turn = (): void => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      this.#turns.add(turn);
      if (signal?.aborted) leave();
      else signal?.addEventListener('abort', leave, { once: true });
    });
  }

  /** Uses the place that the caller has, and gives it back. */
  #ask(tbs: Uint8Array, given: SignOptions): Uint8Array | Promise<Uint8Array> {
    // The source of the signer's signal, which is made when it is read.
    const work = this.#context.withCancel();
    let answer: Uint8Array | Promise<Uint8Array>;
    try {
      this.#context.throwIfClosed();
      answer = this.#signer.sign(tbs, work);
    } catch (error) {
      this.#next(work);
      throw error;
    }
    if (isPromise(answer)) return this.#follow(answer, work, given?.signal);
    this.#next(work);
    return answer;
  }

  #follow(answer: Promise<Uint8Array>, work: Context, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const place = this.#context.withTimeout(this.#timeout, 'ERR_SIGNER');
    place.onClose(() => {
      this.#next(work);
    });
    return new Promise<Uint8Array>((resolve, reject) => {
      const leave = (): void => {
        const error = cancelled(signal);
        work.close(error);
        reject(error);
      };
      if (signal?.aborted) leave();
      else signal?.addEventListener('abort', leave, { once: true });
      place.onClose(() => {
        signal?.removeEventListener('abort', leave);
        // Where the answer is there, this changes nothing.
        const late = place.err?.code === 'ERR_SIGNER';
        const seconds = this.#timeout / 1000;
        reject(late ? new SallyportError('ERR_SIGNER', `no signature came within ${seconds} s`) : place.err);
      });
      answer.then(
        (signature) => {
          resolve(signature);
          place.close();
        },
        (error: unknown) => {
          reject(error);
          place.close();
        },
      );
    });
  }

  /** Ends `work`, and gives its place to the first who waits. */
  #next(work: Context): void {
    work.close();
    const [turn] = this.#turns;
    if (turn) {
      this.#turns.delete(turn);
      turn();
    } else {
      this.#running -= 1;
    }
  }
}

function cancelled(signal: AbortSignal | undefined): SallyportError {
  return new SallyportError('ERR_CANCELLED', 'nobody waits for the signature', { cause: signal?.reason });
}
