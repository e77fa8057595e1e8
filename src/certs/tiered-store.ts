/** Memory in front of another store: what was used lately is at hand, without a promise. */
import type { MemoryStore } from './memory-store.js';
import type {
  CertificateKey,
  CertificateStore,
  FetchOptions,
  Generate,
  InspectableStore,
  LeafMaterial,
  StoreCounters,
  StoreEntry,
} from './store.js';

export interface TieredStoreOptions {
  /** Used by nobody else. */
  readonly front: MemoryStore;
  /** Where entries live, such as a store that processes share. */
  readonly back: CertificateStore;
}

/**
 * What is in memory is handed out; for the rest each caller waits in `back`, which decides who generates, what is
 * told to whom when callers leave, what failures are remembered, and when to renew.
 *
 * From the renewal time on the front asks `back` in the background, and again after a minute at the most (less
 * when less than ten minutes are left) as long as it has nothing newer: `back` renews in the background too.
 *
 * What is deleted from `back` elsewhere is handed out from this process's memory until it ends, or until `forget`.
 *
 * Ownership: both stores are the tiered store's, which closes them.
 */
export class TieredStore implements InspectableStore {
  readonly #front: MemoryStore;
  readonly #back: CertificateStore;
  /** Who is asked for entries and counters: `back`, or the front where `back` cannot be looked into. */
  readonly #inspected: InspectableStore;

  constructor({ front, back }: TieredStoreOptions) {
    this.#front = front;
    this.#back = back;
    this.#inspected = isInspectable(back) ? back : front;
  }

  fetch(
    key: CertificateKey,
    generate: Generate,
    options?: FetchOptions,
  ): LeafMaterial | Promise<LeafMaterial> {
    return this.#front.fetchFrom(this.#back, key, generate, options);
  }

  /** Those of `back`, or those in memory where it cannot be looked into. */
  entries(): AsyncIterable<StoreEntry> {
    return this.#inspected.entries();
  }

  /** Removes it from both; from the front alone where `back` cannot be looked into. */
  async delete(key: CertificateKey): Promise<boolean> {
    // The back first: the front could take it from there again meanwhile.
    const inspected = await this.#inspected.delete(key);
    const front = await this.#front.delete(key);
    return inspected || front;
  }

  /** Drops what is in memory, and what `back` keeps in this process: see `CertificateStore.forget`. */
  async forget(isGone: (key: CertificateKey) => boolean): Promise<void> {
    // The back first, as in `delete`.
    await this.#back.forget?.(isGone);
    this.#front.forget(isGone);
  }

  /**
   * Hits are those of both; the rest is `back`'s. Where that cannot be looked into, `generated` counts what
   * it gave, and failures and waits are not known.
   */
  get counters(): StoreCounters {
    const counters = this.#inspected.counters;
    if (this.#inspected === this.#front) return counters;
    return { ...counters, hits: counters.hits + this.#front.counters.hits };
  }

  /** Closes both. */
  async close(): Promise<void> {
    this.#front.close();
    await this.#back.close();
  }
}

function isInspectable(store: CertificateStore): store is InspectableStore {
  return 'entries' in store && 'delete' in store && 'counters' in store;
}
