/**
 * What a leaf takes from the certificate of an origin that was verified: its names and its times.
 *
 * An origin may put anything into its certificate, and a leaf of ours is believed by those who trust the CA. So no
 * name is taken that a client would not take from a public CA, none that the origin lacks, and not without end.
 */
import type { Bytes } from '../base/bytes.js';
import { tags } from './der.js';
import {
  DerError,
  type DerElement,
  expectTag,
  readConstructed,
  readElement,
  readTime,
} from './der-reader.js';
import type { LeafSubject } from './mint.js';
import { type CertificateName, certificateName } from './names.js';

/** At most so many names are taken, the host's own included, */
export const mostMirroredNames = 100;
/** with at most so many octets, */
export const mostMirroredOctets: Bytes = 8 * 1024;
/** out of the first so many that the origin has. */
const mostNamesRead = 1000;

/**
 * The subject of a leaf for `name` that mirrors the certificate whose DER is `origin`: `name` first, which need not be
 * in that certificate as it stands (a wildcard may cover it), then the origin's names in their order, and its times.
 *
 * DNS names are taken where `certificateName` spells them the same but for case; wildcards where browsers take them: one
 * `*` as the whole of the leftmost label, with two labels of letters, digits and inner hyphens after it (RFC 6125
 * §6.4.3; see `wildcards.ts`); addresses of 4 or 16 octets. Nothing else is. Of a certificate that is not encoded as RFC 5280 asks
 * nothing is taken: the leaf is then for `name`, as one that mirrors nothing.
 *
 * Under a CA with name constraints (RFC 5280 §4.2.1.10) no name but `name` is taken: one outside them, of whatever
 * kind, would make the leaf invalid for all.
 */
export function mirroredSubject(
  name: CertificateName,
  origin: Uint8Array,
  authority: { readonly nameConstrained?: boolean | undefined } = {},
): LeafSubject {
  try {
    const { notBefore, notAfter, names } = readOrigin(origin);
    const others = authority.nameConstrained === true ? [] : names;
    return { name, names: select(name, others), notBefore, notAfter };
  } catch (error) {
    if (error instanceof DerError) return { name };
    throw error;
  }
}

function select(name: CertificateName, found: readonly CertificateName[]): readonly CertificateName[] {
  const names = new Map([[name.host, name]]);
  let octets = name.host.length;
  for (const other of found) {
    octets += other.host.length;
    if (names.size === mostMirroredNames || octets > mostMirroredOctets) break;
    names.set(other.host, other);
  }
  return [...names.values()];
}

interface OriginCertificate {
  readonly notBefore: number;
  readonly notAfter: number;
  /** Those that a leaf may have. */
  readonly names: readonly CertificateName[];
}

const subjectAltNameOid = Buffer.from('551d11', 'hex');

/** Reads a Certificate of RFC 5280 §4.1. */
function readOrigin(certificate: Uint8Array): OriginCertificate {
  const fields = readFields(certificate);
  const extensions = fields.find(({ tag }) => tag === 0xa3)?.contents;
  return { ...readTimes(fields), names: extensions ? readNames(extensions) : [] };
}

/**
 * When the certificate of an origin ends, in epoch milliseconds: from then on it is invalid. `Infinity` for one that is
 * not encoded as RFC 5280 asks, of which nothing is mirrored either.
 */
export function originEnd(certificate: Uint8Array): number {
  try {
    return readTimes(readFields(certificate)).notAfter;
  } catch (error) {
    if (error instanceof DerError) return Number.POSITIVE_INFINITY;
    throw error;
  }
}

function readFields(certificate: Uint8Array): readonly DerElement[] {
  const [tbs] = readConstructed(certificate, tags.sequence);
  return readConstructed(expectTag(tbs, tags.sequence).encoded, tags.sequence);
}

function readTimes(fields: readonly DerElement[]): Pick<OriginCertificate, 'notBefore' | 'notAfter'> {
  // Version 1 has no version field, version 3 has it as [0].
  const validity = fields[fields[0]?.tag === 0xa0 ? 4 : 3];
  const [notBefore, notAfter] = readConstructed(expectTag(validity, tags.sequence).encoded, tags.sequence);
  return { notBefore: readTime(notBefore), notAfter: readTime(notAfter) };
}

function readNames(extensions: Uint8Array): readonly CertificateName[] {
  let names: readonly CertificateName[] | undefined;
  for (const extension of readConstructed(extensions, tags.sequence)) {
    const parts = readConstructed(extension.encoded, tags.sequence);
    if (!subjectAltNameOid.equals(expectTag(parts[0], tags.oid).contents)) continue;
    // Two readers could see two different lists (RFC 5280 §4.2).
    if (names) throw new DerError('two lists of names');
    names = readGeneralNames(expectTag(parts.at(-1), tags.octetString).contents);
  }
  return names ?? [];
}

/** GeneralNames (RFC 5280 §4.2.1.6), not further than they are wanted. */
function readGeneralNames(value: Uint8Array): readonly CertificateName[] {
  const list = expectTag(readElement(value), tags.sequence);
  if (list.encoded.length !== value.length) throw new DerError('bytes after the names');
  const names: CertificateName[] = [];
  let read = 0;
  for (let offset = 0; offset < list.contents.length && read < mostNamesRead; read += 1) {
    const element = readElement(list.contents, offset);
    offset += element.encoded.length;
    const name = nameOf(element);
    if (name) names.push(name);
  }
  return names;
}

/** dNSName [2] and iPAddress [7]; `undefined` for what no leaf gets. */
function nameOf({ tag, contents }: DerElement): CertificateName | undefined {
  if (tag === 0x87) return addressOf(contents);
  if (tag !== 0x82 || contents.length > 253) return undefined;
  const host = Buffer.from(contents).toString('latin1').toLowerCase();
  const parent = host.startsWith('*.') ? host.slice(2) : undefined;
  if (parent === undefined) return sameName(host);
  const labels = parent.split('.');
  if (labels.length < 2 || !labels.every((label) => plainLabel.test(label)) || !sameName(parent)) {
    return undefined;
  }
  return { kind: 'dns', host };
}

const plainLabel = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
/** What has a chance: without it, each name that is none costs an error with its stack. */
const hostLike = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;

/** An address in the place of a DNS name is no name: clients disagree on it. */
function sameName(host: string): CertificateName | undefined {
  if (!hostLike.test(host)) return undefined;
  const name = parsed(host);
  return name?.kind === 'dns' && name.host === host ? name : undefined;
}

function addressOf(octets: Uint8Array): CertificateName | undefined {
  if (octets.length === 4) return parsed(octets.join('.'));
  if (octets.length !== 16) return undefined;
  const groups = Buffer.from(octets).toString('hex').match(/.{4}/g) ?? [];
  return parsed(groups.join(':'));
}

function parsed(text: string): CertificateName | undefined {
  try {
    return certificateName(text);
  } catch {
    // What is no name is left out.
    return undefined;
  }
}
