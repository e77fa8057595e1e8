/** The certificate authority: the one certificate that clients trust, and the key that signs leaves. */
import { type KeyObject, type X509Certificate, createHash, createPrivateKey } from 'node:crypto';
import { SallyportError } from '../base/errors.js';
import { type AuthorityPaths, authorityPaths, installPair, readPair } from './authority-files.js';
import { readCertificateFields } from './certificate-fields.js';
import { DerError } from './der-reader.js';
import { intern } from './intern.js';
import type { Issuer } from './mint.js';
import { pemBlocks, pemBytes } from './pem.js';
import { type AuthorityPair, defaultAuthorityName, makeRoot } from './root.js';
import { makeSealer } from './sealing.js';
import { type Signer, algorithmOf, localSigner, verifiedSigner } from './signer.js';
import type { Sealer } from './store.js';
import { keyIdentifier } from './x509.js';

/** A CA that is ready to sign. Immutable. */
export interface Authority extends Issuer {
  readonly certificate: X509Certificate;
  /** The CA certificate alone. */
  readonly pem: string;
  /** All certificates of `ca.pem`: the CA's first, then those that lead to its root. */
  readonly certificates: readonly X509Certificate[];
  /**
   * What a server sends after a leaf: the CA's certificate and those above it. A root above it is left out, as
   * clients have it (RFC 8446 §4.4.2); the CA itself is sent even if it is a root: Chromium's
   * `--ignore-certificate-errors-spki-list` looks for its key among the certificates that were sent.
   */
  readonly chainPem: string;
  /** SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` writes it. */
  readonly fingerprint256: string;
  /** SHA-256 of its SubjectPublicKeyInfo in base64, as Chromium and HPKP-style pins want it. */
  readonly publicKeySha256: string;
  /** For the private keys of leaves that are kept outside this process. */
  readonly sealer: Sealer;
  /** Whether this very call made it. */
  readonly created: boolean;
  readonly paths: AuthorityPaths;
}

export interface OpenAuthorityOptions {
  /** The CA directory; made with mode 0700 if need be. */
  readonly dir: string;
  /** The commonName of a CA that is made; default `sallyport CA <user>@<hostname> <date>`. */
  readonly name?: string;
  /** Whether to make a CA where there is none; default true. */
  readonly create?: boolean;
  /** The time in epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

/**
 * The CA in `dir`. Makes it when both its files are missing, so that any number of processes that start at the
 * same moment end up with the same one.
 *
 * Rejects with `ERR_CA_DIR` (cannot be read or made, or is empty and `create` is false), `ERR_CA_PERMISSIONS`
 * (others can read the key), `ERR_CA_BROKEN` (a file is missing or damaged, the key belongs to another
 * certificate, the certificate is not a CA's or not valid now, the chain is out of order), and
 * `ERR_OPTION_VALUE` (`name`).
 */
export async function openAuthority(options: OpenAuthorityOptions): Promise<Authority> {
  const { dir, create = true, now = Date.now } = options;
  const paths = authorityPaths(dir);
  const existing = await readPair(paths);
  if (existing) return assemble(existing, paths, now(), false);
  if (!create) throw new SallyportError('ERR_CA_DIR', `${paths.directory} holds no CA yet`);

  const made = makeRoot(options.name ?? defaultAuthorityName(now()), now());
  const installed = await install(paths, made);
  return assemble(installed, paths, now(), installed.keyPem === made.keyPem);
}

export interface ImportAuthorityOptions {
  /** The CA directory; made with mode 0700 if need be. It must not hold a CA. */
  readonly dir: string;
  /** The CA certificate first, then, if it is not a root, its chain. */
  readonly certificatePem: string;
  /** The private key in any PEM form that OpenSSL reads. */
  readonly keyPem: string;
  /** What errors call the two: the files that they were read from. */
  readonly sources?: { readonly certificate: string; readonly key: string };
  /** For an encrypted key. It is stored without one, readable by its owner only. */
  readonly passphrase?: string;
  /** The time in epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Checks a CA that was made elsewhere, and writes it to `dir`. Rejects as `openAuthority` does, and with
 * `ERR_CA_EXISTS` when the directory holds a CA or a part of one.
 */
export async function importAuthority(options: ImportAuthorityOptions): Promise<Authority> {
  const { dir, now = Date.now } = options;
  const paths = authorityPaths(dir);
  const sources = options.sources ?? { certificate: 'the certificate file', key: 'the key file' };
  const key = parseKey(options.keyPem, sources.key, options.passphrase);
  const blocks = pemBlocks(options.certificatePem).filter(({ label }) => label === 'CERTIFICATE');
  const pair: AuthorityPair = {
    certificatePem: blocks.length > 0 ? blocks.map(({ text }) => text).join('') : options.certificatePem,
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
  const authority = assemble(pair, { ...paths, ...sources }, now(), true);
  if (await holdsAuthority(paths)) throw existsError(paths);
  const installed = await install(paths, pair);
  // Another process may have been quicker.
  if (installed.keyPem !== pair.keyPem || installed.certificatePem !== pair.certificatePem) {
    throw existsError(paths);
  }
  return { ...authority, paths };
}

async function holdsAuthority(paths: AuthorityPaths): Promise<boolean> {
  try {
    return (await readPair(paths)) !== undefined;
  } catch (error) {
    // One file of two, or a key that others can read, is nothing to write over either.
    if (error instanceof SallyportError && error.code !== 'ERR_CA_DIR') return true;
    throw error;
  }
}

function existsError({ directory }: AuthorityPaths): SallyportError {
  return new SallyportError('ERR_CA_EXISTS', `${directory} has a ca.pem or a ca-key.pem`);
}

async function install(paths: AuthorityPaths, pair: AuthorityPair): Promise<AuthorityPair> {
  await installPair(paths, pair);
  const installed = await readPair(paths);
  if (!installed) throw new SallyportError('ERR_CA_DIR', `what was written to ${paths.directory} is gone`);
  return installed;
}

export interface AuthorityFromOptions {
  /** The CA certificate first, then, if it is not a root, its chain. */
  readonly certificatePem: string;
  /** Where the key is. Each of its signatures is verified before it is used. */
  readonly signer: Signer;
  /** The directory whose `ca.pem` clients are given; nothing in it is read or written here. */
  readonly dir: string;
  /**
   * At least 32 secret bytes, which all who share a store have: the keys of leaves are sealed with it. Without it,
   * only stores that keep to this process can be used: `sealer` throws `ERR_STORE`.
   */
  readonly sealingSecret?: Uint8Array;
  /** The time in epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

/**
 * A CA whose private key is not in this process. Throws `ERR_CA_BROKEN` for a certificate that `openAuthority`
 * would refuse, or one whose key cannot sign as the signer says, and `ERR_OPTION_VALUE` for a short secret.
 */
export function authorityFrom(options: AuthorityFromOptions): Authority {
  const { certificatePem, signer, dir, sealingSecret, now = Date.now } = options;
  const where = 'the CA certificate';
  if (sealingSecret && sealingSecret.length < 32) {
    throw new SallyportError('ERR_OPTION_VALUE', `sealingSecret has ${sealingSecret.length} bytes, not 32`);
  }
  const certificates = parseCertificates(certificatePem, where);
  const [{ ca, publicKey, fingerprint256 }] = certificates;
  if (!ca) throw broken(where, 'is not a CA certificate');
  const fitting = algorithmOf(publicKey);
  if (!fitting.ok) throw broken(where, `has a key that cannot sign: ${fitting.reason}`);
  if (fitting.algorithm !== signer.algorithm) {
    throw broken(where, `has a key for ${fitting.algorithm}, and the signer has one for ${signer.algorithm}`);
  }
  const sealer = sealingSecret && makeSealer({ privateKey: sealingSecret, authority: fingerprint256 });
  const authority = {
    ...describe(certificates, where, now()),
    signer: verifiedSigner(signer, publicKey),
    created: false,
    paths: authorityPaths(dir),
  };
  // Not enumerable, so that a copy of the rest does not run into the error.
  return Object.defineProperty(authority, 'sealer', {
    get: () => {
      if (sealer) return sealer;
      throw new SallyportError(
        'ERR_STORE',
        'a CA whose key is elsewhere needs a sealingSecret for this store',
      );
    },
  }) as Authority;
}

/** Checks a pair and makes an authority of it; `paths` name its parts in errors. */
function assemble(pair: AuthorityPair, paths: AuthorityPaths, now: number, created: boolean): Authority {
  const certificates = parseCertificates(pair.certificatePem, paths.certificate);
  const key = parseKey(pair.keyPem, paths.key);
  checkPair(certificates, key, paths);
  const described = describe(certificates, paths.certificate, now);
  const usable = algorithmOf(key);
  if (!usable.ok) throw broken(paths.key, `cannot sign: ${usable.reason}`);
  return {
    ...described,
    signer: localSigner(key, usable.algorithm),
    sealer: makeSealer({ privateKey: key, authority: described.fingerprint256 }),
    created,
    paths,
  };
}

/** What an authority is but for its key, once its certificates are found to be in order. */
function describe(
  certificates: Certificates,
  where: string,
  now: number,
): Omit<Authority, 'signer' | 'sealer' | 'created' | 'paths'> {
  const [certificate] = certificates;
  const { subject, publicKey, publicKeyBits, subjectKeyIdentifier, notBefore, notAfter } = readFields(
    certificate,
    where,
  );
  checkValidity(notBefore, notAfter, now, where);
  checkChain(certificates, where);
  return {
    certificate,
    pem: certificate.toString(),
    certificates,
    chainPem: certificates
      .filter((member, index) => index === 0 || !isSelfIssued(member))
      .map(String)
      .join(''),
    fingerprint256: certificate.fingerprint256,
    publicKeySha256: createHash('sha256').update(publicKey).digest('base64'),
    subject,
    subjectKeyIdentifier: subjectKeyIdentifier ?? keyIdentifier(publicKeyBits),
    notBefore,
    notAfter,
  };
}

type Certificates = readonly [X509Certificate, ...X509Certificate[]];

const longestChain = 10;

function parseCertificates(pem: string, where: string): Certificates {
  const blocks = pemBlocks(pem);
  const [first, ...rest] = blocks.filter(({ label }) => label === 'CERTIFICATE');
  if (!first) {
    const [other] = blocks;
    const found = other ? `a ${other.label}` : pem.trim() === '' ? 'an empty file' : 'no PEM';
    throw broken(where, `holds no certificate; found ${found}`);
  }
  if (rest.length >= longestChain) throw broken(where, `holds ${rest.length + 1} certificates`);
  const parse = (text: string, index: number): X509Certificate => {
    try {
      return intern(pemBytes(text)).certificate;
    } catch (error) {
      throw broken(where, `cannot be parsed (certificate ${index + 1})`, error);
    }
  };
  return [parse(first.text, 0), ...rest.map(({ text }, index) => parse(text, index + 1))];
}

/** `createPrivateKey` takes an empty passphrase for none, so an encrypted key fails instead of asking. */
function parseKey(pem: string, where: string, passphrase = ''): KeyObject {
  const blocks = pemBlocks(pem);
  try {
    return createPrivateKey({ key: pem, format: 'pem', passphrase });
  } catch (error) {
    const [block] = blocks;
    const encrypted = block?.label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type: 4,ENCRYPTED/m.test(pem);
    if (encrypted) {
      const problem = passphrase === '' ? 'is encrypted' : 'cannot be decrypted with this passphrase';
      throw broken(where, problem, error);
    }
    const found = block ? `a ${block.label}` : pem.trim() === '' ? 'an empty file' : 'no PEM';
    throw broken(where, `holds no private key that can be parsed; found ${found}`, error);
  }
}

function checkPair(certificates: Certificates, key: KeyObject, paths: AuthorityPaths): void {
  const [certificate] = certificates;
  if (!certificate.checkPrivateKey(key)) {
    const index = certificates.findIndex((other) => other.checkPrivateKey(key));
    const advice = index > 0 ? `; it belongs to certificate ${index + 1} there, which must be the first` : '';
    throw broken(paths.key, `does not belong to the certificate in ${paths.certificate}${advice}`);
  }
  if (!certificate.ca) {
    throw broken(paths.certificate, `(${oneLine(certificate.subject)}) is not a CA certificate`);
  }
}

function readFields(certificate: X509Certificate, where: string): ReturnType<typeof readCertificateFields> {
  try {
    return readCertificateFields(certificate.raw);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw broken(where, `is not encoded as RFC 5280 asks: ${error.message}`, error);
  }
}

function checkValidity(notBefore: number, notAfter: number, now: number, where: string): void {
  if (now > notAfter) throw broken(where, `expired at ${new Date(notAfter).toISOString()}`);
  if (now < notBefore) {
    throw broken(where, `is not valid before ${new Date(notBefore).toISOString()}; is the clock right?`);
  }
}

/** Each certificate must have been issued by the next, as servers have to send them (RFC 8446 §4.4.2). */
function checkChain(certificates: Certificates, where: string): void {
  certificates.forEach((certificate, index) => {
    const issuer = certificates[index + 1];
    if (issuer && !(certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey))) {
      throw broken(where, `certificate ${index + 2} did not issue certificate ${index + 1}`);
    }
  });
}

function isSelfIssued(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate);
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}

function broken(where: string, problem: string, cause?: unknown): SallyportError {
  const options = cause === undefined ? undefined : { cause };
  return new SallyportError('ERR_CA_BROKEN', `${where} ${problem}`, options);
}
