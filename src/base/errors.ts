/**
 * The one table of everything that can go wrong.
 *
 * A code is stable: scripts and dashboards match on it. Responses, log lines, exit messages and
 * `docs/errors.md` are made from this table, so a new failure starts here. `status` is what a client
 * is told when it can still be told something; `undefined` where there is no client to tell (start-up)
 * or no way to tell it (a TLS handshake). `proxyStatus` is the error type of RFC 9209 §2.3.
 */
export type Phase =
  | 'command'
  | 'startup'
  | 'accept'
  | 'sniff'
  | 'destination'
  | 'client-handshake'
  | 'request-head'
  | 'request-body'
  | 'rules'
  | 'connect'
  | 'upstream-handshake'
  | 'response-head'
  | 'response-body'
  | 'tunnel'
  | 'shutdown'
  | 'internal';

export interface ErrorEntry {
  /** HTTP status sent to the client, where a response is possible. */
  readonly status?: number;
  /** Where on the road it happens. */
  readonly phase: Phase;
  /** What happened, in one line, without a full stop. */
  readonly title: string;
  /** What to do about it. */
  readonly hint: string;
  /** RFC 9209 §2.3 error type. */
  readonly proxyStatus?: string;
}

const table = {
  // The command line and start-up
  ERR_COMMAND_UNKNOWN: {
    phase: 'command',
    title: 'Unknown command',
    hint: 'Run `sallyport --help` for the list of commands.',
  },
  ERR_OPTION_UNKNOWN: {
    phase: 'command',
    title: 'Unknown option',
    hint: 'Run the command with `--help` for its options.',
  },
  ERR_OPTION_VALUE: {
    phase: 'command',
    title: 'An option has a value that it cannot take',
    hint: 'The message names the option and what it takes.',
  },
  ERR_OPTION_UNAVAILABLE: {
    phase: 'command',
    title: 'An option asks for something that this version does not do yet',
    hint: 'CHANGELOG.md says what each version can do.',
  },
  ERR_OPTION_DEPENDENCY: {
    phase: 'startup',
    title: 'An option needs a package that is not installed',
    hint: 'The message says which; install it beside sallyport with npm.',
  },
  ERR_ALLOCATOR: {
    phase: 'command',
    title: 'The memory allocator that was asked for cannot be used',
    hint: 'The message says what is missing. Without --allocator the one of the system is used.',
  },
  ERR_EXEC_NOT_FOUND: {
    phase: 'command',
    title: 'The command to run was not found or cannot be executed',
    hint: 'Check its spelling and PATH.',
  },
  ERR_DOCTOR: {
    phase: 'command',
    title: 'A check of `sallyport doctor` failed',
    hint: 'The lines marked ✗ say what was found and what to do.',
  },
  ERR_PORT_IN_USE: {
    phase: 'startup',
    title: 'The port is already in use',
    hint: 'Choose another with --port, or --port 0 for a free one.',
  },
  ERR_PORT_FORBIDDEN: {
    phase: 'startup',
    title: 'Listening on this address or port is not permitted',
    hint: 'Ports under 1024 need a privilege; choose another with --port.',
  },
  ERR_LISTEN: {
    phase: 'startup',
    title: 'Listening failed',
    hint: 'Check --host: it must be an address of this machine.',
  },
  ERR_CA_DIR: {
    phase: 'startup',
    title: 'The CA directory cannot be used',
    hint: 'Give a directory that you can read and write with --ca-dir.',
  },
  ERR_CA_PERMISSIONS: {
    phase: 'startup',
    title: 'The CA private key can be read by other users',
    hint: 'Run `chmod 600` on the key. If others may have read it, make a new CA.',
  },
  ERR_CA_BROKEN: {
    phase: 'startup',
    title: 'The CA certificate or its key cannot be used',
    hint: 'Restore the file, or move both files away to have a new CA made.',
  },
  ERR_CA_MISSING: {
    phase: 'command',
    title: 'There is no CA yet',
    hint: 'The first `sallyport run` makes it; so does --create here.',
  },
  ERR_CA_EXISTS: {
    phase: 'command',
    title: 'The CA directory already holds a CA',
    hint: 'Choose another --ca-dir, or move ca.pem and ca-key.pem away first.',
  },
  ERR_CONTROL: {
    phase: 'command',
    title: 'The running proxy cannot be asked',
    hint: 'Start it with the same --ca-dir, or name a store that is not in its memory with --store.',
  },
  ERR_CERTIFICATE_MISSING: {
    phase: 'command',
    title: 'The store has no certificate for the host',
    hint: '`sallyport certs list` shows what it has; `sallyport certs warm HOST` makes one.',
  },
  ERR_STORE: {
    phase: 'startup',
    title: 'The certificate store cannot be opened',
    hint: 'Give memory, file:DIR with a directory that you can write, or redis://HOST:PORT to --store.',
  },
  ERR_STORE_UNAVAILABLE: {
    phase: 'client-handshake',
    title: 'The certificate store cannot be reached',
    hint: 'Certificates are made in this process until it can; check the directory or the server.',
  },
  ERR_STORE_ENTRY: {
    phase: 'client-handshake',
    title: 'An entry of the certificate store is broken',
    hint: 'It was discarded and is made anew. If it happens often, find out who else writes there.',
  },
  ERR_UPSTREAM_CA: {
    phase: 'startup',
    title: 'The file of trusted upstream CAs cannot be used',
    hint: 'Give a PEM file with at least one certificate to --upstream-ca.',
  },

  // Listener
  ERR_CONNECTION_LIMIT: {
    status: 503,
    phase: 'accept',
    title: 'Too many connections',
    hint: 'Raise limits.connections (--max-connections), or close idle clients.',
    proxyStatus: 'connection_limit_reached',
  },
  ERR_ACCEPT: {
    phase: 'accept',
    title: 'A connection could not be accepted',
    hint: 'With EMFILE: raise the limit of open files (ulimit -n).',
  },
  ERR_SNIFF_TIMEOUT: {
    status: 408,
    phase: 'sniff',
    title: 'The client sent nothing in time',
    hint: 'timeouts.sniff sets how long the first bytes may take.',
  },
  ERR_PROTOCOL_UNKNOWN: {
    status: 400,
    phase: 'sniff',
    title: 'The client speaks a protocol that this port does not',
    hint: 'Point HTTP clients at this port as an http:// proxy.',
    proxyStatus: 'http_protocol_error',
  },

  // Destination
  ERR_TARGET_INVALID: {
    status: 400,
    phase: 'destination',
    title: 'The request target is not valid',
    hint: 'CONNECT takes host:port; other requests an absolute http: or https: URL.',
    proxyStatus: 'http_request_error',
  },
  ERR_NOT_A_PROXY_REQUEST: {
    status: 400,
    phase: 'destination',
    title: 'This is a proxy, and the request was not made to a proxy',
    hint: 'Configure this address as the HTTP proxy of your client instead of opening it.',
    proxyStatus: 'http_request_error',
  },
  ERR_LOOP: {
    status: 508,
    phase: 'destination',
    title: 'The request would come back to this proxy',
    hint: 'The destination is this proxy itself, or another proxy sends the request back.',
    proxyStatus: 'proxy_loop_detected',
  },

  // Client leg
  ERR_CLIENT_HELLO_INVALID: {
    phase: 'client-handshake',
    title: 'The ClientHello is malformed',
    hint: 'The client does not speak TLS 1.2 or newer as RFC 8446 §4.1.2 has it.',
  },
  ERR_CLIENT_HELLO_TOO_LARGE: {
    phase: 'client-handshake',
    title: 'The ClientHello is larger than 64 KiB',
    hint: 'No common client does this.',
  },
  ERR_CLIENT_HANDSHAKE: {
    phase: 'client-handshake',
    title: 'The TLS handshake with the client failed',
    hint: 'Most often the client does not trust the CA: see `sallyport ca trust --print`.',
  },
  ERR_CLIENT_HANDSHAKE_TIMEOUT: {
    phase: 'client-handshake',
    title: 'The TLS handshake with the client took too long',
    hint: 'timeouts.clientHandshake sets the limit.',
  },
  ERR_CERTIFICATE_SYNTAX: {
    phase: 'internal',
    title: 'What should be a certificate is none',
    hint: 'Interned bytes must be one X.509 certificate in DER; the message says how many bytes there were.',
  },
  ERR_LEAF_CERTIFICATE: {
    phase: 'client-handshake',
    title: 'No certificate could be made for the host',
    hint: 'The host must be a DNS name of at most 253 characters, or an IP address.',
  },
  ERR_SIGNER: {
    phase: 'client-handshake',
    title: 'The signer that has the key of the CA gives no usable signature',
    hint: 'The message says whether it is overloaded, silent, or signs with another key.',
  },

  // Request
  ERR_REQUEST_SYNTAX: {
    status: 400,
    phase: 'request-head',
    title: 'The request is not valid HTTP/1.1',
    hint: 'The message says what was found; the rules are those of RFC 9112.',
    proxyStatus: 'http_request_error',
  },
  ERR_REQUEST_FRAMING: {
    status: 400,
    phase: 'request-head',
    title: 'The length of the request body is ambiguous',
    hint: 'Send one Content-Length, or Transfer-Encoding: chunked, never both (RFC 9112 §6.3).',
    proxyStatus: 'http_request_error',
  },
  ERR_REQUEST_VERSION: {
    status: 505,
    phase: 'request-head',
    title: 'The HTTP version is not supported',
    hint: 'Use HTTP/1.0 or HTTP/1.1.',
    proxyStatus: 'http_request_error',
  },
  ERR_URI_TOO_LONG: {
    status: 414,
    phase: 'request-head',
    title: 'The request target is too long',
    hint: 'limits.uri sets the limit.',
    proxyStatus: 'http_request_error',
  },
  ERR_REQUEST_HEAD_TOO_LARGE: {
    status: 431,
    phase: 'request-head',
    title: 'The request head is too large',
    hint: 'limits.head and limits.fields set the limits.',
    proxyStatus: 'http_request_error',
  },
  ERR_REQUEST_HEAD_TIMEOUT: {
    status: 408,
    phase: 'request-head',
    title: 'The request head took too long',
    hint: 'timeouts.requestHead sets the limit.',
  },
  ERR_REQUEST_BODY_SYNTAX: {
    status: 400,
    phase: 'request-body',
    title: 'The chunked request body is malformed',
    hint: 'The rules are those of RFC 9112 §7.1.',
    proxyStatus: 'http_request_error',
  },
  ERR_REQUEST_BODY_TOO_LARGE: {
    status: 413,
    phase: 'request-body',
    title: 'The request body is too large',
    hint: 'limits.requestBody, or the limit of the rule that collects it, sets the limit.',
    proxyStatus: 'http_request_error',
  },
  ERR_REQUEST_BODY_TIMEOUT: {
    status: 408,
    phase: 'request-body',
    title: 'The request body stood still for too long',
    hint: 'timeouts.idleBody sets the limit.',
  },
  ERR_METHOD_UNSUPPORTED: {
    status: 501,
    phase: 'request-head',
    title: 'The method cannot be used here',
    hint: 'CONNECT inside an intercepted connection is not supported.',
    proxyStatus: 'http_request_denied',
  },
  ERR_CLIENT_GONE: {
    phase: 'request-body',
    title: 'The client went away',
    hint: 'Nothing to do here: the client closed its connection before the exchange ended.',
  },

  // Rules
  ERR_REFUSED: {
    status: 403,
    phase: 'rules',
    title: 'A rule refused the request',
    hint: 'Ask whoever runs this proxy.',
    proxyStatus: 'http_request_denied',
  },
  ERR_HOOK_FAILED: {
    status: 500,
    phase: 'rules',
    title: 'A hook threw an error',
    hint: 'The log of the proxy has the stack.',
    proxyStatus: 'proxy_internal_error',
  },
  ERR_BODY_GONE: {
    status: 500,
    phase: 'rules',
    title: 'A hook asked for a body that had gone on already',
    hint: 'Ask for the request body in the request hook and for the response body in the response hook.',
    proxyStatus: 'proxy_internal_error',
  },
  ERR_HOOK_VERDICT: {
    status: 500,
    phase: 'rules',
    title: 'A hook returned a verdict that cannot be carried out',
    hint: 'Return pass(), rewrite(…), answer(…) or refuse(…) with valid header fields.',
    proxyStatus: 'proxy_internal_error',
  },

  // Upstream
  ERR_DNS: {
    status: 502,
    phase: 'connect',
    title: 'The name of the origin could not be resolved',
    hint: 'Check the host name and the resolver of the machine that the proxy runs on.',
    proxyStatus: 'dns_error',
  },
  ERR_UPSTREAM_REFUSED: {
    status: 502,
    phase: 'connect',
    title: 'The origin refused the connection',
    hint: 'Is the origin running, and is the port right?',
    proxyStatus: 'connection_refused',
  },
  ERR_UPSTREAM_UNREACHABLE: {
    status: 502,
    phase: 'connect',
    title: 'The origin cannot be reached',
    hint: 'Check the network of the machine that the proxy runs on.',
    proxyStatus: 'destination_ip_unroutable',
  },
  ERR_CONNECT_TIMEOUT: {
    status: 504,
    phase: 'connect',
    title: 'Connecting to the origin took too long',
    hint: 'timeouts.connect sets the limit.',
    proxyStatus: 'connection_timeout',
  },
  ERR_UPSTREAM_LIMIT: {
    status: 503,
    phase: 'connect',
    title: 'No connection to the origin became free in time',
    hint: 'limits.upstreamPerOrigin and limits.upstreamTotal set how many there may be.',
    proxyStatus: 'connection_limit_reached',
  },
  ERR_UPSTREAM_TLS: {
    status: 502,
    phase: 'upstream-handshake',
    title: 'The TLS handshake with the origin failed',
    hint: 'The message has the reason given by OpenSSL.',
    proxyStatus: 'tls_protocol_error',
  },
  ERR_UPSTREAM_HANDSHAKE_TIMEOUT: {
    status: 504,
    phase: 'upstream-handshake',
    title: 'The TLS handshake with the origin took too long',
    hint: 'timeouts.upstreamHandshake sets the limit.',
    proxyStatus: 'connection_timeout',
  },
  ERR_UPSTREAM_CERT_EXPIRED: {
    status: 502,
    phase: 'upstream-handshake',
    title: 'The certificate of the origin has expired',
    hint: 'The origin must renew it; check the clock of this machine too.',
    proxyStatus: 'tls_certificate_error',
  },
  ERR_UPSTREAM_CERT_NOT_YET_VALID: {
    status: 502,
    phase: 'upstream-handshake',
    title: 'The certificate of the origin is not valid yet',
    hint: 'Check the clock of this machine.',
    proxyStatus: 'tls_certificate_error',
  },
  ERR_UPSTREAM_CERT_SELF_SIGNED: {
    status: 502,
    phase: 'upstream-handshake',
    title: 'The certificate of the origin is self-signed',
    hint: 'If you trust it, give it to the proxy with --upstream-ca.',
    proxyStatus: 'tls_certificate_error',
  },
  ERR_UPSTREAM_CERT_WRONG_HOST: {
    status: 502,
    phase: 'upstream-handshake',
    title: 'The certificate of the origin is for another host',
    hint: 'Check the host name; the message lists the names in the certificate.',
    proxyStatus: 'tls_certificate_error',
  },
  ERR_UPSTREAM_CERT_UNTRUSTED: {
    status: 502,
    phase: 'upstream-handshake',
    title: 'The certificate of the origin is not signed by a trusted CA',
    hint: 'If you trust its CA, give the CA to the proxy with --upstream-ca.',
    proxyStatus: 'tls_certificate_error',
  },
  ERR_UPSTREAM_CERT_INVALID: {
    status: 502,
    phase: 'upstream-handshake',
    title: 'The certificate of the origin cannot be accepted',
    hint: 'The message has the reason given by OpenSSL.',
    proxyStatus: 'tls_certificate_error',
  },
  ERR_UPSTREAM_RESET: {
    status: 502,
    phase: 'response-head',
    title: 'The origin closed the connection before it answered',
    hint: 'Try again; if it stays, look at the log of the origin.',
    proxyStatus: 'connection_terminated',
  },
  ERR_RESPONSE_HEAD_TIMEOUT: {
    status: 504,
    phase: 'response-head',
    title: 'The origin did not answer in time',
    hint: 'timeouts.responseHead sets the limit.',
    proxyStatus: 'http_response_timeout',
  },
  ERR_RESPONSE_SYNTAX: {
    status: 502,
    phase: 'response-head',
    title: 'The response of the origin is not valid HTTP/1.1',
    hint: 'The message says what was found; the rules are those of RFC 9112.',
    proxyStatus: 'http_protocol_error',
  },
  ERR_RESPONSE_FRAMING: {
    status: 502,
    phase: 'response-head',
    title: 'The length of the response body is ambiguous',
    hint: 'The origin sends contradicting Content-Length or Transfer-Encoding fields.',
    proxyStatus: 'http_protocol_error',
  },
  ERR_RESPONSE_HEAD_TOO_LARGE: {
    status: 502,
    phase: 'response-head',
    title: 'The response head is too large',
    hint: 'limits.head and limits.fields set the limits.',
    proxyStatus: 'http_response_header_section_size',
  },
  ERR_RESPONSE_BODY_SYNTAX: {
    status: 502,
    phase: 'response-body',
    title: 'The chunked response body is malformed',
    hint: 'The rules are those of RFC 9112 §7.1.',
    proxyStatus: 'http_protocol_error',
  },
  ERR_RESPONSE_BODY_TOO_LARGE: {
    status: 502,
    phase: 'response-body',
    title: 'The response body is larger than a rule would collect',
    hint: 'Raise the limit that the rule gives.',
    proxyStatus: 'http_response_body_size',
  },
  ERR_RESPONSE_TRUNCATED: {
    status: 502,
    phase: 'response-body',
    title: 'The response body was cut short',
    hint: 'The client connection is closed too, so that nobody takes a part for the whole.',
    proxyStatus: 'http_response_incomplete',
  },
  ERR_RESPONSE_BODY_TIMEOUT: {
    status: 504,
    phase: 'response-body',
    title: 'The response body stood still for too long',
    hint: 'timeouts.idleBody sets the limit.',
    proxyStatus: 'http_response_timeout',
  },
  ERR_UPGRADE_UNEXPECTED: {
    status: 502,
    phase: 'response-head',
    title: 'The origin switched protocols without being asked',
    hint: 'The origin is at fault (RFC 9110 §15.2.2).',
    proxyStatus: 'http_upgrade_failed',
  },
  ERR_TUNNEL_IDLE: {
    phase: 'tunnel',
    title: 'The tunnel stood still for too long',
    hint: 'timeouts.idleTunnel sets the limit.',
  },

  // End
  ERR_SHUTTING_DOWN: {
    status: 503,
    phase: 'shutdown',
    title: 'The proxy is shutting down',
    hint: 'Try again in a moment.',
    proxyStatus: 'proxy_internal_response',
  },
  ERR_DRAIN_TIMEOUT: {
    phase: 'shutdown',
    title: 'An exchange was cut off: it did not end within the drain time',
    hint: '--drain-timeout sets the limit.',
  },
  ERR_CANCELLED: {
    phase: 'internal',
    title: 'The work was cancelled',
    hint: 'Its context was closed; the cause says by whom.',
  },
  ERR_INTERNAL: {
    status: 500,
    phase: 'internal',
    title: 'A mistake of this proxy',
    hint: 'Please report it with the log of the proxy.',
    proxyStatus: 'proxy_internal_error',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof table;

/** The table, for documentation and tools. */
export const errorTable: Readonly<Record<ErrorCode, ErrorEntry>> = table;

/**
 * An error with a code of the table.
 *
 * `detail` says what was being done, to what, and what was found. It is shown to clients and written
 * to logs: no secret, no header value, no path inside a private key's directory beyond its own name.
 */
export class SallyportError extends Error {
  override readonly name = 'SallyportError';
  readonly code: ErrorCode;
  readonly detail: string;

  constructor(code: ErrorCode, detail: string, options?: { readonly cause?: unknown }) {
    super(`${table[code].title}: ${detail}`, options);
    this.code = code;
    this.detail = detail;
  }

  get entry(): ErrorEntry {
    return table[this.code];
  }
}

/** Anything thrown, as a table error; what is not one becomes `ERR_INTERNAL` with its cause kept. */
export function toSallyportError(thrown: unknown, code: ErrorCode = 'ERR_INTERNAL'): SallyportError {
  if (thrown instanceof SallyportError) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return new SallyportError(code, detail, { cause: thrown });
}
