/** What an identity is reckoned to take in memory. */
import type { Bytes } from '../base/bytes.js';
import { contextBytes, identityBytes } from './contexts.js';
import type { HostIdentity } from './host-identity.js';

/** The PEM may be the store's own strings: it is counted as if it was not. A leaf that mirrors an origin's may be large. */
export function identityWeight({ heavy, certificatePem, privateKeyPem }: HostIdentity): Bytes {
  return identityBytes + certificatePem.length + privateKeyPem.length + (heavy ? contextBytes : 0);
}
