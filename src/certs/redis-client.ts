/**
 * One connection to a Redis server that fails fast: every command settles within a second or so, whatever the
 * server does, and no command ever waits for a connection that was lost.
 *
 * There is no timer while nothing is asked. A lost connection is made anew by the next command, after a pause
 * that grows with each failure in a row; commands within the pause fail at once. The sockets do not keep
 * the process alive.
 */
import type * as redisPackage from 'redis';
import { Context } from '../base/context.js';
import type { Milliseconds } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';
import type { Script } from './redis-scripts.js';

/** What a command may be made of, and answered with, as the store asks for it. */
type Argument = string | Buffer;
type Reply = unknown;

/** The part of a client of the package `redis` that is used here: no type of an optional package gets out. */
interface Client {
  connect(): Promise<unknown>;
  sendCommand(args: readonly Argument[]): Promise<Reply>;
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
  on(event: 'error' | 'end', listener: (error?: unknown) => void): unknown;
  unref(): void;
  destroy(): void;
}

/** Makes clients that are not connected yet. */
export type MakeClient = () => Client;

export interface RedisLinkOptions {
  readonly make: MakeClient;
  /** For errors: the address without credentials. */
  readonly name: string;
  /** When set, the connection is for this alone: Redis takes no other commands there. */
  readonly subscribe?: { readonly channel: string; readonly listener: (message: string) => void };
}

/**
 * A command that is not answered within this ends its connection: all that came after it would wait longer.
 */
const patience: Milliseconds = 1000;
const shortestPause: Milliseconds = 100;
const longestPause: Milliseconds = 2000;

/**
 * The function that makes clients for `url`. Rejects with `ERR_STORE` when the package is missing, or the URL
 * is not one that it takes; the message has no part of the URL.
 */
export async function redisClients(url: string): Promise<MakeClient> {
  const redis = await loadRedis();
  const make = (): Client => {
    return redis.createClient({
      url,
      // RESP 2 is what every server speaks, and pub/sub has a connection of its own.
      RESP: 2,
      disableOfflineQueue: true,
      disableClientInfo: true,
      maintNotifications: 'disabled',
      // The link bounds commands itself: the client would make an AbortSignal.timeout for each.
      commandOptions: { timeout: 0, typeMapping: { [redis.RESP_TYPES.BLOB_STRING]: Buffer } },
      // The link bounds this too: a socket's timer fires first after the event loop stood still.
      socket: { connectTimeout: patience * 10, reconnectStrategy: false },
    });
  };
  try {
    discard(make());
  } catch (error) {
    throw new SallyportError('ERR_STORE', `the redis:// URL cannot be used: ${describe(error)}`);
  }
  return make;
}

async function loadRedis(): Promise<typeof redisPackage> {
  try {
    return await import('redis');
  } catch (error) {
    throw new SallyportError(
      'ERR_STORE',
      'a redis:// store needs the package redis, which cannot be loaded: npm install redis',
      { cause: error },
    );
  }
}

export class RedisLink {
  readonly #options: RedisLinkOptions;
  readonly #context: Context = Context.background.withCancel();
  #client: Client | undefined;
  #connecting: Promise<Client> | undefined;
  /** In a row; while there are any, nobody waits for a connection. */
  #failures = 0;
  /** Of `performance.now()`. */
  #pausedUntil: Milliseconds = 0;
  #lastError: SallyportError | undefined;

  constructor(options: RedisLinkOptions) {
    this.#options = options;
  }

  /** Runs a script and gives its answer, strings as Buffers. Rejects with `ERR_STORE_UNAVAILABLE` alone. */
  async run({ sha1, source }: Script, keys: readonly string[], args: readonly Argument[]): Promise<Reply> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await this.#send(['EVALSHA', sha1, ...rest]);
    } catch (error) {
      if (!saysNoScript(error)) throw error;
    }
    // Redis started anew or was flushed: it learns the script by being given it.
    return await this.#send(['EVAL', source, ...rest]);
  }

  /** Sends one command. Rejects with `ERR_STORE_UNAVAILABLE` alone. */
  async command(...args: readonly string[]): Promise<Reply> {
    return await this.#send(args);
  }

  /** Resolves when there is a connection; rejects at once when there was none a moment ago. */
  async connected(): Promise<void> {
    await this.#connected();
  }

  /** Whatever is under way fails. A second call does nothing. */
  close(): void {
    if (this.#context.closed) return;
    this.#lastError = this.#unavailable('the store is closed');
    this.#context.close(this.#lastError);
    if (this.#client) discard(this.#client);
    this.#client = undefined;
  }

  async #send(args: readonly Argument[]): Promise<Reply> {
    const client = await this.#connected();
    try {
      return await this.#inTime(client.sendCommand(args));
    } catch (error) {
      // It was closed meanwhile.
      if (error instanceof SallyportError) throw error;
      // What the server answers leaves the connection as it is, but for one: a server that was made a replica
      // has a successor, and its address may lead there now.
      if (!isAnswer(error) || error.message.startsWith('READONLY')) this.#lost(client, error);
      throw this.#unavailable(describe(error), error);
    }
  }

  #connected(): Client | Promise<Client> {
    if (this.#context.closed) throw this.#unavailable('the store is closed');
    if (this.#client) return this.#client;
    if (!this.#connecting && performance.now() >= this.#pausedUntil) {
      this.#connecting = this.#connect();
      this.#connecting.catch(() => {
        // Whoever waits for it hears of it; and later ones by #lastError.
      });
    }
    if (this.#connecting && this.#failures === 0) return this.#connecting;
    throw this.#lastError ?? this.#unavailable('it is being connected to');
  }

  async #connect(): Promise<Client> {
    const client = this.#options.make();
    const { subscribe } = this.#options;
    const open = async (): Promise<void> => {
      await client.connect();
      // A server that accepts and does not answer, still loads, or wants a password is not there yet.
      if (subscribe) await client.subscribe(subscribe.channel, subscribe.listener);
      else if (String(await client.sendCommand(['PING'])) !== 'PONG')
        throw new Error('it is no Redis server');
    };
    try {
      // An 'error' that nobody listens to would end the process: this listener stays for the client's life.
      client.on('error', (error) => {
        this.#lost(client, error);
      });
      client.on('end', () => {
        this.#lost(client, new Error('the connection ended'));
      });
      client.unref();
      await this.#inTime(open());
      this.#context.throwIfClosed();
    } catch (error) {
      this.#connecting = undefined;
      discard(client);
      throw this.#failed(error);
    }
    this.#connecting = undefined;
    this.#failures = 0;
    this.#lastError = undefined;
    this.#client = client;
    return client;
  }

  /** Nothing happens for a client that is none any more, or none yet: `#connect` sees to that one. */
  #lost(client: Client, error: unknown): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    discard(client);
    const wasSilent = error instanceof Silence;
    // A connection that was cut may be made anew at once; a server that does not answer is left alone.
    if (wasSilent) this.#failed(error);
    else this.#lastError = this.#unavailable(describe(error), error);
  }

  #failed(error: unknown): SallyportError {
    const pause = Math.min(longestPause, shortestPause * 2 ** this.#failures);
    this.#failures += 1;
    // Half of it is chance: the processes that lost the same server do not come back in step.
    this.#pausedUntil = performance.now() + pause * (0.5 + Math.random() / 2);
    this.#lastError = this.#unavailable(describe(error), error);
    return this.#lastError;
  }

  /**
   * `work`, or a `Silence` when it takes too long. The second half is a wait of its own: after the event loop
   * stood still, what arrived meanwhile is read before it ends.
   */
  async #inTime<T>(work: Promise<T>): Promise<T> {
    using limit = this.#context.withCancel();
    const silence = async (): Promise<never> => {
      await limit.sleep(patience / 2);
      await limit.sleep(patience / 2);
      throw new Silence(`it did not answer within ${patience} ms`);
    };
    return await Promise.race([work, silence()]);
  }

  #unavailable(found: string, cause?: unknown): SallyportError {
    return new SallyportError('ERR_STORE_UNAVAILABLE', `${this.#options.name}: ${found}`, { cause });
  }
}

class Silence extends Error {}

/** Ends a client in any state it may be in. */
function discard(client: Client): void {
  try {
    client.destroy();
  } catch (error) {
    // Version 5 throws when there is nothing to end.
    if (!(error instanceof Error && error.constructor.name === 'ClientClosedError')) throw error;
  }
}

/** Whether the server answered with an error, in its own words: `CODE what`. */
function isAnswer(error: unknown): error is Error {
  return error instanceof Error && /^[A-Z]{2,}\b/.test(error.message) && !('syscall' in error);
}

function saysNoScript(error: unknown): boolean {
  const cause = error instanceof SallyportError ? error.cause : undefined;
  return cause instanceof Error && cause.message.startsWith('NOSCRIPT');
}

function describe(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describe).join('; ');
  if (error instanceof SallyportError) return error.detail;
  return error instanceof Error ? error.message || error.name : String(error);
}
