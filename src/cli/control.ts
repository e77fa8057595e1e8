/**
 * The control socket of a running proxy: HTTP/1.1 over a Unix socket that only its owner can open.
 *
 * | request | answer |
 * |---|---|
 * | `GET /counters` | one object: see `ControlCounters` |
 * | `GET /certs` | a `StoreEntry` a line, in JSON; there is no key in it |
 * | `DELETE /certs?expired`, `?all`, `?host=HOST` | a `Purged` |
 * | `POST /forget` with `{ hosts }`, or `{}` for all | `{}`: they were purged from a store that is shared |
 * | `POST /warm` with `{ hosts }`, and `leafProfile` or `wildcardLeaves` if need be | `{ hosts }`, a `Warmed` for each |
 *
 * A client that leaves ends what it asked for.
 * What goes wrong is `{ code, detail }` with a status from 400 on.
 */
import { once } from 'node:events';
import { chmod } from 'node:fs/promises';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError, toSallyportError } from '../base/errors.js';
import type { StoreCounters } from '../certs/store.js';
import { type Desk, hostOf, type LeafChoice, type PurgedHosts, type Selector } from './certs-desk.js';
import { controlPath, fits, prepareControlDirectory } from './control-paths.js';
import { packageVersion } from './version.js';

export interface ControlCounters {
  readonly version: string;
  readonly pid: number;
  /** Processes that serve clients. */
  readonly workers: number;
  /** Of the store, summed over the workers. One that died counts as it did when it was last heard of. */
  readonly store: StoreCounters;
  /** What `Proxy.counters()` says, summed. */
  readonly proxy: unknown;
}

export interface ControlOptions {
  readonly caDir: string;
  readonly desk: Desk;
  readonly counters: () =>
    Omit<ControlCounters, 'version' | 'pid'> | Promise<Omit<ControlCounters, 'version' | 'pid'>>;
  /** Has what was purged from a store that is shared looked for there again. */
  readonly forget: (hosts: PurgedHosts) => void | Promise<void>;
  /** Told once, in words, when the socket cannot be opened. */
  readonly unavailable: (why: string) => void;
}

const longestBody: Bytes = 1024 * 1024;
const mostHosts = 10_000;
const requestTime: Milliseconds = 10_000;

/** Opens the socket, or says why not: a proxy without one works. What comes back closes and removes it. */
export async function openControl(options: ControlOptions): Promise<() => Promise<void>> {
  const path = controlPath(options.caDir, process.pid);
  if (!fits(path)) {
    options.unavailable(`the path of the control socket would be too long: ${path}`);
    return nothingToClose;
  }
  const server = createServer(
    { maxHeaderSize: 8192, requestTimeout: requestTime, keepAlive: false },
    (request, response) => {
      void answer(request, response, options);
    },
  );
  server.maxConnections = 16;
  try {
    await prepareControlDirectory(options.caDir);
    server.listen(path);
    await once(server, 'listening');
    await chmod(path, 0o600);
  } catch (error) {
    options.unavailable(`the control socket ${path} cannot be opened: ${toSallyportError(error).detail}`);
    server.close();
    return nothingToClose;
  }
  return async () => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
}

async function nothingToClose(): Promise<void> {
  // It was never opened.
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: ControlOptions,
): Promise<void> {
  try {
    await route(request, response, options);
  } catch (thrown) {
    const { code, detail } = toSallyportError(thrown);
    if (response.headersSent || response.destroyed) response.destroy();
    else sendJson(response, code === 'ERR_CONTROL' ? 400 : 500, { code, detail });
  }
}

async function route(
  request: IncomingMessage,
  response: ServerResponse,
  { desk, counters, forget }: ControlOptions,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://control');
  switch (`${request.method} ${pathname}`) {
    case 'GET /counters': {
      const { pid } = process;
      sendJson(response, 200, { version: packageVersion(), pid, ...(await counters()) });
      return;
    }
    case 'GET /certs':
      await sendEntries(response, desk);
      return;
    case 'DELETE /certs':
      sendJson(response, 200, await desk.purge(selectorOf(searchParams)));
      return;
    case 'POST /forget': {
      const hosts = hostsOf(await readBody(request));
      await forget(hosts ?? 'all');
      sendJson(response, 200, {});
      return;
    }
    case 'POST /warm': {
      using listening = Context.background.withCancel();
      response.once('close', () => {
        listening.close();
      });
      const body = await readBody(request);
      const hosts = hostsOf(body);
      if (!hosts || hosts.length > mostHosts) {
        throw new SallyportError('ERR_CONTROL', `POST /warm needs { hosts }: at most ${mostHosts} names`);
      }
      sendJson(response, 200, { hosts: await desk.warm(hosts, leavesOf(body), listening) });
      return;
    }
    default:
      sendJson(response, 404, { code: 'ERR_CONTROL', detail: `there is no ${request.method} ${pathname}` });
  }
}

async function sendEntries(response: ServerResponse, desk: Desk): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  await pipeline(Readable.from(entryLines(desk)), response);
}

async function* entryLines(desk: Desk): AsyncIterable<string> {
  for await (const entry of desk.entries()) {
    // Named one by one: what a store adds to its entries does not leave the process by itself.
    const { key, state, problem, bytes, certificatePem, serial, notBefore, notAfter } = entry;
    const line = JSON.stringify({
      key,
      state,
      problem,
      bytes,
      certificatePem,
      serial,
      notBefore,
      notAfter,
    });
    yield `${line}\n`;
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

function selectorOf(query: URLSearchParams): Selector {
  const host = query.get('host');
  if (host !== null) return { kind: 'host', host: hostOf(host) };
  if (query.has('expired')) return { kind: 'expired' };
  if (query.has('all')) return { kind: 'all' };
  throw new SallyportError('ERR_CONTROL', 'DELETE /certs needs expired, host=HOST or all');
}

/** `undefined` where there are none. */
function hostsOf(body: string): readonly string[] | undefined {
  const parsed = parseJson(body);
  if (typeof parsed !== 'object' || parsed === null) {
    throw new SallyportError('ERR_CONTROL', 'the body is not an object');
  }
  if (!('hosts' in parsed)) return undefined;
  const { hosts } = parsed;
  if (Array.isArray(hosts) && hosts.every((host): host is string => typeof host === 'string')) return hosts;
  throw new SallyportError('ERR_CONTROL', 'the hosts have to be a list of names');
}

function leavesOf(body: string): LeafChoice {
  const { leafProfile, wildcardLeaves } = parseJson(body) as Readonly<Record<string, unknown>>;
  if (leafProfile !== undefined && leafProfile !== 'p256' && leafProfile !== 'rsa-2048') {
    throw new SallyportError('ERR_CONTROL', 'leafProfile has to be p256 or rsa-2048');
  }
  return { leafProfile, ...(typeof wildcardLeaves === 'boolean' && { wildcardLeaves }) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SallyportError('ERR_CONTROL', 'the body is not JSON', { cause: error });
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longestBody) throw new SallyportError('ERR_CONTROL', 'the body is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
