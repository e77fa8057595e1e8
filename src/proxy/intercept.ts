/** TLS inside a tunnel: the ClientHello is read, the client leg terminated, and what is inside found out. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { SallyportError } from '../base/errors.js';
import { hostPort, type Origin } from '../base/message.js';
import type { Identity } from '../certs/index.js';
import type { Destination } from '../connect/target.js';
import { type ClientHello, ClientHelloReader } from '../tls/client-hello.js';
import { terminate } from '../tls/terminate.js';
import { firstBytes } from './first-bytes.js';
import { firstWord } from './first-word.js';
import { identityFor, mirrorOrigin } from './mirror-origin.js';
import { OriginCertificates } from './origin-certificates.js';
import { describeTls, openTls } from './origins.js';
import type { Leg, Services } from './services.js';
import { openTunnel, type TunnelFacts } from './tunnel.js';

/** An intercepted connection that speaks HTTP. */
export interface Intercepted {
  readonly leg: Leg;
  readonly socket: Duplex;
  /** The first bytes of plaintext. */
  readonly bytes: Buffer;
}

/** The protocols that are understood inside TLS, by their ALPN names (RFC 7301), the preferred first. */
const spoken: readonly string[] = ['http/1.1', 'http/1.0'];

/**
 * Terminates the client leg as the host that the client asked for. Resolves with what speaks HTTP, or with
 * `undefined` when the connection was relayed. Rejects with the table error of the phase that failed; the
 * caller closes the connection.
 */
export async function interceptTls(
  services: Services,
  leg: Leg,
  socket: Socket,
  received: Buffer,
  destination: Destination,
): Promise<Intercepted | undefined> {
  using handshake = leg.context.withTimeout(
    services.timeouts.clientHandshake,
    'ERR_CLIENT_HANDSHAKE_TIMEOUT',
  );
  const { hello, bytes: read } = await readHello(socket, received, handshake);
  const host = hello.serverName ?? destination.host;
  const serverName = hello.serverName === destination.host ? undefined : hello.serverName;
  const origin: Origin = { scheme: 'https', ...destination };
  const wanted: Leg = { ...leg, origin, serverName };
  const offered = hello.alpn.length > 0;
  const known = spoken.filter((protocol) => hello.alpn.includes(protocol));
  if (offered && known.length === 0) {
    return await interceptOtherProtocol(services, wanted, socket, read, { hello, destination, handshake });
  }
  const { mirror } = services;
  const { identity, bytes, failedAhead } = mirror
    ? await mirrorOrigin(services, mirror, wanted, { host, origin, socket, bytes: read, handshake })
    : {
        identity: await identityFor(services, host, undefined, handshake),
        bytes: read,
        failedAhead: undefined,
      };
  const tls = await terminate(socket, bytes, {
    secureContext: () => identity.contextNow(),
    alpnProtocols: known,
    context: handshake,
  });
  handshake.close();
  const inside = noteHandshake(services, { ...wanted, failedAhead }, tls, identity, hello);
  return readPlaintext(services, inside, tls, destination, !offered);
}

async function readHello(
  socket: Socket,
  received: Buffer,
  handshake: Leg['context'],
): Promise<{ readonly hello: ClientHello; readonly bytes: Buffer }> {
  const reader = new ClientHelloReader();
  let hello: ClientHello | undefined;
  const first = await firstBytes(socket, received, handshake, (chunk) => {
    const read = reader.push(chunk);
    if (read === 'more') return 'more';
    hello = read;
    return 'hello';
  });
  if (hello) return { hello, bytes: first.bytes };
  throw handshake.err ?? new SallyportError('ERR_CLIENT_HANDSHAKE', 'the client left within its ClientHello');
}

/**
 * A client that offers only protocols that are not spoken here (`h2` alone, MQTT, …): the origin is asked what
 * it would answer, the client is told the same, and the plaintext is relayed. When the origin answers nothing, what
 * is inside may be anything, HTTP too, and is looked at.
 */
async function interceptOtherProtocol(
  services: Services,
  leg: Leg,
  socket: Socket,
  bytes: Buffer,
  asked: {
    readonly hello: ClientHello;
    readonly destination: Destination;
    readonly handshake: Leg['context'];
  },
): Promise<Intercepted | undefined> {
  const { hello, destination, handshake } = asked;
  const host = hello.serverName ?? destination.host;
  handshake.setTimeout(Number.POSITIVE_INFINITY, 'ERR_CANCELLED');
  using dialing = leg.context.withCancel();
  const origin = await openTls(services, destination, leg.serverName, hello.alpn, dialing);
  handshake.setTimeout(services.timeouts.clientHandshake, 'ERR_CLIENT_HANDSHAKE_TIMEOUT');
  try {
    const leaf = services.mirror && OriginCertificates.of(origin)?.leaf;
    const identity = await identityFor(services, host, leaf, handshake);
    const alpnProtocols = typeof origin.alpnProtocol === 'string' ? [origin.alpnProtocol] : [];
    const tls = await terminate(socket, bytes, {
      secureContext: () => identity.contextNow(),
      alpnProtocols,
      context: handshake,
    });
    const inside = noteHandshake(services, leg, tls, identity, hello);
    if (alpnProtocols.length === 0) {
      origin.destroy();
      return await readPlaintext(services, inside, tls, destination, true);
    }
    const facts: TunnelFacts = { target: hostPort(destination.host, destination.port), reason: 'alpn' };
    openTunnel(services, inside, facts, tls, nothing, origin, nothing);
    return undefined;
  } catch (error) {
    origin.destroy();
    throw error;
  }
}

/** A connection holds its identity: the TLS socket alone does not keep it alive. */
function noteHandshake(
  services: Services,
  leg: Leg,
  tls: TLSSocket,
  identity: Identity,
  hello: ClientHello,
): Leg {
  const { events, ledger } = services;
  ledger.passed();
  const mark = ledger.open('clientTls', tls);
  leg.context.onClose(() => {
    ledger.close('clientTls', mark);
  });
  const facts = describeTls(tls, hello.serverName);
  const meter = services.legs.client;
  meter.writes(tls);
  meter.reads(tls);
  meter.counters.handshake(facts.resumed);
  const inside: Leg = { ...leg, client: { ...leg.client, tls: facts }, identity };
  if (events.has('tls.client')) events.emit('tls.client', { connection: leg.client.connection, tls: facts });
  return inside;
}

/** HTTP goes on; anything else is relayed over a TLS connection to the origin. */
async function readPlaintext(
  services: Services,
  leg: Leg,
  tls: TLSSocket,
  destination: Destination,
  mayBeServerFirst: boolean,
): Promise<Intercepted | undefined> {
  const { timeouts } = services;
  // A client that negotiated HTTP will speak first, be it much later: browsers connect ahead of need.
  const first = await firstWord(services, leg, tls, {
    received: nothing,
    patience: mayBeServerFirst ? timeouts.serverFirst : timeouts.idleClient,
    open: mayBeServerFirst
      ? (context) => openTls(services, destination, leg.serverName, [], context)
      : undefined,
  });
  if (first.kind === 'ended') {
    tls.destroy();
    return undefined;
  }
  if (first.kind === 'http') {
    first.origin?.destroy();
    return { leg, socket: tls, bytes: first.bytes };
  }
  let { origin } = first;
  if (!origin) {
    using dialing = leg.context.withCancel();
    origin = await openTls(services, destination, leg.serverName, [], dialing);
  }
  const reason = first.kind === 'tls' ? 'not-http' : first.kind;
  const facts: TunnelFacts = { target: hostPort(destination.host, destination.port), reason };
  openTunnel(services, leg, facts, tls, first.bytes, origin, first.fromOrigin);
  return undefined;
}

const nothing = Buffer.alloc(0);
