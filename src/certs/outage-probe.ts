/** Finds out whether a place can be used again: by writing, as one that can only be read is of no use. */
import { randomUUID } from 'node:crypto';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import type { StoreBackend } from './store-backend.js';
import type { CertificateKey } from './store.js';

/** About as much as an entry takes, so that a disk which is full says so. */
const size: Bytes = 4096;
const lifetime: Milliseconds = 1000;

/**
 * Takes a lease that nobody else asks for, and writes under it what an entry is never read from. `like` is any key of
 * the store. Rejects with `ERR_STORE_UNAVAILABLE` when the place cannot be read or written.
 */
export async function probeWriting(backend: StoreBackend, like: CertificateKey): Promise<void> {
  await backend.read(like);
  // No host has a slash at its beginning; a new one each time, as a probe that failed may leave its lease.
  const key = { ...like, host: `/probe:${randomUUID()}` };
  const lease = await backend.acquire(key, lifetime);
  await lease?.fail({ code: 'ERR_STORE_UNAVAILABLE', detail: ' '.repeat(size), count: 1, until: 0 });
  await backend.delete(key);
}
