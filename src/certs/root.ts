/** The CA that is made on first use: a self-signed P-256 root which may only sign leaves. */
import { generateKeyPairSync } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import type { Milliseconds } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';
import { readPublicKeyBits } from './certificate-fields.js';
import * as der from './der.js';
import { toPem } from './pem.js';
import { algorithmIdentifier, localSigner } from './signer.js';
import * as x509 from './x509.js';

/** A certificate with its key, as the two files of a CA directory hold them. */
export interface AuthorityPair {
  /** The CA certificate, and its chain after it. */
  readonly certificatePem: string;
  /** PKCS #8, not encrypted. */
  readonly keyPem: string;
}

const day: Milliseconds = 24 * 60 * 60 * 1000;
const longestCommonName = 64;

/**
 * A new CA named `name`, valid from a day before `now` (epoch milliseconds; clocks differ) for ten years.
 * Throws `ERR_OPTION_VALUE` for a name that no certificate can have.
 */
export function makeRoot(name: string, now: number): AuthorityPair {
  // RFC 5280 counts characters and means code points.
  const length = Array.from(name).length;
  if (length === 0 || length > longestCommonName || /\p{Cc}|\p{Cs}/u.test(name)) {
    const shown = JSON.stringify(name.slice(0, 80));
    throw new SallyportError(
      'ERR_OPTION_VALUE',
      `the CA's name takes 1 to ${longestCommonName} characters without control characters, not ${shown}`,
    );
  }
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKeyInfo = publicKey.export({ type: 'spki', format: 'der' });
  const identifier = x509.keyIdentifier(readPublicKeyBits(publicKeyInfo));
  const subject = x509.distinguishedName([
    [x509.organizationName, 'sallyport'],
    [x509.commonName, name],
  ]);
  const signer = localSigner(privateKey, 'ecdsa-p256-sha256');
  const algorithm = algorithmIdentifier(signer.algorithm);
  const notBefore = now - day;
  const { keyCertSign, crlSign } = x509.keyUsageBits;
  const tbs = x509.toBeSigned({
    serial: der.integer(x509.randomSerial()),
    algorithm,
    issuer: subject,
    notBefore,
    notAfter: notBefore + 3650 * day,
    subject,
    publicKey: publicKeyInfo,
    extensions: [
      x509.certificateAuthority(0),
      x509.keyUsage(keyCertSign | crlSign),
      x509.subjectKeyIdentifier(identifier),
      x509.authorityKeyIdentifier(identifier),
    ],
  });
  return {
    certificatePem: toPem('CERTIFICATE', x509.signed(tbs, algorithm, signer.sign(tbs))),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/**
 * `sallyport CA <user>@<hostname> <date>`, in at most 64 characters: enough to tell, in a list of trusted
 * roots, whose it is and when it was made.
 */
export function defaultAuthorityName(now: number): string {
  const date = new Date(now).toISOString().slice(0, 10);
  const owner = clean(`${userName()}@${hostname()}`);
  const room = longestCommonName - `sallyport CA  ${date}`.length;
  return `sallyport CA ${Array.from(owner).slice(0, room).join('')} ${date}`;
}

/** The user of this process; in a container it may have a number and no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return `uid${process.getuid?.() ?? ''}`;
  }
}

function clean(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}]/gu, '?');
}
