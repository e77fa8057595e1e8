import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import tls from 'node:tls';
import { before, describe, test, type TestContext } from 'node:test';
import { inspect, isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import {
  type CertificateHandle,
  CertificatePool,
  intern,
  internCounters,
  internPeerCertificates,
} from '../../src/certs/index.js';
import { type Chain, makeChain } from '../support/chain.js';
import { collectGarbage, untilCollected } from '../support/garbage.js';
import { later } from '../support/stage.js';

let chain: Chain;
/** Leaf, intermediate, root. */
let ders: readonly Buffer[];
let leaf: Buffer;

before(async () => {
  chain = await makeChain('DNS:shop.test');
  ders = chain.certificates.map(({ raw }) => raw);
  leaf = ders[0] ?? assert.fail();
});

const turn = (): Promise<void> => new Promise(setImmediate);

describe('An interned certificate', () => {
  test('is what its bytes say', () => {
    const [expected] = chain.certificates;
    const handle = new CertificatePool().intern(leaf);
    assert.deepEqual(handle.der, leaf);
    assert.equal(handle.fingerprint256, expected?.fingerprint256);
    assert.equal(handle.certificate.toString(), expected?.toString());
  });

  test('is parsed when somebody looks, then once for all', () => {
    const pool = new CertificatePool();
    const [one, other, third] = [pool.intern(leaf), pool.intern(Buffer.from(leaf)), pool.intern(leaf)];
    assert.equal(one.der, other.der);
    assert.equal(one.fingerprint256, third.fingerprint256);
    assert.ok(!inspect(one).includes('X509'));
    assert.deepEqual(pool.counters, {
      distinct: 1,
      references: 3,
      parses: 0,
      savedParses: 0,
      bytesSaved: 2 * leaf.length,
    });
    const { certificate } = one;
    assert.equal(one.certificate, certificate);
    assert.equal(pool.counters.savedParses, 0);
    assert.equal(other.certificate, certificate);
    assert.equal(other.certificate, certificate);
    assert.equal(pool.counters.savedParses, 1);
    assert.equal(pool.counters.parses, 1);
  });

  test('is the same for the whole process', () => {
    assert.equal(intern(leaf).certificate, intern(Uint8Array.from(leaf)).certificate);
  });

  test('has bytes of its own: no slab lives with it, and the caller may change theirs', () => {
    const slab = Buffer.alloc(65_536);
    slab.set(leaf, 100);
    const view = slab.subarray(100, 100 + leaf.length);
    const { der } = new CertificatePool().intern(view);
    assert.equal(der.buffer.byteLength, leaf.length);
    view.fill(0);
    assert.deepEqual(der, leaf);
  });

  test('that is none is told of when somebody looks, each time', () => {
    const pool = new CertificatePool();
    for (const bytes of [Buffer.alloc(0), Buffer.from('no certificate'), leaf.subarray(0, -1)]) {
      const handle = pool.intern(bytes);
      assert.deepEqual(handle.der, bytes);
      for (const _ of [1, 2]) assert.throws(() => handle.certificate, { code: 'ERR_CERTIFICATE_SYNTAX' });
    }
    assert.equal(pool.counters.parses, 6);
  });

  test('is told from others whatever the digest says', async () => {
    const pool = new CertificatePool({ digest: () => 'the same' });
    let handles: readonly CertificateHandle[] = ders.map((der) => pool.intern(der));
    assert.equal(pool.counters.distinct, 3);
    ders.forEach((der, index) => {
      assert.equal(pool.intern(der).certificate, handles[index]?.certificate);
      assert.deepEqual(handles[index]?.certificate.raw, der);
    });
    handles = handles.slice(1, 2);
    await untilCollected('one is left', () => pool.counters.distinct === 1);
    assert.equal(pool.intern(ders[1] ?? leaf).certificate, handles[0]?.certificate);
    assert.deepEqual(pool.intern(leaf).certificate.raw, leaf);
  });
});

describe('Nothing has to be given back', () => {
  test('what nobody holds is gone', async () => {
    const pool = new CertificatePool();
    for (let count = 0; count < 1000; count += 1) void pool.intern(leaf).certificate;
    assert.ok(pool.counters.references >= 1000);
    await untilCollected('nothing is left', () => pool.counters.distinct === 0);
    await untilCollected('no handle is left', () => pool.counters.references === 0);
    assert.equal(pool.counters.distinct, 0);
    void pool.intern(leaf).certificate;
    assert.equal(pool.counters.parses, 2);
  });

  test('whoever keeps the certificate alone finds it again', async () => {
    const pool = new CertificatePool();
    const kept = (() => pool.intern(leaf).certificate)();
    await untilCollected('no handle is left', () => pool.counters.references === 0);
    collectGarbage();
    await turn();
    assert.equal(pool.counters.distinct, 1);
    assert.equal(pool.intern(leaf).certificate, kept);
    assert.equal(pool.counters.parses, 1);
  });

  test('a chain counts until the last of its handles is gone', async () => {
    const pool = new CertificatePool();
    const keep = (() => pool.internChain(ders)[1])();
    await untilCollected('the others are gone', () => pool.counters.distinct === 1);
    assert.equal(pool.counters.references, 3);
    assert.deepEqual(keep?.der, ders[1]);
    assert.equal(pool.internChain([]).length, 0);
    assert.equal(pool.counters.references, 3);
  });

  test('a finalizer that comes late leaves the successor alone', async () => {
    const pool = new CertificatePool();
    let handle = ((): CertificateHandle | undefined => pool.intern(leaf))();
    await turn();
    handle = undefined;
    // Collected here, and its finalizer has not run yet.
    collectGarbage();
    handle = pool.intern(leaf);
    assert.equal(pool.counters.distinct, 2);
    await untilCollected('the finalizer has run', () => pool.counters.distinct === 1);
    assert.equal(pool.intern(leaf).der, handle.der);
    assert.equal(pool.counters.distinct, 1);
  });

  test('in any order of taking, keeping and dropping, nobody gets a wrong or a second object', async () => {
    const step = fc.record({
      what: fc.constantFrom('intern', 'chain', 'look', 'drop', 'keep certificate', 'collect'),
      which: fc.nat(2),
      at: fc.nat(9),
    });
    const digests = fc.constantFrom(
      undefined,
      () => '',
      (der: Uint8Array) => String(der.length % 2),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), digests, async (steps, digest) => {
        const pool = new CertificatePool(digest && { digest });
        const held = new Map<number, { which: number; handle?: CertificateHandle; kept?: X509Certificate }>();
        for (const { what, which, at } of steps) {
          const there = held.get(at);
          if (what === 'intern') held.set(at, { which, handle: pool.intern(ders[which] ?? leaf) });
          else if (what === 'chain')
            pool.internChain(ders).forEach((handle, i) => held.set(i, { which: i, handle }));
          else if (what === 'look') void there?.handle?.certificate;
          else if (what === 'drop') held.delete(at);
          else if (what === 'keep certificate' && there?.handle) {
            held.set(at, { which: there.which, kept: there.handle.certificate });
          } else if (what === 'collect') {
            await turn();
            collectGarbage();
            await turn();
          }
          const objects = new Map<number, X509Certificate>();
          for (const { which: of, handle, kept } of held.values()) {
            if (handle) assert.deepEqual(handle.der, ders[of]);
            if (!kept) continue;
            assert.deepEqual(kept.raw, ders[of]);
            assert.equal(objects.get(of) ?? kept, kept);
            objects.set(of, kept);
          }
          for (const [of, kept] of objects) assert.equal(pool.intern(ders[of] ?? leaf).certificate, kept);
        }
      }),
      { numRuns: 60 },
    );
  });
});

const nothingLeft = (): boolean => internCounters().references === 0 && internCounters().distinct === 0;

/** A TLS server that sends a byte, so that its clients have their tickets. */
async function serve(
  t: TestContext,
  options: tls.TlsOptions,
  seen?: (socket: tls.TLSSocket) => void,
): Promise<number> {
  const sockets = new Set<tls.TLSSocket>();
  const server = tls.createServer(options, (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    seen?.(socket);
    socket.write('!');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  later(t, async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : assert.fail();
}

async function connect(t: TestContext, port: number, options: tls.ConnectionOptions): Promise<tls.TLSSocket> {
  const socket = tls.connect({ host: '127.0.0.1', port, servername: 'shop.test', ...options });
  later(t, () => socket.destroy());
  await once(socket, 'data');
  return socket;
}

describe('internPeerCertificates', () => {
  const raw = (handles: readonly CertificateHandle[]): readonly Buffer[] => handles.map(({ der }) => der);

  test('gives the chain, leaf first, as often as it is asked', async (t) => {
    const port = await serve(t, { cert: chain.sent, key: chain.key });
    const socket = await connect(t, port, { ca: chain.root });
    const handles = internPeerCertificates(socket);
    assert.deepEqual(raw(handles), ders);
    assert.ok(Object.isFrozen(handles));
    assert.deepEqual(raw(internPeerCertificates(socket)), ders);
    // And leaves Node's own methods as they were.
    assert.deepEqual(socket.getPeerCertificate(true).issuerCertificate.raw, ders[1]);
    assert.deepEqual(socket.getPeerX509Certificate()?.raw, leaf);
  });

  test('gives no root that was not sent and is not trusted here', async (t) => {
    const port = await serve(t, { cert: chain.sent, key: chain.key });
    const socket = await connect(t, port, { rejectUnauthorized: false });
    assert.deepEqual(raw(internPeerCertificates(socket)), ders.slice(0, 2));
    const all = await serve(t, { cert: chain.sent + chain.root, key: chain.key });
    const other = await connect(t, all, { rejectUnauthorized: false });
    assert.deepEqual(raw(internPeerCertificates(other)), ders);
  });

  test('gives no more than the leaf of a resumed session, which is what Node remembers of it', async (t) => {
    const port = await serve(t, { cert: chain.sent, key: chain.key });
    const secureContext = tls.createSecureContext({ ca: chain.root });
    const first = tls.connect({ host: '127.0.0.1', port, servername: 'shop.test', secureContext });
    later(t, () => first.destroy());
    const [session] = (await once(first, 'session')) as [Buffer];
    const second = await connect(t, port, { secureContext, session });
    assert.ok(second.isSessionReused());
    assert.ok([[], [leaf]].some((known) => isDeepStrictEqual(raw(internPeerCertificates(second)), known)));
  });

  test('works on the server’s side', async (t) => {
    const seen: (readonly Buffer[])[] = [];
    const options = { cert: chain.sent, key: chain.key, ca: chain.root, requestCert: true };
    const port = await serve(t, { ...options, rejectUnauthorized: false }, (socket) => {
      seen.push(raw(internPeerCertificates(socket)));
    });
    await connect(t, port, { ca: chain.root });
    await connect(t, port, { ca: chain.root, cert: chain.sent, key: chain.key });
    // Node 24 tells a server no more than the leaf.
    const [without, shown = []] = seen;
    assert.deepEqual(without, []);
    assert.ok(shown.length === ders.length || shown.length === 1);
    assert.deepEqual(shown, ders.slice(0, shown.length));
  });

  test('gives nothing once the connection is over', async (t) => {
    const port = await serve(t, { cert: chain.sent, key: chain.key });
    const socket = await connect(t, port, { ca: chain.root });
    socket.destroy();
    await once(socket, 'close');
    assert.deepEqual(internPeerCertificates(socket), []);
  });

  test('300 live connections: three objects, three parses; none when they are closed', async (t) => {
    const port = await serve(t, { cert: chain.sent, key: chain.key });
    await untilCollected('what earlier tests held is gone', nothingLeft);
    const before = internCounters();
    await (async () => {
      const secureContext = tls.createSecureContext({ ca: chain.root });
      const live = [];
      for (let count = 0; count < 300; count += 1) {
        const socket = tls.connect({ host: '127.0.0.1', port, servername: 'shop.test', secureContext });
        await once(socket, 'secureConnect');
        const handles = internPeerCertificates(socket);
        live.push({ socket, handles, certificates: handles.map(({ certificate }) => certificate) });
      }
      collectGarbage();
      await turn();
      const now = internCounters();
      assert.equal(now.parses - before.parses, 3);
      assert.equal(now.savedParses - before.savedParses, 897);
      assert.equal(now.distinct, 3);
      assert.equal(now.references, 900);
      assert.equal(new Set(live.flatMap(({ certificates }) => certificates)).size, 3);
      await Promise.all(live.map(({ socket }) => once(socket.destroy(), 'close')));
    })();
    await untilCollected(
      'all are gone',
      () => internCounters().references === 0 && internCounters().distinct === 0,
    );
  });
});
