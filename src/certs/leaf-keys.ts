/**
 * Keys for leaf certificates: the leaves of one authority and one profile that a process makes within some hours
 * have the same, as mitmproxy's do, and it is never the CA's. `docs/certificates.md` says why that is safe.
 */
import { createECDH, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import type { Milliseconds } from '../base/bytes.js';
import { readPublicKeyBits } from './certificate-fields.js';
import * as der from './der.js';
import { SharedKey } from './leaf-keys-shared.js';
import { toPem } from './pem.js';
import { keyIdentifier } from './x509.js';

/** The kind of key that a leaf has. */
export type KeyProfile = 'p256' | 'rsa-2048';

export interface LeafKey {
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** What `subjectKeyIdentifier` says of it (RFC 5280 §4.2.1.2). */
  readonly identifier: Uint8Array;
  /** PKCS #8. */
  readonly privateKeyPem: string;
}

const hour: Milliseconds = 60 * 60 * 1000;

/** How long new leaves get the same key. RSA keys are dear, P-256 keys cheap. */
const lifetimes: Readonly<Record<KeyProfile, Milliseconds>> = { p256: hour, 'rsa-2048': 24 * hour };

/** `p256`: made at once. `rsa-2048`: made on one of libuv's threads, which only the first `take` waits for. */
export function leafKeys(profile: KeyProfile, now?: () => Milliseconds): SharedKey<LeafKey> {
  return new SharedKey({
    make: profile === 'p256' ? makeP256Key : makeRsaKey,
    lifetime: lifetimes[profile],
    now,
  });
}

const ecP256 = der.sequence(der.oid('1.2.840.10045.2.1'), der.oid('1.2.840.10045.3.1.7'));

/**
 * The key comes from ECDH's generator and is encoded here: OpenSSL's own encoders take ten times as long
 * as the generation.
 */
function makeP256Key(): LeafKey {
  const generator = createECDH('prime256v1');
  const point = generator.generateKeys();
  const scalar = Buffer.alloc(32);
  const magnitude = generator.getPrivateKey();
  scalar.set(magnitude, 32 - magnitude.length);
  // ECPrivateKey of RFC 5915 §3 in PrivateKeyInfo of RFC 5208 §5; the curve is named in the latter.
  const privateKey = der.sequence(
    der.integer(1),
    der.octetString(scalar),
    der.explicit(1, der.bitString(point)),
  );
  const privateKeyInfo = der.sequence(der.integer(0), ecP256, der.octetString(privateKey));
  return {
    publicKey: der.sequence(ecP256, der.bitString(point)),
    identifier: keyIdentifier(point),
    privateKeyPem: flat(toPem('PRIVATE KEY', privateKeyInfo)),
  };
}

const generateKeyPairAsync = promisify(generateKeyPair);

async function makeRsaKey(): Promise<LeafKey> {
  const { publicKey, privateKey } = await generateKeyPairAsync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return {
    publicKey,
    identifier: keyIdentifier(readPublicKeyBits(publicKey)),
    privateKeyPem: flat(privateKey),
  };
}

/** In one piece: thousands of leaves hold it, and what was put together of pieces is a tree of them in V8. */
function flat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
