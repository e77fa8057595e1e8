/** A place in memory that several `SharedStore`s share, and in which everything can go wrong. */
import { SallyportError } from '../../src/base/errors.js';
import { type CertificateKey, identify } from '../../src/certs/store.js';
import type {
  Lease,
  ListedEntry,
  StoreBackend,
  StoredFailure,
  StoredState,
} from '../../src/certs/store-backend.js';

export type Operation =
  'read' | 'acquire' | 'renew' | 'commit' | 'fail' | 'release' | 'changed' | 'list' | 'delete';

interface Slot {
  key: CertificateKey;
  entry: Buffer | undefined;
  failure: StoredFailure | undefined;
  holder: { until: number } | undefined;
}

/** What the stores share. Time comes from the test. */
export class FakePlace {
  readonly slots = new Map<string, Slot>();
  readonly waiters = new Map<string, Set<() => void>>();
  readonly now: () => number;
  /** Whether an operation fails, now. */
  unavailable: (operation: Operation) => boolean = () => false;
  /** Waited for before an operation does anything. */
  delay: (operation: Operation) => Promise<void> = () => Promise.resolve();
  readonly log: Operation[] = [];

  constructor(now: () => number) {
    this.now = now;
  }

  slot(key: CertificateKey): Slot {
    const id = identify(key);
    let slot = this.slots.get(id);
    if (!slot) {
      slot = { key, entry: undefined, failure: undefined, holder: undefined };
      this.slots.set(id, slot);
    }
    return slot;
  }

  /** Wakes all who wait for `key`, or for any. */
  tell(key?: CertificateKey): void {
    for (const [id, waiters] of this.waiters) {
      if (key && id !== identify(key)) continue;
      for (const wake of [...waiters]) wake();
    }
  }

  /** The lease of a process that died: it runs out by itself. */
  takeForDead(key: CertificateKey, lease: number): void {
    this.slot(key).holder = { until: this.now() + lease };
  }

  async enter(operation: Operation): Promise<void> {
    this.log.push(operation);
    await this.delay(operation);
    if (this.unavailable(operation)) throw new SallyportError('ERR_STORE_UNAVAILABLE', `no ${operation}`);
  }
}

export class FakeBackend implements StoreBackend {
  readonly name = 'fake:';
  readonly evicted = 0;
  closed = false;
  readonly #place: FakePlace;

  constructor(place: FakePlace) {
    this.#place = place;
  }

  async read(key: CertificateKey): Promise<StoredState> {
    await this.#place.enter('read');
    const { entry, failure } = this.#place.slot(key);
    return { entry, failure };
  }

  async acquire(key: CertificateKey, lease: number): Promise<Lease | undefined> {
    await this.#place.enter('acquire');
    const place = this.#place;
    const slot = place.slot(key);
    if (slot.holder && place.now() < slot.holder.until) return undefined;
    const own = { until: place.now() + lease };
    slot.holder = own;
    const held = (): boolean => slot.holder === own && place.now() < own.until;
    const giveBack = (): void => {
      slot.holder = undefined;
      place.tell(key);
    };
    return {
      async renew() {
        await place.enter('renew');
        if (held()) own.until = place.now() + lease;
        return held();
      },
      async commit(entry) {
        await place.enter('commit');
        if (!held()) return false;
        slot.entry = entry;
        slot.failure = undefined;
        giveBack();
        return true;
      },
      async fail(failure) {
        await place.enter('fail');
        if (!held()) return;
        slot.failure = failure;
        giveBack();
      },
      async release() {
        await place.enter('release');
        if (held()) giveBack();
      },
    };
  }

  async changed(
    key: CertificateKey,
    { signal }: { readonly signal: AbortSignal; readonly attempt: number },
  ): Promise<void> {
    await this.#place.enter('changed');
    // A change just before the call is not missed here: the lease is free by now.
    const { holder } = this.#place.slot(key);
    if (!holder || this.#place.now() >= holder.until) return;
    const id = identify(key);
    const waiters = this.#place.waiters.get(id) ?? new Set();
    this.#place.waiters.set(id, waiters);
    await new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        waiters.delete(wake);
        signal.removeEventListener('abort', abort);
      };
      const wake = (): void => {
        settle();
        resolve();
      };
      const abort = (): void => {
        settle();
        reject(new SallyportError('ERR_CANCELLED', 'the wait was given up'));
      };
      waiters.add(wake);
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort);
    });
  }

  async *list(): AsyncIterable<ListedEntry> {
    await this.#place.enter('list');
    for (const [id, { key, entry }] of [...this.#place.slots]) {
      if (!entry) continue;
      const remove = (): Promise<boolean> => Promise.resolve(this.#place.slots.delete(id));
      yield { key: key.host === 'nameless' ? undefined : key, entry, bytes: entry.length, remove };
    }
  }

  async delete(key: CertificateKey): Promise<boolean> {
    await this.#place.enter('delete');
    const slot = this.#place.slot(key);
    const had = slot.entry !== undefined;
    slot.entry = undefined;
    return had;
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}
