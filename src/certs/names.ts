/**
 * What a certificate may be made for: a DNS name or an IP address, in one spelling each, so that one host has
 * one certificate whatever way a client writes it.
 */
import { SocketAddress, isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { SallyportError } from '../base/errors.js';

export type CertificateName =
  | {
      readonly kind: 'dns';
      /** Lower case, ASCII, without a trailing dot. */
      readonly host: string;
    }
  | {
      readonly kind: 'ip';
      /** Without brackets; IPv6 in its short form. */
      readonly host: string;
      /** The 4 or 16 octets of an iPAddress (RFC 5280 §4.2.1.6). */
      readonly address: Uint8Array;
    };

/** Longer input is refused unread; an internationalised name of 253 octets fits in any spelling. */
const longestInput = 1024;
const longestName = 253;
const longestLabel = 63;

/**
 * `host` as a name for a certificate. Throws `ERR_LEAF_CERTIFICATE` for what is none.
 *
 * DNS names: letters, digits and hyphens (RFC 1123 §2.1), and underscores, which no host name has by the rules
 * but many have in use; hyphens may stand anywhere for the same reason. Internationalised names are converted
 * (UTS #46). One trailing dot is dropped. A name whose last label is a number is refused, as URL parsers take
 * it for an IPv4 address (WHATWG URL, "ends in a number"). A `*` is refused: it is nobody's host name, and a
 * client that could ask for it would get a certificate for every name beside it.
 *
 * Addresses: dotted IPv4 and IPv6, with or without brackets. A zone (`%eth0`) means something on one machine
 * only, and clients leave it out when they compare: it is dropped.
 */
export function certificateName(host: string): CertificateName {
  if (host.length > longestInput) throw refused(host, `it has ${host.length} characters`);
  const bracketed = /^\[(.*)\]$/s.exec(host)?.[1];
  if (bracketed !== undefined && !isIPv6(bracketed)) {
    throw refused(host, 'what stands in the brackets is not an IPv6 address');
  }
  const literal = bracketed ?? host;
  if (isIPv6(literal)) return ipv6Name(literal.replace(/%.*$/s, ''));

  const relative = host.endsWith('.') ? host.slice(0, -1) : host;
  if (isIPv4(relative)) {
    return { kind: 'ip', host: relative, address: Uint8Array.from(relative.split('.'), Number) };
  }
  return dnsName(host, relative);
}

function dnsName(host: string, relative: string): CertificateName {
  const ascii = isAscii(relative) ? relative.toLowerCase() : internationalName(relative);
  if (ascii === '') throw refused(host, relative === '' ? 'it is empty' : 'it is not a valid IDN');
  if (ascii.length > longestName) {
    throw refused(host, `it has ${ascii.length} characters, a name has at most ${longestName}`);
  }
  const labels = ascii.split('.');
  for (const label of labels) {
    if (label === '') throw refused(host, 'it has an empty label');
    if (label.length > longestLabel) {
      throw refused(
        host,
        `it has a label of ${label.length} characters, at most ${longestLabel} are allowed`,
      );
    }
    if (!/^[a-z0-9_-]+$/.test(label)) throw refused(host, 'it has characters that no host name has');
  }
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')) {
    throw refused(host, 'its last label is a number, but it is not an IPv4 address');
  }
  return { kind: 'dns', host: ascii };
}

/**
 * `''` for what cannot be converted. A trailing dot in another script has become an ASCII one. The conversion
 * is that of URLs, which would end the name at a `/` and decode a `%41`: such characters must not reach it.
 */
function internationalName(name: string): string {
  if (/[^A-Za-z0-9_.\x80-\uffff-]/.test(name)) return '';
  const ascii = domainToASCII(name);
  return ascii.endsWith('.') ? ascii.slice(0, -1) : ascii;
}

function ipv6Name(literal: string): CertificateName {
  const [head = '', tail] = literal.split('::');
  const front = groups(head);
  const back = groups(tail ?? '');
  const missing = Array.from({ length: 8 - front.length - back.length }, () => 0);
  const address = Uint8Array.from(
    [...front, ...missing, ...back].flatMap((group) => [group >> 8, group & 0xff]),
  );
  const host = new SocketAddress({ address: literal, family: 'ipv6' }).address;
  return { kind: 'ip', host, address };
}

/** 16-bit groups of one side of `::`; a dotted end makes two (RFC 4291 §2.2). */
function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function isAscii(text: string): boolean {
  return /^[\0-\x7f]*$/.test(text);
}

function refused(host: string, reason: string): SallyportError {
  const shown = JSON.stringify(host.length > 80 ? `${host.slice(0, 80)}…` : host);
  return new SallyportError('ERR_LEAF_CERTIFICATE', `${shown} is not a host name: ${reason}`);
}
