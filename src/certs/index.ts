/** `sallyport/certs`: the authority, leaf certificates, their stores, and TLS identities. */
export {
  type Authority,
  type ImportAuthorityOptions,
  type OpenAuthorityOptions,
  importAuthority,
  openAuthority,
} from './authority.js';
export type { AuthorityPaths } from './authority-files.js';
export { Identities, type IdentitiesOptions, type Identity, type IdentityCounters } from './identity.js';
export type { KeyProfile } from './leaf-keys.js';
export { MemoryStore, type MemoryStoreCounters, type MemoryStoreOptions } from './memory-store.js';
export { type Issuer, Minter, type MinterOptions } from './mint.js';
export { type CertificateName, certificateName } from './names.js';
export { type TrustStoreOptions, encodeTrustStore } from './pkcs12.js';
export type { SignatureAlgorithm, Signer } from './signer.js';
export type { CertificateKey, CertificateStore, FetchOptions, Generate, LeafMaterial } from './store.js';
