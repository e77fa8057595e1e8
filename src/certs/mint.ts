/**
 * Leaf certificates from a template.
 *
 * Per authority and profile nearly everything in a leaf is the same octets, encoded once; a leaf is those, a
 * new serial, a new key, the times, the name and a signature.
 */
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import { isPromise } from './awaiting.js';
import { boundedSigner } from './bounded-signer.js';
import * as der from './der.js';
import { type KeyProfile, type LeafKey, leafKeys } from './leaf-keys.js';
import type { SharedKey } from './leaf-keys-shared.js';
import type { CertificateName } from './names.js';
import { toPem } from './pem.js';
import { type Signer, algorithmIdentifier } from './signer.js';
import type { LeafMaterial } from './store.js';
import * as x509 from './x509.js';

/** What minting needs of an authority. */
export interface Issuer {
  /** The subject of the CA certificate, a DER Name, octet for octet. */
  readonly subject: Uint8Array;
  readonly subjectKeyIdentifier: Uint8Array;
  /** When the CA certificate is valid, in epoch milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly signer: Signer;
}

export interface MinterOptions {
  /** Its signer may be elsewhere: it is asked for at most 16 signatures at a time (`boundedSigner`). */
  readonly issuer: Issuer;
  /** Default `p256`. */
  readonly profile?: KeyProfile;
  /** The time in epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

/** Who a leaf is for. */
export interface LeafSubject {
  /** The commonName, where it fits. It is not in the SAN unless `names` has it. */
  readonly name: CertificateName;
  /** The SAN, in this order; default `name` alone. At least one. */
  readonly names?: readonly CertificateName[];
  /**
   * Epoch milliseconds: the leaf is not valid outside these, nor outside the CA's. Where more than 199 days are left,
   * it gets those from an hour ago.
   */
  readonly notBefore?: number;
  readonly notAfter?: number;
}

/** How far a client's clock may be behind ours. */
const clockSkew: Milliseconds = 60 * 60 * 1000;
/**
 * 199 days, both ends counted: browsers stop taking leaves of public CAs at 200 days in 2026, and platforms
 * have applied such limits to private CAs before.
 */
const lifetime: Milliseconds = 199 * 24 * 60 * 60 * 1000 - 1000;
/** The most characters that a commonName can have (RFC 5280 appendix A.1, ub-common-name). */
const longestCommonName = 64;

/** Mints the leaves of one authority in one profile. */
export class Minter {
  readonly profile: KeyProfile;
  readonly #issuer: Issuer;
  readonly #now: () => number;
  /** Closes with the minter. */
  readonly #context = Context.background.withCancel();
  readonly #signer: Signer;
  readonly #keys: SharedKey<LeafKey>;
  readonly #algorithm: Uint8Array;
  /** The extensions that are the same in every leaf. */
  readonly #extensions: readonly Uint8Array[];
  /** Those, and the one that names the key: encoded once a key. */
  #keyed: { readonly key: LeafKey; readonly extensions: Uint8Array } | undefined;
  /** How often the key was forgotten. */
  #forgotten = 0;

  constructor({ issuer, profile = 'p256', now = Date.now }: MinterOptions) {
    this.profile = profile;
    this.#issuer = issuer;
    this.#now = now;
    this.#signer = boundedSigner(issuer.signer, { context: this.#context });
    this.#keys = leafKeys(profile);
    this.#algorithm = algorithmIdentifier(issuer.signer.algorithm);
    const { digitalSignature, keyEncipherment } = x509.keyUsageBits;
    this.#extensions = [
      x509.endEntity(),
      // RSA keys may also be used for the key exchange of TLS 1.2 (RFC 5246 §7.4.2).
      x509.keyUsage(profile === 'rsa-2048' ? digitalSignature | keyEncipherment : digitalSignature),
      x509.extendedKeyUsageServer(),
      x509.authorityKeyIdentifier(issuer.subjectKeyIdentifier),
    ];
  }

  /** Has the key made that the first leaf will need: for RSA it takes part of a second, on another thread. */
  prepare(): void {
    this.#keys.prepare();
  }

  /**
   * A new certificate for `subject`, valid from an hour ago for 199 days, within the validity of the CA. Its key
   * is the one of all leaves that this minter makes within the hour (P-256) or the day (RSA). Without a promise
   * when the key is there and the signature is made at once.
   *
   * Throws or rejects with `ERR_CA_BROKEN` when the CA certificate has ended, with `ERR_LEAF_CERTIFICATE` when the
   * times of `subject` leave nothing, with `ERR_CANCELLED` when `options.signal` aborts while something is waited
   * for, and after `close`, with `ERR_SIGNER` when the signer is overloaded or silent, and with what it threw.
   */
  mint(
    subject: CertificateName | LeafSubject,
    options?: { readonly signal?: AbortSignal | undefined },
  ): LeafMaterial | Promise<LeafMaterial> {
    const leaf = 'kind' in subject ? { name: subject } : subject;
    const key = this.#keys.take(options);
    const forgotten = this.#forgotten;
    const material = isPromise(key)
      ? key.then((made) => this.#certify(leaf, made, options))
      : this.#certify(leaf, key, options);
    if (!isPromise(material)) return material;
    // The key may have been forgotten while the signature was waited for.
    return material.then((made) => (this.#forgotten === forgotten ? made : this.mint(subject, options)));
  }

  /**
   * No leaf that `mint` gives from now on has a key of before. The next one is made at once; for RSA, leaves wait for
   * it.
   */
  forgetKey(): void {
    this.#forgotten += 1;
    this.#keys.forget();
  }

  /** Drops the key; whoever waits is rejected with `ERR_CANCELLED`. A second call does nothing. */
  close(): void {
    this.#keys.close();
    this.#context.close();
  }

  #certify(
    leaf: LeafSubject,
    key: LeafKey,
    options: { readonly signal?: AbortSignal | undefined } | undefined,
  ): LeafMaterial | Promise<LeafMaterial> {
    const { notBefore, notAfter } = this.#validity(leaf);
    const { name, names = [name] } = leaf;
    const subject = subjectName(name);
    const serial = x509.randomSerial();
    const tbs = x509.toBeSigned({
      serial: der.integer(serial),
      algorithm: this.#algorithm,
      issuer: this.#issuer.subject,
      notBefore,
      notAfter,
      subject: subject ?? emptyName,
      publicKey: key.publicKey,
      extensions: [
        this.#extensionsFor(key),
        x509.subjectAltName(subject === undefined, ...names.map(generalName)),
      ],
    });
    const finish = (signature: Uint8Array): LeafMaterial => ({
      certificatePem: toPem('CERTIFICATE', x509.signed(tbs, this.#algorithm, signature)),
      privateKeyPem: key.privateKeyPem,
      notBefore,
      notAfter,
      serial: serial.toString('hex'),
    });
    const signature = this.#signer.sign(tbs, options);
    return isPromise(signature) ? signature.then(finish) : finish(signature);
  }

  #extensionsFor(key: LeafKey): Uint8Array {
    if (this.#keyed?.key !== key) {
      const named = x509.subjectKeyIdentifier(key.identifier);
      this.#keyed = { key, extensions: Buffer.concat([...this.#extensions, named]) };
    }
    return this.#keyed.extensions;
  }

  #validity(leaf: LeafSubject): { readonly notBefore: number; readonly notAfter: number } {
    const now = Math.floor(this.#now() / 1000) * 1000;
    const { notBefore: from = now - clockSkew, notAfter: until = Number.POSITIVE_INFINITY } = leaf;
    let notBefore = Math.max(this.#issuer.notBefore, from);
    let notAfter = Math.min(this.#issuer.notAfter, until);
    if (notAfter - notBefore > lifetime) {
      notBefore = Math.max(notBefore, now - clockSkew);
      notAfter = Math.min(notAfter, now - clockSkew + lifetime);
    }
    if (this.#issuer.notAfter <= now) {
      const end = new Date(this.#issuer.notAfter).toISOString();
      throw new SallyportError('ERR_CA_BROKEN', `its certificate ended at ${end}`);
    }
    if (notAfter <= now || notAfter <= notBefore) {
      throw new SallyportError('ERR_LEAF_CERTIFICATE', `${leaf.name.host} would have one that had ended`);
    }
    return { notBefore, notAfter };
  }
}

const emptyName = x509.distinguishedName([]);

/** The subject, with the host as commonName for old tools; `undefined` when it is too long for one. */
function subjectName(name: CertificateName): Uint8Array | undefined {
  if (name.host.length > longestCommonName) return undefined;
  return x509.distinguishedName([[x509.commonName, name.host]]);
}

/** A GeneralName of RFC 5280 §4.2.1.6: dNSName [2] or iPAddress [7]. */
function generalName(name: CertificateName): Uint8Array {
  return name.kind === 'ip'
    ? der.implicit(7, name.address)
    : der.implicit(2, Buffer.from(name.host, 'latin1'));
}
