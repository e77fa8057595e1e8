/** What went wrong between us and an origin that speaks TLS, in the words of the error table. Pure. */
import { type ErrorCode, SallyportError } from '../base/errors.js';
import { networkError } from '../base/network-errors.js';
import { opensslReason } from './openssl-reason.js';

export interface UpstreamFailure {
  /** `host:port`, for the detail. */
  readonly target: string;
  /** How far the connection had come. */
  readonly phase: 'connect' | 'handshake';
}

/**
 * The table's error for an error of `net` or `tls`. Its detail says what was being done, to what, and what was
 * found. Of a table error (a deadline, a cancellation) the code stays, and the detail is completed.
 */
export function upstreamError(error: unknown, { target, phase }: UpstreamFailure): SallyportError {
  const what = phase === 'connect' ? `connecting to ${target}` : `the TLS handshake with ${target}`;
  if (error instanceof SallyportError) {
    return new SallyportError(error.code, `${what}: ${error.detail}`, { cause: error });
  }
  const certificate = certificateError(error, target);
  if (certificate) return certificate;
  const network = networkError(error, what);
  // The same ETIMEDOUT of the system means the other phase here.
  if (network?.code === 'ERR_CONNECT_TIMEOUT' && phase === 'handshake') {
    return new SallyportError('ERR_UPSTREAM_HANDSHAKE_TIMEOUT', network.detail, { cause: error });
  }
  if (network) return network;
  if (phase === 'connect') {
    return new SallyportError('ERR_UPSTREAM_UNREACHABLE', `${what}: ${opensslReason(error)}`, {
      cause: error,
    });
  }
  return new SallyportError('ERR_UPSTREAM_TLS', `${what}: ${describeReason(opensslReason(error))}`, {
    cause: error,
  });
}

/** Node's names of OpenSSL's verification results (X509_V_ERR_…) that have a code of their own here. */
const certificateCodes: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['CERT_HAS_EXPIRED', 'ERR_UPSTREAM_CERT_EXPIRED'],
  ['CERT_NOT_YET_VALID', 'ERR_UPSTREAM_CERT_NOT_YET_VALID'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'ERR_UPSTREAM_CERT_SELF_SIGNED'],
  // A root that is not trusted, at the end of a chain.
  ['SELF_SIGNED_CERT_IN_CHAIN', 'ERR_UPSTREAM_CERT_UNTRUSTED'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'ERR_UPSTREAM_CERT_UNTRUSTED'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'ERR_UPSTREAM_CERT_UNTRUSTED'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'ERR_UPSTREAM_CERT_UNTRUSTED'],
  ['CERT_UNTRUSTED', 'ERR_UPSTREAM_CERT_UNTRUSTED'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_UPSTREAM_CERT_WRONG_HOST'],
  ['HOSTNAME_MISMATCH', 'ERR_UPSTREAM_CERT_WRONG_HOST'],
  // All others that Node has a name for; what it has none for is UNSPECIFIED, with a message.
  ['CERT_REVOKED', 'ERR_UPSTREAM_CERT_INVALID'],
  ['CERT_REJECTED', 'ERR_UPSTREAM_CERT_INVALID'],
  ['CERT_CHAIN_TOO_LONG', 'ERR_UPSTREAM_CERT_INVALID'],
  ['CERT_SIGNATURE_FAILURE', 'ERR_UPSTREAM_CERT_INVALID'],
  ['CRL_HAS_EXPIRED', 'ERR_UPSTREAM_CERT_INVALID'],
  ['CRL_NOT_YET_VALID', 'ERR_UPSTREAM_CERT_INVALID'],
  ['CRL_SIGNATURE_FAILURE', 'ERR_UPSTREAM_CERT_INVALID'],
  ['ERROR_IN_CERT_NOT_AFTER_FIELD', 'ERR_UPSTREAM_CERT_INVALID'],
  ['ERROR_IN_CERT_NOT_BEFORE_FIELD', 'ERR_UPSTREAM_CERT_INVALID'],
  ['ERROR_IN_CRL_LAST_UPDATE_FIELD', 'ERR_UPSTREAM_CERT_INVALID'],
  ['ERROR_IN_CRL_NEXT_UPDATE_FIELD', 'ERR_UPSTREAM_CERT_INVALID'],
  ['INVALID_CA', 'ERR_UPSTREAM_CERT_INVALID'],
  ['INVALID_PURPOSE', 'ERR_UPSTREAM_CERT_INVALID'],
  ['PATH_LENGTH_EXCEEDED', 'ERR_UPSTREAM_CERT_INVALID'],
  ['UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY', 'ERR_UPSTREAM_CERT_INVALID'],
  ['UNABLE_TO_DECRYPT_CERT_SIGNATURE', 'ERR_UPSTREAM_CERT_INVALID'],
  ['UNABLE_TO_DECRYPT_CRL_SIGNATURE', 'ERR_UPSTREAM_CERT_INVALID'],
  ['UNABLE_TO_GET_CRL', 'ERR_UPSTREAM_CERT_INVALID'],
  ['OUT_OF_MEM', 'ERR_UPSTREAM_CERT_INVALID'],
  ['UNSPECIFIED', 'ERR_UPSTREAM_CERT_INVALID'],
  ['ERR_TLS_CERT_ALTNAME_FORMAT', 'ERR_UPSTREAM_CERT_INVALID'],
]);

function certificateError(error: unknown, target: string): SallyportError | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code: nodeCode } = error as NodeJS.ErrnoException;
  const code = nodeCode === undefined ? undefined : certificateCodes.get(nodeCode);
  if (code === undefined) return undefined;
  const found = code === 'ERR_UPSTREAM_CERT_WRONG_HOST' ? describeNames(error) : error.message.slice(0, 200);
  return new SallyportError(code, `${target}: ${found} (${nodeCode})`, { cause: error });
}

/** What `tls.checkServerIdentity` puts on its error. */
interface IdentityError extends Error {
  readonly cert?: { readonly subject?: { readonly CN?: unknown }; readonly subjectaltname?: unknown };
}

const shownNames = 10;
const longestShownName = 100;

/** The certificate is the origin's, who may put anything into it: the names are bounded and printable. */
function describeNames(error: IdentityError): string {
  const { subject, subjectaltname } = error.cert ?? {};
  const list = typeof subjectaltname === 'string' ? subjectaltname : '';
  const alternatives = list.split(', ').filter((name) => name !== '');
  const commonName = typeof subject?.CN === 'string' ? [`CN:${subject.CN}`] : [];
  const names = alternatives.length > 0 ? alternatives : commonName;
  if (names.length === 0) return 'the certificate has no names';
  const shown = names.slice(0, shownNames).map((name) => printable(name.slice(0, longestShownName)));
  const rest = names.length > shownNames ? ` and ${names.length - shownNames} more` : '';
  return `the certificate is for ${shown.join(', ')}${rest}`;
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

function describeReason(reason: string): string {
  // The origin answered with something that is not TLS.
  const notTls = /wrong version number|packet length too long|http request/.test(reason);
  return notTls ? `${reason}: does the origin speak TLS on this port?` : reason;
}
