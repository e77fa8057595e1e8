/** The client connections of one proxy, and how they end: each by itself, all by draining, or cut. */
import type { Socket } from 'node:net';
import type { CloseListener } from '../base/context.js';
import type { SallyportError } from '../base/errors.js';
import type { ClientLeg } from '../base/exchange.js';
import type { ServerConnection } from '../http/server.js';
import type { Leg, Services } from './services.js';

type Shared = Pick<Services, 'context' | 'events'>;

/** One accepted connection, whatever it is used for. */
export class OpenConnection implements CloseListener {
  readonly leg: Leg;
  readonly #started = performance.now();
  readonly #socket: Socket;
  readonly #shared: Shared;
  #server: ServerConnection | undefined;
  #relayed = false;

  constructor(socket: Socket, leg: Leg, shared: Shared) {
    this.#socket = socket;
    this.leg = leg;
    this.#shared = shared;
  }

  /** Its requests are served by `server` now; `undefined` when the socket was taken over. */
  serving(server: ServerConnection | undefined): void {
    this.#server = server;
  }

  /** Its bytes are relayed now: it ends when one of the two ends does. */
  relayed(): void {
    this.#relayed = true;
  }

  /** Ends as soon as it may: at once unless an exchange or a tunnel is under way. */
  shutdown(): void {
    if (this.#server) this.#server.shutdown();
    else if (!this.#relayed) this.close();
  }

  close(): void {
    this.#socket.destroy();
  }

  /**
   * Closes it so that the client cannot take it for an end in order. Not within the callback of a TLS socket that
   * is on top: Node 20 does not survive that. The TLS socket closes with this one.
   */
  reset(): void {
    setImmediate(() => {
      this.#socket.resetAndDestroy();
    });
  }

  /** The context closed: what has not left must not look as if it had. */
  contextClosed(): void {
    if (this.#server && this.#server.outbox.backlog > 0) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** Its socket has closed. */
  closed(): void {
    const { context, client } = this.leg;
    const { events } = this.#shared;
    context.close();
    if (!events.has('connection.close')) return;
    const duration = performance.now() - this.#started;
    events.emit('connection.close', { connection: client.connection, duration });
  }

  /** Nobody but the log can be told. */
  fail(error: SallyportError, target: string): void {
    const { connection } = this.leg.client;
    // A client that left, or a connection that was cut, is no failure of the proxy.
    if (!this.leg.context.closed || error.code !== 'ERR_CANCELLED') {
      this.#shared.events.emit('failure', { error, connection, target });
    }
    this.close();
  }
}

/** Which connection a socket is: a listener with a closure for each would be kept with it. */
const ofSocket = Symbol('connection');

type ClientSocket = Socket & { [ofSocket]?: OpenConnection };

export class ClientConnections {
  readonly #shared: Shared;
  readonly #open = new Set<OpenConnection>();
  #made = 0;
  #draining = false;
  #whenEmpty: (() => void) | undefined;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  /** Takes an accepted socket; its context closes with it (`closed`), and the other way round. */
  admit(socket: Socket): OpenConnection {
    const { context: parent, events } = this.#shared;
    const context = parent.withCancel();
    this.#made += 1;
    const client: ClientLeg = {
      connection: this.#made,
      address: socket.remoteAddress ?? '',
      port: socket.remotePort ?? 0,
      tls: undefined,
    };
    const pinned = { connection: undefined, key: '' };
    const leg: Leg = {
      client,
      context,
      origin: undefined,
      serverName: undefined,
      identity: undefined,
      pinned,
    };
    const connection = new OpenConnection(socket, leg, this.#shared);
    this.#open.add(connection);
    (socket as ClientSocket)[ofSocket] = connection;
    const { connection: number, address, port } = client;
    if (events.has('connection.open')) events.emit('connection.open', { connection: number, address, port });
    context.addCloseListener(connection);
    if (this.#draining) connection.close();
    return connection;
  }

  /** An admitted socket has closed. */
  closed(socket: ClientSocket): void {
    const connection = socket[ofSocket];
    if (!connection) return;
    this.#open.delete(connection);
    connection.closed();
    if (this.#open.size === 0) this.#whenEmpty?.();
  }

  /** Lets running exchanges and tunnels end; resolves when every connection is closed. */
  async drain(): Promise<void> {
    this.#draining = true;
    for (const connection of this.#open) connection.shutdown();
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
  }
}
