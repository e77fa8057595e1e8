/** A store as a user could write it, and the same with one fault at a time. */
import { setImmediate } from 'node:timers/promises';
import { SallyportError } from '../../src/base/errors.js';
import type {
  CertificateKey,
  CertificateStore,
  FetchOptions,
  Generate,
  LeafMaterial,
} from '../../src/certs/store.js';

/** Each fault with a word of the case that must catch it. */
export const faults = {
  stampedes: 'a thousand who ask at once',
  'forgets entries': 'what is handed out is what was generated',
  'changes the serial': 'what is handed out is what was generated',
  'ignores the host': 'hosts, authorities and profiles',
  'ignores the authority': 'hosts, authorities and profiles',
  'ignores the profile': 'hosts, authorities and profiles',
  'never evicts': 'bounded in bytes',
  'swallows the error': 'fails all who wait for it',
  'forgets failures': 'is remembered for a while',
  'remembers failures for ever': 'not remembered for ever',
  'remembers cancellations': 'when all have left',
  'never tells that all have left': 'when all have left',
  'leader takes all along': 'it goes on for the others',
  'leader has no successor': 'replaced by that of one who waits',
  'leaves its listeners': "left on a caller's signal",
  'does not let go': 'one who waits and leaves',
  'does not look at aborted signals': 'a signal that has aborted',
  'leaves waiters hanging': 'closing rejects who waits',
  'serves after close': 'closing rejects who waits',
  'serves what has not begun': 'before its beginning',
  'keeps what has not begun': 'before its beginning',
  'never expires': 'at its end or after',
  'expires a moment late': 'at its end or after',
  'never renews': 'replaced in the background',
  'renews at the cost of a request': 'replaced in the background',
  'renews at once': 'replaced in the background',
  'renews at every fetch': 'is not tried at every fetch',
  'loses the entry when a renewal fails': 'keeps what is there',
} as const;

export type Fault = keyof typeof faults;

interface Waiter {
  readonly generate: Generate;
  readonly resolve: (material: LeafMaterial) => void;
  readonly reject: (error: unknown) => void;
}

interface Run {
  readonly controller: AbortController;
  readonly waiters: Set<Waiter>;
  leader: Waiter | undefined;
}

export class NaiveStore implements CertificateStore {
  readonly #entries = new Map<string, { readonly material: LeafMaterial; renewAt: number }>();
  readonly #failures = new Map<string, { readonly error: unknown; readonly until: number }>();
  readonly #runs = new Map<string, Run>();
  readonly #now: () => number;
  readonly #mostEntries: number;
  readonly #fault: Fault | undefined;
  #closed = false;

  constructor(now: () => number, capacity = Number.POSITIVE_INFINITY, fault?: Fault) {
    this.#now = now;
    this.#mostEntries = Math.floor(capacity / 3000);
    this.#fault = fault;
  }

  fetch(
    { host, authority, profile }: CertificateKey,
    generate: Generate,
    options?: FetchOptions,
  ): LeafMaterial | Promise<LeafMaterial> {
    if (this.#closed && !this.#has('serves after close')) throw new SallyportError('ERR_CANCELLED', 'closed');
    const parts = [
      this.#has('ignores the host') || host,
      this.#has('ignores the authority') || authority,
      this.#has('ignores the profile') || profile,
    ];
    const id = parts.join(' ');
    const entry = this.#entries.get(id);
    const now = this.#now();
    const late = this.#has('never expires') ? Number.POSITIVE_INFINITY : 0;
    const end = (entry?.material.notAfter ?? 0) + (this.#has('expires a moment late') ? 1 : late);
    const begun = this.#has('keeps what has not begun') || (entry?.material.notBefore ?? 0) <= now;
    if (entry && now < end && begun) {
      if (now < entry.renewAt || this.#has('never renews')) return entry.material;
      if (this.#has('renews at the cost of a request')) return this.#join(id, generate, undefined);
      entry.renewAt = this.#has('renews at every fetch') ? 0 : now + 60_000;
      void this.#renew(id, generate);
      return entry.material;
    }
    const failure = this.#failures.get(id);
    if (failure && now < failure.until) throw failure.error;
    return this.#join(id, generate, options?.signal);
  }

  close(): void {
    this.#closed = true;
    if (this.#has('leaves waiters hanging')) return;
    for (const { waiters } of this.#runs.values()) {
      for (const { reject } of waiters) reject(new SallyportError('ERR_CANCELLED', 'closed'));
    }
  }

  #has(fault: Fault): boolean {
    return this.#fault === fault;
  }

  async #renew(id: string, generate: Generate): Promise<void> {
    if (!this.#has('renews at once')) await setImmediate();
    try {
      this.#accept(id, await generate({}));
    } catch {
      // The test that made the failure knows of it.
      if (this.#has('loses the entry when a renewal fails')) this.#entries.delete(id);
    }
  }

  #join(id: string, generate: Generate, signal: AbortSignal | undefined): Promise<LeafMaterial> {
    return new Promise((resolve, reject) => {
      const release = (): void => {
        if (!this.#has('leaves its listeners')) signal?.removeEventListener('abort', leave);
      };
      const waiter = {
        generate,
        resolve: (material: LeafMaterial) => {
          release();
          resolve(material);
        },
        reject: (error: unknown) => {
          release();
          reject(error);
        },
      };
      const running = this.#has('stampedes') ? undefined : this.#runs.get(id);
      const run = running ?? { controller: new AbortController(), waiters: new Set(), leader: waiter };
      run.waiters.add(waiter);
      const leave = (): void => {
        if (this.#has('does not let go')) return;
        run.waiters.delete(waiter);
        waiter.reject(new SallyportError('ERR_CANCELLED', 'left', { cause: signal?.reason }));
        if (run.leader === waiter) {
          if (!this.#has('leader has no successor')) run.leader = undefined;
          if (this.#has('leader takes all along')) run.controller.abort();
        }
        if (run.waiters.size === 0 && !this.#has('never tells that all have left')) run.controller.abort();
      };
      signal?.addEventListener('abort', leave, { once: true });
      if (signal?.aborted && !this.#has('does not look at aborted signals')) leave();
      if (running) return;
      this.#runs.set(id, run);
      void this.#work(id, run, generate);
    });
  }

  async #work(id: string, run: Run, generate: Generate): Promise<void> {
    try {
      const material = this.#accept(id, await generate(run.controller));
      this.#runs.delete(id);
      for (const { resolve } of run.waiters) resolve(material);
    } catch (error) {
      const [next] = run.waiters;
      if (next && !run.leader && !this.#has('leader takes all along')) {
        const successor = { ...run, controller: new AbortController(), leader: next };
        this.#runs.set(id, successor);
        return await this.#work(id, successor, next.generate);
      }
      this.#runs.delete(id);
      if (run.waiters.size > 0 || this.#has('remembers cancellations')) this.#remember(id, error);
      const told = this.#has('swallows the error') ? new Error('something failed') : error;
      for (const { reject } of run.waiters) reject(told);
    }
  }

  #remember(id: string, error: unknown): void {
    if (this.#has('forgets failures')) return;
    const pause = this.#has('remembers failures for ever') ? Number.POSITIVE_INFINITY : 100;
    this.#failures.set(id, { error, until: this.#now() + pause });
  }

  #accept(id: string, made: LeafMaterial): LeafMaterial {
    const material = this.#has('changes the serial') ? { ...made, serial: `0${made.serial}` } : made;
    if (material.notBefore > this.#now() && !this.#has('serves what has not begun')) {
      throw new SallyportError('ERR_LEAF_CERTIFICATE', 'not yet');
    }
    const left = material.notAfter - this.#now();
    if (this.#has('forgets entries')) return material;
    this.#entries.set(id, { material, renewAt: material.notAfter - Math.min(86_400_000, left / 10) });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#mostEntries || this.#has('never evicts')) break;
      this.#entries.delete(oldest);
    }
    return material;
  }
}
