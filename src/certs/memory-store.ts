/** The default store: leaf certificates in this process, until they end or their room is needed. */
import type { Bytes } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';
import { isPromise } from './awaiting.js';
import { SingleFlight } from './single-flight.js';
import {
  type CertificateKey,
  type CertificateStore,
  type FetchOptions,
  type Generate,
  type LeafMaterial,
  renewalTime,
} from './store.js';

export interface MemoryStoreOptions {
  /** What the entries may take; default 32 MiB, which is about 20,000 P-256 leaves. */
  readonly capacity?: Bytes;
  /** The time in epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

export interface MemoryStoreCounters {
  /** Entries, and what they are reckoned to take. */
  readonly entries: number;
  readonly bytes: Bytes;
  /** Fetches that found an entry. */
  readonly hits: number;
  /** Generations that gave an entry, and those that failed. */
  readonly generated: number;
  readonly failed: number;
  /** Entries that gave way to others. */
  readonly evicted: number;
}

interface Entry {
  readonly material: LeafMaterial;
  readonly bytes: Bytes;
  /** Epoch milliseconds; from then on the entry is as good as none. */
  readonly renewAt: number;
}

/** Objects, map slot and string headers of one entry, beside the characters. */
const entryOverhead: Bytes = 400;

export class MemoryStore implements CertificateStore {
  readonly #capacity: Bytes;
  readonly #now: () => number;
  /** In order of use, the longest unused first. */
  readonly #entries = new Map<string, Entry>();
  readonly #flights = new SingleFlight<LeafMaterial>();
  readonly #counters = { bytes: 0, hits: 0, generated: 0, failed: 0, evicted: 0 };
  #closed = false;

  constructor({ capacity = 32 * 1024 * 1024, now = Date.now }: MemoryStoreOptions = {}) {
    this.#capacity = capacity;
    this.#now = now;
  }

  fetch(
    key: CertificateKey,
    generate: Generate,
    options?: FetchOptions,
  ): LeafMaterial | Promise<LeafMaterial> {
    const id = identify(key);
    const found = this.#find(id);
    if (found) return found;
    return this.#flights.run(id, (work) => this.#generate(id, generate, work), options);
  }

  /** The entry for `key`, if there is one that can be served. */
  peek(key: CertificateKey): LeafMaterial | undefined {
    return this.#find(identify(key));
  }

  get counters(): MemoryStoreCounters {
    return { entries: this.#entries.size, ...this.#counters };
  }

  close(): void {
    this.#closed = true;
    this.#flights.close();
    this.#entries.clear();
    this.#counters.bytes = 0;
  }

  #find(id: string): LeafMaterial | undefined {
    const entry = this.#entries.get(id);
    if (!entry) return undefined;
    this.#drop(id, entry);
    if (this.#now() >= entry.renewAt) return undefined;
    this.#keep(id, entry);
    this.#counters.hits += 1;
    return entry.material;
  }

  #generate(
    id: string,
    generate: Generate,
    work: { readonly signal: AbortSignal },
  ): LeafMaterial | Promise<LeafMaterial> {
    const failed = (error: unknown): never => {
      this.#counters.failed += 1;
      throw error;
    };
    let outcome: LeafMaterial | Promise<LeafMaterial>;
    try {
      outcome = generate(work);
      if (!isPromise(outcome)) return this.#accept(id, outcome);
    } catch (error) {
      return failed(error);
    }
    return outcome.then((material) => this.#accept(id, material)).catch(failed);
  }

  #accept(id: string, material: LeafMaterial): LeafMaterial {
    const now = this.#now();
    if (material.notAfter <= now) {
      throw new SallyportError('ERR_LEAF_CERTIFICATE', 'the certificate that was made had already ended');
    }
    this.#counters.generated += 1;
    const { certificatePem, privateKeyPem } = material;
    const bytes = entryOverhead + id.length + certificatePem.length + privateKeyPem.length;
    if (this.#closed || bytes > this.#capacity) return material;
    this.#keep(id, { material, bytes, renewAt: renewalTime(material.notAfter, now) });
    for (const [oldest, entry] of this.#entries) {
      if (this.#counters.bytes <= this.#capacity) break;
      this.#drop(oldest, entry);
      this.#counters.evicted += 1;
    }
    return material;
  }

  #keep(id: string, entry: Entry): void {
    this.#entries.set(id, entry);
    this.#counters.bytes += entry.bytes;
  }

  #drop(id: string, entry: Entry): void {
    this.#entries.delete(id);
    this.#counters.bytes -= entry.bytes;
  }
}

/** No part has a space in it: hosts and fingerprints cannot run into each other. */
function identify(key: CertificateKey): string {
  return `${key.authority} ${key.profile} ${key.host}`;
}
