/** What went wrong in a handshake with a client, in the words of the error table. Pure. */
import { SallyportError } from '../base/errors.js';
import { opensslReason } from './openssl-reason.js';

/**
 * `ERR_CLIENT_HANDSHAKE` for an error of the client's TLS socket; `undefined` stands for a connection that the
 * client closed in an orderly way. A table error comes back as it is.
 */
export function clientHandshakeError(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error;
  if (error === undefined) {
    return new SallyportError('ERR_CLIENT_HANDSHAKE', `the client closed the connection, ${silentDistrust}`);
  }
  return new SallyportError('ERR_CLIENT_HANDSHAKE', describe(error), { cause: error });
}

/** Node's own client, for one, sends no alert when it does not accept a certificate. */
const silentDistrust = 'as some clients do when they do not trust the CA of the proxy';

/** Alerts that say what the client thinks of a certificate (RFC 8446 §6.2), as OpenSSL 1.1 to 3.5 name them. */
const distrustAlert =
  /alert (?:unknown ca|bad certificate|certificate unknown|certificate expired|certificate revoked|unsupported certificate)$/;

function describe(error: unknown): string {
  const reason = opensslReason(error);
  if (distrustAlert.test(reason)) {
    return `the client does not accept the certificate (${reason}): it does not trust the CA of the proxy, or it expects one certain certificate`;
  }
  if (reason === 'ECONNRESET' || reason === 'EPIPE') {
    return `the client reset the connection (${reason}), ${silentDistrust}`;
  }
  if (reason.includes(' alert ')) return `the client refused the handshake (${reason})`;
  return reason;
}
