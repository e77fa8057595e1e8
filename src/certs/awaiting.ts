/** Results that may be there at once or come as a promise. */

/** Whether the result is still to come. Takes promises of any make. */
export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { readonly then?: unknown } | undefined)?.then === 'function';
}
