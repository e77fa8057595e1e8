/** Results that may be there at once or come as a promise, and waiting for them no longer than wanted. */
import { SallyportError } from '../base/errors.js';

/**
 * The outcome of `promise`, or `ERR_CANCELLED` (with the signal's reason as cause) as soon as `signal` aborts.
 * What `promise` does after that reaches nobody. Leaves no listener behind.
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => {
      reject(new SallyportError('ERR_CANCELLED', 'nobody waits for it any more', { cause: signal.reason }));
    };
    const release = (): void => {
      signal.removeEventListener('abort', abort);
    };
    promise.then(
      (value) => {
        release();
        resolve(value);
      },
      (error: unknown) => {
        release();
        reject(error);
      },
    );
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/** Whether the result is still to come. Takes promises of any make. */
export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { readonly then?: unknown } | undefined)?.then === 'function';
}
