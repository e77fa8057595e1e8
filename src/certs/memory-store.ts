/** The default store: leaf certificates in this process, until they end or their room is needed. */
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { SallyportError, toSallyportError } from '../base/errors.js';
import { Failures } from './failures.js';
import { Underway } from './forgetting.js';
import type { KeyProfile } from './leaf-keys.js';
import { SingleFlight, type Work } from './single-flight.js';
import {
  type CertificateKey,
  type CertificateStore,
  type FetchOptions,
  type Generate,
  identify,
  type InspectableStore,
  type LeafMaterial,
  renewalTime,
  type StoreCounters,
  type StoreEntry,
  type StoreReport,
} from './store.js';
import { isCurrent, requireCurrent, stateOf } from './validity.js';

export interface MemoryStoreOptions {
  /** What the entries may take; default 32 MiB, which is about 22,000 P-256 leaves. */
  readonly capacity?: Bytes;
  /** The time in epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
  /** Told of `renewal-failed`. It must not throw. */
  readonly report?: (report: StoreReport) => void;
}

export interface MemoryStoreCounters extends StoreCounters {
  /** Entries, and what they are reckoned to take. */
  readonly entries: number;
  readonly bytes: Bytes;
}

interface Entry {
  readonly material: LeafMaterial;
  readonly bytes: Bytes;
  /** Epoch milliseconds; from then on a fetch has it replaced in the background. */
  renewAt: number;
}

/**
 * What an entry takes beside the characters of its key and its PEM: two objects, their numbers, the serial, the
 * headers of the strings, its slot in the map. 100,000 P-256 leaves took 1,471 bytes each on the heap, and are
 * reckoned as 1,526 (Node 20).
 */
const entryOverhead: Bytes = 400;
/** How soon an entry is looked at again whose renewal brought nothing newer, at the latest. */
const longestSecondLook: Milliseconds = 60_000;

export class MemoryStore implements InspectableStore {
  readonly #capacity: Bytes;
  readonly #now: () => number;
  readonly #report: ((report: StoreReport) => void) | undefined;
  /** In order of use, the longest unused first. */
  readonly #entries = new Map<string, Entry>();
  readonly #flights = new SingleFlight<LeafMaterial>();
  /** By `identify`: generations, and questions to the store behind. */
  readonly #underway = new Underway();
  readonly #failures: Failures;
  readonly #counters = {
    bytes: 0,
    hits: 0,
    generated: 0,
    failed: 0,
    waited: 0,
    renewed: 0,
    evicted: 0,
  };
  #newestKey = '';
  #closed = false;

  constructor({ capacity = 32 * 1024 * 1024, now = Date.now, report }: MemoryStoreOptions = {}) {
    this.#capacity = capacity;
    this.#now = now;
    this.#report = report;
    this.#failures = new Failures(now);
  }

  fetch(
    key: CertificateKey,
    generate: Generate,
    options?: FetchOptions,
  ): LeafMaterial | Promise<LeafMaterial> {
    const id = identify(key);
    const entry = this.#find(id);
    const work: Work<LeafMaterial> = (given) => this.#generate(id, generate, given);
    if (entry) {
      if (this.#now() >= entry.renewAt && this.#failures.find(id) === undefined) {
        this.#renew(key, entry, work, this.#failures);
      }
      return entry.material;
    }
    if (this.#flights.has(id)) {
      this.#counters.waited += 1;
    } else if (!this.#closed) {
      // What `generate` threw goes on unchanged, whatever it is.
      const failure = this.#failures.find(id) as Error | undefined;
      if (failure !== undefined) throw failure;
    }
    return this.#run(id, work, options, this.#failures);
  }

  /**
   * The entry for `key`, or what `back` has: for `TieredStore`. Who waits does so in `back`, each for himself, as
   * only `back` knows who has to take the place of a caller that left. It remembers failures, too: if they were
   * remembered here as well, each look at one there would prolong it.
   */
  fetchFrom(
    back: CertificateStore,
    key: CertificateKey,
    generate: Generate,
    options?: FetchOptions,
  ): LeafMaterial | Promise<LeafMaterial> {
    const id = identify(key);
    const entry = this.#find(id);
    const ask = (waiting?: FetchOptions): LeafMaterial | Promise<LeafMaterial> =>
      this.#generate(id, () => back.fetch(key, generate, waiting), waiting);
    if (!entry) return ask(options);
    if (this.#now() >= entry.renewAt) this.#renew(key, entry, ask, undefined);
    return entry.material;
  }

  /** The entry for `key`, if there is one that can be served. */
  peek(key: CertificateKey): LeafMaterial | undefined {
    return this.#find(identify(key))?.material;
  }

  get counters(): MemoryStoreCounters {
    // What is in this process's memory does not break.
    return { entries: this.#entries.size, broken: 0, ...this.#counters };
  }

  async *entries(): AsyncIterable<StoreEntry> {
    // A copy: a fetch of what was just listed moves it to the end, where it would be listed again.
    for (const [id, { material, bytes }] of Array.from(this.#entries)) {
      const { certificatePem, serial, notBefore, notAfter } = material;
      const state = stateOf(material, this.#now());
      yield { key: keyOf(id), state, bytes, certificatePem, serial, notBefore, notAfter };
    }
  }

  /**
   * Removes all entries that `isGone` says so of; of what is under way, see `CertificateStore.forget`. What is
   * remembered of failures stays.
   */
  forget(isGone: (key: CertificateKey) => boolean): void {
    const isGoneHere = (id: string): boolean => isGone(keyOf(id));
    this.#underway.forget(isGoneHere);
    for (const [id, entry] of this.#entries) if (isGoneHere(id)) this.#drop(id, entry);
  }

  /** What is being generated meanwhile is generated again. */
  delete(key: CertificateKey): Promise<boolean> {
    const id = identify(key);
    this.#underway.forget((other) => other === id);
    const entry = this.#entries.get(id);
    if (entry) this.#drop(id, entry);
    return Promise.resolve(entry !== undefined);
  }

  close(): void {
    this.#closed = true;
    this.#flights.close();
    this.#entries.clear();
    this.#counters.bytes = 0;
  }

  /** Replaces `entry` while others are served with it. It gets a flight, so that who needs one later joins it. */
  #renew(key: CertificateKey, entry: Entry, work: Work<LeafMaterial>, failures: Failures | undefined): void {
    const id = identify(key);
    if (this.#flights.has(id)) return;
    const later: Work<LeafMaterial> = async (options) => {
      // Even work that never waits, as minting for P-256, is not done while the request is.
      await new Promise((resolve) => void setImmediate(resolve));
      return await work(options);
    };
    Promise.resolve(this.#run(id, later, undefined, failures)).then(
      (material) => {
        // What is behind has nothing newer yet, or the CA ends before a new leaf would.
        if (material === entry.material) entry.renewAt = this.#secondLook(material);
      },
      (error: unknown) => {
        if (this.#closed) return;
        entry.renewAt = this.#secondLook(entry.material);
        this.#report?.({ kind: 'renewal-failed', store: 'memory', key, error: toSallyportError(error) });
      },
    );
  }

  #run(
    id: string,
    work: Work<LeafMaterial>,
    options: FetchOptions | undefined,
    failures: Failures | undefined,
  ): LeafMaterial | Promise<LeafMaterial> {
    return this.#flights.run(id, work, options, (error) => {
      this.#counters.failed += 1;
      failures?.remember(id, error);
    });
  }

  #generate<Options>(
    id: string,
    generate: (options: Options) => LeafMaterial | Promise<LeafMaterial>,
    options: Options,
  ): LeafMaterial | Promise<LeafMaterial> {
    const work = (): LeafMaterial | Promise<LeafMaterial> => {
      // Work that was put off may find that nobody wants it any more.
      if (this.#closed) throw new SallyportError('ERR_CANCELLED', 'the store was closed');
      return generate(options);
    };
    return this.#underway.run(id, work, (material) => this.#accept(id, material));
  }

  /** Makes `material` the entry, unless the one that is there lasts as long. */
  #accept(id: string, material: LeafMaterial): LeafMaterial {
    const now = this.#now();
    requireCurrent(material, now, 'the certificate that was made');
    const old = this.#entries.get(id)?.material;
    const replaces = old !== undefined && isCurrent(old, now);
    if (replaces && material.notAfter <= old.notAfter) return old;
    this.#counters.generated += 1;
    if (replaces) this.#counters.renewed += 1;
    this.#failures.forget(id);
    return this.#closed ? material : this.#put(id, material);
  }

  /** When to try again to replace what could not be replaced now. */
  #secondLook({ notAfter }: LeafMaterial): number {
    const now = this.#now();
    return now + Math.min(longestSecondLook, (notAfter - now) / 10);
  }

  /** What later fetches get: a copy of `material`. */
  #put(id: string, { notBefore, notAfter, ...texts }: LeafMaterial): LeafMaterial {
    const old = this.#entries.get(id);
    if (old) this.#drop(id, old);
    const certificatePem = flat(texts.certificatePem);
    const privateKeyPem = this.#keyOnce(texts.privateKeyPem);
    const material = { certificatePem, privateKeyPem, notBefore, notAfter, serial: flat(texts.serial) };
    const bytes = entryOverhead + id.length + certificatePem.length + privateKeyPem.length;
    if (bytes > this.#capacity) return material;
    this.#keep(id, { material, bytes, renewAt: renewalTime(material.notAfter, this.#now()) });
    for (const [oldest, entry] of this.#entries) {
      if (this.#counters.bytes <= this.#capacity) break;
      this.#drop(oldest, entry);
      this.#counters.evicted += 1;
    }
    return material;
  }

  /** The text of a key, which many leaves that were made one after another have in common, once for all of them. */
  #keyOnce(pem: string): string {
    if (this.#newestKey !== pem) this.#newestKey = flat(pem);
    return this.#newestKey;
  }

  /** The entry, if it can be served: it is now the last one used. */
  #find(id: string): Entry | undefined {
    const entry = this.#entries.get(id);
    if (!entry) return undefined;
    this.#drop(id, entry);
    if (!isCurrent(entry.material, this.#now())) return undefined;
    this.#keep(id, entry);
    this.#counters.hits += 1;
    return entry;
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

/**
 * `text` as one piece. V8 keeps a string that was put together as its pieces: an entry of P-256 then took 3.0 KB
 * instead of 1.5 (Node 20).
 */
function flat(text: string): string {
  return Buffer.from(text).toString();
}

/** What `identify` made `id` of. */
function keyOf(id: string): CertificateKey {
  const [authority = '', profile, ...host] = id.split(' ');
  return { authority, profile: profile as KeyProfile, host: host.join(' ') };
}
