/**
 * The memory store of `--workers`: it is in the primary, which makes nothing. Who is the first to ask for a
 * key is asked to generate, and the others wait. Private keys are sealed on the way and in the primary.
 */
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import {
  type CertificateKey,
  type CertificateStore,
  type FetchOptions,
  type Generate,
  identify,
  type InspectableStore,
  type LeafMaterial,
  type Sealer,
} from '../certs/store.js';
import {
  fromWire,
  type Outcome,
  type SealedMaterial,
  type ToPrimary,
  type ToWorker,
  toWire,
} from './workers-messages.js';

/** Seals the private key for `key`. */
function seal(sealer: Sealer, key: CertificateKey, material: LeafMaterial): SealedMaterial {
  const { privateKeyPem, ...rest } = material;
  const sealed = sealer.seal(Buffer.from(privateKeyPem), contextOf(key));
  return { ...rest, sealedKey: sealed.toString('base64') };
}

/** Throws `ERR_STORE_ENTRY` when it was sealed for another key, by another CA, or changed. */
function unseal(sealer: Sealer, key: CertificateKey, material: SealedMaterial): LeafMaterial {
  const { sealedKey, ...rest } = material;
  const opened = sealer.open(Buffer.from(sealedKey, 'base64'), contextOf(key));
  if (!opened) throw new SallyportError('ERR_STORE_ENTRY', `the key for ${key.host} cannot be opened`);
  return { ...rest, privateKeyPem: opened.toString() };
}

function contextOf(key: CertificateKey): string {
  return `worker ${identify(key)}`;
}

interface Asked {
  readonly key: CertificateKey;
  readonly generate: Generate;
  readonly settle: (outcome: Outcome<SealedMaterial>) => void;
  answered: boolean;
  /** Open while the generation runs here. */
  generating: Context | undefined;
}

/**
 * How many answered fetches may still be asked to generate: a renewal in the background comes after the
 * answer.
 */
const mostAnswered = 1024;

/** The worker's end. It has no memory of its own: put a `MemoryStore` in front of it. */
export class WorkerStore implements CertificateStore {
  readonly #sealer: Sealer;
  readonly #send: (message: ToPrimary) => void;
  /** By number, the oldest first. */
  readonly #asked = new Map<number, Asked>();
  readonly #answered: number[] = [];
  #numbers = 0;
  #closed = false;

  constructor(sealer: Sealer, send: (message: ToPrimary) => void) {
    this.#sealer = sealer;
    this.#send = send;
  }

  async fetch(key: CertificateKey, generate: Generate, options?: FetchOptions): Promise<LeafMaterial> {
    if (this.#closed) throw closedError();
    const signal = options?.signal;
    if (signal?.aborted) throw cancelled(signal);
    const id = (this.#numbers += 1);
    const cancel = (): void => {
      this.#send({ kind: 'cancel', id });
    };
    signal?.addEventListener('abort', cancel);
    try {
      const outcome = await new Promise<Outcome<SealedMaterial>>((settle) => {
        this.#asked.set(id, { key, generate, settle, answered: false, generating: undefined });
        this.#send({ kind: 'fetch', id, key });
      });
      if (!outcome.ok) throw signal?.aborted ? cancelled(signal) : fromWire(outcome.error);
      return unseal(this.#sealer, key, outcome.value);
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Takes a message of the primary, if it is about this store. */
  take(message: ToWorker): void {
    if (message.kind === 'fetched') {
      const asked = this.#asked.get(message.id);
      if (!asked || asked.answered) return;
      asked.answered = true;
      asked.settle(message.outcome);
      this.#answered.push(message.id);
      if (this.#answered.length > mostAnswered) this.#asked.delete(this.#answered.shift() ?? 0);
    } else if (message.kind === 'generate') {
      void this.#generate(message.id);
    } else if (message.kind === 'abort') {
      this.#asked.get(message.id)?.generating?.close();
    }
  }

  close(): void {
    this.#closed = true;
    for (const asked of this.#asked.values()) {
      asked.generating?.close();
      if (!asked.answered) asked.settle({ ok: false, error: toWire(closedError()) });
    }
    this.#asked.clear();
  }

  async #generate(id: number): Promise<void> {
    const asked = this.#asked.get(id);
    if (!asked) {
      const error = toWire(new SallyportError('ERR_CANCELLED', 'who asked for it has gone'));
      this.#send({ kind: 'generated', id, outcome: { ok: false, error } });
      return;
    }
    const { key, generate } = asked;
    using context = Context.background.withCancel();
    asked.generating = context;
    let outcome: Outcome<SealedMaterial>;
    try {
      const material = await generate(context);
      outcome = { ok: true, value: seal(this.#sealer, key, material) };
    } catch (thrown) {
      outcome = { ok: false, error: toWire(thrown) };
    }
    this.#send({ kind: 'generated', id, outcome });
  }
}

interface Pending {
  readonly context: Context;
  /** Settles the generation that this worker was asked for. */
  generated: ((outcome: Outcome<SealedMaterial>) => void) | undefined;
}

/**
 * How long a worker may take to generate before others may: a leaf takes milliseconds, an RSA key part of a second,
 * and clients wait 10 s for a handshake.
 */
const generationTime: Milliseconds = 5000;

/** The primary's end: one worker's way into the store. */
export class WorkerFetches {
  readonly #store: InspectableStore;
  readonly #send: (message: ToWorker) => void;
  readonly #context: Context;
  readonly #pending = new Map<number, Pending>();
  /** How many messages it took. */
  #heard = 0;
  #ended = false;

  /** `context`: whose clock tells how long a generation takes. */
  constructor(
    store: InspectableStore,
    send: (message: ToWorker) => void,
    context: Context = Context.background,
  ) {
    this.#store = store;
    this.#send = send;
    this.#context = context;
  }

  /** Takes a message of the worker, if it is about the store. */
  take(message: ToPrimary): void {
    this.#heard += 1;
    if (message.kind === 'fetch') {
      void this.#fetch(message.id, message.key);
    } else if (message.kind === 'cancel') {
      this.#pending.get(message.id)?.context.close();
    } else if (message.kind === 'generated') {
      this.#pending.get(message.id)?.generated?.(message.outcome);
    }
  }

  /** The worker has ended: what it waited for is cancelled, and what it was to generate is for the next. */
  end(): void {
    this.#ended = true;
    leave([...this.#pending.values()], 'the worker that made it has ended');
    this.#pending.clear();
  }

  /** A generation takes too long; `heard` is what the worker had said when it began. */
  #late(pending: Pending, heard: number): void {
    // From one that hangs nothing is to be expected; what else it waits for would be its turn next.
    const silent = heard === this.#heard;
    leave(silent ? [...this.#pending.values()] : [pending], 'the worker that was to make it does not');
  }

  async #fetch(id: number, key: CertificateKey): Promise<void> {
    const pending: Pending = { context: Context.background.withCancel(), generated: undefined };
    this.#pending.set(id, pending);
    let outcome: Outcome<SealedMaterial>;
    try {
      const generate: Generate = (work) => this.#generate(id, pending, work);
      const { privateKeyPem, ...rest } = await this.#store.fetch(key, generate, pending.context);
      outcome = { ok: true, value: { ...rest, sealedKey: privateKeyPem } };
    } catch (thrown) {
      outcome = { ok: false, error: toWire(thrown) };
    }
    pending.context.close();
    if (!pending.generated) this.#pending.delete(id);
    if (!this.#ended) this.#send({ kind: 'fetched', id, outcome });
  }

  /** What is stored has the sealed key in the place of the key: nobody here has to read it. */
  async #generate(
    id: number,
    pending: Pending,
    { signal }: { readonly signal?: AbortSignal | undefined },
  ): Promise<LeafMaterial> {
    if (this.#ended) throw new SallyportError('ERR_CANCELLED', 'the worker that was to make it has ended');
    const abort = (): void => {
      this.#send({ kind: 'abort', id });
    };
    // It may begin when the fetch has been answered: a renewal in the background.
    this.#pending.set(id, pending);
    signal?.addEventListener('abort', abort);
    const heard = this.#heard;
    using patience = this.#context.withTimeout(generationTime);
    const stop = patience.onClose(() => {
      this.#late(pending, heard);
    });
    try {
      const outcome = await new Promise<Outcome<SealedMaterial>>((resolve) => {
        pending.generated = resolve;
        this.#send({ kind: 'generate', id });
      });
      if (!outcome.ok) throw fromWire(outcome.error);
      const { sealedKey, ...rest } = outcome.value;
      return { ...rest, privateKeyPem: sealedKey };
    } finally {
      stop();
      signal?.removeEventListener('abort', abort);
      this.#pending.delete(id);
    }
  }
}

/** Has a worker leave as a caller first, and then its work fail: so the others are not told of that failure. */
function leave(pending: readonly Pending[], why: string): void {
  for (const { context } of pending) context.close();
  const error = toWire(new SallyportError('ERR_CANCELLED', why));
  for (const { generated } of pending) generated?.({ ok: false, error });
}

/** The store of the primary as who has the keys sees it: for what the primary itself has made. */
export function sealedStore(store: InspectableStore, sealer: Sealer): CertificateStore {
  return {
    fetch: async (key, generate, options) => {
      const sealing: Generate = async (work) => {
        const { sealedKey, ...rest } = seal(sealer, key, await generate(work));
        return { ...rest, privateKeyPem: sealedKey };
      };
      const { privateKeyPem: sealedKey, ...rest } = await store.fetch(key, sealing, options);
      return unseal(sealer, key, { ...rest, sealedKey });
    },
    // The store stays its owner's.
    close: () => undefined,
  };
}

function closedError(): SallyportError {
  return new SallyportError('ERR_CANCELLED', 'the store was closed');
}

function cancelled(signal: AbortSignal): SallyportError {
  return new SallyportError('ERR_CANCELLED', 'the caller has left', { cause: signal.reason });
}
