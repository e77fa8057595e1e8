/**
 * What `SharedStore` needs of a place that several processes share: a directory, a Redis. A backend moves bytes
 * and holds leases; what an entry means, who generates and who waits is decided in `shared-store.ts`, once.
 *
 * Every method may reject with `ERR_STORE_UNAVAILABLE`, and with nothing else, when the place cannot be reached,
 * read or written; each settles within a few seconds. An entry that is there and unreadable is not that.
 */
import type { Bytes, Milliseconds } from '../base/bytes.js';
import type { CertificateKey } from './store.js';

/** A failed generation, as it is told to whoever waits elsewhere. */
export interface StoredFailure {
  /** A code of the table, and the detail of the error. */
  readonly code: string;
  readonly detail: string;
  /** How many in a row, from 1. */
  readonly count: number;
  /** Epoch milliseconds until which it counts. */
  readonly until: number;
}

/** What is kept for a key. */
export interface StoredState {
  /** The bytes of `encodeEntry`, or of whatever was written in their place. */
  readonly entry: Buffer | undefined;
  /** The last failure since the last entry, if it is still remembered. */
  readonly failure: StoredFailure | undefined;
}

/** The right to generate for one key: at most one is held at a time by all who share the backend. */
export interface Lease {
  /** Keeps it for another `lease` milliseconds; `false` when it was lost. */
  renew(): Promise<boolean>;
  /**
   * Writes the entry, forgets failures, tells who waits, and gives the lease back: all in one step for others.
   * `false`, and nothing is written, when the lease was lost meanwhile to somebody who may have written already.
   * `replaced` is what the entry replaces, as it was read under this lease; `undefined` when there was none.
   */
  commit(
    entry: Buffer,
    expiry: { readonly notAfter: number; readonly replaced: Buffer | undefined },
  ): Promise<boolean>;
  /** Writes the failure, tells who waits, and gives the lease back. */
  fail(failure: StoredFailure): Promise<void>;
  /** Gives it back with nothing written: the next who waits may take it. Does nothing when it was lost. */
  release(): Promise<void>;
}

/** An entry as `list` finds it. */
export interface ListedEntry {
  /** `undefined` when its name does not tell, and its contents must. */
  readonly key: CertificateKey | undefined;
  readonly entry: Buffer;
  readonly bytes: Bytes;
  /** Removes it, where it has no key to be removed by; whether it was still there. */
  remove(): Promise<boolean>;
}

export interface StoreBackend {
  /** For reports and errors, such as `file:/var/lib/sallyport` or `redis://host:6379`: never with a password. */
  readonly name: string;
  read(key: CertificateKey): Promise<StoredState>;
  /**
   * The lease for `key`, for `lease` milliseconds, or `undefined` when another holds it. A dead holder's
   * passes on.
   */
  acquire(key: CertificateKey, lease: Milliseconds): Promise<Lease | undefined>;
  /**
   * Resolves when something may have changed for `key`: an entry, a failure, a lease given back or run out. Also
   * without reason, after a while. Rejects with `ERR_CANCELLED` when `signal` aborts. A change just
   * before the call may be missed, so `attempt` (from 0) bounds the wait: short at first, longer later.
   */
  changed(
    key: CertificateKey,
    options: { readonly signal: AbortSignal; readonly attempt: number },
  ): Promise<void>;
  list(): AsyncIterable<ListedEntry>;
  delete(key: CertificateKey): Promise<boolean>;
  /** Entries that gave way to others, by this process. */
  readonly evicted: number;
  close(): Promise<void>;
}
