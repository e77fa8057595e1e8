/** Counters of several processes as one. Pure. */
import type { StoreCounters } from '../certs/store.js';
import type { ProxyCounters } from '../proxy/certificates.js';

/**
 * Adds what is a number, however deep, but for ages: of these the larger stays. Of other values the first stays.
 * Either may be `undefined`.
 */
export function addCounters(a: unknown, b: unknown): unknown {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (!isRecord(a) || !isRecord(b)) return a ?? b;
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries(
    [...names].map((name) => [name, (name === 'oldestMs' ? older : addCounters)(a[name], b[name])]),
  );
}

function older(a: unknown, b: unknown): unknown {
  return typeof a === 'number' && typeof b === 'number' ? Math.max(a, b) : (a ?? b);
}

const none: StoreCounters = {
  hits: 0,
  generated: 0,
  failed: 0,
  waited: 0,
  renewed: 0,
  evicted: 0,
  broken: 0,
};

/**
 * The counters of stores that were in use at the same time. `shared`: the one behind those of the workers,
 * where it is in the primary: what a worker took from there it counts as generated, which it was once.
 */
export function sumStores(all: readonly StoreCounters[], shared: StoreCounters | undefined): StoreCounters {
  const sum = { ...none };
  const names = Object.keys(none) as readonly (keyof StoreCounters)[];
  for (const counters of shared ? [...all, shared] : all) {
    for (const name of names) sum[name] += counters[name];
  }
  if (!shared) return sum;
  const { generated, failed, renewed, evicted } = shared;
  return { ...sum, generated, failed, renewed, evicted };
}

/** What a proxy counts beside its store, which is told apart. */
export function withoutStore({
  identities,
  contexts,
  ledger,
  legs,
}: ProxyCounters): Omit<ProxyCounters, 'store'> {
  return { identities, contexts, ledger, legs };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
