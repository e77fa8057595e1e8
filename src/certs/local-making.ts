/**
 * What a process makes itself for a store that is shared, and what it does alone while that cannot be
 * reached.
 */
import type { Bytes } from '../base/bytes.js';
import { toSallyportError } from '../base/errors.js';
import { Failures } from './failures.js';
import { MemoryStore } from './memory-store.js';
import { type CertificateKey, identify, type LeafMaterial, type StoreCounters } from './store.js';
import type { StoredFailure } from './store-backend.js';
import { type Outcome, type Task, throwIfAborted } from './store-task.js';
import { requireCurrent } from './validity.js';

/** What is counted of a store that is shared; what was evicted its backend knows. */
export type SharedCounts = { -readonly [K in Exclude<keyof StoreCounters, 'evicted'>]: number };

export class LocalMaking {
  readonly #now: () => number;
  readonly #counts: SharedCounts;
  readonly #fallback: MemoryStore;
  /** What this process saw fail: the errors themselves, and all there is to go by during an outage. */
  readonly #failures: Failures;

  constructor(options: {
    readonly now: () => number;
    readonly capacity: Bytes;
    readonly counts: SharedCounts;
  }) {
    const { now, capacity, counts } = options;
    this.#now = now;
    this.#counts = counts;
    this.#fallback = new MemoryStore({ capacity, now });
    this.#failures = new Failures(now);
  }

  /** Throws what `generate` threw, and `ERR_LEAF_CERTIFICATE`. */
  async make({ generate, work }: Task): Promise<LeafMaterial> {
    const material = await generate(work);
    requireCurrent(material, this.#now(), 'the certificate that was made');
    this.#counts.generated += 1;
    return material;
  }

  /** What was made while the place could not be reached, if it is worth storing. */
  leftOver({ key, renews }: Task): LeafMaterial | undefined {
    return renews ? undefined : this.#fallback.peek(key);
  }

  /** Has later fetches fail for a while. */
  failed({ id }: Task, error: unknown): void {
    this.#counts.failed += 1;
    this.#failures.remember(id, error);
  }

  /** The error itself that `stored` is of, if it was seen here. */
  seen({ id }: Task, stored: StoredFailure): unknown {
    const own = this.#failures.find(id);
    if (own === undefined) return undefined;
    const { code, detail } = toSallyportError(own);
    return code === stored.code && detail === stored.detail ? own : undefined;
  }

  /** The place has an entry: what was made here in an outage would come back when that is removed. */
  superseded(key: CertificateKey): void {
    void this.#fallback.delete(key);
  }

  /** To be called when the place has an entry, or has none any more; whether there was one here. */
  async forget(key: CertificateKey): Promise<boolean> {
    this.#failures.forget(identify(key));
    return await this.#fallback.delete(key);
  }

  /** The same for all keys that `isGone` says were removed from the place. */
  forgetAll(isGone: (key: CertificateKey) => boolean): void {
    this.#fallback.forget(isGone);
  }

  close(): void {
    this.#fallback.close();
  }

  /** What this process makes for itself while the place cannot be reached. */
  async makeHere(task: Task): Promise<Outcome> {
    const { key, id, generate, work } = task;
    if (this.#fallback.peek(key)) {
      return { material: await this.#fallback.fetch(key, generate, work), from: 'entry' };
    }
    let { made } = task;
    if (!made) {
      const failure = this.#failures.find(id);
      if (failure !== undefined) throw failure as Error;
      throwIfAborted(work.signal);
      let asOf: number;
      try {
        do {
          asOf = task.forgotten;
          made = await this.make(task);
        } while (asOf !== task.forgotten);
      } catch (error) {
        if (!task.left()) {
          this.failed(task, error);
        }
        throw error;
      }
    }
    this.#failures.forget(id);
    const material = made;
    return { material: await this.#fallback.fetch(key, () => material), from: 'here' };
  }
}
