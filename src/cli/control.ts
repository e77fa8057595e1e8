/**
 * The control socket of a running proxy: HTTP/1.1 over a Unix socket that only its owner can open.
 *
 * | request | answer |
 * |---|---|
 * | `GET /counters` | one object: see `ControlCounters` |
 * | `GET /certs` | a `StoreEntry` a line, in JSON; there is no key in it |
 * | `DELETE /certs?expired`, `?all`, `?host=HOST` | `{ removed }` |
 * | `POST /warm` with `{ hosts }` | `{ hosts }`, a `Warmed` for each |
 *
 * What goes wrong is `{ code, detail }` with a status from 400 on.
 */
import { once } from 'node:events';
import { chmod } from 'node:fs/promises';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { SallyportError, toSallyportError } from '../base/errors.js';
import type { StoreCounters } from '../certs/store.js';
import { type Desk, hostOf, type Selector } from './certs-desk.js';
import { controlPath, fits, prepareControlDirectory } from './control-paths.js';
import { packageVersion } from './version.js';

export interface ControlCounters {
  readonly version: string;
  readonly pid: number;
  /** Processes that serve clients. */
  readonly workers: number;
  /** Of the store, summed over the workers; what one counted that has died is gone. */
  readonly store: StoreCounters;
  /** What `Proxy.counters()` says, summed. */
  readonly proxy: unknown;
}

export interface ControlOptions {
  readonly caDir: string;
  readonly desk: Desk;
  readonly counters: () =>
    Omit<ControlCounters, 'version' | 'pid'> | Promise<Omit<ControlCounters, 'version' | 'pid'>>;
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
    if (response.headersSent) response.destroy();
    else sendJson(response, code === 'ERR_CONTROL' ? 400 : 500, { code, detail });
  }
}

async function route(
  request: IncomingMessage,
  response: ServerResponse,
  { desk, counters }: ControlOptions,
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
      sendJson(response, 200, { removed: await desk.purge(selectorOf(searchParams)) });
      return;
    case 'POST /warm':
      sendJson(response, 200, { hosts: await desk.warm(hostsOf(await readBody(request))) });
      return;
    default:
      sendJson(response, 404, { code: 'ERR_CONTROL', detail: `there is no ${request.method} ${pathname}` });
  }
}

async function sendEntries(response: ServerResponse, desk: Desk): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  for await (const entry of desk.entries()) {
    if (response.destroyed) return;
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
    if (!response.write(`${line}\n`)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
  }
  response.end();
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

function hostsOf(body: string): readonly string[] {
  const parsed = parseJson(body);
  const hosts = typeof parsed === 'object' && parsed !== null && 'hosts' in parsed ? parsed.hosts : undefined;
  const isList = Array.isArray(hosts) && hosts.every((host): host is string => typeof host === 'string');
  if (!isList || hosts.length > mostHosts) {
    throw new SallyportError('ERR_CONTROL', `POST /warm needs { hosts }: at most ${mostHosts} names`);
  }
  return hosts;
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
