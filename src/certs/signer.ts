/** Signatures of the CA: who makes them, and which algorithm goes with which key. */
import { type KeyObject, sign, verify } from 'node:crypto';
import { SallyportError } from '../base/errors.js';
import { isPromise } from './awaiting.js';
import * as der from './der.js';

/** The signature algorithms that a CA may have here. */
export type SignatureAlgorithm = 'ecdsa-p256-sha256' | 'ecdsa-p384-sha384' | 'rsa-pkcs1-sha256' | 'ed25519';

/**
 * Signs certificates with the key of one CA, wherever that key is: in this process, in another, in a device.
 *
 * `sign` gets the whole TBSCertificate and gives the signature as a certificate has it (for ECDSA the DER of
 * Ecdsa-Sig-Value, RFC 3279 §2.2.3). It may be called any number of times at once. It may throw or reject;
 * the error reaches whoever waits for the certificate. When `options.signal` aborts, nobody waits any more and
 * the work may be dropped. The bytes of `tbs` stay as they are until it has ended.
 */
export interface Signer {
  readonly algorithm: SignatureAlgorithm;
  sign(
    tbs: Uint8Array,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Uint8Array | Promise<Uint8Array>;
}

interface Algorithm {
  readonly digest: string | undefined;
  /** The AlgorithmIdentifier that goes into certificates. */
  readonly identifier: Uint8Array;
}

const algorithms: Readonly<Record<SignatureAlgorithm, Algorithm>> = {
  // ECDSA: parameters absent (RFC 5758 §3.2).
  'ecdsa-p256-sha256': { digest: 'sha256', identifier: der.sequence(der.oid('1.2.840.10045.4.3.2')) },
  'ecdsa-p384-sha384': { digest: 'sha384', identifier: der.sequence(der.oid('1.2.840.10045.4.3.3')) },
  // RSA: parameters NULL (RFC 4055 §5).
  'rsa-pkcs1-sha256': {
    digest: 'sha256',
    identifier: der.sequence(der.oid('1.2.840.113549.1.1.11'), der.nullValue()),
  },
  // Ed25519 hashes by itself; parameters absent (RFC 8410 §3).
  ed25519: { digest: undefined, identifier: der.sequence(der.oid('1.3.101.112')) },
};

/** The AlgorithmIdentifier of `algorithm`, in DER. */
export function algorithmIdentifier(algorithm: SignatureAlgorithm): Uint8Array {
  return algorithms[algorithm].identifier;
}

/** The algorithm that a CA with this key signs with, or a sentence that says why there is none. */
export function algorithmOf(
  key: KeyObject,
):
  | { readonly ok: true; readonly algorithm: SignatureAlgorithm }
  | { readonly ok: false; readonly reason: string } {
  const details = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ec':
      if (details.namedCurve === 'prime256v1') return { ok: true, algorithm: 'ecdsa-p256-sha256' };
      if (details.namedCurve === 'secp384r1') return { ok: true, algorithm: 'ecdsa-p384-sha384' };
      return {
        ok: false,
        reason: `its curve is ${details.namedCurve ?? 'unnamed'}, P-256 and P-384 can be used`,
      };
    case 'rsa': {
      const bits = details.modulusLength ?? 0;
      if (bits >= 2048) return { ok: true, algorithm: 'rsa-pkcs1-sha256' };
      return { ok: false, reason: `it is an RSA key of ${bits} bits, clients refuse less than 2048` };
    }
    case 'ed25519':
      return { ok: true, algorithm: 'ed25519' };
    default:
      return {
        ok: false,
        reason: `it is of type ${key.asymmetricKeyType ?? key.type}; RSA, P-256, P-384 and Ed25519 can be used`,
      };
  }
}

/** A signer that has the private key here. It answers at once, without a promise. */
export interface LocalSigner extends Signer {
  sign(tbs: Uint8Array): Uint8Array;
}

/** Signs with `key`, which must be a private key that `algorithmOf` gives this algorithm. */
export function localSigner(key: KeyObject, algorithm: SignatureAlgorithm): LocalSigner {
  const { digest } = algorithms[algorithm];
  return { algorithm, sign: (tbs) => sign(digest, tbs, key) };
}

/**
 * `signer`, whose signatures are verified with `publicKey` before anybody gets them (0.1 ms): a leaf with a wrong
 * one would fail in clients only, and might be kept in a store. Rejects with `ERR_SIGNER` for such a signature.
 */
export function verifiedSigner(signer: Signer, publicKey: KeyObject): Signer {
  const { algorithm } = signer;
  const { digest } = algorithms[algorithm];
  const checked = (tbs: Uint8Array, signature: Uint8Array): Uint8Array => {
    if (verify(digest, tbs, publicKey, signature)) return signature;
    throw new SallyportError('ERR_SIGNER', 'the signature was not made with the key of the CA certificate');
  };
  return {
    algorithm,
    sign: (tbs, options) => {
      const signature = signer.sign(tbs, options);
      return isPromise(signature) ? signature.then((made) => checked(tbs, made)) : checked(tbs, signature);
    },
  };
}
