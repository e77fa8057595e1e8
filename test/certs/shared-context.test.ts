/** One context for all hosts: the right leaf for everybody, whatever comes between. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, type Socket, connect as plain, createServer } from 'node:net';
import { test } from 'node:test';
import { type ConnectionOptions, type SecureContext, TLSSocket, connect } from 'node:tls';
import type { Identity } from '../../src/certs/host-identity.js';
import { Identities } from '../../src/certs/identity.js';
import { SharedContexts } from '../../src/certs/shared-context.js';
import { sharedContextWorks } from '../../src/certs/shared-context-probe.js';
import { MemoryStore } from '../../src/certs/memory-store.js';
import { TicketKeys } from '../../src/certs/ticket-keys.js';
import { temporaryAuthority, tlsServer } from './support.js';

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
  // Leaves come from the store with the keys of three makers, as they do where processes share it.
  const store = new MemoryStore();
  const [ec, one, other, rsa] = [
    new Identities({ authority, store }),
    new Identities({ authority, store }),
    new Identities({ authority, store }),
    new Identities({ authority, profile: 'rsa-2048' }),
  ];
  t.after(() => Promise.all([ec.close(), one.close(), other.close(), rsa.close()]));
  assert.deepEqual(await Promise.all([ec.prepare(), rsa.prepare()]), [true, true]);
  for (let index = 0; index < 32; index += 1) await (index % 2 ? one : other).get(`h${index}.example`);
  const hosts: Identity[] = await Promise.all([
    ...Array.from({ length: 46 }, async (_, index) => ec.get(`h${index}.example`)),
    ...Array.from({ length: 4 }, async (_, index) => rsa.get(`r${index}.example`)),
  ]);
  assert.equal(new Set(hosts.map(({ privateKeyPem }) => privateKeyPem)).size, 4);
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
  const contexts = new SharedContexts({ context: {}, ticketKeys: new TicketKeys(), chainPem: '' });
  const [a, b] = [await rsa.get('a.example'), await ec.get('b.example')];
  assert.ok(contexts.load({ ...a, sessionIdContext: 'a' }));
  const secureContext = contexts.load({ ...b, sessionIdContext: 'b' });
  assert.ok(secureContext);
  const port = await tlsServer(t, () => secureContext);
  const old: ConnectionOptions = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' };
  await assert.rejects(peerOf(port, { ...old, rejectUnauthorized: false }));
  // Nor is a certificate of one kind taken with a key of another.
  assert.equal(contexts.load({ ...a, privateKeyPem: b.privateKeyPem, sessionIdContext: 'c' }), undefined);
});

test('a certificate is never served with a key that is not its own', async (t) => {
  const authority = await temporaryAuthority(t);
  const [one, other] = [new Identities({ authority }), new Identities({ authority })];
  t.after(() => Promise.all([one.close(), other.close()]));
  const contexts = new SharedContexts({ context: {}, ticketKeys: new TicketKeys(), chainPem: '' });
  const [a, b] = [await one.get('a.example'), await other.get('b.example')];
  const port = await tlsServer(t, () => {
    const secureContext = contexts.load({ ...b, sessionIdContext: 'b' });
    assert.ok(secureContext);
    return secureContext;
  });
  for (const sessionIdContext of ['first', 'second']) {
    assert.ok(contexts.load({ ...a, sessionIdContext }));
    // The key is the one that is set, and the certificate is another's.
    const wrong = { ...b, privateKeyPem: a.privateKeyPem, sessionIdContext };
    assert.throws(() => contexts.load(wrong), /mismatch/);
    assert.equal(contexts.held(wrong), undefined);
    assert.equal(await peerOf(port, { ca: authority.pem, servername: 'b.example' }), b.certificatePem);
  }
});

test('the probe finds a context that ignores what is set, lets sessions cross, or changes the chain', async () => {
  assert.equal(await sharedContextWorks(), true);
  const make = (chainPem: string): SharedContexts =>
    new SharedContexts({ context: {}, ticketKeys: new TicketKeys(), chainPem });
  type Leaf = Parameters<SharedContexts['load']>[0];
  const wrong: Record<string, (chainPem: string) => (leaf: Leaf) => SecureContext | undefined> = {
    stuck(chainPem) {
      const contexts = make(chainPem);
      let first: SecureContext | undefined;
      return (leaf) => (first ??= contexts.load(leaf));
    },
    crossing(chainPem) {
      const contexts = make(chainPem);
      return (leaf) => contexts.load({ ...leaf, sessionIdContext: 'x' });
    },
    'without the chain': () => {
      const contexts = make('');
      return (leaf) => contexts.load(leaf);
    },
    'with a chain that grows': (chainPem) => {
      const contexts = make('');
      return (leaf) => contexts.load({ ...leaf, certificatePem: leaf.certificatePem + chainPem });
    },
    unable: () => () => undefined,
  };
  for (const [name, loader] of Object.entries(wrong)) {
    assert.equal(await sharedContextWorks((chainPem) => ({ load: loader(chainPem) })), false, name);
  }
});

test('the thousandth host is sent what the first was: its leaf and the chain once', async (t) => {
  const authority = await temporaryAuthority(t);
  const identities = new Identities({ authority });
  t.after(() => identities.close());
  assert.equal(await identities.prepare(), true);
  const sizes: number[] = [];
  for (let index = 0; index < 1000; index += 1) {
    const identity = await identities.get(`h${1000 + index}.example`);
    if (index % 333 === 0) {
      const port = await tlsServer(t, () => identity.contextNow());
      sizes.push(await sentTo(port, authority.pem, identity.host));
    }
  }
  const [first = 0, ...later] = sizes;
  assert.equal(later.length, 3);
  // Signatures and serial numbers differ by a few bytes.
  for (const size of later) assert.ok(Math.abs(size - first) < 40, `${first} bytes at first, ${size} later`);
});

/** How many bytes a client is sent for a whole handshake and the word after it. */
async function sentTo(port: number, ca: string, servername: string): Promise<number> {
  const under = plain({ port, host: '127.0.0.1' });
  const socket = connect({ socket: under, ca, servername });
  socket.resume();
  await once(socket, 'close');
  return under.bytesRead;
}
