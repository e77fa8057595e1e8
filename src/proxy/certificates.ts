/** The proxy's certificate store, from its option to its reports, and the counters of its certificates. */
import type { SallyportError } from '../base/errors.js';
import type { Events } from '../base/events.js';
import type { LedgerLines } from '../base/ledger.js';
import type { LegsCounts } from '../base/leg-counters.js';
import type {
  Authority,
  CertificateStore,
  ContextCounters,
  Identities,
  IdentityCounters,
  StoreCounters,
  StoreReport,
} from '../certs/index.js';
import { MemoryStore } from '../certs/memory-store.js';
import type { ProxyOptions } from './options.js';

export interface ProxyCounters {
  readonly identities: IdentityCounters;
  readonly contexts: ContextCounters;
  /** Of the store that was given or made; absent when it was given and does not count. */
  readonly store?: StoreCounters;
  readonly ledger: LedgerLines;
  /**
   * Sizes of reads and writes, handshakes, and what is held, of the leg to the clients and the one to the
   * origins.
   */
  readonly legs: LegsCounts;
}

export interface OpenedStore {
  readonly store: CertificateStore;
  /** Closes what was made here or by a function; does nothing to a store that was given as it is. */
  readonly close: () => void | Promise<void>;
}

/**
 * Makes the store if the option is a function, and memory if there is none; its reports become `store.report` events.
 * Rejects as the function does.
 */
export async function openStore(
  option: ProxyOptions['store'],
  authority: Authority,
  events: Events,
): Promise<OpenedStore> {
  if (option && typeof option !== 'function') return { store: option, close: () => undefined };
  const report = (told: StoreReport): void => {
    if (events.has('store.report')) events.emit('store.report', describe(told));
  };
  const store = option
    ? await option({ authority: authority.fingerprint256, sealer: authority.sealer, report })
    : new MemoryStore({ report });
  return { store, close: () => store.close() };
}

interface Told {
  readonly kind: StoreReport['kind'];
  readonly store: string;
  readonly host?: string;
  readonly error?: SallyportError;
}

function describe(report: StoreReport): Told {
  const { kind, store } = report;
  return {
    kind,
    store,
    ...('key' in report && { host: report.key.host }),
    ...('error' in report && { error: report.error }),
  };
}

export function proxyCounters(
  identities: Identities,
  store: CertificateStore,
  ledger: ProxyCounters['ledger'],
  legs: LegsCounts,
): ProxyCounters {
  const { counters, contexts } = identities;
  const counted = 'counters' in store ? (store.counters as StoreCounters) : undefined;
  return { identities: counters, contexts, ...(counted && { store: counted }), ledger, legs };
}
