/**
 * Where a request wants to go: the two forms of request target that are sent to a proxy. Pure.
 *
 * What two parsers could read in two ways is refused, not repaired: a proxy that reads `http://a\@b/` as one
 * host while the next hop reads another is how policies are walked around. What is accepted comes out in one
 * spelling (lower case, no trailing dot, IPv6 as in `ip.ts`), so that pools, certificates, rules and the
 * loop check compare strings.
 *
 * All failures are `SallyportError`: `ERR_TARGET_INVALID`, or `ERR_NOT_A_PROXY_REQUEST` for a request that
 * was made as to an origin server.
 */
import { SallyportError } from '../base/errors.js';
import type { Origin } from '../base/message.js';
import { canonicalIp } from './ip.js';

/** Where a tunnel goes. */
export interface Destination {
  /** A DNS name in lower case without a trailing dot, or an IP address in its one spelling, no brackets. */
  readonly host: string;
  /** 1–65535. */
  readonly port: number;
}

/** What an absolute-form target says. */
export interface AbsoluteTarget {
  readonly origin: Origin;
  /** The target for the origin: path and query as they were sent, byte for byte; or `*`. */
  readonly path: string;
}

/**
 * Reads the authority-form target of a CONNECT: `host:port`, both required (RFC 9110 §9.3.6, RFC 9112
 * §3.2.3). No userinfo, path or query; IPv6 in brackets, without a zone.
 */
export function parseConnectTarget(target: string): Destination {
  const { host, port } = splitAuthority(target, target);
  if (port === undefined || port === '') throw invalid(target, 'the port is missing');
  return { host: parseHost(host, target), port: parsePort(port, target) };
}

/**
 * Reads an absolute-form target, `http://host[:port][/path][?query]` or `https:` (RFC 9112 §3.2.2). An empty
 * path becomes `/`; for OPTIONS (`options: true`) it becomes `*` when there is no query either (RFC 9112
 * §3.2.4). Bytes above 0x7f in the path are passed on, as many clients send them.
 */
export function parseAbsoluteTarget(target: string, options = false): AbsoluteTarget {
  if (target === '' || target === '*' || target.startsWith('/')) {
    throw new SallyportError('ERR_NOT_A_PROXY_REQUEST', `the request target is '${show(target)}'`);
  }
  const match = /^(https?):\/\/([^/?#]*)/i.exec(target);
  if (!match) throw invalid(target, 'it is neither an http:// nor an https:// URL');
  const [start, schemeText = '', authority = ''] = match;
  const scheme = schemeText.length === 4 ? 'http' : 'https';
  const { host, port } = splitAuthority(authority, target);
  const origin: Origin = {
    scheme,
    host: parseHost(host, target),
    // RFC 3986 §3.2.3: an empty port is the default one.
    port: port ? parsePort(port, target) : scheme === 'http' ? 80 : 443,
  };
  return { origin, path: parsePath(target.slice(start.length), target, options) };
}

function splitAuthority(authority: string, target: string): { host: string; port: string | undefined } {
  if (authority.includes('@')) throw invalid(target, 'it has userinfo');
  const end = authority.startsWith('[') ? authority.indexOf(']') + 1 : 0;
  if (end === 0 && authority.startsWith('[')) throw invalid(target, "the '[' is not closed");
  const colon = authority.indexOf(':', end);
  if (colon === -1) return { host: authority, port: undefined };
  if (authority.includes(':', colon + 1)) {
    throw invalid(target, 'there is more than one colon; an IPv6 address needs brackets');
  }
  return { host: authority.slice(0, colon), port: authority.slice(colon + 1) };
}

function parsePort(text: string, target: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw invalid(target, 'the port is not a number from 1 to 65535');
  return port;
}

/**
 * Host names are letters, digits, hyphens and underscores (which DNS carries and people use), RFC 1123 §2.1.
 * Percent-encoding and the sub-delims of RFC 3986 §3.2.2 stand in no name that DNS resolves.
 */
function parseHost(text: string, target: string): string {
  if (text === '') throw invalid(target, 'the host is missing');
  if (text.startsWith('[')) return parseBracketed(text, target);
  if (!/^[\w.-]+$/.test(text)) throw invalid(target, 'the host has a character that no host name has');
  const host = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  if (host.length > 253) throw invalid(target, 'the host is longer than 253 characters');
  const labels = host.split('.');
  for (const label of labels) {
    if (label === '') throw invalid(target, 'the host has an empty label');
    if (label.length > 63) throw invalid(target, 'a label of the host is longer than 63 characters');
  }
  // Resolvers and browsers read 127.1, 0x7f.1, 0177.0.0.1 and 2130706433 as 127.0.0.1, others do not. The
  // last label decides, as no top-level domain is a number.
  if (/^(?:\d+|0x[\da-f]*)$/.test(labels.at(-1) ?? '') && canonicalIp(host) === undefined) {
    throw invalid(target, 'the host looks like an IPv4 address but is not four decimal numbers');
  }
  return host;
}

function parseBracketed(text: string, target: string): string {
  const inner = text.slice(1, -1);
  if (text.endsWith(']') && inner.includes('%')) throw invalid(target, 'an IPv6 zone means nothing here');
  const ip = text.endsWith(']') && inner.includes(':') ? canonicalIp(inner) : undefined;
  if (ip === undefined) throw invalid(target, 'what is in brackets is not an IPv6 address');
  return ip;
}

function parsePath(path: string, target: string, options: boolean): string {
  if (path.includes('#')) throw invalid(target, 'it has a fragment');
  // What would end or split the request line, and what is not a byte at all.
  if (/[^\x21-\x7e\x80-\xff]/.test(path)) throw invalid(target, 'it has a space or a control character');
  if (path.startsWith('/')) return path;
  return path === '' && options ? '*' : `/${path}`;
}

function invalid(target: string, reason: string): SallyportError {
  return new SallyportError('ERR_TARGET_INVALID', `${reason}: '${show(target)}'`);
}

/** For messages: at most 120 characters, all of them printable ASCII. */
function show(target: string): string {
  // Userinfo is a secret, and this goes to logs and to the client.
  const text = target
    .replace(/[^/?#]*@/, '***@')
    .slice(0, 120)
    .replace(/[^\x20-\x7e]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return target.length > 120 || text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
