/** The parts of an X.509 v3 certificate (RFC 5280 §4.1), from encoded parts to the signed whole. */
import { createHash, randomBytes } from 'node:crypto';
import * as der from './der.js';

/** What is signed, in the order of RFC 5280 §4.1. Everything but the times is DER. */
export interface CertificateParts {
  /** INTEGER. */
  readonly serial: Uint8Array;
  /** AlgorithmIdentifier of the signature. */
  readonly algorithm: Uint8Array;
  /** Name. */
  readonly issuer: Uint8Array;
  /** Epoch milliseconds, both ends inclusive. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Name. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** Each an Extension, or several that follow one another. */
  readonly extensions: readonly Uint8Array[];
}

const version3 = der.explicit(0, der.integer(2));

/** The TBSCertificate. */
export function toBeSigned(parts: CertificateParts): Buffer {
  return der.sequence(
    version3,
    parts.serial,
    parts.algorithm,
    parts.issuer,
    der.sequence(der.time(parts.notBefore), der.time(parts.notAfter)),
    parts.subject,
    parts.publicKey,
    der.explicit(3, der.sequence(...parts.extensions)),
  );
}

/** The Certificate of a TBSCertificate and its signature. */
export function signed(tbs: Uint8Array, algorithm: Uint8Array, signature: Uint8Array): Buffer {
  return der.sequence(tbs, algorithm, der.bitString(signature));
}

/**
 * A serial number of 128 random bits behind one fixed octet: always positive, never zero, never in need of
 * padding, 17 of the 20 octets that RFC 5280 §4.1.2.2 allows.
 */
export function randomSerial(): Buffer {
  return Buffer.concat([Uint8Array.of(0x01), randomBytes(16)]);
}

/** A Name of single-valued attributes, in order; no attribute makes the empty name. */
export function distinguishedName(
  attributes: readonly (readonly [oid: Uint8Array, value: string])[],
): Buffer {
  return der.sequence(
    ...attributes.map(([type, value]) => der.setOf(der.sequence(type, der.utf8String(value)))),
  );
}

/** Attribute types for `distinguishedName` (RFC 5280 appendix A.1). */
export const commonName = der.oid('2.5.4.3');
export const organizationName = der.oid('2.5.4.10');

/** A key identifier by method (1) of RFC 5280 §4.2.1.2: SHA-1 of the bits of the public key. */
export function keyIdentifier(publicKeyBits: Uint8Array): Buffer {
  return createHash('sha1').update(publicKeyBits).digest();
}

/** Bits of KeyUsage (RFC 5280 §4.2.1.3), as the first octet of its BIT STRING. */
export const keyUsageBits = {
  digitalSignature: 0x80,
  keyEncipherment: 0x20,
  keyCertSign: 0x04,
  crlSign: 0x02,
} as const;

const oids = {
  subjectKeyIdentifier: der.oid('2.5.29.14'),
  keyUsage: der.oid('2.5.29.15'),
  subjectAltName: der.oid('2.5.29.17'),
  basicConstraints: der.oid('2.5.29.19'),
  authorityKeyIdentifier: der.oid('2.5.29.35'),
  extendedKeyUsage: der.oid('2.5.29.37'),
  serverAuth: der.oid('1.3.6.1.5.5.7.3.1'),
} as const;

function extension(id: Uint8Array, critical: boolean, value: Uint8Array): Buffer {
  const wrapped = der.octetString(value);
  return critical ? der.sequence(id, der.booleanTrue(), wrapped) : der.sequence(id, wrapped);
}

/** Critical keyUsage with these bits. */
export function keyUsage(bits: number): Buffer {
  const unused = 31 - Math.clz32(bits & -bits);
  return extension(oids.keyUsage, true, der.bitString(Uint8Array.of(bits), unused));
}

/** Critical basicConstraints of a certificate that is not a CA: the empty sequence, as FALSE is the default. */
export function endEntity(): Buffer {
  return extension(oids.basicConstraints, true, der.sequence());
}

/** Critical basicConstraints of a CA, with how many CAs may stand below it. */
export function certificateAuthority(pathLength: number): Buffer {
  return extension(oids.basicConstraints, true, der.sequence(der.booleanTrue(), der.integer(pathLength)));
}

export function extendedKeyUsageServer(): Buffer {
  return extension(oids.extendedKeyUsage, false, der.sequence(oids.serverAuth));
}

export function subjectKeyIdentifier(identifier: Uint8Array): Buffer {
  return extension(oids.subjectKeyIdentifier, false, der.octetString(identifier));
}

export function authorityKeyIdentifier(identifier: Uint8Array): Buffer {
  return extension(oids.authorityKeyIdentifier, false, der.sequence(der.implicit(0, identifier)));
}

/** subjectAltName with encoded GeneralNames; critical where the subject is empty (RFC 5280 §4.2.1.6). */
export function subjectAltName(critical: boolean, ...names: readonly Uint8Array[]): Buffer {
  return extension(oids.subjectAltName, critical, der.sequence(...names));
}
