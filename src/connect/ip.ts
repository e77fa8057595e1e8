/**
 * IP addresses in one spelling each, so that comparing two of them is comparing two strings. Pure.
 *
 * IPv4 is the dotted decimal quad and nothing else. IPv6 is as RFC 5952 §4 writes it, except that addresses
 * with an embedded IPv4 one stay hexadecimal (`::ffff:7f00:1`), as browsers and the URL Standard have it.
 */
import { isIPv4, isIPv6 } from 'node:net';

/**
 * `text` in its one spelling, or `undefined` when it is not an IP address. Takes IPv6 without brackets;
 * one with a zone (`fe80::1%eth0`, RFC 4007) has no meaning on another machine and is not an address here.
 */
export function canonicalIp(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (text.includes('%') || !isIPv6(text)) return undefined;
  return formatIpv6(groupsOf(text));
}

/**
 * The IPv4 address that an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) stands for; any other address
 * as it is. Connecting to either reaches the same socket. `ip` is in its one spelling.
 */
export function unmapped(ip: string): string {
  if (!ip.startsWith('::ffff:')) return ip;
  const groups = groupsOf(ip);
  if (groups[5] !== 0xffff) return ip;
  return [6, 7].flatMap((at) => [(groups[at] ?? 0) >> 8, (groups[at] ?? 0) & 0xff]).join('.');
}

/** The eight groups of a valid IPv6 address (RFC 4291 §2.2). */
function groupsOf(text: string): number[] {
  const [left = '', right] = text.split('::');
  const before = parseGroups(left);
  if (right === undefined) return before;
  const after = parseGroups(right);
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function parseGroups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function formatIpv6(groups: readonly number[]): string {
  // RFC 5952 §4.2: the longest run of zeros is cut, the first of equals, never a single group.
  let start = -1;
  let longest = 1;
  for (let from = 0; from < groups.length; from += 1) {
    let to = from;
    while (groups[to] === 0) to += 1;
    if (to - from > longest) {
      start = from;
      longest = to - from;
    }
  }
  const text = (from: number, to?: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return start === -1 ? text(0) : `${text(0, start)}::${text(start + longest)}`;
}
