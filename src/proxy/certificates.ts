/** The proxy's certificate store, from its option to its reports, and the counters of its certificates. */
import type { SallyportError } from '../base/errors.js';
import type { Events } from '../base/events.js';
import type { LedgerKind, LedgerLine } from '../base/ledger.js';
import type {
  Authority,
  CertificateStore,
  ContextCounters,
  Identities,
  IdentityCounters,
  StoreCounters,
  StoreReport,
} from '../certs/index.js';
import type { ProxyOptions } from './options.js';

export interface ProxyCounters {
  readonly identities: IdentityCounters;
  readonly contexts: ContextCounters;
  /** Of the store that was given or made, when it counts. */
  readonly store?: StoreCounters;
  readonly ledger: Readonly<Record<LedgerKind, LedgerLine>>;
}

export interface OpenedStore {
  readonly store: CertificateStore;
  /** Closes what a function made; does nothing to a store that was given as it is. */
  readonly close: () => void | Promise<void>;
}

/** Makes the store if the option is a function; its reports become `store.report` events. Rejects as that does. */
export async function openStore(
  option: ProxyOptions['store'],
  authority: Authority,
  events: Events,
): Promise<OpenedStore | undefined> {
  if (!option) return undefined;
  if (typeof option !== 'function') return { store: option, close: () => undefined };
  const { fingerprint256, sealer } = authority;
  const store = await option({
    authority: fingerprint256,
    sealer,
    report: (report) => {
      if (events.has('store.report')) events.emit('store.report', describe(report));
    },
  });
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
  store: CertificateStore | undefined,
  ledger: ProxyCounters['ledger'],
): ProxyCounters {
  const { counters, contexts } = identities;
  const counted = store && 'counters' in store ? (store.counters as StoreCounters) : undefined;
  return { identities: counters, contexts, ...(counted && { store: counted }), ledger };
}
