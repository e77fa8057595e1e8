/** The certificate authority: the one certificate that clients trust, and the key that signs leaves. */
import { SallyportError } from '../base/errors.js';
import { type AuthorityPaths, authorityPaths, installPair, readPair } from './authority-files.js';
import {
  type AuthorityCertificates,
  broken,
  checkPair,
  describeAuthority,
  parseCertificates,
  parseKey,
} from './authority-parts.js';
import type { Issuer } from './mint.js';
import { pemBlocks } from './pem.js';
import { type AuthorityPair, defaultAuthorityName, makeRoot } from './root.js';
import { makeSealer } from './sealing.js';
import { type Signer, algorithmOf, localSigner, verifiedSigner } from './signer.js';
import type { Sealer } from './store.js';

/** A CA that is ready to sign. Immutable. */
export interface Authority extends Issuer, AuthorityCertificates {
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
 * The CA in `dir`. Makes it when both its files are missing, so that any number of processes that start at
 * the same moment end up with the same one.
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
   * At least 32 secret bytes, which all who share a store have: the keys of leaves are sealed with it.
   * Without it, only stores that keep to this process can be used: `sealer` throws `ERR_STORE`.
   */
  readonly sealingSecret?: Uint8Array;
  /** The time in epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

/**
 * A CA whose private key is not in this process. Throws `ERR_CA_BROKEN` for a certificate that
 * `openAuthority` would refuse, or one whose key cannot sign as the signer says, and `ERR_OPTION_VALUE` for a
 * short secret.
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
    ...describeAuthority(certificates, where, now()),
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
  const described = describeAuthority(certificates, paths.certificate, now);
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
