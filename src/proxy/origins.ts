/** Connections to origins: dialed, verified, and made ready for exchanges. */
import { connect, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import type { LegTls } from '../base/exchange.js';
import { hostPort, type Origin } from '../base/message.js';
import { SocketReader } from '../base/socket-reader.js';
import { isOwnSocket } from '../connect/loop.js';
import { shownCertificates } from '../tls/peer-certificates.js';
import { openUpstreamTls } from '../tls/upstream.js';
import { type DialOptions, dialTcp } from '../upstream/dial.js';
import { poolKey } from '../upstream/pool.js';
import { OriginCertificates } from './origin-certificates.js';
import { OriginConnection } from './origin-connection.js';
import type { Services } from './services.js';
import { Standing, stands } from './standing.js';

/** The pool's key of what `openOrigin` makes: `serverName` is the one for SNI where it is not the origin's host. */
export function originKey({ trust }: Services, origin: Origin, serverName: string | undefined): string {
  return poolKey(origin, serverName === undefined ? trust.id : `${trust.id}|${serverName}`);
}

/** Opens a connection for exchanges with `origin`. Rejects with the table error of the phase that failed. */
export async function openOrigin(
  services: Services,
  origin: Origin,
  serverName: string | undefined,
  context: Context,
): Promise<OriginConnection> {
  if (origin.scheme === 'http') {
    const readers = new Map<Socket, SocketReader>();
    const socket = await openTcp(services, origin, context, (options) => {
      const reader = new SocketReader(services.legs.memory, services.legs.upstream.counters.reads);
      const attempt = connect({ ...options, onread: reader.onread });
      reader.attach(attempt);
      readers.set(attempt, reader);
      return attempt;
    });
    services.legs.upstream.writes(socket);
    return new OriginConnection(services.limits, services.slabs, socket, undefined, readers.get(socket));
  }
  const { plaintext } = services.legs.upstream.counters;
  const reader = new SocketReader(services.readBuffer, plaintext);
  const socket = await openTls(services, origin, serverName, ['http/1.1'], context, reader);
  const shown = services.mirror && shownCertificates(socket);
  const standing = shown && new Standing(shown);
  if (standing?.ended) {
    // In the moment that it was verified in, or by another clock: the pool would not take the connection.
    socket.destroy();
    throw new SallyportError('ERR_UPSTREAM_CERT_EXPIRED', hostPort(origin.host, origin.port));
  }
  return new OriginConnection(
    services.limits,
    services.slabs,
    socket,
    describeTls(socket, serverName ?? origin.host),
    reader.attached ? reader : undefined,
    OriginCertificates.of(socket),
    standing,
  );
}

/** A TCP connection within the deadline of `connect`. */
export async function openTcp(
  services: Services,
  { host, port }: Pick<Origin, 'host' | 'port'>,
  context: Context,
  connectWith?: DialOptions['connect'],
): Promise<Socket> {
  context.setTimeout(services.timeouts.connect, 'ERR_CONNECT_TIMEOUT');
  const { lookup } = services;
  const socket = await dialTcp({
    host,
    port,
    context,
    ...(lookup && { lookup }),
    ...(connectWith && { connect: connectWith }),
  });
  const loop = loopError(services, socket);
  if (!loop) return socket;
  socket.destroy();
  throw loop;
}

/** A verified TLS connection, each of its two phases within its own deadline. */
export async function openTls(
  services: Services,
  { host, port }: Pick<Origin, 'host' | 'port'>,
  serverName: string | undefined,
  alpnProtocols: readonly string[],
  context: Context,
  reader?: SocketReader,
): Promise<TLSSocket> {
  const { events, hooks, lookup, timeouts, trust } = services;
  context.setTimeout(timeouts.connect, 'ERR_CONNECT_TIMEOUT');
  const socket = await openUpstreamTls({
    host,
    port,
    trust,
    alpnProtocols,
    context,
    wholeChain: hooks.request !== undefined || hooks.response !== undefined || events.has('tls.upstream'),
    ...(serverName !== undefined && { serverName }),
    ...(lookup && { lookup }),
    ...(reader && { reader }),
    reads: services.legs.large,
    ...(services.mirror && { mayResume: stands }),
    onConnected: (connected) => {
      context.setTimeout(timeouts.upstreamHandshake, 'ERR_UPSTREAM_HANDSHAKE_TIMEOUT');
      // Ends the attempt: our own port would never answer a ClientHello.
      const loop = loopError(services, connected);
      if (loop) context.close(loop);
    },
  });
  const { upstream } = services.legs;
  upstream.writes(socket);
  if (!reader?.attached) upstream.reads(socket);
  upstream.counters.handshake(socket.isSessionReused());
  services.upstreamTls.add(socket);
  if (events.has('tls.upstream')) {
    events.emit('tls.upstream', { host, port, tls: describeTls(socket, serverName ?? host) });
  }
  return socket;
}

/** A name that resolves to this very proxy is found here, when it is connected. */
function loopError(services: Services, socket: Socket): SallyportError | undefined {
  const { remoteAddress, remotePort } = socket;
  if (!isOwnSocket(remoteAddress, remotePort, services.local)) return undefined;
  return new SallyportError('ERR_LOOP', `${hostPort(remoteAddress ?? '', remotePort ?? 0)} is this proxy`);
}

/** What log lines and hooks tell of a TLS connection. */
export function describeTls(socket: TLSSocket, serverName: string | undefined): LegTls {
  return {
    version: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().name,
    alpn: socket.alpnProtocol === false || socket.alpnProtocol === null ? undefined : socket.alpnProtocol,
    serverName,
    resumed: socket.isSessionReused(),
  };
}
