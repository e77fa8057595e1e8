/** How an entry of a place that processes share is read, waited for, made and stored: by one at a time. */
import type { Milliseconds } from '../base/bytes.js';
import type { Context } from '../base/context.js';
import { SallyportError, errorTable, toSallyportError, type ErrorCode } from '../base/errors.js';
import { isPausing, nextFailure } from './failures.js';
import { keepLease, type LeaseReturns } from './lease-keeping.js';
import type { LocalMaking, SharedCounts } from './local-making.js';
import { type Outage, Unreachable } from './outage.js';
import {
  type CertificateKey,
  type LeafMaterial,
  renewalTime,
  type Sealer,
  type StoreReport,
} from './store.js';
import type { Lease, StoreBackend, StoredFailure, StoredState } from './store-backend.js';
import { type Outcome, type Task, throwIfAborted } from './store-task.js';
import { decodeEntry, encodeEntry } from './stored-entry.js';
import { isCurrent } from './validity.js';

export interface SharingOptions {
  readonly backend: StoreBackend;
  readonly sealer: Sealer;
  readonly report: (report: StoreReport) => void;
  readonly now: () => number;
  readonly lease: Milliseconds;
  /** Whose clock leases go by. */
  readonly clock: Context;
  /** Closes with the store. */
  readonly context: Context;
  readonly outage: Outage;
  readonly returns: LeaseReturns;
  readonly local: LocalMaking;
  readonly counts: SharedCounts;
  /** Has an entry that is to be replaced soon made anew in the background. */
  readonly renewLater: (task: Task) => void;
}

type Found =
  | { readonly kind: 'usable'; readonly material: LeafMaterial; readonly due: boolean }
  | { readonly kind: 'none' }
  | { readonly kind: 'broken'; readonly problem: string };

/** All that is asked of the backend goes through the outage: `Unreachable` comes out of every method. */
export class Sharing {
  readonly #options: SharingOptions;

  constructor(options: SharingOptions) {
    this.#options = options;
  }

  /** The entry that is there, or the one that whoever gets the lease makes. */
  async share(task: Task): Promise<Outcome> {
    const { backend, outage, local, lease: lifetime, renewLater } = this.#options;
    const { key, work } = task;
    let before: StoredFailure | undefined;
    for (let attempt = 0, waited = false; ; attempt += 1, waited = true) {
      const state = await this.#read(task);
      const found = this.#examine(key, state);
      if (found.kind === 'usable') {
        local.superseded(key);
        if (found.due && !this.#pauses(state)) renewLater(task);
        return { material: found.material, from: waited ? 'elsewhere' : 'entry' };
      }
      // What failed while we waited is our failure too, even if its pause is over before we hear of it.
      if (state.failure && waited && !sameFailure(state.failure, before))
        throw this.#failureOf(task, state.failure);
      before = state.failure;
      this.#heedFailure(task, state);
      throwIfAborted(work.signal);
      const lease = await outage.ask(() => backend.acquire(key, lifetime));
      if (lease) {
        const outcome = await this.lead(task, lease);
        if (outcome) return outcome;
        attempt = -1;
      } else {
        const wait = { signal: work.signal, attempt };
        await outage.ask(() => backend.changed(key, wait));
      }
    }
  }

  /**
   * Makes and stores the entry, unless somebody has meanwhile. Gives the lease back; `undefined` when it was
   * lost before the entry was stored.
   */
  async lead(task: Task, lease: Lease): Promise<Outcome | undefined> {
    const { backend, outage, returns, local, counts, sealer, now } = this.#options;
    const { key } = task;
    let asOf: number;
    let state: StoredState;
    let found: Found;
    try {
      state = await this.#read(task);
      found = this.#examine(key, state);
      if (found.kind === 'usable' && !(task.renews && found.due)) {
        await returns.release(lease);
        local.superseded(key);
        return { material: found.material, from: 'elsewhere' };
      }
      this.#heedFailure(task, state);
      throwIfAborted(task.work.signal);
    } catch (error) {
      await returns.release(lease);
      throw error;
    }
    if (found.kind === 'broken') this.#reportBroken(key, found.problem);
    let made: LeafMaterial;
    let entry: Buffer;
    try {
      do {
        asOf = task.forgotten;
        made = task.made ?? local.leftOver(task) ?? (await this.#generate(task, lease));
      } while (asOf !== task.forgotten);
      task.made = made;
      entry = encodeEntry(key, made, sealer, now());
    } catch (error) {
      await this.#fail(task, lease, error, state.failure);
      throw error;
    }
    const { notAfter } = made;
    const expiry = { notAfter, replaced: state.entry };
    if (!(await returns.settle(lease, () => lease.commit(entry, expiry)))) return undefined;
    outage.proven();
    if (asOf !== task.forgotten) {
      // It was removed before it was there.
      await outage.ask(() => backend.delete(key));
      return undefined;
    }
    if (found.kind === 'usable') counts.renewed += 1;
    await local.forget(key);
    return { material: made, from: 'here' };
  }

  /** What is there, read after the key was forgotten for the last time. */
  async #read(task: Task): Promise<StoredState> {
    const { backend, outage } = this.#options;
    for (;;) {
      const asOf = task.forgotten;
      const state = await outage.ask(() => backend.read(task.key));
      if (asOf === task.forgotten) return state;
    }
  }

  #examine(key: CertificateKey, { entry }: StoredState): Found {
    if (!entry) return { kind: 'none' };
    const decoded = decodeEntry(key, entry, this.#options.sealer);
    if (!decoded.ok) return { kind: 'broken', problem: decoded.problem };
    const { material, obtained } = decoded;
    const now = this.#options.now();
    // Made when a clock was ahead, here or where it was written: as good as none.
    if (!isCurrent(material, now)) return { kind: 'none' };
    return { kind: 'usable', material, due: now >= renewalTime(material.notAfter, obtained) };
  }

  /** Reported by whoever is about to replace it, and so once. */
  #reportBroken(key: CertificateKey, problem: string): void {
    const { backend, counts, report } = this.#options;
    counts.broken += 1;
    const { name } = backend;
    const error = new SallyportError('ERR_STORE_ENTRY', `the entry for ${key.host} in ${name}: ${problem}`);
    report({ kind: 'broken', store: name, key, error });
  }

  async #generate(task: Task, lease: Lease): Promise<LeafMaterial> {
    const { clock, context, lease: lifetime, local, outage } = this.#options;
    const renew = async (): Promise<boolean> => {
      try {
        return await outage.ask(() => lease.renew());
      } catch {
        // It may last until the place is there again.
        return !context.closed;
      }
    };
    return await keepLease(clock, lifetime, renew, () => local.make(task));
  }

  async #fail(task: Task, lease: Lease, error: unknown, before: StoredFailure | undefined): Promise<void> {
    const { local, now, returns } = this.#options;
    if (task.left()) {
      await returns.release(lease);
      return;
    }
    local.failed(task, error);
    const { code, detail } = toSallyportError(error);
    try {
      const failure = { code, detail, ...nextFailure(before, now()) };
      await returns.settle(lease, () => lease.fail(failure));
    } catch (unreachable) {
      if (!(unreachable instanceof Unreachable)) throw unreachable;
    }
  }

  #pauses({ failure }: StoredState): boolean {
    return failure !== undefined && isPausing(failure, this.#options.now());
  }

  #heedFailure(task: Task, state: StoredState): void {
    if (state.failure && this.#pauses(state)) throw this.#failureOf(task, state.failure);
  }

  /** The error itself, if it was seen here. */
  #failureOf(task: Task, failure: StoredFailure): unknown {
    const { code, detail } = failure;
    return (
      this.#options.local.seen(task, failure) ??
      new SallyportError(Object.hasOwn(errorTable, code) ? (code as ErrorCode) : 'ERR_INTERNAL', detail)
    );
  }
}

function sameFailure(one: StoredFailure, other: StoredFailure | undefined): boolean {
  return other !== undefined && one.count === other.count && one.until === other.until;
}
