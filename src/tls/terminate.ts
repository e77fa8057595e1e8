/**
 * The client leg: from a socket whose ClientHello was read to plaintext.
 *
 * A `TLSSocket` on a fresh TCP handle keeps a 64 KiB buffer for ciphertext for life. When the first bytes
 * were read by the plain socket, put back, and the socket was wrapped only then, the buffer stays small:
 * 18–26 KB of native memory for a connection in place of 83–90, as measured. So the order here matters.
 */
import type net from 'node:net';
import tls from 'node:tls';
import type { Context } from '../base/context.js';
import type { SallyportError } from '../base/errors.js';
import { clientHandshakeError } from './client-errors.js';
import { inLeanPieces } from './lean-pieces.js';

export interface TerminateOptions {
  /**
   * With the certificate and the key for this client; a function is called just before TLS takes them over.
   * The caller keeps what it belongs to for as long as the socket.
   */
  readonly secureContext: tls.SecureContext | (() => tls.SecureContext);
  /**
   * What may be answered to the client's ALPN, in order of preference. When the client offers protocols and
   * none of them is here, the handshake fails (RFC 7301 §3.2): leave the list out to answer nothing instead.
   */
  readonly alpnProtocols?: readonly string[];
  /** Ends the handshake when it closes, with its error; its deadline is the handshake's. */
  readonly context: Context;
}

/**
 * Resolves with the secured socket, or rejects with `ERR_CLIENT_HANDSHAKE`, the error of the context, or what
 * `secureContext` threw.
 *
 * `firstBytes` are all the bytes that were taken from `socket`. Nobody may read from it any more: no `data` or
 * `readable` listener; bytes that came in the meantime are in their place. Ownership of `socket` passes: when
 * the promise rejects it is destroyed, and destroying the TLS socket destroys it.
 *
 * The socket that comes back never ends the process: an `error` without a listener is dropped, and a TLS error
 * after the handshake destroys the socket with that error.
 */
export async function terminate(
  socket: net.Socket,
  firstBytes: Buffer,
  options: TerminateOptions,
): Promise<tls.TLSSocket> {
  const { context } = options;
  const early = context.err ?? goneError(socket);
  if (early) {
    socket.on('error', ignore);
    socket.destroy();
    throw early;
  }

  socket.pause();
  socket.unshift(firstBytes);
  const tlsSocket = wrap(socket, options);
  tlsSocket.on('error', ignore);
  await secured(socket, tlsSocket, context);
  return tlsSocket;
}

function wrap(socket: net.Socket, { secureContext, alpnProtocols }: TerminateOptions): tls.TLSSocket {
  try {
    return new tls.TLSSocket(inLeanPieces(socket), {
      isServer: true,
      requestCert: false,
      ...(alpnProtocols && alpnProtocols.length > 0 && { ALPNProtocols: [...alpnProtocols] }),
      // Nothing may come between this call and the connection that is made from the context.
      secureContext: typeof secureContext === 'function' ? secureContext() : secureContext,
    });
  } catch (error) {
    socket.on('error', ignore);
    socket.destroy();
    throw error;
  }
}

/** Why no handshake can begin: TLS would not be told any more, as the plain socket has had the event. */
function goneError(socket: net.Socket): SallyportError | undefined {
  if (socket.destroyed) return clientHandshakeError(socket.errored ?? undefined);
  return socket.readable ? undefined : clientHandshakeError(undefined);
}

function secured(socket: net.Socket, tlsSocket: tls.TLSSocket, context: Context): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: SallyportError): void => {
      stop();
      tlsSocket.destroy();
      socket.destroy();
      reject(error);
    };
    const onError = (error: Error): void => {
      fail(clientHandshakeError(error));
    };
    const onGone = (): void => {
      fail(clientHandshakeError(undefined));
    };
    const onSecure = (): void => {
      stop();
      // These two are what `tls.Server` does with its sockets, beyond the documentation. Where there is none,
      // a TLS error after the handshake is told by this event alone, and the socket would stay open.
      tlsSocket.on('_tlsError', destroyWith);
      // node:http2 waits for as long as this is true.
      Object.assign(tlsSocket, { secureConnecting: false });
      resolve();
    };
    const cancelled = context.onClose(() => {
      fail(clientHandshakeError(context.err));
    });
    const stop = (): void => {
      cancelled();
      tlsSocket.off('secure', onSecure).off('error', onError).off('end', onGone).off('close', onGone);
      socket.off('end', onGone);
    };
    tlsSocket.on('secure', onSecure).on('error', onError).on('end', onGone).on('close', onGone);
    // An end that was received before the socket was wrapped is told by the plain socket alone.
    socket.on('end', onGone);
  });
}

function destroyWith(this: tls.TLSSocket, error: Error): void {
  this.destroy(error);
}

function ignore(): void {
  // Whoever uses the socket listens too; without a listener the event would end the process.
}
