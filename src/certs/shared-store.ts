/**
 * The store over a place that several processes share: one flight for each key in this process
 * (`single-flight`), then either what is shared (`sharing`) or, while that cannot be reached, what is made
 * here (`local-making`). What the place is, its backend knows.
 */
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError, toSallyportError } from '../base/errors.js';
import { deleteEntry, listEntries } from './entry-listing.js';
import { LeaseReturns } from './lease-keeping.js';
import { LocalMaking, type SharedCounts } from './local-making.js';
import { Outage, Unreachable } from './outage.js';
import { probeWriting } from './outage-probe.js';
import { Sharing } from './sharing.js';
import { SingleFlight } from './single-flight.js';
import {
  type CertificateKey,
  type FetchOptions,
  type Generate,
  identify,
  type InspectableStore,
  type LeafMaterial,
  type Sealer,
  type StoreCounters,
  type StoreEntry,
  type StoreReport,
} from './store.js';
import type { StoreBackend } from './store-backend.js';
import type { Outcome, Task } from './store-task.js';

export interface SharedStoreOptions {
  /** The store owns it, and closes it. */
  readonly backend: StoreBackend;
  /** Of the authority whose keys are fetched: `Authority.sealer`. */
  readonly sealer: Sealer;
  /** Must not throw. */
  readonly report: (report: StoreReport) => void;
  /**
   * The time in epoch milliseconds; default `Date.now`. It should agree with that of the others who share.
   */
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

export class SharedStore implements InspectableStore {
  readonly #backend: StoreBackend;
  readonly #report: (report: StoreReport) => void;
  readonly #now: () => number;
  readonly #lease: Milliseconds;
  readonly #parent: Context;
  /** Closes with the store. */
  readonly #context: Context;
  readonly #outage: Outage;
  readonly #local: LocalMaking;
  readonly #sharing: Sharing;
  readonly #flights = new SingleFlight<Outcome>();
  /** Fetches that lead their flights, and renewals. */
  readonly #underway = new Set<Task>();
  /** Keys that are renewed in the background. */
  readonly #renewing = new Set<string>();
  readonly #returns: LeaseReturns;
  /** What is under way. */
  readonly #tasks = new Set<Promise<unknown>>();
  readonly #counts: SharedCounts = { hits: 0, generated: 0, failed: 0, waited: 0, renewed: 0, broken: 0 };
  /** Whose like is written to see whether the place is there again. */
  #lastKey: CertificateKey | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: SharedStoreOptions) {
    const { backend, report, now = Date.now, lease = 5000 } = options;
    const { fallbackCapacity = 4 * 1024 * 1024, context = Context.background } = options;
    this.#backend = backend;
    this.#report = report;
    this.#now = now;
    this.#lease = lease;
    this.#parent = context;
    this.#context = context.withCancel();
    this.#local = new LocalMaking({ now, capacity: fallbackCapacity, counts: this.#counts });
    this.#outage = new Outage({
      context: this.#context,
      probe: async () => (this.#lastKey ? await probeWriting(backend, this.#lastKey) : undefined),
      began: (error) => {
        report({ kind: 'degraded', store: backend.name, error });
      },
      ended: () => {
        report({ kind: 'restored', store: backend.name });
        void this.#track(this.#returns.releasePending());
      },
    });
    this.#returns = new LeaseReturns(this.#outage);
    this.#sharing = new Sharing({
      backend,
      sealer: options.sealer,
      report,
      now,
      lease,
      clock: context,
      context: this.#context,
      outage: this.#outage,
      returns: this.#returns,
      local: this.#local,
      counts: this.#counts,
      renewLater: (task) => {
        this.#renewLater(task);
      },
    });
  }

  get counters(): StoreCounters {
    return { ...this.#counts, evicted: this.#backend.evicted };
  }

  async fetch(key: CertificateKey, generate: Generate, options?: FetchOptions): Promise<LeafMaterial> {
    const id = identify(key);
    let leads = false;
    const outcome = await this.#flights.run(
      id,
      (work) => {
        leads = true;
        const left = (): boolean => work.signal.aborted || options?.signal?.aborted === true;
        return this.#track(this.#obtain({ key, id, generate, work, left, renews: false, forgotten: 0 }));
      },
      options,
    );
    if (outcome.from === 'entry') this.#counts.hits += 1;
    else if (!leads || outcome.from === 'elsewhere') this.#counts.waited += 1;
    return outcome.material;
  }

  /** Rejects with `ERR_STORE_UNAVAILABLE`. */
  entries(): AsyncIterable<StoreEntry> {
    return listEntries(this.#backend, this.#now);
  }

  /** Rejects with `ERR_STORE_UNAVAILABLE`. */
  async delete(key: CertificateKey): Promise<boolean> {
    const here = await this.#local.forget(key);
    try {
      return (await deleteEntry(this.#backend, key)) || here;
    } finally {
      this.#startAnew((other) => identify(other) === identify(key));
    }
  }

  /**
   * Drops what was made here while the place could not be reached: see `CertificateStore.forget`. What was made before
   * and comes to be stored after is removed.
   */
  forget(isGone: (key: CertificateKey) => boolean): void {
    this.#local.forgetAll(isGone);
    this.#startAnew(isGone);
  }

  /** Has what is under way read, or made, again. */
  #startAnew(isGone: (key: CertificateKey) => boolean): void {
    for (const task of this.#underway) {
      if (!isGone(task.key)) continue;
      task.forgotten += 1;
      task.made = undefined;
    }
  }

  async close(): Promise<void> {
    await (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#context.close(new SallyportError('ERR_CANCELLED', 'the certificate store was closed'));
    this.#flights.close();
    using patience = this.#parent.withTimeout(grace);
    await Promise.race([Promise.allSettled(this.#tasks), patience.done()]);
    this.#local.close();
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
    this.#underway.add(task);
    try {
      return await this.#shareOrMake(task);
    } finally {
      this.#underway.delete(task);
    }
  }

  async #shareOrMake(task: Task): Promise<Outcome> {
    try {
      if (!this.#outage.lasts) return await this.#sharing.share(task);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
    }
    return await this.#local.makeHere(task);
  }

  /** Serves nobody: who fetches meanwhile gets what is there. */
  #renewLater({ key, id, generate }: Task): void {
    if (this.#renewing.has(id) || this.#context.closed) return;
    this.#renewing.add(id);
    const work = this.#context;
    const task: Task = { key, id, generate, work, left: () => work.closed, renews: true, forgotten: 0 };
    void this.#track(this.#renew(task));
  }

  async #renew(task: Task): Promise<void> {
    const { key, id } = task;
    this.#underway.add(task);
    try {
      const lease = await this.#outage.ask(() => this.#backend.acquire(key, this.#lease));
      if (lease) await this.#sharing.lead(task, lease);
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
      this.#underway.delete(task);
    }
  }
}
