/** One context for all hosts: the right leaf for everybody, whatever comes between. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, type Socket, connect as plain, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, type SecureContext, TLSSocket, connect } from 'node:tls';
import type { Identity } from '../../src/certs/host-identity.js';
import { Identities } from '../../src/certs/identity.js';
import { SharedContexts } from '../../src/certs/shared-context.js';
import { sharedContextWorks } from '../../src/certs/shared-context-probe.js';
import { MemoryStore } from '../../src/certs/memory-store.js';
import { TicketKeys } from '../../src/certs/ticket-keys.js';
import { temporaryAuthority } from './support.js';

async function serve(t: TestContext, choose: () => SecureContext): Promise<number> {
  const sockets = new Set<TLSSocket>();
  const server = createServer((socket) => {
    const tls = new TLSSocket(socket, { isServer: true, secureContext: choose() });
    sockets.add(tls);
    tls.on('error', () => socket.destroy());
    tls.end('hello');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}

async function peerOf(port: number, options: ConnectionOptions): Promise<string | undefined> {
  const socket = connect({ port, host: '127.0.0.1', ...options });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate()?.toString();
  } finally {
    socket.destroy();
  }
}

test('500 concurrent handshakes to 50 hosts, shared and own contexts, P-256 and RSA: no wrong leaf', async (t) => {
  const authority = await temporaryAuthority(t);
  const [ec, rsa] = [
    new Identities({ authority }),
    new Identities({ authority, profile: 'rsa-2048', store: new MemoryStore() }),
  ];
  t.after(() => Promise.all([ec.close(), rsa.close()]));
  assert.deepEqual(await Promise.all([ec.prepare(), rsa.prepare()]), [true, true]);
  const hosts: Identity[] = await Promise.all([
    ...Array.from({ length: 46 }, async (_, index) => ec.get(`h${index}.example`)),
    ...Array.from({ length: 4 }, async (_, index) => rsa.get(`r${index}.example`)),
  ]);
  const asked = Array.from({ length: 500 }, (_, index) => hosts[(index * 7) % 50]);
  // Connections are told apart by the client's port, which either end may be the first to know.
  const wanted = new Map<number, Identity>();
  const accepted = new Map<number, Socket>();
  const secured: TLSSocket[] = [];
  const begin = (clientPort = 0): void => {
    const [identity, socket] = [wanted.get(clientPort), accepted.get(clientPort)];
    if (!identity || !socket) return;
    const tls = new TLSSocket(socket, { isServer: true, secureContext: identity.contextNow() });
    secured.push(tls.on('error', () => socket.destroy()));
    socket.resume();
  };
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    accepted.set(socket.remotePort ?? 0, socket);
    begin(socket.remotePort);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of secured) socket.destroy();
    server.close();
  });
  const { port: shared } = server.address() as AddressInfo;
  const seen = await Promise.all(
    asked.map(async (identity, index) => {
      assert.ok(identity);
      const socket = plain({ port: shared, host: '127.0.0.1' });
      await once(socket, 'connect');
      wanted.set(socket.localPort ?? 0, identity);
      begin(socket.localPort);
      const peer = await peerOf(0, {
        socket,
        ca: authority.pem,
        servername: identity.host,
        maxVersion: index % 2 === 0 ? 'TLSv1.3' : 'TLSv1.2',
      });
      return peer === identity.certificatePem;
    }),
  );
  assert.equal(seen.filter(Boolean).length, 500);
  assert.ok(ec.contexts.loads > 46 && ec.contexts.made > 0, JSON.stringify(ec.contexts));
});

test('a client that can RSA alone is not given the RSA leaf of another host', async (t) => {
  const authority = await temporaryAuthority(t);
  const rsa = new Identities({ authority, profile: 'rsa-2048' });
  const ec = new Identities({ authority });
  t.after(() => Promise.all([ec.close(), rsa.close()]));
  const contexts = new SharedContexts({ context: {}, ticketKeys: new TicketKeys() });
  const [a, b] = [await rsa.get('a.example'), await ec.get('b.example')];
  assert.ok(contexts.load({ ...a, sessionIdContext: 'a' }));
  const secureContext = contexts.load({ ...b, sessionIdContext: 'b' });
  assert.ok(secureContext);
  const port = await serve(t, () => secureContext);
  const old: ConnectionOptions = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' };
  await assert.rejects(peerOf(port, { ...old, rejectUnauthorized: false }));
  // Nor is a certificate of one kind taken with a key of another.
  assert.equal(contexts.load({ ...a, privateKeyPem: b.privateKeyPem, sessionIdContext: 'c' }), undefined);
});

test('the probe finds a context that ignores what is set, or that lets sessions cross', async () => {
  assert.equal(await sharedContextWorks(), true);
  const make = (): SharedContexts => new SharedContexts({ context: {}, ticketKeys: new TicketKeys() });
  const stuck = make();
  let first: SecureContext | undefined;
  assert.equal(await sharedContextWorks({ load: (leaf) => (first ??= stuck.load(leaf)) }), false);
  const crossing = make();
  const one = {
    load: (leaf: Parameters<SharedContexts['load']>[0]) => crossing.load({ ...leaf, sessionIdContext: 'x' }),
  };
  assert.equal(await sharedContextWorks(one), false);
  assert.equal(await sharedContextWorks({ load: () => undefined }), false);
});
