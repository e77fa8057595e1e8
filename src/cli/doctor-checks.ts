/** The checks of `sallyport doctor`, one function each. None changes anything. */
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { formatDuration, type Milliseconds } from '../base/bytes.js';
import { SallyportError, toSallyportError } from '../base/errors.js';
import { defaultLimits } from '../base/limits.js';
import { hostPort } from '../base/message.js';
import { type Authority, openAuthority } from '../certs/index.js';
import type { Found } from './allocator.js';
import { isMissing } from './ca.js';
import { interceptedRequest } from './doctor-request.js';
import { portOwner } from './port-owner.js';
import { reasonOf } from './proxy-options.js';
import { certificateBlocks, holds, systemRoots } from './roots.js';
import { shellQuote } from './shell.js';

export interface Check {
  /** A word or two: what was looked at. */
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'failed';
  readonly found: string;
  /** What to do about it. */
  readonly advice?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function checkNode(version: string, openssl: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const found = `${version} with OpenSSL ${openssl}`;
  if (major > 20 || (major === 20 && minor >= 19)) return { name: 'Node.js', status: 'ok', found };
  return { name: 'Node.js', status: 'failed', found, advice: 'Install Node.js 20.19 or newer.' };
}

export interface AuthorityCheck {
  readonly checks: readonly Check[];
  /** The CA, if it can be used. */
  readonly authority: Authority | undefined;
}

const soon: Milliseconds = 30 * 24 * 60 * 60 * 1000;

export async function checkAuthority(dir: string, now: number): Promise<AuthorityCheck> {
  const name = 'CA';
  if (await isMissing(dir)) {
    const found = `${dir} holds none yet`;
    const advice = 'The first `sallyport run` makes it; so does `sallyport ca show --create`.';
    return { checks: [{ name, status: 'warning', found, advice }], authority: undefined };
  }
  const directory = await checkDirectory(dir);
  try {
    const authority = await openAuthority({ dir, create: false });
    const until = new Date(authority.notAfter).toISOString().slice(0, 10);
    const found = `${authority.paths.certificate}, valid until ${until}`;
    const ends = authority.notAfter - now < soon;
    const check: Check = ends
      ? { name, status: 'warning', found, advice: 'It ends soon: plan for a new one, and for trusting it.' }
      : { name, status: 'ok', found };
    return { checks: [...directory, check], authority };
  } catch (thrown) {
    const error = toSallyportError(thrown);
    const check: Check = {
      name,
      status: 'failed',
      found: `${error.code}: ${error.detail}`,
      advice: error.entry.hint,
    };
    return { checks: [...directory, check], authority: undefined };
  }
}

async function checkDirectory(dir: string): Promise<Check[]> {
  if (process.platform === 'win32') return [];
  const { mode } = await stat(dir);
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  const name = 'CA directory';
  if ((mode & 0o022) === 0) return [{ name, status: 'ok', found: `${dir}, mode ${octal}` }];
  const found = `${dir} has mode ${octal}: others can put their own CA in its place`;
  return [{ name, status: 'failed', found, advice: `chmod 700 ${shellQuote(dir)}` }];
}

/** Listens on the port for a moment. */
export async function checkPort(host: string, port: number): Promise<Check> {
  const name = 'port';
  const address = hostPort(host, port);
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    return { name, status: 'ok', found: `${address} is free` };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EADDRINUSE') {
      const owner = await portOwner(port);
      const found = `${address} is in use${owner === undefined ? '' : ` by ${owner}`}`;
      return {
        name,
        status: 'warning',
        found,
        advice: 'Fine if that is sallyport; otherwise choose another with --port.',
      };
    }
    const advice =
      code === 'EACCES' ? 'Choose a port from 1024 on.' : 'Give an address of this machine with --host.';
    return { name, status: 'failed', found: `cannot listen on ${address}: ${reasonOf(error)}`, advice };
  } finally {
    server.close();
  }
}

export async function checkSystemTrust(authority: Authority): Promise<Check> {
  const { source, certificates } = await systemRoots();
  const name = 'system trust';
  if (holds(certificates, authority.certificate))
    return { name, status: 'ok', found: `${source} holds the CA` };
  return {
    name,
    status: 'warning',
    found: `${source} does not hold the CA`,
    advice: '`sallyport ca trust --print` says how; `sallyport exec` needs none of it.',
  };
}

export async function checkNodeTrust(authority: Authority, environment: Environment): Promise<Check> {
  const name = 'NODE_EXTRA_CA_CERTS';
  const path = environment[name] ?? '';
  const advice = `export NODE_EXTRA_CA_CERTS=${shellQuote(authority.paths.certificate)}`;
  if (path === '')
    return { name, status: 'warning', found: 'is not set: Node.js programs do not trust the CA', advice };
  try {
    const trusted = holds(certificateBlocks(await readFile(path, 'utf8')), authority.certificate);
    if (trusted) return { name, status: 'ok', found: `${path} holds the CA` };
    return { name, status: 'warning', found: `${path} does not hold the CA`, advice };
  } catch (error) {
    return {
      name,
      status: 'warning',
      found: `${path}: ${reasonOf(error)}; Node.js goes on without it`,
      advice,
    };
  }
}

/** The proxies that the environment names. Passwords in them are not shown. */
export function checkProxyVariables(environment: Environment, host: string, port: number): Check {
  const name = 'proxy variables';
  const set = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'].filter(
    (variable) => (environment[variable] ?? '') !== '',
  );
  if (set.length === 0) return { name, status: 'ok', found: 'none is set' };
  const elsewhere = set.filter((variable) => !pointsAt(environment[variable] ?? '', host, port));
  if (elsewhere.length === 0) {
    return {
      name,
      status: 'ok',
      found: `${set.join(', ')} ${set.length === 1 ? 'names' : 'name'} ${hostPort(host, port)}`,
    };
  }
  return {
    name,
    status: 'warning',
    found: elsewhere
      .map((variable) => `${variable} is ${shownProxy(environment[variable] ?? '')}`)
      .join(', '),
    advice: 'The proxy itself does not use these: it goes to origins directly.',
  };
}

function pointsAt(proxy: string, host: string, port: number): boolean {
  const url = parseProxy(proxy);
  if (url?.protocol !== 'http:') return false;
  const loopback = ['127.0.0.1', 'localhost', '[::1]'];
  const wanted = hostPort(host, 0).replace(/:0$/, '');
  const same = url.hostname === wanted || (loopback.includes(url.hostname) && loopback.includes(wanted));
  return same && Number(url.port || '80') === port;
}

function shownProxy(proxy: string): string {
  const url = parseProxy(proxy);
  return url ? `${url.protocol}//${url.host}` : 'not a URL';
}

function parseProxy(proxy: string): URL | undefined {
  const text = proxy.includes('://') ? proxy : `http://${proxy}`;
  return URL.canParse(text) ? new URL(text) : undefined;
}

/** What NO_PROXY says, and what tools read differently. */
export function checkNoProxy(environment: Environment): Check {
  const name = 'NO_PROXY';
  const upper = environment['NO_PROXY'] ?? '';
  const lower = environment['no_proxy'] ?? '';
  const list = lower === '' ? upper : lower;
  if (list === '') return { name, status: 'ok', found: 'is not set: everything goes through the proxy' };
  const entries = list.split(/[\s,]+/).filter((entry) => entry !== '');
  const traps = [
    ...(upper !== '' && lower !== '' && upper !== lower
      ? ['NO_PROXY and no_proxy differ, and tools read one or the other']
      : []),
    ...(entries.includes('*') ? ['* keeps everything away from the proxy'] : []),
    ...(entries.some((entry) => /^(localhost|127\.0\.0\.1|::1|\[::1\])$/i.test(entry))
      ? ['origins on this machine are not intercepted']
      : []),
    ...(entries.some((entry) => entry.startsWith('*.'))
      ? ['curl and Python do not understand *.: write .example.com']
      : []),
    ...(entries.some((entry) => entry.includes('/'))
      ? ['Python, wget and older curl do not understand ranges of addresses']
      : []),
  ];
  if (traps.length === 0) return { name, status: 'ok', found: list };
  return { name, status: 'warning', found: `${list}: ${traps.join('; ')}`, advice: 'Unset it, or mind it.' };
}

export function checkVerification(environment: Environment): Check[] {
  if (environment['NODE_TLS_REJECT_UNAUTHORIZED'] !== '0') return [];
  return [
    {
      name: 'NODE_TLS_REJECT_UNAUTHORIZED',
      status: 'warning',
      found: 'is 0: Node.js programs accept any certificate',
      advice: 'Unset it: with the CA trusted it is not needed.',
    },
  ];
}

/** `limits` is the text of /proc/self/limits; without it nothing can be said. */
export function checkOpenFiles(limits: string | undefined): Check[] {
  const typed = /^Max open files\s+(\S+)/m.exec(limits ?? '')?.[1];
  if (typed === undefined) return [];
  const name = 'open files';
  // Each connection of a client has one to an origin; the rest of the process needs a few hundred.
  const needed = defaultLimits.connections * 2 + 500;
  const limit = typed === 'unlimited' ? Number.POSITIVE_INFINITY : Number(typed);
  if (limit >= needed) return [{ name, status: 'ok', found: `${typed} allowed` }];
  const fitting = Math.max(1, Math.floor((limit - 500) / 2));
  return [
    {
      name,
      status: 'warning',
      found: `${typed} allowed, which is enough for about ${fitting} clients at one time`,
      advice: `Raise it with \`ulimit -n ${needed}\`, or run with --max-connections ${fitting}.`,
    },
  ];
}

/** `--allocator jemalloc` is a choice: without the library nothing is wrong. */
export function checkAllocator(found: Found): Check {
  const name = 'jemalloc';
  if ('path' in found) return { name, status: 'ok', found: `${found.path}, for --allocator jemalloc` };
  const { missing, advice } = found;
  return {
    name,
    status: 'ok',
    found: `${missing}; only --allocator jemalloc would use it`,
    ...(advice === undefined ? {} : { advice: `To have it: ${advice}` }),
  };
}

/** The request with the CA in `caDir`, or with a CA of its own. */
export async function checkRequest(caDir: string | undefined): Promise<Check> {
  const name = 'intercepted request';
  try {
    const { duration, tls } = await interceptedRequest(caDir);
    const whose = caDir === undefined ? ', with a CA made for this check' : '';
    return {
      name,
      status: 'ok',
      found: `client ⇄ proxy ⇄ origin over ${tls} in ${formatDuration(duration)}${whose}`,
    };
  } catch (thrown) {
    const error = thrown instanceof SallyportError ? thrown : undefined;
    const found = error ? `${error.code}: ${error.detail}` : reasonOf(thrown);
    return {
      name,
      status: 'failed',
      found,
      advice: error?.entry.hint ?? 'Please report it with this output.',
    };
  }
}
