/** The upstream leg: a verified TLS connection to an origin, under one trust policy. */
import net from 'node:net';
import tls from 'node:tls';
import type { Milliseconds } from '../base/bytes.js';
import type { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import type { SocketReader } from '../base/socket-reader.js';
import { connectLarge, type LargeConnection } from './large-connect.js';
import { noteLeaf, noteSecured, type PeerCertificates, shownCertificates } from './peer-certificates.js';
import type { SavedSession } from './session-cache.js';
import type { LargeReads } from './transport.js';
import type { TrustContext } from './trust.js';
import { upstreamError } from './upstream-errors.js';

export interface UpstreamTlsOptions {
  /** A DNS name, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /**
   * The DNS name that is sent as SNI, and that the certificate must be for. Default: `host`, where an address
   * is verified but not sent (RFC 6066 §3).
   */
  readonly serverName?: string;
  readonly trust: TrustContext;
  /** What is offered by ALPN, in order of preference; whether it was taken is in `alpnProtocol`. */
  readonly alpnProtocols?: readonly string[];
  /** Ends the attempt when it closes, with its error. The caller moves its deadline in `onConnected`. */
  readonly context: Context;
  /** Called once, between the two phases: TCP is connected, the handshake begins. Not with `socket`. */
  readonly onConnected?: (socket: net.Socket) => void;
  /** A connected socket to speak TLS over, through another proxy for example. Ownership passes. */
  readonly socket?: net.Socket;
  /** In place of the system's resolver. */
  readonly lookup?: net.LookupFunction;
  /** Takes what is decrypted, in place of `data` events. Not with `socket`. */
  readonly reader?: SocketReader;
  /** Reads of any size, in place of the 64 KiB of TLS on a socket of its own. Not with `socket`. */
  readonly reads?: LargeReads | undefined;
  /**
   * How long one address is tried before it is given up for the next; the last has all the time there is. Node does
   * not keep earlier attempts going (RFC 8305 §5), so this must be more than a far origin takes. Default 500.
   */
  readonly attemptTimeout?: Milliseconds;
  /**
   * Whether somebody will look at the origin's chain, so that it is read at once (0.2 to 0.7 ms of a full handshake)
   * and there for later connections that resume this one. Otherwise it can be read until this connection closes.
   */
  readonly wholeChain?: boolean;
  /** Whether a session may be resumed that stands for what the origin showed then. Default: any that is kept. */
  readonly mayResume?: ((shown: PeerCertificates) => boolean) | undefined;
}

/**
 * Resolves with a socket whose certificate is verified for the name, unless the policy says otherwise, or
 * rejects with a table error; then nothing is left open. Sessions of the trust context are used, and kept.
 *
 * `shownCertificates` of `peer-certificates.ts` tells what the origin showed.
 *
 * Listeners: a session listener stays until the first ticket, and one that drops errors stays for good, so that
 * an idle socket never ends the process. Whoever uses the socket adds its own.
 */
export function openUpstreamTls(options: UpstreamTlsOptions): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const { host, port, trust, context, socket: under } = options;
    const name = (options.serverName ?? host).replace(/\.$/, '').toLowerCase();
    const target = formatTarget(host, port);
    let phase: 'connect' | 'handshake' = under ? 'handshake' : 'connect';

    const unusable = context.err ?? checkServerName(options.serverName);
    if (unusable) {
      under?.destroy();
      reject(upstreamError(unusable, { target, phase }));
      return;
    }

    // All that a session is good for, beside the policy: the identity that was verified, and who it was.
    const sessionKey = `${name} ${host.toLowerCase()} ${port}`;
    let saved = trust.sessions.get(sessionKey);
    if (saved?.peer && options.mayResume?.(saved.peer) === false) {
      trust.sessions.delete(sessionKey);
      saved = undefined;
    }
    let socket: tls.TLSSocket;
    let plain: net.Socket;
    try {
      ({ socket, plain } = connect(options, name, saved?.session));
    } catch (thrown) {
      under?.destroy();
      reject(upstreamError(thrown, { target, phase }));
      return;
    }

    let cancelled: () => void = ignore;
    const fail = (error: unknown): void => {
      stop();
      socket.destroy();
      under?.destroy();
      // It may be what the origin stumbled over.
      if (saved && phase === 'handshake') trust.sessions.delete(sessionKey);
      reject(upstreamError(error, { target, phase }));
    };
    const onClose = (): void => {
      fail(new SallyportError('ERR_UPSTREAM_RESET', 'the connection was closed'));
    };
    const onConnect = (): void => {
      phase = 'handshake';
      plain.setNoDelay(true);
      keepSession(socket, trust, sessionKey, saved);
      options.onConnected?.(plain);
    };
    const onSecure = (): void => {
      // Node has destroyed the socket if not; this line is here so that it can never be wrong.
      if (trust.verify && !socket.authorized) {
        fail(new SallyportError('ERR_UPSTREAM_CERT_INVALID', String(socket.authorizationError)));
        return;
      }
      stop();
      noteSecured(socket, saved?.peer, { wholeChain: options.wholeChain === true });
      resolve(socket);
    };
    const stop = (): void => {
      cancelled();
      plain.off('connect', onConnect);
      socket.off('secureConnect', onSecure).off('error', fail).off('close', onClose);
    };

    socket.on('error', ignore).on('error', fail).on('close', onClose).on('secureConnect', onSecure);
    if (under) keepSession(socket, trust, sessionKey, saved);
    else plain.on('connect', onConnect);
    cancelled = context.onClose(() => {
      fail(context.err);
    });
  });
}

function connect(options: UpstreamTlsOptions, name: string, session: Buffer | undefined): LargeConnection {
  const { host, port, trust, alpnProtocols, socket, lookup, reader, attemptTimeout = 500 } = options;
  const tlsOptions: tls.ConnectionOptions & net.TcpNetConnectOpts = {
    host,
    port,
    // Node verifies the certificate for `servername`, and for `host` when that is empty.
    servername: net.isIP(name) === 0 ? name : '',
    secureContext: trust.secureContext,
    rejectUnauthorized: trust.verify,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: attemptTimeout,
    ...(session && { session }),
    ...(alpnProtocols && alpnProtocols.length > 0 && { ALPNProtocols: [...alpnProtocols] }),
    ...(socket && { socket }),
    ...(lookup && { lookup }),
    ...(reader && { onread: reader.onread }),
  };
  if (options.reads && !socket) {
    const large = connectLarge(tlsOptions, options.reads);
    reader?.adopt(large.socket);
    large.socket.getPeerCertificate = leafUntilSecured;
    return large;
  }
  const tlsSocket = tls.connect(tlsOptions);
  reader?.attach(tlsSocket);
  tlsSocket.getPeerCertificate = leafUntilSecured;
  return { socket: tlsSocket, plain: tlsSocket };
}

/**
 * Keeps the first ticket of a connection that was verified; it may come late, even when the socket is destroyed
 * already. To be called once TCP is connected: Node forgets this listener of an attempt that happy eyeballs have
 * given up. A function apart, so that what stays with the socket refers to nothing else of the attempt.
 */
function keepSession(
  socket: tls.TLSSocket,
  trust: TrustContext,
  key: string,
  saved: SavedSession | undefined,
): void {
  const { sessions, verify } = trust;
  const startedAt = sessions.now();
  const savedAt = saved?.verifiedAt ?? startedAt;
  let verifiedAt: Milliseconds | undefined;
  socket.once('secureConnect', () => {
    if (socket.authorized || !verify) verifiedAt = socket.isSessionReused() ? savedAt : startedAt;
  });
  socket.once('session', (session: Buffer) => {
    if (verifiedAt !== undefined) sessions.set(key, { session, verifiedAt, peer: shownCertificates(socket) });
  });
}

function checkServerName(serverName: string | undefined): SallyportError | undefined {
  if (serverName === undefined || net.isIP(serverName) === 0) return undefined;
  return new SallyportError('ERR_INTERNAL', `serverName must be a DNS name, and it is ${serverName}`);
}

/**
 * `tls.connect` asks for the certificates of the whole chain as objects, 0.2–0.7 ms of work, and gives them
 * to `tls.checkServerIdentity`, which looks at the names of the leaf. The leaf alone takes a tenth, and is
 * noted, as it comes for free here. Afterwards the method is what it was. Shared by all sockets.
 */
function leafUntilSecured(this: tls.TLSSocket, detailed?: boolean): tls.DetailedPeerCertificate {
  const { secureConnecting } = this as { readonly secureConnecting?: boolean };
  const complete = detailed === true && secureConnecting !== true;
  // Asserted, as the type is the fullest of the overloads'.
  const shown = tls.TLSSocket.prototype.getPeerCertificate.call(
    this,
    complete,
  ) as tls.DetailedPeerCertificate;
  if (secureConnecting === true) noteLeaf(this, shown.raw);
  return shown;
}

function formatTarget(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function ignore(): void {
  // Of an error: whoever uses the socket listens too, and without a listener the event would end the process.
}
