/** The contract of `CertificateStore` as a suite that any store can be run through, with any test runner. */
import type { Authority } from '../certs/authority.js';
import { type Case, failureCases, generationCases, type Need } from './store-cases.js';
import { keyCases } from './store-key-cases.js';
import { cancellationCases, timeCases } from './store-life-cases.js';
import { makeAuthorities, Stage, type StoreConformanceOptions } from './store-stage.js';

export interface ConformanceCase {
  /** The promise that is kept; for a case that is skipped, also why. */
  readonly name: string;
  /** Why `run` does nothing; `undefined` for a case that is played. */
  readonly skipped: string | undefined;
  /**
   * Rejects with an `Error` that says which promise was broken, or with what the store or `open` threw. Closes
   * what it opened. Cases can be run in any order and at the same time.
   */
  run(): Promise<void>;
}

/**
 * The cases that a certificate store must pass to be given to the proxy:
 *
 * ```ts
 * for (const { name, run } of certificateStoreConformance({ open: () => new MyStore() })) test(name, run);
 * ```
 *
 * Each case opens stores of its own. Cases that `options` says nothing for are listed as skipped, with the reason.
 */
export function certificateStoreConformance(options: StoreConformanceOptions): readonly ConformanceCase[] {
  let authorities: Promise<readonly [Authority, Authority]> | undefined;
  const play = async (one: Case): Promise<void> => {
    const stage = new Stage(options, await (authorities ??= makeAuthorities()));
    try {
      await one.play(stage);
    } finally {
      await stage.close();
    }
  };
  const cases = [...generationCases, ...failureCases, ...keyCases, ...cancellationCases, ...timeCases];
  return cases.map((one) => {
    const { name, needs } = one;
    if (needs === undefined || options[needs]) return { name, skipped: undefined, run: () => play(one) };
    const skipped = reasons[needs];
    return { name: `${name} (skipped: ${skipped})`, skipped, run: () => Promise.resolve() };
  });
}

const reasons: Readonly<Record<Need, string>> = {
  shared: 'the options do not say that stores share their entries',
  bounded: 'the options do not say that the store heeds a capacity',
};
