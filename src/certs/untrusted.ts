/** A CA that nobody trusts, for leaves that are to be refused. */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readCertificateFields } from './certificate-fields.js';
import type { LeafAuthority } from './identity-options.js';
import { makeRoot } from './root.js';
import { localSigner } from './signer.js';
import { keyIdentifier } from './x509.js';

/** What people find as the issuer when they look at why their client refuses. */
const untrustedName = 'NOT TRUSTED: the origin has a bad certificate';

/** Made anew at each call, and nowhere but in memory: its key ends with it. `now` in epoch milliseconds. */
export function makeUntrusted(now: number): LeafAuthority {
  const pair = makeRoot(untrustedName, now);
  const certificate = new X509Certificate(pair.certificatePem);
  const fields = readCertificateFields(certificate.raw);
  return {
    subject: fields.subject,
    subjectKeyIdentifier: fields.subjectKeyIdentifier ?? keyIdentifier(fields.publicKeyBits),
    notBefore: fields.notBefore,
    notAfter: fields.notAfter,
    signer: localSigner(createPrivateKey(pair.keyPem), 'ecdsa-p256-sha256'),
    chainPem: pair.certificatePem,
    fingerprint256: certificate.fingerprint256,
  };
}
