/** Origins on this machine: some whose every byte the test writes, others that are `node:http` servers. */
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import { within } from './patience.js';
import { later } from './stage.js';
import { Wire } from './wire.js';

/** Listens on a free port, and ends with the test together with every connection. */
async function listen(t: TestContext, server: net.Server): Promise<number> {
  const open = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    open.add(socket);
    // A client that resets in the middle of something must not end the test's process.
    socket.on('error', ignore);
    socket.on('close', () => open.delete(socket));
  });
  server.on('secureConnection', (socket: tls.TLSSocket) => {
    socket.on('error', ignore);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  later(t, async () => {
    for (const socket of open) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return (server.address() as net.AddressInfo).port;
}

/** An origin that does what the test writes down, connection by connection. */
export class RawOrigin {
  readonly port: number;
  /** Connections so far. */
  connections = 0;
  readonly #accepted: Wire[] = [];
  readonly #wanted: ((wire: Wire) => void)[] = [];

  private constructor(port: number) {
    this.port = port;
  }

  static async tcp(t: TestContext): Promise<RawOrigin> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true });
    return RawOrigin.#on(t, server, 'connection');
  }

  static async tls(t: TestContext, options: tls.TlsOptions): Promise<RawOrigin> {
    const server = tls.createServer({ allowHalfOpen: true, noDelay: true, ...options });
    server.on('tlsClientError', ignore);
    return RawOrigin.#on(t, server, 'secureConnection');
  }

  static async #on(
    t: TestContext,
    server: net.Server,
    event: 'connection' | 'secureConnection',
  ): Promise<RawOrigin> {
    const origin = new RawOrigin(await listen(t, server));
    server.on(event, (socket: Duplex) => {
      origin.connections += 1;
      const wire = new Wire(socket);
      const wanted = origin.#wanted.shift();
      if (wanted) wanted(wire);
      else origin.#accepted.push(wire);
    });
    return origin;
  }

  /** The next connection, in the order in which they came. */
  async next(): Promise<Wire> {
    const accepted = this.#accepted.shift();
    if (accepted) return accepted;
    const next = new Promise<Wire>((resolve) => {
      this.#wanted.push(resolve);
    });
    return within(next, 'a connection to the origin');
  }

  /** `127.0.0.1:port`. */
  get at(): string {
    return `127.0.0.1:${this.port}`;
  }
}

/** An HTTP server; over TLS where `options` are given. */
export async function httpOrigin(
  t: TestContext,
  handler: http.RequestListener,
  options?: https.ServerOptions,
): Promise<{ readonly port: number; readonly server: http.Server }> {
  const server = options ? https.createServer(options, handler) : http.createServer(handler);
  return { port: await listen(t, server), server };
}

/** A server of any kind that the test made. */
export async function listening(t: TestContext, server: net.Server): Promise<number> {
  return listen(t, server);
}

/** A port on which nobody listens, as far as this can be known. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function ignore(): void {
  // On purpose.
}
