/** `tls.connect`, lean: one context for equal options, sessions resumed, bounded writes, and large reads if wanted. */
import type net from 'node:net';
import type tls from 'node:tls';
import { connect as connectDirectly } from 'node:tls';
import { type BufferOptions, Buffers } from './buffer-options.js';
import { type ClientTrust, ClientTrusts } from './client-trust.js';
import { connectLarge } from './large-connect.js';

export type ConnectTlsOptions = tls.ConnectionOptions &
  Partial<net.TcpNetConnectOpts> &
  BufferOptions & {
    /** Shares its context and sessions with all connections that are given the same. Default: those with equal options. */
    readonly trust?: ClientTrust;
  };

/**
 * What client connections share: one secure context for equal options (64 of them, the least recently used goes), 1,000
 * sessions under each, and memory for large reads. Two clients share nothing. It has nothing to close: what it holds
 * goes with it.
 */
export class TlsClient {
  readonly #trusts = new ClientTrusts();

  /** As `connectTls`, sharing with the connections of this client alone. */
  connect(options: ConnectTlsOptions, onSecure?: () => void): tls.TLSSocket {
    const { readBufferSize: _r, writeBufferSize: _w, budget: _b, trust: given, ...rest } = options;
    const buffers = new Buffers(options, (size) => this.#trusts.memory(size));
    const trust = given ?? (rest.secureContext ? undefined : this.#trusts.get(rest));
    // What was accepted without verification is never resumed as if it had been verified.
    const unverified = given !== undefined && given.verify !== false && rest.rejectUnauthorized === false;
    const key = unverified ? undefined : sessionKey(rest);
    const session = rest.session ?? (key === undefined ? undefined : trust?.sessions.get(key)?.session);
    const { port, path } = rest;
    const tlsOptions = {
      ...rest,
      ...(trust && { secureContext: trust.secureContext }),
      ...(given?.verify !== undefined && { rejectUnauthorized: rest.rejectUnauthorized ?? given.verify }),
      ...(session && { session }),
    };
    const overTcp = rest.socket === undefined && path === undefined && port !== undefined;
    const socket =
      buffers.reads && overTcp
        ? connectLarge({ ...tlsOptions, port }, buffers.reads).socket
        : connectDirectly(tlsOptions);
    buffers.writes.apply(socket);
    if (onSecure) socket.once('secureConnect', onSecure);
    if (trust && key !== undefined) keepSession(socket, trust, key);
    return socket;
  }
}

/**
 * The client of `connectTls`, which takes the place of `tls.connect` and so must have nowhere else to keep anything; as
 * `https.globalAgent`, it is one for the process. The proxy does not use it.
 */
const processWide = new TlsClient();

/**
 * A socket as `tls.connect(options)` returns it, with the same options, events and methods, and verified by default.
 * `readBufferSize`, `writeBufferSize` and `budget` are added; with `readBufferSize`, Node's `onread` is left aside.
 * A session is kept for each name, host, port and ALPN list, unless `session`, `socket`, `checkServerIdentity` or
 * `pskCallback` is given. Contexts and sessions are shared by all connections of the process with equal options; a
 * `TlsClient` or `trust` of one's own shares less.
 *
 * Throws `ERR_OPTION_VALUE`, and what `tls.connect` throws. All that happens later is an event of the socket.
 */
export function connectTls(options: ConnectTlsOptions, onSecure?: () => void): tls.TLSSocket {
  return processWide.connect(options, onSecure);
}

function sessionKey(options: Omit<ConnectTlsOptions, 'trust'>): string | undefined {
  const { host = 'localhost', port, servername, session, socket, checkServerIdentity, pskCallback } = options;
  if (session ?? socket ?? checkServerIdentity ?? pskCallback) return undefined;
  if (port === undefined) return undefined;
  const { ALPNProtocols: alpn } = options;
  return JSON.stringify([servername ?? host, host, port, alpn ?? null]).toLowerCase();
}

function keepSession(socket: tls.TLSSocket, { sessions }: ClientTrust, key: string): void {
  const startedAt = sessions.now();
  const savedAt = sessions.get(key)?.verifiedAt ?? startedAt;
  let secured = false;
  socket.once('secureConnect', () => {
    secured = true;
  });
  socket.on('session', (session: Buffer) => {
    if (secured) sessions.set(key, { session, verifiedAt: socket.isSessionReused() ? savedAt : startedAt });
  });
  socket.once('close', () => {
    // The session may be what the server stumbled over.
    if (!secured) sessions.delete(key);
  });
}
