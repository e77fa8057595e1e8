/**
 * One leaf for all hosts of a parent domain: which of them may share it.
 *
 * A wildcard stands for exactly one label, the whole of the leftmost (RFC 6125 §6.4.3). Clients refuse more than
 * that document does, and this is what all of them take:
 *
 * - not directly below a public suffix: Chromium by the ICANN part of the Public Suffix List, where a last label
 *   that is not in the list counts as a suffix (`net/cert/x509_certificate.cc`). Private suffixes, such as
 *   `appspot.com`, are fine there, and here. OpenSSL, GnuTLS and Node ask for two labels after the `*`;
 * - OpenSSL takes letters, digits and inner hyphens only (`crypto/x509/v3_utl.c`): one underscore anywhere, and
 *   the wildcard matches nothing.
 */
import { SallyportError, toSallyportError } from '../base/errors.js';
import type { CertificateName } from './names.js';

/** The name that the leaf for `name` is made for: a wildcard (`*.example.com`), or `name` itself. */
export type WildcardGroups = (name: CertificateName) => CertificateName;

/** What is used of the package `tldts`. */
interface SuffixList {
  getPublicSuffix(
    host: string,
    options: { readonly allowPrivateDomains: boolean; readonly extractHostname: boolean },
  ): string | null;
}

/**
 * Loads the Public Suffix List, which the package `tldts` has. Rejects with `ERR_OPTION_DEPENDENCY` where that is
 * not installed: it is needed by this alone.
 */
export async function loadWildcardGroups(
  load: () => Promise<SuffixList> = () => import('tldts'),
): Promise<WildcardGroups> {
  let list: SuffixList;
  try {
    list = await load();
  } catch (error) {
    const detail = `wildcard leaves need the Public Suffix List: npm install tldts (${toSallyportError(error).detail})`;
    throw new SallyportError('ERR_OPTION_DEPENDENCY', detail, { cause: error });
  }
  return (name) => groupOf(name, list);
}

function groupOf(name: CertificateName, list: SuffixList): CertificateName {
  if (name.kind === 'ip') return name;
  const { host } = name;
  const [, ...above] = host.split('.');
  if (above.length < 2 || !host.split('.').every((label) => plainLabel.test(label))) return name;
  const parent = above.join('.');
  const options = { allowPrivateDomains: false, extractHostname: false };
  const suffix = list.getPublicSuffix(host, options);
  // A host that is a suffix itself has others beside it that belong to other people.
  if (suffix === null || suffix === host || suffix === parent) return name;
  return { kind: 'dns', host: `*.${parent}` };
}

const plainLabel = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
