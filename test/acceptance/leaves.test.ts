/** Leaf certificates as a client of the proxy sees them. */
import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type { EventMessage } from '../../src/base/events.js';
import { type CertificateStore, MemoryStore, type StoreContext, TicketKeys } from '../../src/certs/index.js';
import { createProxy, SallyportError } from '../../src/index.js';
import { Scene } from '../support/scene.js';
import { temporaryDirectory } from '../support/stage.js';

test('many clients of many hosts at the same time: each is shown its own host, made once', async (t) => {
  const scene = await Scene.open(t);
  const hosts = Array.from({ length: 8 }, (_, index) => `h${index}.example`);
  // The client verifies the name: a wrong leaf would end its handshake.
  await Promise.all(
    Array.from({ length: 80 }, async (_, index) => scene.secureClient(hosts[index % 8] ?? '', 443)),
  );
  const { identities, contexts, ledger } = scene.proxy.counters();
  assert.deepEqual([identities.made, identities.minted, ledger.connections.created], [8, 8, 80]);
  assert.ok(contexts.loads >= 8, 'one context for all is in use');
  assert.ok(contexts.made <= 8 && contexts.size === 8);
});

test('a store that a function makes: it gets what it needs, is closed, and its reports are events', async (t) => {
  let given: StoreContext | undefined;
  let closed = 0;
  const store = new MemoryStore();
  const scene = await Scene.open(t, {
    store: (context) => {
      given = context;
      return {
        fetch: (...asked) => store.fetch(...asked),
        close: () => void (closed += 1),
      };
    },
  });
  const heard: EventMessage<'store.report'>[] = [];
  scene.proxy.on('store.report', (message) => heard.push(message));
  await scene.secureClient('a.example', 443);
  assert.equal(store.counters.entries, 1);
  assert.equal(given?.authority, scene.proxy.ca.fingerprint256);
  const sealed = given.sealer.seal(Buffer.from('secret'), 'x');
  assert.equal(given.sealer.open(sealed, 'x')?.toString(), 'secret');
  const error = new SallyportError('ERR_STORE_ENTRY', 'changed');
  const key = { host: 'a.example', authority: given.authority, profile: 'p256' } as const;
  given.report({ kind: 'broken', store: 'mine', key, error });
  given.report({ kind: 'restored', store: 'mine' });
  assert.deepEqual(
    heard.map(({ kind, store: name, host, error: why }) => [kind, name, host, why]),
    [
      ['broken', 'mine', 'a.example', error],
      ['restored', 'mine', undefined, undefined],
    ],
  );
  await scene.proxy.close();
  assert.equal(closed, 1);
});

test('a store that is given as it is stays open; one that cannot be made ends listen()', async (t) => {
  let closed = 0;
  const store = new MemoryStore();
  const close = (): void => void (closed += 1);
  const scene = await Scene.open(t, { store: { fetch: (...asked) => store.fetch(...asked), close } });
  await scene.proxy.close();
  assert.equal(closed, 0);
  const caDir = await temporaryDirectory(t);
  const proxy = createProxy({ caDir, store: () => Promise.reject(new Error('no such place')) });
  await assert.rejects(proxy.listen(), /no such place/);
  await proxy.close();
});

test('a store that a function made is closed when listen() fails after it', async (t) => {
  const caDir = await temporaryDirectory(t);
  let closed = 0;
  const store = (): CertificateStore => ({
    fetch: () => Promise.reject(new Error('nobody asks')),
    close: async () => {
      await Promise.resolve();
      closed += 1;
    },
  });
  const unreadable = {
    caDir,
    store,
    get limits(): never {
      throw new Error('these limits cannot be read');
    },
  };
  const proxy = createProxy(unreadable);
  await assert.rejects(proxy.listen(), /these limits cannot be read/);
  assert.equal(closed, 1);
  await proxy.close();
  const taken = (await Scene.open(t)).proxy.port;
  await assert.rejects(createProxy({ caDir, store, port: taken }).listen(), { code: 'ERR_PORT_IN_USE' });
  assert.equal(closed, 2);
});

test('leafProfile: the leaf that a client is shown has such a key', async (t) => {
  for (const [leafProfile, type] of [
    ['rsa-2048', 'rsa'],
    ['p256', 'ec'],
  ] as const) {
    const scene = await Scene.open(t, { leafProfile });
    const origin = await scene.tlsOrigin();
    const client = await scene.secureClient('a.example', origin.port);
    const { publicKey } = client.tls.getPeerX509Certificate() ?? {};
    assert.equal(publicKey?.asymmetricKeyType, type);
    if (type === 'rsa') assert.equal(publicKey?.asymmetricKeyDetails?.modulusLength, 2048);
  }
});

test('forgetCertificates: other leaves and another key, in the memory of the store, too; for these hosts, or all', async (t) => {
  for (const options of [{}, { store: new MemoryStore() }]) {
    const scene = await Scene.open(t, options);
    const leaf = async (host: string): Promise<X509Certificate> =>
      (await scene.secureClient(host, 443)).tls.getPeerX509Certificate() ?? assert.fail();
    const keyOf = ({ publicKey }: X509Certificate): string =>
      publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const [a, b] = [await leaf('a.example'), await leaf('b.example')];
    await scene.proxy.forgetCertificates(['a.example']);
    const after = await leaf('a.example');
    assert.notEqual(after.serialNumber, a.serialNumber);
    assert.notEqual(keyOf(after), keyOf(a));
    assert.equal((await leaf('b.example')).serialNumber, b.serialNumber);
    await scene.proxy.forgetCertificates();
    assert.notEqual((await leaf('b.example')).serialNumber, b.serialNumber);
  }
});

test('forgetCertificates: a store of the user is asked again for these hosts, or for all', async (t) => {
  const store = new MemoryStore();
  const scene = await Scene.open(t, {
    store: {
      fetch: (...asked) => store.fetch(...asked),
      close: () => undefined,
      get counters() {
        return store.counters;
      },
    } as CertificateStore,
  });
  const serial = async (host: string): Promise<string> =>
    (await scene.secureClient(host, 443)).tls.getPeerX509Certificate()?.serialNumber ?? '';
  const [a, b] = [await serial('a.example'), await serial('b.example')];
  const { hits } = scene.proxy.counters().store ?? assert.fail();
  await scene.proxy.forgetCertificates(['a.example']);
  assert.equal(await serial('a.example'), a, 'it is still in the store');
  assert.equal(await serial('b.example'), b);
  assert.equal(scene.proxy.counters().store?.hits, hits + 1);
  await scene.proxy.forgetCertificates();
  assert.equal(await serial('b.example'), b);
  assert.equal(scene.proxy.counters().store?.hits, hits + 2);
});

test('two proxies with one CA and the same ticket keys resume the sessions of each other', async (t) => {
  const caDir = await temporaryDirectory(t);
  const ticketKeys = new TicketKeys();
  const one = await Scene.open(t, { caDir, ticketKeys });
  const two = await Scene.open(t, { caDir, ticketKeys });
  const apart = await Scene.open(t, { caDir });
  // With TLS 1.2 the client has its session when the handshake ends.
  const options = { maxVersion: 'TLSv1.2' } as const;
  const session = (await one.secureClient('a.example', 443, options)).tls.getSession();
  assert.ok(session);
  const resumes = async (scene: Scene, host: string): Promise<boolean> =>
    (await scene.secureClient(host, 443, { ...options, session })).tls.isSessionReused();
  assert.equal(await resumes(two, 'a.example'), true);
  assert.equal(await resumes(two, 'b.example'), false);
  assert.equal(await resumes(apart, 'a.example'), false);
});
