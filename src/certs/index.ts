/** `sallyport/certs`: the authority, leaf certificates, their stores, and TLS identities. */
export {
  type Authority,
  type AuthorityFromOptions,
  type ImportAuthorityOptions,
  type OpenAuthorityOptions,
  authorityFrom,
  importAuthority,
  openAuthority,
} from './authority.js';
export type { AuthorityPaths } from './authority-files.js';
export { Identities } from './identity.js';
export type { ContextCounters, IdentityCounters } from './identity-counters.js';
export type { IdentitiesOptions, LeafAuthority } from './identity-options.js';
export { type FileStoreOptions, openFileStore } from './file-store.js';
export {
  type CertificateHandle,
  CertificatePool,
  type InternCounters,
  intern,
  internChain,
  internCounters,
} from './intern.js';
export type { Identity } from './host-identity.js';
export type { KeyProfile } from './leaf-keys.js';
export { MemoryStore, type MemoryStoreCounters, type MemoryStoreOptions } from './memory-store.js';
export { type Issuer, type LeafSubject, Minter, type MinterOptions } from './mint.js';
export { type CertificateName, certificateName } from './names.js';
export { internPeerCertificates } from './peer-certificates.js';
export { type TrustStoreOptions, encodeTrustStore } from './pkcs12.js';
export { type RedisStoreOptions, openRedisStore } from './redis-store.js';
export type { SignatureAlgorithm, Signer } from './signer.js';
export type {
  CertificateKey,
  CertificateStore,
  FetchOptions,
  Generate,
  InspectableStore,
  LeafMaterial,
  Sealer,
  StoreContext,
  StoreCounters,
  StoreEntry,
  StoreReport,
} from './store.js';
export { type WildcardGroups, loadWildcardGroups } from './wildcards.js';
export { TicketKeys, type TicketKeysOptions } from './ticket-keys.js';
export { TieredStore, type TieredStoreOptions } from './tiered-store.js';
