/** A cache bounded in bytes that still finds what it dropped for as long as somebody else uses it. */
import type { Bytes } from '../base/bytes.js';

/** What an `Identity` takes beside its PEM and without a context of its own. */
export const identityBytes: Bytes = 1024;

/**
 * What a `SecureContext` with its leaf and a CA of one certificate takes, nearly all of it outside JavaScript's
 * heap. Resident KiB for each of 2,000, on Node 20.20 / 24.21 / 26.10: P-256 38.0 / 41.6 / 41.8, RSA-2048
 * 34.9 / 43.5 / 42.9. `test/certs/contexts.test.ts` measures again, on every version that it runs on.
 */
export const contextBytes: Bytes = 44 * 1024;

interface Entry<T> {
  readonly value: T;
  bytes: Bytes;
}

interface Dropped<T extends object> {
  readonly key: string;
  readonly reference: WeakRef<T>;
}

export interface WeakLruCounters {
  /** What was dropped and found again, as it was still in use. */
  readonly secondChances: number;
  /** What was dropped for want of room. */
  readonly evicted: number;
  /** What is at hand, and what it is reckoned to take. What was dropped is its users' and not counted. */
  readonly size: number;
  readonly bytes: Bytes;
}

/**
 * Least recently used out, by weight. The newest entry always stays, even if it is too heavy. What was dropped is
 * held weakly: when it is asked for while a connection still uses it, it is the same object again.
 */
export class WeakLru<T extends object> {
  readonly #capacity: Bytes;
  /** The longest unused first. */
  readonly #entries = new Map<string, Entry<T>>();
  readonly #dropped = new Map<string, WeakRef<T>>();
  readonly #collected = new FinalizationRegistry<Dropped<T>>(({ key, reference }) => {
    // A later one of the same name may have been dropped meanwhile.
    if (this.#dropped.get(key) === reference) this.#dropped.delete(key);
  });
  readonly #counters = { secondChances: 0, evicted: 0, bytes: 0 };
  readonly #weigh: (value: T) => Bytes;

  /** `weigh` is asked when a value comes, and by `reweigh`. */
  constructor(capacity: Bytes, weigh: (value: T) => Bytes) {
    this.#capacity = capacity;
    this.#weigh = weigh;
  }

  /** The value, which is then the last one used. */
  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry) {
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      return entry.value;
    }
    const value = this.#dropped.get(key)?.deref();
    if (!value) return undefined;
    this.#counters.secondChances += 1;
    this.set(key, value);
    return value;
  }

  /** Takes the place of what was there, dropped or not. */
  set(key: string, value: T): void {
    this.delete(key);
    const bytes = this.#weigh(value);
    this.#entries.set(key, { value, bytes });
    this.#counters.bytes += bytes;
    this.#makeRoom();
  }

  /** `value` became heavier or lighter. Nothing happens when it is not at hand. */
  reweigh(key: string, value: T): void {
    const entry = this.#entries.get(key);
    if (entry?.value !== value) return;
    const bytes = this.#weigh(value);
    this.#counters.bytes += bytes - entry.bytes;
    entry.bytes = bytes;
    this.#makeRoom();
  }

  /** Forgets the value, also when it is still in use. */
  delete(key: string): void {
    this.#dropped.delete(key);
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#counters.bytes -= entry.bytes;
  }

  /** Of what is at hand, and of what was dropped and may be found again. */
  keys(): readonly string[] {
    return [...this.#entries.keys(), ...this.#dropped.keys()];
  }

  /** What is at hand. */
  *values(): Generator<T> {
    for (const { value } of this.#entries.values()) yield value;
  }

  clear(): void {
    this.#entries.clear();
    this.#dropped.clear();
    this.#counters.bytes = 0;
  }

  /** Values that were dropped and not yet collected, or whose collection was not yet noticed. */
  get dropped(): number {
    return this.#dropped.size;
  }

  get counters(): WeakLruCounters {
    return { ...this.#counters, size: this.#entries.size };
  }

  #makeRoom(): void {
    for (const [key, { value }] of this.#entries) {
      if (this.#counters.bytes <= this.#capacity || this.#entries.size === 1) return;
      this.delete(key);
      this.#counters.evicted += 1;
      const reference = new WeakRef(value);
      this.#dropped.set(key, reference);
      this.#collected.register(value, { key, reference });
    }
  }
}
