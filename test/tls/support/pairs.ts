/** A server and a client of `sallyport/tls`, joined. */
import { once } from 'node:events';
import type net from 'node:net';
import type tls from 'node:tls';
import { connectTls, type ConnectTlsOptions } from '../../../src/tls/connect.js';
import { createTlsServer, type TlsServerOptions } from '../../../src/tls/server.js';
import { closing } from './closing.js';

export async function listen(server: net.Server, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

export interface Pair {
  readonly client: tls.TLSSocket;
  readonly server: tls.TLSSocket;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

export async function pairOf(
  serverOptions: TlsServerOptions,
  clientOptions: ConnectTlsOptions,
): Promise<Pair> {
  const listener = createTlsServer(serverOptions);
  const port = await listen(listener);
  const accepted = once(listener, 'secureConnection') as Promise<[tls.TLSSocket]>;
  const client = connectTls({ host: '127.0.0.1', port, servername: 'a.example', ...clientOptions });
  const [[server]] = await Promise.all([accepted, once(client, 'secureConnect')]);
  server.on('error', () => undefined);
  client.on('error', () => undefined);
  return {
    client,
    server,
    [Symbol.asyncDispose]: async () => {
      const closed = [server, client].filter((socket) => !socket.closed).map(closing);
      server.destroy();
      client.destroy();
      await Promise.all(closed);
      await new Promise((resolve) => {
        listener.close(resolve);
      });
    },
  };
}
