/** What the cases of the store conformance suite play on: leaves, a clock, counted generations, waiting. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { type Authority, openAuthority } from '../certs/authority.js';
import { Minter } from '../certs/mint.js';
import { type CertificateName, certificateName } from '../certs/names.js';
import { makeSealer } from '../certs/sealing.js';
import type {
  CertificateKey,
  CertificateStore,
  FetchOptions,
  LeafMaterial,
  Sealer,
  StoreContext,
} from '../certs/store.js';
import { failureDetail, makeRecipe, type Recipe, type RecipeOptions } from './store-recipe.js';

/** What a store is opened for. */
export interface StoreWorld extends StoreContext {
  /** Letters, digits and hyphens. Stores opened with the same are to share their entries, others are not. */
  readonly id: string;
  /** The time in epoch milliseconds; it is moved by the suite where `clock` is set, in one case also back. */
  readonly now: () => number;
  /** What the store's entries may take, in the case that is about it. */
  readonly capacity: Bytes | undefined;
}

export interface StoreConformanceOptions {
  /** A store for `world`, closed by the suite. */
  open(world: StoreWorld): CertificateStore | Promise<CertificateStore>;
  /** Whether stores opened with the same `id` share their entries and generate once among them. */
  readonly shared?: boolean;
  /** Whether stores take the time from `world.now`. Otherwise some cases take seconds. */
  readonly clock?: boolean;
  /** Whether stores heed `world.capacity`. */
  readonly bounded?: boolean;
  /** Called when all stores of `id` are closed: to remove what they left. */
  cleanUp?(id: string): void | Promise<void>;
  /** After which time what does not happen is taken not to happen; default 20 seconds. */
  readonly patience?: Milliseconds;
}

const day: Milliseconds = 24 * 60 * 60 * 1000;

/** Throws with the promise that was broken, in words. */
export function check(holds: boolean, broken: string): asserts holds {
  if (!holds) throw new Error(`the store breaks its contract: ${broken}`);
}

/** The two authorities whose leaves the suite uses; made once for all its cases. */
export async function makeAuthorities(): Promise<readonly [Authority, Authority]> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-conformance-'));
  try {
    const open = (name: string): Promise<Authority> => openAuthority({ dir: join(directory, name), name });
    return [await open('first'), await open('second')];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** One case's stores, clock and leaves. */
export class Stage {
  readonly #options: StoreConformanceOptions;
  readonly #authorities: readonly [Authority, Authority];
  readonly #sealers: readonly [Sealer, Sealer];
  readonly #ids = new Set<string>();
  readonly #stores: CertificateStore[] = [];
  #time: number | undefined;
  readonly patience: Milliseconds;

  constructor(options: StoreConformanceOptions, authorities: readonly [Authority, Authority]) {
    this.#options = options;
    this.#authorities = authorities;
    const [first, second] = authorities;
    this.#sealers = [sealerOf(first), sealerOf(second)];
    this.patience = options.patience ?? 20_000;
    if (options.clock) this.#time = Date.now();
  }

  /** Whether the time stands still unless it is moved. */
  get still(): boolean {
    return this.#time !== undefined;
  }

  readonly now = (): number => this.#time ?? Date.now();

  async open(
    options: { readonly id?: string; readonly second?: boolean; readonly capacity?: Bytes } = {},
  ): Promise<CertificateStore> {
    const { id = [...this.#ids][0] ?? `c-${randomBytes(6).toString('hex')}`, second = false } = options;
    this.#ids.add(id);
    const which = second ? 1 : 0;
    const store = await this.#options.open({
      id,
      now: this.now,
      capacity: options.capacity,
      authority: this.#authorities[which].fingerprint256,
      sealer: this.#sealers[which],
      report: () => undefined,
    });
    this.#stores.push(store);
    return store;
  }

  /** Closes what was opened. */
  async close(): Promise<void> {
    for (const store of this.#stores) await store.close();
    for (const id of this.#ids) await this.#options.cleanUp?.(id);
  }

  key(host: string, more: { readonly second?: boolean; readonly rsa?: boolean } = {}): CertificateKey {
    return {
      host,
      authority: this.#authorities[more.second ? 1 : 0].fingerprint256,
      profile: more.rsa ? 'rsa-2048' : 'p256',
    };
  }

  recipe(key: CertificateKey, options: RecipeOptions = {}): Recipe {
    return makeRecipe(options, () => {
      const { notBefore, notAfter = this.inFuture(100 * day) } = options;
      return this.#mint(key, notAfter, notBefore);
    });
  }

  /** A time that far from now, in whole seconds, as certificates have it. */
  inFuture(life: Milliseconds): number {
    return Math.ceil((this.now() + life) / 1000) * 1000;
  }

  /** Makes it `time`, or waits until it is. */
  async until(time: number): Promise<void> {
    if (this.#time !== undefined) this.#time = Math.max(this.#time, time);
    else if (time > Date.now()) await sleep(time - Date.now() + 1);
  }

  /** Only where it stands still. */
  setBack(ms: Milliseconds): void {
    if (this.#time !== undefined) this.#time -= ms;
  }

  /** Asks `probe` again and again until it holds; a clock of the suite moves by ten seconds each time. */
  async eventually(probe: () => boolean | Promise<boolean>, broken: string): Promise<void> {
    const end = performance.now() + this.patience;
    while (!(await probe())) {
      check(performance.now() < end, broken);
      await sleep(5);
      if (this.#time !== undefined) this.#time += 10_000;
    }
  }

  /** What `promise` gives, if it does so in time. */
  async within<T>(promise: Promise<T>, broken: string): Promise<T> {
    using limit = Context.background.withTimeout(this.patience);
    return await Promise.race([
      promise,
      limit.done().then(() => {
        throw new Error(`the store breaks its contract: ${broken}`);
      }),
    ]);
  }

  /** `fetch`, whichever way the store answers; it must do so in time. */
  async ask(
    store: CertificateStore,
    key: CertificateKey,
    { generate }: Recipe,
    options?: FetchOptions,
  ): Promise<LeafMaterial> {
    const answer = (async () => await store.fetch(key, generate, options))();
    return await this.within(answer, 'a fetch is never answered');
  }

  #mint(
    key: CertificateKey,
    notAfter: number,
    notBefore: number | undefined,
  ): LeafMaterial | Promise<LeafMaterial> {
    const authority = this.#authorities.find(({ fingerprint256 }) => fingerprint256 === key.authority);
    if (!authority) throw new Error('a key of no authority of the suite');
    const issuer = {
      subject: authority.subject,
      subjectKeyIdentifier: authority.subjectKeyIdentifier,
      // The authority began a day ago; what is set back is further.
      notBefore: notBefore ?? Math.min(authority.notBefore, this.now() - day),
      notAfter,
      signer: authority.signer,
    };
    // A wildcard is no host name, but a name in a certificate; what comes after a slash is in none.
    const host = key.host.replace(/\/.*/s, '');
    const name: CertificateName = host.startsWith('*.') ? { kind: 'dns', host } : certificateName(host);
    const minter = new Minter({ issuer, profile: key.profile, now: this.now });
    const close = (): void => {
      minter.close();
    };
    let material: LeafMaterial | Promise<LeafMaterial>;
    try {
      material = minter.mint(name);
    } catch (error) {
      close();
      throw error;
    }
    if (material instanceof Promise) return material.finally(close);
    close();
    return material;
  }
}

/** Whether `outcome` is a rejection with `ERR_CANCELLED`. */
export function isCancelled(outcome: PromiseSettledResult<unknown>): boolean {
  return outcome.status === 'rejected' && codeOf(outcome.reason) === 'ERR_CANCELLED';
}

/** Whether `outcome` is the failure of a recipe that fails. */
export function isFailure(outcome: PromiseSettledResult<unknown>): boolean {
  return outcome.status === 'rejected' && String(outcome.reason).includes(failureDetail);
}

export async function outcome<T>(promise: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [settled] = await Promise.allSettled([promise]);
  return settled;
}

export function sleep(ms: Milliseconds): Promise<void> {
  return Context.background.sleep(ms);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** With a key that nobody else has. */
function sealerOf({ fingerprint256 }: Authority): Sealer {
  return makeSealer({ privateKey: randomBytes(32), authority: fingerprint256 });
}
