/** What can be done with the entries of a store, whichever store it is and whoever asks. */
import type { Bytes } from '../base/bytes.js';
import { toSallyportError } from '../base/errors.js';
import { type Authority, certificateName, Identities } from '../certs/index.js';
import type { CertificateKey, CertificateStore, InspectableStore, StoreEntry } from '../certs/store.js';

/** Which entries to remove: those that have ended or cannot be read, those of one host, or all. */
export type Selector =
  { readonly kind: 'expired' } | { readonly kind: 'host'; readonly host: string } | { readonly kind: 'all' };

/** What came of a host that was to have a certificate. */
export interface Warmed {
  readonly host: string;
  readonly outcome: 'made' | 'found' | 'failed';
  /** Of what is there now. */
  readonly serial?: string;
  /** Epoch milliseconds. */
  readonly notAfter?: number;
  /** Why it failed. */
  readonly error?: { readonly code: string; readonly detail: string };
}

/** What the store holds. */
export interface DeskStats {
  readonly entries: number;
  readonly bytes: Bytes;
}

/** The entries of one store. Rejects with the errors of the store. */
export interface Desk {
  entries(): AsyncIterable<StoreEntry>;
  /** How many were removed. */
  purge(selector: Selector): Promise<number>;
  /** One after the other, in the order in which they were given. Does not reject for a host that fails. */
  warm(hosts: readonly string[]): Promise<readonly Warmed[]>;
  stats(): Promise<DeskStats>;
}

export interface StoreDeskOptions {
  readonly store: InspectableStore;
  readonly authority: Authority;
  /** Where to fetch for `warm`, if not from `store`: as a proxy with this store does. */
  readonly fetchFrom?: CertificateStore;
  /** Told of the keys that were removed. */
  readonly purged?: (keys: readonly CertificateKey[]) => void;
}

/** The desk of a store of this process, which stays its owner's. */
export class StoreDesk implements Desk {
  readonly #options: StoreDeskOptions;

  constructor(options: StoreDeskOptions) {
    this.#options = options;
  }

  entries(): AsyncIterable<StoreEntry> {
    return this.#options.store.entries();
  }

  async purge(selector: Selector): Promise<number> {
    const { store, purged } = this.#options;
    const removed: CertificateKey[] = [];
    for await (const entry of store.entries()) {
      if (selects(selector, entry) && (await store.delete(entry.key))) removed.push(entry.key);
    }
    if (removed.length > 0) purged?.(removed);
    return removed.length;
  }

  async warm(hosts: readonly string[]): Promise<readonly Warmed[]> {
    const { authority, store, fetchFrom = store } = this.#options;
    // One context is enough: what matters is what stays in the store.
    const identities = new Identities({ authority, store: fetchFrom, capacity: 1 });
    try {
      const warmed: Warmed[] = [];
      for (const host of hosts) warmed.push(await warmOne(identities, host));
      return warmed;
    } finally {
      await identities.close();
    }
  }

  async stats(): Promise<DeskStats> {
    let entries = 0;
    let bytes = 0;
    for await (const entry of this.entries()) {
      entries += 1;
      bytes += entry.bytes;
    }
    return { entries, bytes };
  }
}

/** The host that an entry is found by, or may be the group of: as `selects` and `show` compare it. */
export function hostOf(typed: string): string {
  return typed.startsWith('*.') ? `*.${certificateName(typed.slice(2)).host}` : certificateName(typed).host;
}

/** Whether `key` is for `host`, as `hostOf` spells it. What mirrors an origin has a digest after a slash. */
export function isFor(key: CertificateKey, host: string): boolean {
  return key.host === host || key.host.startsWith(`${host}/`);
}

function selects(selector: Selector, entry: StoreEntry): boolean {
  switch (selector.kind) {
    case 'all':
      return true;
    case 'expired':
      return entry.state !== 'valid';
    case 'host':
      return isFor(entry.key, selector.host);
  }
}

async function warmOne(identities: Identities, host: string): Promise<Warmed> {
  const { minted } = identities.counters;
  try {
    const { host: name, serial, notAfter } = await identities.get(host);
    const outcome = identities.counters.minted > minted ? 'made' : 'found';
    return { host: name, outcome, serial, notAfter };
  } catch (thrown) {
    const { code, detail } = toSallyportError(thrown);
    return { host, outcome: 'failed', error: { code, detail } };
  }
}
