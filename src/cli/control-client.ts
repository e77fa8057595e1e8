/** Talks to a running proxy over its control socket. */
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { type ErrorCode, errorTable, SallyportError, toSallyportError } from '../base/errors.js';
import type { StoreEntry } from '../certs/store.js';
import {
  type Desk,
  type DeskStats,
  type LeafChoice,
  type Purged,
  type PurgedHosts,
  type Selector,
  statsOf,
  type Warmed,
} from './certs-desk.js';
import type { ControlCounters } from './control.js';
import { type ControlSocket, controlSockets } from './control-paths.js';

/** Warming many hosts takes a while; a proxy that is stopped never answers. */
const patience: Milliseconds = 120_000;
/** What takes no time is not waited for as long. */
const shortPatience: Milliseconds = 5000;
const mostForgotten = 3000;

/**
 * The proxy that runs with the CA in `caDir`, or `undefined` when there is none. Rejects with `ERR_CONTROL`
 * when there are several and `pid` does not say which.
 */
export async function findControl(where: {
  readonly caDir: string;
  readonly pid: number | undefined;
}): Promise<ControlDesk | undefined> {
  const alive = (await controlSockets(where.caDir)).filter((socket) => socket.alive);
  const wanted = where.pid === undefined ? alive : alive.filter(({ pid }) => pid === where.pid);
  const [first] = wanted;
  if (wanted.length > 1) {
    const pids = wanted.map(({ pid }) => pid).join(', ');
    throw new SallyportError('ERR_CONTROL', `several proxies run with this CA: give --pid, one of ${pids}`);
  }
  return first && new ControlDesk(first);
}

/**
 * Has the proxies that run with the CA in `caDir` look again for what was purged from a store that they may
 * share. Gives, in words, those that could not be told.
 */
export async function forgetInProxies(caDir: string, hosts: PurgedHosts): Promise<readonly string[]> {
  // More than a proxy takes at a time are all the same to it: what is still in the store is found there
  // again.
  const told = hosts !== 'all' && hosts.length > mostForgotten ? 'all' : hosts;
  const alive = (await controlSockets(caDir)).filter((socket) => socket.alive);
  const answers = await Promise.allSettled(alive.map((socket) => new ControlDesk(socket).forget(told)));
  return answers
    .filter((answer) => answer.status === 'rejected')
    .map(({ reason }) => toSallyportError(reason).detail);
}

/** The desk of the store of a running proxy. Every method rejects with `ERR_CONTROL` when that has gone. */
export class ControlDesk implements Desk {
  readonly #socket: ControlSocket;

  constructor(socket: ControlSocket) {
    this.#socket = socket;
  }

  async *entries(): AsyncIterable<StoreEntry> {
    using context = Context.background.withTimeout(patience);
    const response = await this.#ask(context, 'GET', '/certs');
    let rest = '';
    for await (const text of this.#read(response)) {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line) as StoreEntry;
    }
  }

  async purge(selector: Selector): Promise<Purged> {
    const query = selector.kind === 'host' ? `host=${encodeURIComponent(selector.host)}` : selector.kind;
    return (await this.#json('DELETE', `/certs?${query}`)) as Purged;
  }

  async warm(hosts: readonly string[], leaves: LeafChoice = {}): Promise<readonly Warmed[]> {
    const answer = (await this.#json('POST', '/warm', { hosts, ...leaves })) as {
      readonly hosts: readonly Warmed[];
    };
    return answer.hosts;
  }

  /** Has the proxy look again for what was purged from a store that it shares. */
  async forget(hosts: PurgedHosts): Promise<void> {
    await this.#json('POST', '/forget', hosts === 'all' ? {} : { hosts }, shortPatience);
  }

  stats(): Promise<DeskStats> {
    return statsOf(this.entries());
  }

  async counters(): Promise<ControlCounters> {
    return (await this.#json('GET', '/counters')) as ControlCounters;
  }

  async #json(method: string, path: string, body?: unknown, time = patience): Promise<unknown> {
    using context = Context.background.withTimeout(time);
    const response = await this.#ask(context, method, path, body);
    let text = '';
    for await (const piece of this.#read(response)) text += piece;
    return JSON.parse(text);
  }

  async #ask(context: Context, method: string, path: string, body?: unknown): Promise<IncomingMessage> {
    const { path: socketPath } = this.#socket;
    const request = httpRequest({ socketPath, method, path, agent: false, signal: context.signal });
    request.end(body === undefined ? undefined : JSON.stringify(body));
    try {
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      if (response.statusCode === 200) return response;
      let text = '';
      for await (const piece of this.#read(response)) text += piece;
      throw refusal(text);
    } catch (error) {
      throw error instanceof SallyportError ? error : this.#gone(error);
    }
  }

  async *#read(response: IncomingMessage): AsyncIterable<string> {
    response.setEncoding('utf8');
    try {
      yield* response as AsyncIterable<string>;
    } catch (error) {
      throw this.#gone(error);
    }
  }

  #gone(error: unknown): SallyportError {
    const detail = `the proxy with pid ${this.#socket.pid} did not answer: ${String(error)}`;
    return new SallyportError('ERR_CONTROL', detail, { cause: error });
  }
}

/** The error that the proxy answered with. */
function refusal(text: string): SallyportError {
  const { code, detail } = JSON.parse(text) as { readonly code: string; readonly detail: string };
  const known = code in errorTable ? (code as ErrorCode) : 'ERR_CONTROL';
  return new SallyportError(known, detail);
}
