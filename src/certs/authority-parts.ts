/**
 * The parts of a CA as they are read: parsed, and refused with `ERR_CA_BROKEN` where they cannot be a CA's.
 */
import { type KeyObject, type X509Certificate, createHash, createPrivateKey } from 'node:crypto';
import { SallyportError } from '../base/errors.js';
import type { AuthorityPaths } from './authority-files.js';
import { readCertificateFields } from './certificate-fields.js';
import { DerError } from './der-reader.js';
import { intern } from './intern.js';
import type { Issuer } from './mint.js';
import { pemBlocks, pemBytes } from './pem.js';
import { keyIdentifier } from './x509.js';

/** What clients and servers see of an authority. */
export interface AuthorityCertificates {
  readonly certificate: X509Certificate;
  /** The CA certificate alone. */
  readonly pem: string;
  /** All certificates of `ca.pem`: the CA's first, then those that lead to its root. */
  readonly certificates: readonly X509Certificate[];
  /**
   * What a server sends after a leaf: the CA's certificate and those above it. A root above it is left out,
   * as clients have it (RFC 8446 §4.4.2); the CA itself is sent even if it is a root: Chromium's
   * `--ignore-certificate-errors-spki-list` looks for its key among the certificates that were sent.
   */
  readonly chainPem: string;
  /** SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` writes it. */
  readonly fingerprint256: string;
  /** Whether it, or one above it in `certificates`, limits the names that leaves may have (RFC 5280 §4.2.1.10). */
  readonly nameConstrained: boolean;
  /** SHA-256 of its SubjectPublicKeyInfo in base64, as Chromium and HPKP-style pins want it. */
  readonly publicKeySha256: string;
}

/** What an authority is but for its key, once its certificates are found to be in order. */
export function describeAuthority(
  certificates: Certificates,
  where: string,
  now: number,
): AuthorityCertificates & Omit<Issuer, 'signer'> {
  const [certificate, ...above] = certificates;
  const { subject, publicKey, publicKeyBits, subjectKeyIdentifier, nameConstrained, notBefore, notAfter } =
    readFields(certificate, where);
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
    nameConstrained: nameConstrained || above.some((member) => limitsNames(member)),
    publicKeySha256: createHash('sha256').update(publicKey).digest('base64'),
    subject,
    subjectKeyIdentifier: subjectKeyIdentifier ?? keyIdentifier(publicKeyBits),
    notBefore,
    notAfter,
  };
}

export type Certificates = readonly [X509Certificate, ...X509Certificate[]];

const longestChain = 10;

export function parseCertificates(pem: string, where: string): Certificates {
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
export function parseKey(pem: string, where: string, passphrase = ''): KeyObject {
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

export function checkPair(certificates: Certificates, key: KeyObject, paths: AuthorityPaths): void {
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

function limitsNames(certificate: X509Certificate): boolean {
  try {
    return readCertificateFields(certificate.raw).nameConstrained;
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    // It only has to be read by clients. To take it for one that limits costs a mirroring leaf some names.
    return true;
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

export function broken(where: string, problem: string, cause?: unknown): SallyportError {
  const options = cause === undefined ? undefined : { cause };
  return new SallyportError('ERR_CA_BROKEN', `${where} ${problem}`, options);
}
