/** The public surface of `sallyport/testing`: what tests of users import. */
import { createProxy, type Proxy } from '../proxy/proxy.js';
import type { ProxyOptions } from '../proxy/options.js';
import { expectNothingLeft } from './expect-nothing.js';

export {
  expectNothingOutstanding,
  expectNothingOutstandingInEach,
  type NothingOutstanding,
  type NothingOutstandingOptions,
  type TestHooks,
} from './expect-nothing.js';
export { type VirtualTime, type VirtualTimeOptions, virtualTime } from './virtual-time.js';
export { type ConformanceCase, certificateStoreConformance } from './store-conformance.js';
export type { StoreConformanceOptions, StoreWorld } from './store-stage.js';

/**
 * Runs `work` with a proxy of its own on a free port, and closes it in every path. Rejects with what `work`
 * rejects with, or with an `AssertionError` when the proxy held anything after it was closed.
 */
export async function withProxy<T>(
  options: ProxyOptions,
  work: (proxy: Proxy) => T | Promise<T>,
): Promise<T> {
  const proxy = await createProxy(options).listen();
  let result: T;
  try {
    result = await work(proxy);
  } finally {
    await proxy.close();
  }
  await expectNothingLeft(proxy);
  return result;
}
