/** A CA that puts into the certificates of origins whatever a test wants, as a real one never would. */
import { generateKeyPairSync } from 'node:crypto';
import type { TestContext } from 'node:test';
import * as der from '../../src/certs/der.js';
import { type Authority, openAuthority } from '../../src/certs/index.js';
import { toPem } from '../../src/certs/pem.js';
import { algorithmIdentifier, localSigner } from '../../src/certs/signer.js';
import * as x509 from '../../src/certs/x509.js';
import type { Credentials } from './pki.js';
import { temporaryDirectory } from './stage.js';

const day = 86_400_000;

export interface OriginSubject {
  /** GeneralNames: see `dns` and `ip`. */
  readonly names: readonly Uint8Array[];
  /** Epoch milliseconds; default 30 days ago, and in 60 days. */
  readonly notBefore?: number;
  readonly notAfter?: number;
}

/** A dNSName of these octets, whatever they are. */
export function dns(name: string | Uint8Array): Uint8Array {
  return der.implicit(2, typeof name === 'string' ? Buffer.from(name, 'latin1') : name);
}

/** An iPAddress of these octets. */
export function ip(...octets: readonly number[]): Uint8Array {
  return der.implicit(7, Uint8Array.from(octets));
}

export class OriginCa {
  readonly #authority: Authority;

  private constructor(authority: Authority) {
    this.#authority = authority;
  }

  /** It has existed for some years, so that it can have signed what expired. */
  static async make(t: TestContext): Promise<OriginCa> {
    const dir = await temporaryDirectory(t);
    await openAuthority({ dir, name: 'CA of odd origins', now: () => Date.now() - 800 * day });
    return new OriginCa(await openAuthority({ dir }));
  }

  /** The CA certificate. */
  get pem(): string {
    return this.#authority.pem;
  }

  /** A certificate with a new key. */
  async issue(subject: OriginSubject): Promise<Credentials> {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { signer } = this.#authority;
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    const tbs = originTbs(subject, this.#authority.subject, spki, [
      x509.authorityKeyIdentifier(this.#authority.subjectKeyIdentifier),
    ]);
    const signature = await signer.sign(tbs);
    const certificate = x509.signed(tbs, algorithmIdentifier(signer.algorithm), signature);
    return {
      cert: toPem('CERTIFICATE', certificate),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  }
}

/** A certificate that vouches for itself. */
export async function selfSigned(subject: OriginSubject): Promise<Credentials> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const tbs = originTbs(subject, x509.distinguishedName([[x509.commonName, 'an origin']]), spki, []);
  const certificate = x509.signed(tbs, algorithm, localSigner(privateKey, 'ecdsa-p256-sha256').sign(tbs));
  return {
    cert: toPem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

const algorithm = algorithmIdentifier('ecdsa-p256-sha256');

function originTbs(
  { names, notBefore = Date.now() - 30 * day, notAfter = Date.now() + 60 * day }: OriginSubject,
  issuer: Uint8Array,
  publicKey: Uint8Array,
  extensions: readonly Uint8Array[],
): Buffer {
  return x509.toBeSigned({
    serial: der.integer(x509.randomSerial()),
    algorithm,
    issuer,
    notBefore,
    notAfter,
    subject: x509.distinguishedName([[x509.commonName, 'an origin']]),
    publicKey,
    extensions: [
      x509.endEntity(),
      x509.extendedKeyUsageServer(),
      ...extensions,
      ...(names.length > 0 ? [x509.subjectAltName(false, ...names)] : []),
    ],
  });
}

/** The DER of a certificate that nobody signed: for readers that do not look. */
export function unsignedOrigin(subject: OriginSubject, extensions: readonly Uint8Array[] = []): Buffer {
  const issuer = x509.distinguishedName([[x509.commonName, 'nobody']]);
  const { publicKey } = pair;
  const tbs = originTbs(subject, issuer, publicKey, extensions);
  return x509.signed(tbs, algorithm, Buffer.alloc(8));
}

const pair = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'der' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
