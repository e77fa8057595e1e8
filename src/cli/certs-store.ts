/** The store that `--store` names. */
import { MemoryStore } from '../certs/memory-store.js';
import type { CertificateStore, InspectableStore, StoreContext } from '../certs/store.js';
import { TieredStore } from '../certs/tiered-store.js';
import { isFor, type PurgedHosts } from './certs-desk.js';
import type { StoreChoice } from './values.js';

/** A store that processes share: `memory` is not one. */
export type SharedStoreChoice = Exclude<StoreChoice, { readonly kind: 'memory' }>;

/** Opens what is shared, as it is. Rejects with `ERR_STORE`. The caller closes it. */
export async function openSharedStore(
  choice: SharedStoreChoice,
  context: StoreContext,
): Promise<InspectableStore> {
  // Each is loaded where it is used: one of them needs a package that not everybody has.
  if (choice.kind === 'file') {
    const { openFileStore } = await import('../certs/file-store.js');
    return await openFileStore({ ...context, dir: choice.directory });
  }
  const { openRedisStore } = await import('../certs/redis-store.js');
  return await openRedisStore({ ...context, url: choice.url });
}

/** The store of a proxy: with memory in front of what is shared. */
export interface ProxyStore {
  /** Whoever opened it closes it. */
  readonly store: InspectableStore;
  /** Has `store` look again for what it took from elsewhere: that was purged there. */
  readonly forget: (hosts: PurgedHosts) => Promise<void>;
}

/** Rejects with `ERR_STORE`. */
export async function openProxyStore(choice: StoreChoice, context: StoreContext): Promise<ProxyStore> {
  const front = new MemoryStore({ report: context.report });
  if (choice.kind === 'memory') return { store: front, forget: nothingToForget };
  return inFrontOf(front, await openSharedStore(choice, context));
}

/** `front`, which is given nothing else to do, before `back`. */
export function inFrontOf(front: MemoryStore, back: CertificateStore): ProxyStore {
  const store = new TieredStore({ front, back });
  const forget = async (hosts: PurgedHosts): Promise<void> => {
    await store.forget((key) => hosts === 'all' || hosts.some((host) => isFor(key, host)));
  };
  return { store, forget };
}

async function nothingToForget(): Promise<void> {
  // What was purged elsewhere never was here.
}
