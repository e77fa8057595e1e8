/**
 * The road: listener → connect → tls → http → rules → upstream. This file alone knows the order; each
 * station is handed the result of the one before it.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { SallyportError, toSallyportError } from '../base/errors.js';
import { hostPort } from '../base/message.js';
import { isOwnAddress } from '../connect/loop.js';
import { type Destination, parseConnectTarget } from '../connect/target.js';
import { ServerConnection, type ServerHandler } from '../http/server.js';
import type { ServerStream } from '../http/server-stream.js';
import { classify } from '../listener/sniff.js';
import type { ClientConnections, OpenConnection } from './connections.js';
import { ExchangeRun } from './exchange.js';
import { firstBytes } from './first-bytes.js';
import { interceptTls } from './intercept.js';
import { firstWord } from './first-word.js';
import { openTcp } from './origins.js';
import type { Leg, Services } from './services.js';
import { openTunnel, type TunnelFacts } from './tunnel.js';

export class Pipeline {
  readonly #services: Services;
  readonly #connections: ClientConnections;

  constructor(services: Services, connections: ClientConnections) {
    this.#services = services;
    this.#connections = connections;
  }

  /** listener: what does the client speak? */
  async accept(socket: Socket): Promise<void> {
    const connection = this.#connections.admit(socket);
    const { leg } = connection;
    using waiting = leg.context.withTimeout(this.#services.timeouts.sniff, 'ERR_SNIFF_TIMEOUT');
    const first = await firstBytes(socket, nothing, waiting, (_chunk, all) => classify(all()));
    if (first.kind === 'http') this.#serve(connection, leg, socket, first.bytes);
    else if (first.kind === 'silent' || first.kind === 'ended') connection.close();
    else this.#refuseProtocol(connection, socket, first.kind);
  }

  /** http: requests, one after the other, on the port itself or inside a tunnel. */
  #serve(connection: OpenConnection, leg: Leg, socket: Duplex, bytes: Buffer): void {
    const server = this.#server(new Served(this, connection, leg), socket);
    connection.serving(server);
    server.start(bytes);
  }

  #server(handler: Served, socket: Duplex): ServerConnection {
    const { legs, limits, slabs, timeouts } = this.#services;
    const { context, client } = handler.leg;
    const halfClose = client.tls === undefined;
    const reads = legs.clientReads;
    return new ServerConnection(socket, { context, limits, slabs, timeouts, reads, halfClose, handler });
  }

  /** A request has arrived. */
  exchange(connection: OpenConnection, leg: Leg, stream: ServerStream): void {
    if (stream.head.method === 'CONNECT' && !leg.origin) this.#connect(connection, leg, stream);
    else new ExchangeRun(this.#services, leg, stream).start();
  }

  /** What arrived is no request. */
  failed(leg: Leg, error: SallyportError, broken: ServerConnection): void {
    this.#services.events.emit('failure', { error, connection: leg.client.connection });
    broken.refuse(error);
  }

  /** connect: where does the client want to go? */
  #connect(connection: OpenConnection, leg: Leg, stream: ServerStream): void {
    let destination: Destination;
    try {
      destination = parseConnectTarget(stream.head.target);
      if (isOwnAddress(destination, this.#services.local)) {
        throw new SallyportError('ERR_LOOP', `${stream.head.target} is this proxy`);
      }
    } catch (thrown) {
      const error = toSallyportError(thrown);
      this.#services.events.emit('failure', { error, connection: leg.client.connection });
      stream.refuse(error);
      return;
    }
    stream.acceptTunnel((socket, rest) => {
      connection.serving(undefined);
      this.#enter(connection, leg, socket as Socket, rest, destination).catch((thrown: unknown) => {
        const target = hostPort(destination.host, destination.port);
        connection.fail(toSallyportError(thrown), target);
      });
    });
  }

  /** tls, or whatever else is spoken inside a tunnel. */
  async #enter(
    connection: OpenConnection,
    leg: Leg,
    socket: Socket,
    rest: Buffer,
    destination: Destination,
  ): Promise<void> {
    const services = this.#services;
    const first = await firstWord(services, leg, socket, {
      received: rest,
      patience: services.timeouts.serverFirst,
      open: (context) => openTcp(services, destination, context),
    });
    if (first.kind === 'tls' || first.kind === 'http') {
      first.origin?.destroy();
      const plain: Leg = { ...leg, origin: { scheme: 'http', ...destination } };
      const inside =
        first.kind === 'tls'
          ? await interceptTls(services, leg, socket, first.bytes, destination)
          : { leg: plain, socket, bytes: first.bytes };
      if (inside) this.#serve(connection, inside.leg, inside.socket, inside.bytes);
      else connection.relayed();
      return;
    }
    let { origin } = first;
    if (!origin) {
      using dialing = leg.context.withCancel();
      origin = await openTcp(services, destination, dialing);
    }
    const reason = first.kind === 'ended' ? 'server-first' : first.kind;
    const facts: TunnelFacts = { target: hostPort(destination.host, destination.port), reason };
    connection.relayed();
    openTunnel(services, leg, facts, socket, first.bytes, origin, first.fromOrigin);
  }

  #refuseProtocol(connection: OpenConnection, socket: Socket, found: string): void {
    const error = new SallyportError('ERR_PROTOCOL_UNKNOWN', `the first bytes are ${spoken[found] ?? found}`);
    const { leg } = connection;
    const server = this.#server(new Served(this, connection, leg), socket);
    this.#services.events.emit('failure', { error, connection: leg.client.connection });
    // A TLS client cannot read an answer in clear text.
    if (found === 'tls') server.destroy();
    else server.refuse(error);
  }
}

/** Who serves the requests of one connection: one object, as an idle connection keeps it. */
class Served implements ServerHandler {
  readonly leg: Leg;
  readonly #pipeline: Pipeline;
  readonly #connection: OpenConnection;

  constructor(pipeline: Pipeline, connection: OpenConnection, leg: Leg) {
    this.#pipeline = pipeline;
    this.#connection = connection;
    this.leg = leg;
  }

  exchange(stream: ServerStream): void {
    this.#pipeline.exchange(this.#connection, this.leg, stream);
  }

  failed(error: SallyportError, broken: ServerConnection): void {
    this.#pipeline.failed(this.leg, error, broken);
  }

  reset(): void {
    this.#connection.reset();
  }
}

const nothing = Buffer.alloc(0);

const spoken: Readonly<Record<string, string>> = {
  tls: 'TLS, and this is an http:// proxy',
  socks4: 'SOCKS4',
  socks5: 'SOCKS5',
  http2: 'HTTP/2 with prior knowledge',
  other: 'of no protocol that is known here',
  undecided: 'too few to tell what they are',
};
