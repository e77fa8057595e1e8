/** What a backend holds, for people: told without opening anything. */
import { type CertificateKey, identify, type StoreEntry } from './store.js';
import type { ListedEntry, StoreBackend } from './store-backend.js';
import { describeEntry } from './stored-entry.js';
import { stateOf } from './validity.js';

/** The key of entries for which neither their names nor their contents tell one. */
const unknownKey: CertificateKey = { host: '?', authority: '?', profile: 'p256' };

/** All entries at `now`. Rejects with `ERR_STORE_UNAVAILABLE`. */
export async function* listEntries(backend: StoreBackend, now: () => number): AsyncIterable<StoreEntry> {
  for await (const listed of backend.list()) yield describe(listed, now());
}

function describe(listed: ListedEntry, now: number): StoreEntry {
  const { key, entry, bytes } = listed;
  const described = describeEntry(entry);
  if (!described.ok) {
    const broken = { state: 'broken', problem: described.problem, bytes } as const;
    if (key) return { key, ...broken };
    return { key: unknownKey, ...broken, remove: () => listed.remove() };
  }
  if (key && identify(key) !== identify(described.key)) {
    return { key, state: 'broken', problem: `it belongs to ${described.key.host}`, bytes };
  }
  const { certificatePem, serial, notBefore, notAfter } = described;
  const state = stateOf(described, now);
  return { key: described.key, state, bytes, certificatePem, serial, notBefore, notAfter };
}

/** Removes the entry for `key`; for the key of those that have none, all of these. Whether there was one. */
export async function deleteEntry(backend: StoreBackend, key: CertificateKey): Promise<boolean> {
  if (identify(key) !== identify(unknownKey)) return await backend.delete(key);
  let found = false;
  for await (const listed of backend.list()) {
    if (listed.key || describeEntry(listed.entry).ok) continue;
    await listed.remove();
    found = true;
  }
  return found;
}
