/** The store that `--store` names. */
import { MemoryStore } from '../certs/memory-store.js';
import type { InspectableStore, StoreContext } from '../certs/store.js';
import { TieredStore } from '../certs/tiered-store.js';
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

/** The store of a proxy: with memory in front of what is shared. Rejects with `ERR_STORE`. The caller closes it. */
export async function openProxyStore(choice: StoreChoice, context: StoreContext): Promise<InspectableStore> {
  const front = new MemoryStore({ report: context.report });
  if (choice.kind === 'memory') return front;
  return new TieredStore({ front, back: await openSharedStore(choice, context) });
}
