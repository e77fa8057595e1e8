/**
 * Accepts connections: the first station of the road.
 *
 * A thin shell over `net.Server`. Every accepted socket is counted until its `close`, has an `error` listener
 * from its first moment to its last (an unhandled one ends the process), does not wait for Nagle, and may be
 * half closed. Sockets over the limit are told so and closed.
 *
 * Out of file descriptors: libuv holds one in reserve, with which it accepts and closes what is waiting, so
 * that the event loop does not spin (`uv__emfile_trick`). Clients see a close, we are told nothing, and
 * accepting goes on by itself when descriptors are free. Only when the reserve is lost too does the server
 * emit `error`; that, and any other failed accept, is reported at most once a second.
 */
import { type Server, type Socket, createServer } from 'node:net';
import type { Milliseconds } from '../base/bytes.js';
import type { Context } from '../base/context.js';
import { type Clock, systemClock } from '../base/deadlines.js';
import { type ErrorCode, SallyportError, errorTable } from '../base/errors.js';
import type { Ledger } from '../base/ledger.js';
import type { Mark } from '../base/ledger-book.js';
import { hostPort } from '../base/message.js';

export interface ListenerOptions {
  /** Deadlines of refused sockets live under it; closing it cuts these sockets. */
  readonly context: Context;
  /** Counts every accepted socket, refused ones too, as `connections`. */
  readonly ledger: Ledger;
  /** How many admitted sockets may be open at one time. */
  readonly limit: number;
  /** Takes an admitted socket. It closes it in the end; it must not throw. */
  readonly onConnection: (socket: Socket) => void;
  /** Hears that an admitted socket has closed, after its own listeners for `close` or before them. */
  readonly onClosed?: (socket: Socket) => void;
  /** Hears of a socket over the limit, which the listener answers and closes. It must not throw. */
  readonly onRefused?: (socket: Socket) => void;
  /** Hears of failed accepts (`ERR_ACCEPT`), at most once a second. The listener goes on. */
  readonly onFailure: (error: SallyportError) => void;
  readonly clock?: Clock;
}

export interface ListenAddress {
  /** An address or a name of this machine. */
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Connections that the kernel holds until they are accepted; the kernel has a limit of its own. */
  readonly backlog?: number;
}

/** How long a refused client may take to read its answer and close. */
const refusalTime: Milliseconds = 1000;
/** How many refused sockets may be read to their end at one time; more are closed without an answer. */
const refusalsAtOnce = 64;
/** Failed accepts are reported this far apart. */
const reportInterval: Milliseconds = 1000;

export class Listener {
  readonly #options: ListenerOptions;
  readonly #clock: Clock;
  readonly #server: Server;
  /** Accepted and not closed, whether admitted or refused. */
  readonly #sockets = new Map<Socket, Mark>();
  readonly #refused = new Set<Socket>();
  #whenEnded: (() => void) | undefined;
  #stopped = false;
  #failures = 0;
  #nextReport = Number.NEGATIVE_INFINITY;
  /** One function for all sockets: a closure for each would be kept as long as its connection. */
  readonly #onSocketClose: (this: Socket) => void;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const forget = (socket: Socket): void => {
      const mark = this.#sockets.get(socket);
      if (mark !== undefined) this.#options.ledger.close('connections', mark);
      this.#sockets.delete(socket);
      if (!this.#refused.delete(socket)) this.#options.onClosed?.(socket);
      if (this.#sockets.size === 0) this.#whenEnded?.();
    };
    this.#onSocketClose = function (): void {
      forget(this);
    };
    this.#server = createServer({ allowHalfOpen: true, noDelay: true });
    this.#server.on('connection', this.#accept);
  }

  /**
   * Starts to accept and says where. Throws `ERR_PORT_IN_USE`, `ERR_PORT_FORBIDDEN`, or `ERR_LISTEN`;
   * after one of these it may be called again. Throws `ERR_SHUTTING_DOWN` when stopped meanwhile.
   */
  async listen(where: ListenAddress): Promise<{ readonly address: string; readonly port: number }> {
    const server = this.#server;
    const doing = `listening on ${hostPort(where.host, where.port)}`;
    try {
      await new Promise<void>((resolve, reject) => {
        const settle = (error?: Error): void => {
          server.off('error', settle).off('listening', settle);
          if (error) reject(error);
          else resolve();
        };
        server.on('error', settle).on('listening', settle);
        const { backlog } = where;
        const wanted = { host: where.host, port: where.port };
        server.listen(backlog === undefined ? wanted : { ...wanted, backlog });
      });
    } catch (error) {
      throw listenError(error, doing);
    }
    if (this.#stopped) {
      server.close();
      throw new SallyportError('ERR_SHUTTING_DOWN', doing);
    }
    server.on('error', this.#acceptFailed);
    const address = server.address();
    if (address === null || typeof address === 'string') throw new SallyportError('ERR_LISTEN', doing);
    return { address: address.address, port: address.port };
  }

  /** How many admitted sockets are open. */
  get connections(): number {
    return this.#sockets.size - this.#refused.size;
  }

  /**
   * Stops accepting, for good. The listening socket is closed when it resolves; what waited to be accepted
   * has been reset, open connections go on.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    // The descriptor is closed within this call. The callback would wait for every connection to end.
    if (this.#server.listening) this.#server.close();
  }

  /** After `stop`: resolves when every accepted socket is closed, the refused ones too. */
  async ended(): Promise<void> {
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenEnded = resolve;
    });
  }

  /** Destroys every admitted socket that is still open. */
  destroyConnections(): void {
    for (const socket of this.#sockets.keys()) if (!this.#refused.has(socket)) socket.destroy();
  }

  readonly #accept = (socket: Socket): void => {
    const { ledger, limit, onConnection } = this.#options;
    const full = this.connections >= limit;
    ledger.passed();
    this.#sockets.set(socket, ledger.open('connections', socket));
    // A reset by the client is an `error` of the socket. `close` follows it, and all cleaning up is there.
    socket.on('error', ignoreError);
    socket.on('close', this.#onSocketClose);
    if (full) {
      this.#refuse(socket);
      return;
    }
    onConnection(socket);
  };

  #refuse(socket: Socket): void {
    this.#refused.add(socket);
    this.#options.onRefused?.(socket);
    if (this.#refused.size > refusalsAtOnce) {
      socket.destroy();
      return;
    }
    const deadline = this.#options.context.withTimeout(refusalTime);
    deadline.onClose(() => {
      socket.destroy();
    });
    socket.on('close', () => {
      deadline.close();
    });
    // What the client sent is read and dropped: closing with unread bytes is a reset, which may overtake the
    // answer (RFC 9112 §9.6).
    socket.resume();
    socket.end(refusal);
  }

  readonly #acceptFailed = (error: Error): void => {
    this.#failures += 1;
    const now = this.#clock.now();
    if (now < this.#nextReport) return;
    this.#nextReport = now + reportInterval;
    const count = this.#failures > 1 ? ` (${this.#failures} times since the last report)` : '';
    this.#failures = 0;
    this.#options.onFailure(new SallyportError('ERR_ACCEPT', `${error.message}${count}`, { cause: error }));
  };
}

const refusal = refusalResponse();

function refusalResponse(): string {
  const { title, hint, proxyStatus } = errorTable.ERR_CONNECTION_LIMIT;
  const body = `${title}\n${hint}\n`;
  return [
    'HTTP/1.1 503 Service Unavailable',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `Proxy-Status: sallyport; error=${proxyStatus}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}

const listenCodes: Readonly<Record<string, ErrorCode>> = {
  EADDRINUSE: 'ERR_PORT_IN_USE',
  EACCES: 'ERR_PORT_FORBIDDEN',
  EPERM: 'ERR_PORT_FORBIDDEN',
};

function listenError(error: unknown, doing: string): SallyportError {
  const found = (error as NodeJS.ErrnoException).code ?? '';
  const code = listenCodes[found] ?? 'ERR_LISTEN';
  return new SallyportError(code, `${doing}: ${found || String(error)}`, { cause: error });
}

function ignoreError(): void {
  // The `close` that follows does the work.
}
