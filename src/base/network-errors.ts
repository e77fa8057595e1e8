/**
 * What the operating system and the resolver say about a connection to an origin, in the words of the error
 * table. Pure; shared by everything that dials (TCP in `upstream/`, TLS in `tls/`), as stations do not
 * import each other.
 *
 * Codes are those of errno (POSIX `connect`, `getaddrinfo`), of c-ares (for resolvers of the user's), and the
 * few of Node's own. An error that is none of these (a certificate, a bug) is not ours to name: the answer
 * is then `undefined`.
 */
import { type ErrorCode, SallyportError } from './errors.js';

/** From the least to the most telling: what is reported when several addresses failed in several ways. */
const ranks: readonly ErrorCode[] = [
  'ERR_UPSTREAM_UNREACHABLE',
  'ERR_DNS',
  'ERR_CONNECT_TIMEOUT',
  'ERR_UPSTREAM_RESET',
  'ERR_UPSTREAM_REFUSED',
];

const codes: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['ENOTFOUND', 'ERR_DNS'],
  ['ENODATA', 'ERR_DNS'],
  ['ESERVFAIL', 'ERR_DNS'],
  ['EBADNAME', 'ERR_DNS'],
  ['EBADRESP', 'ERR_DNS'],
  ['ETIMEOUT', 'ERR_DNS'],
  ['EREFUSED', 'ERR_DNS'],
  ['ERR_INVALID_IP_ADDRESS', 'ERR_DNS'],
  ['ECONNREFUSED', 'ERR_UPSTREAM_REFUSED'],
  ['ECONNRESET', 'ERR_UPSTREAM_RESET'],
  ['ECONNABORTED', 'ERR_UPSTREAM_RESET'],
  ['EPIPE', 'ERR_UPSTREAM_RESET'],
  ['ETIMEDOUT', 'ERR_CONNECT_TIMEOUT'],
  ['ERR_SOCKET_CONNECTION_TIMEOUT', 'ERR_CONNECT_TIMEOUT'],
  ['EHOSTUNREACH', 'ERR_UPSTREAM_UNREACHABLE'],
  ['ENETUNREACH', 'ERR_UPSTREAM_UNREACHABLE'],
  ['EHOSTDOWN', 'ERR_UPSTREAM_UNREACHABLE'],
  ['ENETDOWN', 'ERR_UPSTREAM_UNREACHABLE'],
  ['EADDRNOTAVAIL', 'ERR_UPSTREAM_UNREACHABLE'],
  ['EAFNOSUPPORT', 'ERR_UPSTREAM_UNREACHABLE'],
]);

/** What Node puts on the errors of system calls; every field may be missing on an error of a user's. */
interface SystemError extends Error {
  readonly code?: unknown;
  readonly syscall?: unknown;
  readonly address?: unknown;
  readonly port?: unknown;
  readonly hostname?: unknown;
}

/**
 * The table's error for `error`, or `undefined` when it is not one of the network. `what` says what was
 * being done, to what (`connecting to example.com:443`); what was found is added:
 * `connecting to example.com:443: ECONNREFUSED 127.0.0.1:443, ENETUNREACH [2001:db8::1]:443`.
 * A table error comes back as it is. Of an `AggregateError` the most telling part names the code.
 */
export function networkError(error: unknown, what: string): SallyportError | undefined {
  if (error instanceof SallyportError) return error;
  if (!(error instanceof Error)) return undefined;
  const parts = error instanceof AggregateError ? error.errors : [error];
  let best = -1;
  const found: string[] = [];
  for (const part of parts) {
    const code = codeOf(part);
    if (!code) continue;
    best = Math.max(best, ranks.indexOf(code));
    found.push(describe(part as SystemError));
  }
  const code = ranks[best];
  return code && new SallyportError(code, `${what}: ${found.join(', ')}`, { cause: error });
}

function codeOf(error: unknown): ErrorCode | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, syscall } = error as SystemError;
  if (typeof code !== 'string') return undefined;
  // The resolver's own connection may be refused or time out too: that is a matter of DNS.
  const asked = typeof syscall === 'string' ? syscall : '';
  if (/^(?:getaddrinfo|query)/.test(asked) || code.startsWith('EAI_')) return 'ERR_DNS';
  const known = codes.get(code);
  if (known) return known;
  // EMFILE, EACCES and EPERM (a packet filter), ENOBUFS, …: no connection was made.
  return asked === 'connect' ? 'ERR_UPSTREAM_UNREACHABLE' : undefined;
}

function describe(error: SystemError): string {
  const code = String(error.code);
  if (typeof error.address === 'string') {
    const host = error.address.includes(':') ? `[${error.address}]` : error.address;
    return typeof error.port === 'number' ? `${code} ${host}:${error.port}` : `${code} ${host}`;
  }
  return typeof error.hostname === 'string' ? `${code} ${error.hostname}` : code;
}
