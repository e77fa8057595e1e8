/**
 * A PKCS #12 file (RFC 7292) that holds trusted certificates and no key: what Java, Windows and macOS import.
 *
 * The certificates are public and stand there unencrypted; the password only guards against changes, as
 * importers insist on a MAC.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import * as der from './der.js';

export interface TrustStoreOptions {
  /** Certificates in DER, such as `X509Certificate.raw`. */
  readonly certificates: readonly Uint8Array[];
  /** The name that importers list the certificates by; the second gets ` 2` after it, and so on. */
  readonly friendlyName: string;
  readonly password: string;
}

const oids = {
  data: der.oid('1.2.840.113549.1.7.1'),
  certBag: der.oid('1.2.840.113549.1.12.10.1.3'),
  x509Certificate: der.oid('1.2.840.113549.1.9.22.1'),
  friendlyName: der.oid('1.2.840.113549.1.9.20'),
  /** Oracle's attribute without which Java takes the certificate for part of a chain and trusts nothing. */
  trustedKeyUsage: der.oid('2.16.840.1.113894.746875.1.1'),
  anyExtendedKeyUsage: der.oid('2.5.29.37.0'),
  sha256: der.oid('2.16.840.1.101.3.4.2.1'),
} as const;

const iterations = 10_000;

/** The PFX, with HMAC-SHA-256 under a key derived from `password` and a random salt. */
export function encodeTrustStore({ certificates, friendlyName, password }: TrustStoreOptions): Buffer {
  const bags = certificates.map((certificate, index) =>
    certificateBag(certificate, index === 0 ? friendlyName : `${friendlyName} ${index + 1}`),
  );
  const authenticatedSafe = der.sequence(dataContent(der.sequence(...bags)));
  const salt = randomBytes(16);
  const key = deriveMacKey(password, salt, iterations);
  const mac = createHmac('sha256', key).update(authenticatedSafe).digest();
  const digestInfo = der.sequence(der.sequence(oids.sha256, der.nullValue()), der.octetString(mac));
  return der.sequence(
    der.integer(3),
    dataContent(authenticatedSafe),
    der.sequence(digestInfo, der.octetString(salt), der.integer(iterations)),
  );
}

/** ContentInfo of type data. */
function dataContent(contents: Uint8Array): Buffer {
  return der.sequence(oids.data, der.explicit(0, der.octetString(contents)));
}

/** SafeBag with a CertBag (RFC 7292 §4.2.3). */
function certificateBag(certificate: Uint8Array, friendlyName: string): Buffer {
  const bag = der.sequence(oids.x509Certificate, der.explicit(0, der.octetString(certificate)));
  const attributes = der.setOf(
    der.sequence(oids.friendlyName, der.setOf(der.bmpString(friendlyName))),
    der.sequence(oids.trustedKeyUsage, der.setOf(oids.anyExtendedKeyUsage)),
  );
  return der.sequence(oids.certBag, der.explicit(0, bag), attributes);
}

const hashBlock = 64;
const macPurpose = 3;

/**
 * The key derivation of RFC 7292 appendix B.2 with SHA-256, for a MAC key. The key is as long as the hash, so
 * one round of its outer loop is all. Exported for its test.
 */
export function deriveMacKey(password: string, salt: Uint8Array, rounds: number): Buffer {
  const purpose = Buffer.alloc(hashBlock, macPurpose);
  // A BMPString with a zero character at its end.
  const secret = Buffer.from(`${password}\0`, 'utf16le').swap16();
  let hash = createHash('sha256').update(purpose).update(repeated(salt)).update(repeated(secret)).digest();
  for (let round = 1; round < rounds; round += 1) hash = createHash('sha256').update(hash).digest();
  return hash;
}

/** `bytes` over and over, up to the next whole number of hash blocks. */
function repeated(bytes: Uint8Array): Buffer {
  if (bytes.length === 0) return Buffer.alloc(0);
  return Buffer.alloc(Math.ceil(bytes.length / hashBlock) * hashBlock, bytes);
}
