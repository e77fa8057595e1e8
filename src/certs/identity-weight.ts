/** What an identity is reckoned to take in memory. */
import type { Bytes } from '../base/bytes.js';
import { contextBytes, identityBytes } from './contexts.js';
import type { HostIdentity } from './host-identity.js';

/** The most PEM of a leaf that `identityBytes` reckons with. */
const usualLeaf: Bytes = 1024;

/** A leaf that mirrors an origin's may be large; its PEM is held twice, alone and in the chain. */
export function identityWeight({ heavy, certificatePem }: HostIdentity): Bytes {
  const more = 2 * Math.max(0, certificatePem.length - usualLeaf);
  return identityBytes + more + (heavy ? contextBytes : 0);
}
