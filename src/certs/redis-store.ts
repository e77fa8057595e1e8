/** The store on a Redis server, which processes and machines share. */
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';
import { RedisBackend } from './redis-backend.js';
import { redisClients } from './redis-client.js';
import { SharedStore } from './shared-store.js';
import type { InspectableStore, StoreContext } from './store.js';

export interface RedisStoreOptions {
  /**
   * `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS, whose CA Node must trust.
   */
  readonly url: string;
  /**
   * What the entries of all who share may take together; default 256 MiB, which is about 80,000 P-256 leaves.
   */
  readonly capacity?: Bytes;
  /** What all keys begin with, in braces; default `sallyport`. Letters, digits, `.`, `_`, `:` and `-`. */
  readonly prefix?: string;
  /** The time in epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
  /** How long a process that died in a generation keeps the others waiting; default that of `SharedStore`. */
  readonly lease?: Milliseconds;
}

/**
 * Opens the store at `url`. What it holds in this process is the caller's to close; what is in Redis stays.
 * Rejects with `ERR_STORE` when the URL is malformed or the package `redis` is not installed. A server that
 * cannot be reached, now or later, is reported as `degraded` by the first fetch that sees it, and fails
 * nobody; opening waits a second for it at the most.
 */
export async function openRedisStore({
  url,
  capacity = 256 * 1024 * 1024,
  prefix = 'sallyport',
  now = Date.now,
  lease,
  ...context
}: RedisStoreOptions & StoreContext): Promise<InspectableStore> {
  const name = nameOf(url);
  if (!/^[\w.:-]+$/.test(prefix)) {
    throw new SallyportError('ERR_STORE', 'the prefix of keys takes letters, digits, and . _ : - alone');
  }
  const make = await redisClients(url);
  const backend = new RedisBackend({ make, name, prefix, capacity, now });
  // Before the load comes: a process that is busy from its first moment would be late to see the connection.
  await backend.connect();
  return new SharedStore({ ...context, backend, now, ...(lease === undefined ? {} : { lease }) });
}

/** The URL without what is secret in it. The errors have nothing of it: who knows where the password is. */
function nameOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const known = url && (url.protocol === 'redis:' || url.protocol === 'rediss:');
  if (!known || url.hostname === '' || !/^(?:\/\d{0,5})?$/.test(url.pathname) || url.search || url.hash) {
    throw new SallyportError(
      'ERR_STORE',
      'the URL has to be redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS, percent-encoded',
    );
  }
  const database = url.pathname.length > 1 ? url.pathname : '';
  return `${url.protocol}//${url.hostname}:${url.port || '6379'}${database}`;
}
