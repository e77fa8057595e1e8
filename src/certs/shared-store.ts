/**
 * The store over a place that several processes share. What the place is, its backend knows; here is decided what
 * an entry means, who generates, who waits for it, and what to do while the place cannot be reached.
 */
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError, errorTable, toSallyportError, type ErrorCode } from '../base/errors.js';
import { deleteEntry, listEntries } from './entry-listing.js';
import { Failures, isPausing, nextFailure } from './failures.js';
import { keepLease, LeaseReturns } from './lease-keeping.js';
import { MemoryStore } from './memory-store.js';
import { Outage, Unreachable } from './outage.js';
import { SingleFlight } from './single-flight.js';
import {
  type CertificateKey,
  type FetchOptions,
  type Generate,
  identify,
  type InspectableStore,
  type LeafMaterial,
  renewalTime,
  type Sealer,
  type StoreCounters,
  type StoreEntry,
  type StoreReport,
} from './store.js';
import type { Lease, StoreBackend, StoredFailure, StoredState } from './store-backend.js';
import { decodeEntry, encodeEntry } from './stored-entry.js';

export interface SharedStoreOptions {
  /** The store owns it, and closes it. */
  readonly backend: StoreBackend;
  /** Of the authority whose keys are fetched: `Authority.sealer`. */
  readonly sealer: Sealer;
  /** Must not throw. */
  readonly report: (report: StoreReport) => void;
  /** The time in epoch milliseconds; default `Date.now`. It should agree with that of the others who share. */
  readonly now?: () => number;
  /** How long a process that died in a generation keeps the others waiting; default 5 s. */
  readonly lease?: Milliseconds;
  /** What is kept in memory of what was made while the place could not be reached; default 4 MiB. */
  readonly fallbackCapacity?: Bytes;
  /** Whose clock pauses go by; default `Context.background`. */
  readonly context?: Context;
}

/** How long `close` waits for generations that were told to stop, so that their leases are given back. */
const grace: Milliseconds = 1000;

/** One fetch that leads its flight, or one renewal. */
interface Task {
  readonly key: CertificateKey;
  readonly id: string;
  readonly generate: Generate;
  /** Its signal aborts when nobody waits any more. */
  readonly work: { readonly signal: AbortSignal };
  /** Whether whoever gave `generate` has left, so that its failure is nobody's. */
  readonly left: () => boolean;
  readonly renews: boolean;
  /** What `generate` made, until it is stored. */
  made?: LeafMaterial;
}

interface Outcome {
  readonly material: LeafMaterial;
  readonly from: 'entry' | 'here' | 'elsewhere';
}

type Found =
  | { readonly kind: 'usable'; readonly material: LeafMaterial; readonly due: boolean }
  | { readonly kind: 'none' | 'expired' }
  | { readonly kind: 'broken'; readonly problem: string };

export class SharedStore implements InspectableStore {
  readonly #backend: StoreBackend;
  readonly #sealer: Sealer;
  readonly #report: (report: StoreReport) => void;
  readonly #now: () => number;
  readonly #lease: Milliseconds;
  readonly #parent: Context;
  /** Closes with the store. */
  readonly #context: Context;
  readonly #outage: Outage;
  readonly #fallback: MemoryStore;
  readonly #flights = new SingleFlight<Outcome>();
  /** Keys that are renewed in the background. */
  readonly #renewing = new Set<string>();
  /** What this process saw fail: the errors themselves, and all there is to go by during an outage. */
  readonly #failures: Failures;
  readonly #returns: LeaseReturns;
  /** What is under way. */
  readonly #tasks = new Set<Promise<unknown>>();
  readonly #counters = { hits: 0, generated: 0, failed: 0, waited: 0, renewed: 0, broken: 0 };
  /** What is asked for to see whether the place is there again. */
  #lastKey: CertificateKey | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: SharedStoreOptions) {
    const { backend, sealer, report, now = Date.now, lease = 5000 } = options;
    const { fallbackCapacity = 4 * 1024 * 1024, context = Context.background } = options;
    this.#backend = backend;
    this.#sealer = sealer;
    this.#report = report;
    this.#now = now;
    this.#lease = lease;
    this.#parent = context;
    this.#context = context.withCancel();
    this.#fallback = new MemoryStore({ capacity: fallbackCapacity, now });
    this.#failures = new Failures(now);
    this.#outage = new Outage({
      context: this.#context,
      probe: async () => (this.#lastKey ? await backend.read(this.#lastKey) : undefined),
      began: (error) => {
        report({ kind: 'degraded', store: backend.name, error });
      },
      ended: () => {
        report({ kind: 'restored', store: backend.name });
        void this.#track(this.#returns.releasePending());
      },
    });
    this.#returns = new LeaseReturns(this.#outage);
  }

  get counters(): StoreCounters {
    return { ...this.#counters, evicted: this.#backend.evicted };
  }

  async fetch(key: CertificateKey, generate: Generate, options?: FetchOptions): Promise<LeafMaterial> {
    const id = identify(key);
    let leads = false;
    const outcome = await this.#flights.run(
      id,
      (work) => {
        leads = true;
        const left = (): boolean => work.signal.aborted || options?.signal?.aborted === true;
        return this.#track(this.#obtain({ key, id, generate, work, left, renews: false }));
      },
      options,
    );
    if (outcome.from === 'entry') this.#counters.hits += 1;
    else if (!leads || outcome.from === 'elsewhere') this.#counters.waited += 1;
    return outcome.material;
  }

  /** Rejects with `ERR_STORE_UNAVAILABLE`. */
  entries(): AsyncIterable<StoreEntry> {
    return listEntries(this.#backend, this.#now);
  }

  /** Rejects with `ERR_STORE_UNAVAILABLE`. */
  async delete(key: CertificateKey): Promise<boolean> {
    this.#failures.forget(identify(key));
    const here = await this.#fallback.delete(key);
    return (await deleteEntry(this.#backend, key)) || here;
  }

  async close(): Promise<void> {
    await (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#context.close(new SallyportError('ERR_CANCELLED', 'the certificate store was closed'));
    this.#flights.close();
    using patience = this.#parent.withTimeout(grace);
    await Promise.race([Promise.allSettled(this.#tasks), patience.done()]);
    this.#fallback.close();
    await this.#backend.close();
  }

  async #track<T>(task: Promise<T>): Promise<T> {
    this.#tasks.add(task);
    try {
      return await task;
    } finally {
      this.#tasks.delete(task);
    }
  }

  async #obtain(task: Task): Promise<Outcome> {
    this.#lastKey = task.key;
    try {
      if (!this.#outage.lasts) return await this.#share(task);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
    }
    return await this.#makeHere(task);
  }

  /** The entry that is there, or the one that whoever gets the lease makes. */
  async #share(task: Task): Promise<Outcome> {
    const { key, work } = task;
    let before: StoredFailure | undefined;
    for (let attempt = 0, waited = false; ; attempt += 1, waited = true) {
      const state = await this.#outage.ask(() => this.#backend.read(key));
      const found = this.#examine(key, state);
      if (found.kind === 'usable') {
        if (found.due && !this.#pauses(state)) this.#renewLater(task);
        return { material: found.material, from: waited ? 'elsewhere' : 'entry' };
      }
      // What failed while we waited is our failure too, even if its pause is over before we hear of it.
      if (state.failure && waited && !sameFailure(state.failure, before))
        throw this.#failureOf(task, state.failure);
      before = state.failure;
      this.#heedFailure(task, state);
      throwIfAborted(work.signal);
      const lease = await this.#outage.ask(() => this.#backend.acquire(key, this.#lease));
      if (lease) {
        const outcome = await this.#lead(task, lease);
        if (outcome) return outcome;
        attempt = -1;
      } else {
        const wait = { signal: work.signal, attempt };
        await this.#outage.ask(() => this.#backend.changed(key, wait));
      }
    }
  }

  /**
   * Makes and stores the entry, unless somebody has meanwhile. Gives the lease back; `undefined` when it was lost
   * before the entry was stored.
   */
  async #lead(task: Task, lease: Lease): Promise<Outcome | undefined> {
    const { key } = task;
    let state: StoredState;
    let found: Found;
    try {
      state = await this.#outage.ask(() => this.#backend.read(key));
      found = this.#examine(key, state);
      if (found.kind === 'usable' && !(task.renews && found.due)) {
        await this.#returns.release(lease);
        return { material: found.material, from: 'elsewhere' };
      }
      this.#heedFailure(task, state);
      throwIfAborted(task.work.signal);
    } catch (error) {
      await this.#returns.release(lease);
      throw error;
    }
    if (found.kind === 'broken') this.#reportBroken(key, found.problem);
    let entry: Buffer;
    try {
      task.made ??= this.#leftOver(task) ?? (await this.#generate(task, lease));
      entry = encodeEntry(key, task.made, this.#sealer, this.#now());
    } catch (error) {
      await this.#fail(task, lease, error, state.failure);
      throw error;
    }
    const { notAfter } = task.made;
    const expiry = { notAfter, replaced: state.entry };
    if (!(await this.#returns.settle(lease, () => lease.commit(entry, expiry)))) return undefined;
    if (found.kind === 'usable') this.#counters.renewed += 1;
    this.#failures.forget(task.id);
    await this.#fallback.delete(key);
    return { material: task.made, from: 'here' };
  }

  #examine(key: CertificateKey, { entry }: StoredState): Found {
    if (!entry) return { kind: 'none' };
    const decoded = decodeEntry(key, entry, this.#sealer);
    if (!decoded.ok) return { kind: 'broken', problem: decoded.problem };
    const { material, obtained } = decoded;
    const now = this.#now();
    if (now >= material.notAfter) return { kind: 'expired' };
    return { kind: 'usable', material, due: now >= renewalTime(material.notAfter, obtained) };
  }

  /** Reported by whoever is about to replace it, and so once. */
  #reportBroken(key: CertificateKey, problem: string): void {
    this.#counters.broken += 1;
    const { name } = this.#backend;
    const error = new SallyportError('ERR_STORE_ENTRY', `the entry for ${key.host} in ${name}: ${problem}`);
    this.#report({ kind: 'broken', store: name, key, error });
  }

  async #generate(task: Task, lease: Lease): Promise<LeafMaterial> {
    const renew = async (): Promise<boolean> => {
      try {
        return await this.#outage.ask(() => lease.renew());
      } catch {
        // It may last until the place is there again.
        return !this.#context.closed;
      }
    };
    return await keepLease(this.#parent, this.#lease, renew, () => this.#make(task));
  }

  async #make({ generate, work }: Task): Promise<LeafMaterial> {
    const material = await generate(work);
    if (material.notAfter <= this.#now()) {
      throw new SallyportError('ERR_LEAF_CERTIFICATE', 'the certificate that was made had already ended');
    }
    this.#counters.generated += 1;
    return material;
  }

  /** What was made while the place could not be reached, if it is worth storing. */
  #leftOver({ key, renews }: Task): LeafMaterial | undefined {
    return renews ? undefined : this.#fallback.peek(key);
  }

  async #fail(task: Task, lease: Lease, error: unknown, before: StoredFailure | undefined): Promise<void> {
    if (task.left()) {
      await this.#returns.release(lease);
      return;
    }
    this.#counters.failed += 1;
    this.#failures.remember(task.id, error);
    const { code, detail } = toSallyportError(error);
    try {
      const failure = { code, detail, ...nextFailure(before, this.#now()) };
      await this.#returns.settle(lease, () => lease.fail(failure));
    } catch (unreachable) {
      if (!(unreachable instanceof Unreachable)) throw unreachable;
    }
  }

  #pauses({ failure }: StoredState): boolean {
    return failure !== undefined && isPausing(failure, this.#now());
  }

  #heedFailure(task: Task, state: StoredState): void {
    if (state.failure && this.#pauses(state)) throw this.#failureOf(task, state.failure);
  }

  /** The error itself, if it was seen here. */
  #failureOf({ id }: Task, { code, detail }: StoredFailure): unknown {
    const own = this.#failures.find(id);
    if (own !== undefined) {
      const known = toSallyportError(own);
      if (known.code === code && known.detail === detail) return own;
    }
    return new SallyportError(Object.hasOwn(errorTable, code) ? (code as ErrorCode) : 'ERR_INTERNAL', detail);
  }

  /** Serves nobody: who fetches meanwhile gets what is there. */
  #renewLater({ key, id, generate }: Task): void {
    if (this.#renewing.has(id) || this.#context.closed) return;
    this.#renewing.add(id);
    const work = this.#context;
    const task: Task = { key, id, generate, work, left: () => work.closed, renews: true };
    void this.#track(this.#renew(task));
  }

  async #renew(task: Task): Promise<void> {
    const { key, id } = task;
    try {
      const lease = await this.#outage.ask(() => this.#backend.acquire(key, this.#lease));
      if (lease) await this.#lead(task, lease);
    } catch (error) {
      if (error instanceof Unreachable || this.#context.closed) return;
      this.#report({
        kind: 'renewal-failed',
        store: this.#backend.name,
        key,
        error: toSallyportError(error),
      });
    } finally {
      this.#renewing.delete(id);
    }
  }

  /** What this process makes for itself while the place cannot be reached. */
  async #makeHere(task: Task): Promise<Outcome> {
    const { key, id, generate, work } = task;
    if (this.#fallback.peek(key)) {
      return { material: await this.#fallback.fetch(key, generate, work), from: 'entry' };
    }
    let { made } = task;
    if (!made) {
      const failure = this.#failures.find(id);
      if (failure !== undefined) throw failure as Error;
      throwIfAborted(work.signal);
      try {
        made = await this.#make(task);
      } catch (error) {
        if (!task.left()) {
          this.#counters.failed += 1;
          this.#failures.remember(id, error);
        }
        throw error;
      }
    }
    this.#failures.forget(id);
    const material = made;
    return { material: await this.#fallback.fetch(key, () => material), from: 'here' };
  }
}

function sameFailure(one: StoredFailure, other: StoredFailure | undefined): boolean {
  return other !== undefined && one.count === other.count && one.until === other.until;
}

function throwIfAborted(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new SallyportError('ERR_CANCELLED', 'nobody waits for the certificate any more', {
    cause: signal.reason,
  });
}
