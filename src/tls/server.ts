/**
 * `tls.createServer`, lean: the plain socket reads the first bytes and is secured only then, so that TLS does not
 * keep a 64 KiB buffer for the life of each connection, and writes are bounded.
 */
import type { Socket } from 'node:net';
import tls from 'node:tls';
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import { type BufferOptions, Buffers } from './buffer-options.js';
import { inLeanPieces } from './lean-pieces.js';
import { LargeReader, type LargeReads, Transport } from './transport.js';

export type TlsServerOptions = tls.TlsOptions & BufferOptions;

/** What Node gives a handshake. */
const defaultHandshakeTimeout: Milliseconds = 120_000;

/**
 * A `tls.Server` in every respect but its bytes: options, methods and events are those of `tls.createServer`, with
 * `readBufferSize`, `writeBufferSize` and `budget` added. Throws `ERR_OPTION_VALUE` for these three, and what
 * `tls.createServer` throws for the others.
 *
 * `handshakeTimeout` holds twice: until the first byte of a client, and from there on.
 */
export function createTlsServer(
  options: TlsServerOptions,
  onConnection?: (socket: tls.TLSSocket) => void,
): tls.Server {
  const { readBufferSize: _r, writeBufferSize: _w, budget: _b, ...rest } = options;
  const { handshakeTimeout = defaultHandshakeTimeout } = rest;
  const buffers = new Buffers(options);
  const server = tls.createServer(rest);
  // The documented way to have a server secure a stream is its own listener for 'connection'.
  const secure = server.listeners('connection') as ((stream: unknown) => void)[];
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    whenFirstBytesAreThere(socket, server, handshakeTimeout, () => {
      const stream = buffers.reads ? largeReads(socket, buffers.reads) : inLeanPieces(socket);
      for (const listener of secure) listener.call(server, stream);
    });
  });
  server.on('secureConnection', (socket: tls.TLSSocket) => {
    buffers.writes.apply(socket);
  });
  if (onConnection) server.on('secureConnection', onConnection);
  return server;
}

function largeReads(socket: Socket, shared: LargeReads): Transport {
  const first = socket.read() as Buffer | null;
  const reader = new LargeReader(shared);
  const transport = new Transport(socket, reader, first ?? undefined);
  reader.adopt(socket);
  return transport;
}

function whenFirstBytesAreThere(
  socket: Socket,
  server: tls.Server,
  timeout: Milliseconds,
  secure: () => void,
): void {
  const context = Context.background.withTimeout(timeout, 'ERR_CLIENT_HANDSHAKE_TIMEOUT');
  const stop = (): void => {
    socket.off('data', onData).off('end', onGone).off('close', onGone).off('error', onError);
    context.close();
  };
  const fail = (error: Error): void => {
    stop();
    socket.on('error', ignore);
    socket.destroy();
    server.emit('tlsClientError', error, socket);
  };
  const onError = (error: Error): void => {
    fail(error);
  };
  const onGone = (): void => {
    fail(Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }));
  };
  const onData = (chunk: Buffer): void => {
    stop();
    socket.pause();
    socket.unshift(chunk);
    secure();
  };
  socket.on('data', onData).on('end', onGone).on('close', onGone).on('error', onError);
  context.onClose(({ err }) => {
    if (err?.code === 'ERR_CLIENT_HANDSHAKE_TIMEOUT') {
      fail(
        Object.assign(new SallyportError(err.code, 'no byte came'), { code: 'ERR_TLS_HANDSHAKE_TIMEOUT' }),
      );
    }
  });
}

function ignore(): void {
  // The listener for 'tlsClientError' was told.
}
