/**
 * Private keys of leaves, sealed for wherever they are kept outside this process.
 *
 * Whoever has the CA's key can make any leaf, so nothing is given away by letting the same key open those that
 * were made: all processes with that CA can read each other's entries, and nobody else can, or can forge one.
 */
import { type KeyObject, createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { Sealer } from './store.js';

export interface SealerOptions {
  /** The CA's private key, or a secret that all who share the entries have. */
  readonly privateKey: KeyObject | Uint8Array;
  /** The SHA-256 fingerprint of the CA certificate. */
  readonly authority: string;
}

/** What the derived key is for (RFC 5869 §3.2). The version changes with anything that is sealed in another way. */
const label = 'sallyport: private keys of leaf certificates, version 1';
const cipher = 'aes-256-gcm';
const keyLength = 32;
/** Random nonces of 96 bits are good for 2^32 seals under one key (NIST SP 800-38D §8.3). */
const nonceLength = 12;
const tagLength = 16;

/** AES-256-GCM under a key derived by HKDF-SHA256 (RFC 5869). Throws only if the key cannot be exported. */
export function makeSealer({ privateKey, authority }: SealerOptions): Sealer {
  const secret =
    privateKey instanceof Uint8Array ? privateKey : privateKey.export({ type: 'pkcs8', format: 'der' });
  const key = Buffer.from(hkdfSync('sha256', secret, authority, label, keyLength));
  return {
    seal(plain, context) {
      const nonce = randomBytes(nonceLength);
      const sealing = createCipheriv(cipher, key, nonce, { authTagLength: tagLength });
      sealing.setAAD(Buffer.from(context));
      return Buffer.concat([nonce, sealing.update(plain), sealing.final(), sealing.getAuthTag()]);
    },
    open(sealed, context) {
      if (sealed.length < nonceLength + tagLength) return undefined;
      const end = sealed.length - tagLength;
      const opening = createDecipheriv(cipher, key, sealed.subarray(0, nonceLength), {
        authTagLength: tagLength,
      });
      opening.setAAD(Buffer.from(context));
      opening.setAuthTag(sealed.subarray(end));
      const plain = opening.update(sealed.subarray(nonceLength, end));
      try {
        return Buffer.concat([plain, opening.final()]);
      } catch {
        // The tag does not fit; OpenSSL has no more to say than that.
        return undefined;
      }
    },
  };
}
