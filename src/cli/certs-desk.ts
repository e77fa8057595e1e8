/** What can be done with the entries of a store, whichever store it is and whoever asks. */
import type { Bytes } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { toSallyportError } from '../base/errors.js';
import {
  type Authority,
  certificateName,
  type Generate,
  type KeyProfile,
  loadWildcardGroups,
  Minter,
  type WildcardGroups,
} from '../certs/index.js';
import type { CertificateKey, CertificateStore, InspectableStore, StoreEntry } from '../certs/store.js';

/** Which entries to remove: those that have ended or cannot be read, those of one host, or all. */
export type Selector =
  { readonly kind: 'expired' } | { readonly kind: 'host'; readonly host: string } | { readonly kind: 'all' };

/** What is not to be served any more: the entries of these hosts (see `CertificateKey.host`), or all. */
export type PurgedHosts = readonly string[] | 'all';

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

/** Which leaves a proxy serves: as its options of the same names. */
export interface LeafChoice {
  readonly leafProfile?: KeyProfile | undefined;
  readonly wildcardLeaves?: boolean | undefined;
}

/** What came of a purge. */
export interface Purged {
  readonly removed: number;
  /** Wildcards whose leaf was removed for a host that shares it with others. */
  readonly groups: readonly string[];
}

/** What the store holds. */
export interface DeskStats {
  readonly entries: number;
  readonly bytes: Bytes;
}

/** The entries of one store. Rejects with the errors of the store. */
export interface Desk {
  entries(): AsyncIterable<StoreEntry>;
  purge(selector: Selector): Promise<Purged>;
  /**
   * One after the other, in the order in which they were given; others have their turn in between. Does not reject
   * for a host that fails, but with `ERR_CANCELLED` when `context` closes. What `leaves` does not say is as the
   * proxy has it.
   */
  warm(hosts: readonly string[], leaves?: LeafChoice, context?: Context): Promise<readonly Warmed[]>;
  stats(): Promise<DeskStats>;
}

export interface StoreDeskOptions {
  readonly store: InspectableStore;
  readonly authority: Authority;
  /** Where to fetch for `warm`, if not from `store`: as a proxy with this store does. */
  readonly fetchFrom?: CertificateStore;
  /** What `warm` makes where it is not told. */
  readonly leaves?: LeafChoice;
  /**
   * Has those who make or serve certificates of the store drop what they have of these hosts, and the key that they
   * make new ones with. Asked before `purge` resolves. Must not throw.
   */
  readonly forget?: (hosts: PurgedHosts) => void | Promise<void>;
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

  async purge(selector: Selector): Promise<Purged> {
    const { forget } = this.#options;
    const removed = await this.#remove(selector);
    await forget?.(purgedHosts(selector, removed));
    if (forget && selector.kind !== 'expired') {
      // Until all were told, one of them may have put there what has the old key, and others may have taken it.
      const late = await this.#remove(selector);
      if (late.length > 0) await forget(purgedHosts(selector, late));
    }
    const groups = selector.kind === 'host' ? removed.filter((host) => isGroupOf(host, selector.host)) : [];
    return { removed: removed.length, groups: [...new Set(groups)] };
  }

  /** The hosts of what was removed. */
  async #remove(selector: Selector): Promise<readonly string[]> {
    const { store } = this.#options;
    const removed: string[] = [];
    for await (const entry of store.entries()) {
      if (!selects(selector, entry)) continue;
      // Entries that cannot be read may have no key of their own.
      const isGone = await (entry.remove?.() ?? store.delete(entry.key));
      if (isGone) removed.push(entry.key.host);
    }
    return removed;
  }

  async warm(
    hosts: readonly string[],
    leaves: LeafChoice = {},
    context: Context = Context.background,
  ): Promise<readonly Warmed[]> {
    const { authority, store, fetchFrom = store, leaves: usual = {} } = this.#options;
    const profile = leaves.leafProfile ?? usual.leafProfile ?? 'p256';
    const groups = (leaves.wildcardLeaves ?? usual.wildcardLeaves) ? await loadWildcardGroups() : undefined;
    // What matters is what stays in the store: no TLS context is made, which takes ten times as long.
    const minter = new Minter({ issuer: authority, profile });
    try {
      const warmed: Warmed[] = [];
      for (const host of hosts) {
        warmed.push(await warmOne(host, { store: fetchFrom, minter, authority, groups, context }));
        // Minting for the memory of this process never waits, and this process may serve clients.
        await new Promise((resolve) => void setImmediate(resolve));
        context.throwIfClosed();
      }
      return warmed;
    } finally {
      minter.close();
    }
  }

  stats(): Promise<DeskStats> {
    return statsOf(this.entries());
  }
}

/** How many there are, and their bytes. */
export async function statsOf(found: AsyncIterable<StoreEntry>): Promise<DeskStats> {
  let entries = 0;
  let bytes = 0;
  for await (const entry of found) {
    entries += 1;
    bytes += entry.bytes;
  }
  return { entries, bytes };
}

/** The host that an entry is found by, or may be the group of: as `selects` and `show` compare it. */
export function hostOf(typed: string): string {
  return typed.startsWith('*.') ? `*.${certificateName(typed.slice(2)).host}` : certificateName(typed).host;
}

/**
 * Whether `key` is for `host`, as `hostOf` spells it: its own leaf, one that mirrors its origin, which has a digest
 * after a slash, or the one that it shares with its group.
 */
export function isFor(key: CertificateKey, host: string): boolean {
  return key.host === host || key.host.startsWith(`${host}/`) || isGroupOf(key.host, host);
}

/** Whether `stored`, a `CertificateKey.host`, is the wildcard that stands for `host` and the hosts beside it. */
export function isGroupOf(stored: string, host: string): boolean {
  return stored.startsWith('*.') && stored.slice(1) === host.replace(/^[^.]*/, '') && stored !== host;
}

function selects(selector: Selector, entry: StoreEntry): boolean {
  switch (selector.kind) {
    case 'all':
      return true;
    case 'expired':
      return entry.state === 'expired' || entry.state === 'broken';
    case 'host':
      return isFor(entry.key, selector.host);
  }
}

/**
 * Proxies may have at hand what has given way to others in the store: what was asked for is named in any
 * case.
 */
function purgedHosts(selector: Selector, removed: readonly string[]): PurgedHosts {
  if (selector.kind === 'all') return 'all';
  return [...new Set(selector.kind === 'host' ? [selector.host, ...removed] : removed)];
}

interface Warming {
  readonly store: CertificateStore;
  readonly minter: Minter;
  readonly authority: Authority;
  readonly groups: WildcardGroups | undefined;
  readonly context: Context;
}

/** As a proxy with these leaves has it, to its key in the store. */
async function warmOne(host: string, warming: Warming): Promise<Warmed> {
  const { store, minter, authority, groups, context } = warming;
  try {
    const name = certificateName(host);
    const leaf = groups?.(name) ?? name;
    let made = false;
    const generate: Generate = async (work) => {
      const material = await minter.mint(leaf, work);
      made = true;
      return material;
    };
    const key = { host: leaf.host, authority: authority.fingerprint256, profile: minter.profile };
    const { serial, notAfter } = await store.fetch(key, generate, context);
    return { host: name.host, outcome: made ? 'made' : 'found', serial, notAfter };
  } catch (thrown) {
    const { code, detail } = toSallyportError(thrown);
    return { host, outcome: 'failed', error: { code, detail } };
  }
}
