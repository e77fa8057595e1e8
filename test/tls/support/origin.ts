/** Origins for tests of the upstream leg. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import tls from 'node:tls';
import { Context } from '../../../src/base/context.js';
import { type UpstreamTlsOptions, openUpstreamTls } from '../../../src/tls/upstream.js';
import type { Credentials } from './certificates.js';
import { closing } from './closing.js';

/** An origin on 127.0.0.1. */
export class Origin implements AsyncDisposable {
  readonly server: net.Server;
  readonly sockets = new Set<net.Socket>();

  private constructor(server: net.Server) {
    this.server = server;
    server.on('connection', (socket: net.Socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {
        // The client's view is what counts.
      });
    });
  }

  static async tls(
    options: tls.TlsOptions,
    onSocket: (socket: tls.TLSSocket) => void = greet,
  ): Promise<Origin> {
    const server = tls.createServer(options, (socket) => {
      socket.on('error', () => {
        // As above.
      });
      onSocket(socket);
    });
    return await Origin.#listen(new Origin(server));
  }

  static async tcp(onSocket: (socket: net.Socket) => void): Promise<Origin> {
    const origin = new Origin(net.createServer());
    origin.server.on('connection', onSocket);
    return await Origin.#listen(origin);
  }

  static async #listen(origin: Origin): Promise<Origin> {
    origin.server.listen(0, '127.0.0.1');
    await once(origin.server, 'listening');
    return origin;
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** `openssl s_server`, which answers a GET with a page. */
export class OpensslOrigin implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
  }

  static async start({ cert, key }: Credentials): Promise<OpensslOrigin> {
    const directory = await mkdtemp(path.join(tmpdir(), 'sallyport-test-'));
    try {
      const file = path.join(directory, 'both.pem');
      await writeFile(file, cert + key);
      const args = ['s_server', '-accept', '127.0.0.1:0', '-cert', file, '-key', file, '-www'];
      const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'inherit'] });
      for await (const line of createInterface(child.stdout)) {
        const port = /^ACCEPT 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (port !== undefined) return new OpensslOrigin(Number(port), child);
      }
      return assert.fail('s_server did not say where it listens');
    } finally {
      await rm(directory, { recursive: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await once(this.#child, 'exit');
  }
}

/** A byte from the origin brings the tickets of TLS 1.3 with it. */
export function greet(socket: tls.TLSSocket): void {
  socket.write('!');
}

const toLoopback: net.LookupFunction = (_host, _options, callback) => {
  callback(null, [{ address: '127.0.0.1', family: 4 }]);
};

/** `openUpstreamTls` to `a.example`, which is 127.0.0.1 here. */
export function openWith(
  origin: { readonly port: number },
  options: Partial<UpstreamTlsOptions> & Pick<UpstreamTlsOptions, 'trust'>,
): Promise<tls.TLSSocket> {
  return openUpstreamTls({
    host: 'a.example',
    port: origin.port,
    context: Context.background,
    lookup: toLoopback,
    ...options,
  });
}

/** Opens, waits for the origin's first byte (and so for its tickets), and closes; whether it was resumed. */
export async function visit(
  origin: Origin,
  options: Partial<UpstreamTlsOptions> & Pick<UpstreamTlsOptions, 'trust'>,
): Promise<boolean> {
  const socket = await openWith(origin, options);
  await once(socket, 'data');
  const resumed = socket.isSessionReused();
  const gone = closing(socket);
  socket.destroy();
  await gone;
  return resumed;
}
