/** What OpenSSL says about a failure, without its addresses and file names. Pure. */

/**
 * The reason of an error of `node:tls`, such as `tlsv1 alert unknown ca` or `wrong version number`. Node gives
 * it in `reason`, or only within the message (`…:SSL routines:ssl3_read_bytes:reason:…`, with `EPROTO`).
 * For an error that OpenSSL did not make, its code; else its message, of at most 200 characters.
 */
export function opensslReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error).slice(0, longestReason);
  const { reason, code } = error as { readonly reason?: unknown; readonly code?: unknown };
  if (typeof reason === 'string' && reason !== '') return reason.slice(0, longestReason);
  const inMessage = /:error:[0-9A-F]{4,16}:[^:]*:[^:]*:([^:]+)/i.exec(error.message)?.[1];
  if (inMessage !== undefined) return inMessage.slice(0, longestReason);
  return typeof code === 'string' ? code : error.message.slice(0, longestReason);
}

const longestReason = 200;
