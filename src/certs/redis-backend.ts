/**
 * A Redis server as a place that processes and machines share.
 *
 * Everything is found under one hash tag, `{sallyport}` unless a prefix says otherwise:
 * `{sallyport}:entry:ID` (ends with the certificate), `:lock:ID` (a lease: a random token that ends by
 * itself), `:failure:ID`, `:used` (IDs by last use) and `:sizes` (bytes by ID, and `total`). ID is
 * `identify(key)`. The channel `{sallyport}:changed` carries the ID of what changed.
 *
 * The token is random where one might count: a counter starts again when Redis does, and a holder from before
 * would be taken for the one after.
 */
import { randomUUID } from 'node:crypto';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import { type MakeClient, RedisLink } from './redis-client.js';
import {
  acquireScript,
  commitScript,
  deleteScript,
  failScript,
  peekScript,
  readScript,
  releaseScript,
  renewScript,
} from './redis-scripts.js';
import type { Lease, ListedEntry, StoreBackend, StoredFailure, StoredState } from './store-backend.js';
import { type CertificateKey, identify } from './store.js';

export interface RedisBackendOptions {
  readonly make: MakeClient;
  readonly name: string;
  readonly prefix: string;
  readonly capacity: Bytes;
  readonly now: () => number;
}

/** What an entry takes beside its bytes: its key, twice in the index, and what Redis needs for them. */
const overhead: Bytes = 600;
/** A use is noted at the earliest this long after the last. */
const grain: Milliseconds = 1000;
const shortestPoll: Milliseconds = 50;
const longestPoll: Milliseconds = 250;
/** How long a failure is remembered after it stopped counting, so that the next in a row is known as such. */
const failureMemory: Milliseconds = 60_000;

export class RedisBackend implements StoreBackend {
  readonly name: string;
  readonly #options: RedisBackendOptions;
  readonly #tag: string;
  readonly #commands: RedisLink;
  readonly #messages: RedisLink;
  readonly #context: Context = Context.background.withCancel();
  /** Who waits for a change, by ID. */
  readonly #waiting = new Map<string, Set<Context>>();
  #evicted = 0;

  constructor(options: RedisBackendOptions) {
    const { make, name, prefix } = options;
    this.name = name;
    this.#options = options;
    this.#tag = `{${prefix}}:`;
    this.#commands = new RedisLink({ make, name });
    const listener = (id: string): void => {
      for (const wait of this.#waiting.get(id) ?? []) wait.close();
    };
    this.#messages = new RedisLink({ make, name, subscribe: { channel: this.#channel, listener } });
  }

  get evicted(): number {
    return this.#evicted;
  }

  /** Resolves when both connections are there, or could not be had: within about a second. */
  async connect(): Promise<void> {
    await Promise.allSettled([this.#commands.connected(), this.#messages.connected()]);
  }

  async read(key: CertificateKey): Promise<StoredState> {
    const id = identify(key);
    const keys = [this.#entry(id), this.#failure(id), this.#used, this.#sizes];
    const reply = await this.#commands.run(readScript, keys, [id, String(grain), String(overhead)]);
    const [entry, failure] = this.#list(reply);
    return {
      entry: Buffer.isBuffer(entry) ? entry : undefined,
      failure: Buffer.isBuffer(failure) ? decodeFailure(failure) : undefined,
    };
  }

  async acquire(key: CertificateKey, lease: Milliseconds): Promise<Lease | undefined> {
    const id = identify(key);
    const token = randomUUID();
    const taken = await this.#commands.run(acquireScript, [this.#lock(id)], [token, whole(lease)]);
    return taken === 1 ? this.#lease(id, token, lease) : undefined;
  }

  async changed(
    key: CertificateKey,
    { signal, attempt }: { readonly signal: AbortSignal; readonly attempt: number },
  ): Promise<void> {
    const id = identify(key);
    // Whether it can be had or not: what is not told is seen when the wait is over.
    this.#messages.connected().catch(() => undefined);
    using wait = this.#context.withTimeout(Math.min(longestPoll, shortestPoll * 2 ** attempt));
    const stop = (): void => {
      wait.close();
    };
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting.add(wait));
    signal.addEventListener('abort', stop, { once: true });
    try {
      if (!signal.aborted) await wait.done();
    } finally {
      signal.removeEventListener('abort', stop);
      waiting.delete(wait);
      if (waiting.size === 0 && this.#waiting.get(id) === waiting) this.#waiting.delete(id);
    }
    if (signal.aborted || this.#context.closed) {
      throw new SallyportError('ERR_CANCELLED', 'nobody waits for the certificate store any more', {
        cause: signal.reason,
      });
    }
  }

  async *list(): AsyncIterable<ListedEntry> {
    const start = this.#entry('');
    const seen = new Set<string>();
    let cursor = '0';
    do {
      const reply = await this.#commands.command('SCAN', cursor, 'MATCH', `${start}*`, 'COUNT', '500');
      const [next, names] = this.#list(reply);
      cursor = String(next);
      for (const name of this.#list(names)) {
        const id = String(name).slice(start.length);
        if (seen.has(id)) continue;
        seen.add(id);
        const entry = await this.#commands.run(peekScript, [this.#entry(id)], []);
        // It may have gone meanwhile.
        if (!Buffer.isBuffer(entry)) continue;
        yield { key: keyOf(id), entry, bytes: entry.length, remove: () => this.#delete(id) };
      }
    } while (cursor !== '0');
  }

  async delete(key: CertificateKey): Promise<boolean> {
    return await this.#delete(identify(key));
  }

  async close(): Promise<void> {
    this.#commands.close();
    this.#messages.close();
    this.#context.close();
  }

  #lease(id: string, token: string, lease: Milliseconds): Lease {
    const lock = this.#lock(id);
    return {
      renew: async () => (await this.#commands.run(renewScript, [lock], [token, whole(lease)])) === 1,
      commit: async (entry, { notAfter, replaced }) => {
        const { capacity, now } = this.#options;
        const evicted = await this.#commands.run(
          commitScript,
          [lock, this.#entry(id), this.#failure(id), this.#used, this.#sizes],
          [
            token,
            id,
            entry,
            whole(notAfter - now()),
            replaced ? '1' : '0',
            replaced ?? '',
            String(capacity),
            String(overhead),
            this.#channel,
            this.#entry(''),
          ],
        );
        if (typeof evicted !== 'number' || evicted < 0) return false;
        this.#evicted += evicted;
        return true;
      },
      fail: async (failure) => {
        const life = Math.max(0, failure.until - this.#options.now()) + failureMemory;
        const args = [token, id, JSON.stringify(failure), whole(life), this.#channel];
        await this.#commands.run(failScript, [lock, this.#failure(id)], args);
      },
      release: async () => {
        await this.#commands.run(releaseScript, [lock], [token, id, this.#channel]);
      },
    };
  }

  async #delete(id: string): Promise<boolean> {
    const keys = [this.#entry(id), this.#used, this.#sizes];
    return (await this.#commands.run(deleteScript, keys, [id, this.#channel])) === 1;
  }

  /** What answers in another shape than Redis is none, whatever it is. */
  #list(reply: unknown): readonly unknown[] {
    if (Array.isArray(reply)) return reply;
    throw new SallyportError('ERR_STORE_UNAVAILABLE', `${this.name}: an answer that is not of Redis`);
  }

  get #channel(): string {
    return `${this.#tag}changed`;
  }

  get #used(): string {
    return `${this.#tag}used`;
  }

  get #sizes(): string {
    return `${this.#tag}sizes`;
  }

  #entry(id: string): string {
    return `${this.#tag}entry:${id}`;
  }

  #lock(id: string): string {
    return `${this.#tag}lock:${id}`;
  }

  #failure(id: string): string {
    return `${this.#tag}failure:${id}`;
  }
}

/** A duration as `PX` takes it: whole and not nothing. */
function whole(ms: Milliseconds): string {
  return String(Math.max(1, Math.ceil(ms)));
}

/** The reverse of `identify`. */
function keyOf(id: string): CertificateKey | undefined {
  const [authority, profile, host, ...rest] = id.split(' ');
  if (!authority || !host || rest.length > 0) return undefined;
  return profile === 'p256' || profile === 'rsa-2048' ? { authority, profile, host } : undefined;
}

/** What is no failure as we write them is none: it came from somebody else. */
function decodeFailure(bytes: Buffer): StoredFailure | undefined {
  let found: unknown;
  try {
    found = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (typeof found !== 'object' || found === null) return undefined;
  const { code, detail, count, until } = found as Record<string, unknown>;
  if (typeof code !== 'string' || typeof detail !== 'string') return undefined;
  if (!Number.isSafeInteger(count) || !Number.isFinite(until)) return undefined;
  return { code, detail, count: count as number, until: until as number };
}
