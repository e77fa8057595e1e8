/** Keys for leaf certificates: each leaf has its own, and none of them is ever the CA's. */
import { createECDH, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { readPublicKeyBits } from './certificate-fields.js';
import * as der from './der.js';
import { toPem } from './pem.js';
import { RsaKeyPool } from './rsa-key-pool.js';

/** The kind of key that a leaf has. */
export type KeyProfile = 'p256' | 'rsa-2048';

export interface LeafKey {
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** The bits within it. */
  readonly publicKeyBits: Uint8Array;
  /** PKCS #8. */
  readonly privateKeyPem: string;
}

/** Gives a key that nobody else has at each `take`. */
export interface LeafKeySource {
  /** `options.signal` ends the wait, if there is one, with `ERR_CANCELLED`. */
  take(options?: { readonly signal?: AbortSignal | undefined }): LeafKey | Promise<LeafKey>;
  /** Stops what is done ahead; whoever waits is rejected with `ERR_CANCELLED`. */
  close(): void;
}

/**
 * `p256`: made at once. `rsa-2048`: made on libuv's threads, and from the first `take` on a few ahead, which are
 * given without a promise.
 */
export function leafKeySource(profile: KeyProfile): LeafKeySource {
  return profile === 'p256' ? p256Source() : new RsaKeyPool({ make: makeRsaKey });
}

const ecP256 = der.sequence(der.oid('1.2.840.10045.2.1'), der.oid('1.2.840.10045.3.1.7'));

/**
 * The key comes from ECDH's generator and is encoded here: OpenSSL's own encoders take ten times as long
 * as the generation.
 */
function p256Source(): LeafKeySource {
  const generator = createECDH('prime256v1');
  const take = (): LeafKey => {
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
      publicKeyBits: point,
      privateKeyPem: toPem('PRIVATE KEY', privateKeyInfo),
    };
  };
  return { take, close: () => undefined };
}

const generateKeyPairAsync = promisify(generateKeyPair);

async function makeRsaKey(): Promise<LeafKey> {
  const { publicKey, privateKey } = await generateKeyPairAsync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return { publicKey, publicKeyBits: readPublicKeyBits(publicKey), privateKeyPem: privateKey };
}
