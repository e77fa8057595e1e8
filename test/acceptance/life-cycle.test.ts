/** A proxy from `listen` to `close`, and several of them. */
import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type LedgerKind, ledgerKinds, sharedKinds } from '../../src/diagnostics/index.js';
import { createProxy, SallyportError } from '../../src/index.js';
import { withProxy } from '../../src/testing/index.js';
import { listening, type RawOrigin } from '../support/origins.js';
import { eventually, within } from '../support/patience.js';
import { Scene } from '../support/scene.js';
import { temporaryDirectory } from '../support/stage.js';
import { Wire } from '../support/wire.js';

/** A download of which half has arrived. */
async function halfWay(scene: Scene, origin: RawOrigin): Promise<{ client: Wire; server: Wire }> {
  const client = await scene.client();
  client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
  const server = await origin.next();
  await server.head();
  server.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
  await client.until('hello');
  return { client, server };
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  const later = new Promise((resolve) => {
    setImmediate(resolve, pending);
  });
  return (await Promise.race([promise, later])) !== pending;
}

describe('close()', () => {
  test('lets a running exchange end, closes what is idle, and takes nothing new', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const { port } = scene.proxy;
    const idle = await halfWay(scene, origin);
    idle.server.send('world');
    await idle.client.until('world');
    const fresh = await scene.client();
    const busy = await halfWay(scene, await scene.tcpOrigin());

    const closed = scene.proxy.close();
    assert.equal(await idle.client.rest(), '');
    assert.equal(await fresh.rest(), '');
    await assert.rejects(Wire.connect(port), { code: 'ECONNREFUSED' });
    assert.equal(await isSettled(closed), false, 'it waits for the exchange');
    busy.server.send('world');
    assert.equal(await busy.client.rest(), 'world');
    await within(closed, 'close()');
  });

  test('tells a client that goes on that the connection ends with the response', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    const closed = scene.proxy.close();
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    assert.match(await client.rest(), /\r\nConnection: close\r\n[^]*ok$/);
    await within(closed, 'close()');
  });

  test('cuts what has not ended after the drain time', async (t) => {
    const scene = await Scene.open(t);
    const { client, server } = await halfWay(scene, await scene.tcpOrigin());
    const tunnelled = await scene.tcpOrigin();
    const tunnel = await scene.tunnel(`db.test:${tunnelled.port}`);
    tunnel.send('\0');
    await (await tunnelled.next()).bytes(1);

    await within(scene.proxy.close({ drainTimeout: 50 }), 'close()');
    await Promise.all([client.ending(), server.ending(), tunnel.ending()]);
    assert.equal((await scene.exchange()).error?.code, 'ERR_DRAIN_TIMEOUT');
    assert.equal((await scene.tunnelEnd()).error?.code, 'ERR_DRAIN_TIMEOUT');
  });

  test('may be called again, and before listen()', async (t) => {
    const scene = await Scene.open(t);
    await Promise.all([scene.proxy.close(), scene.proxy.close()]);
    await scene.proxy.close();
    const never = createProxy({ caDir: await temporaryDirectory(t) });
    await never.close();
    await assert.rejects(never.listen(), SallyportError);
  });

  test('waits for connections that were refused', async (t) => {
    const scene = await Scene.open(t, { limits: { connections: 1 } });
    await scene.client();
    const refused = await scene.client();
    await refused.until('\r\n\r\n');
    await scene.proxy.close();
    assert.equal(scene.proxy.ledger().connections.outstanding, 0);
  });

  test('comes by itself at the end of an `await using` block', async (t) => {
    const caDir = await temporaryDirectory(t);
    let port: number;
    {
      await using proxy = await createProxy({ caDir }).listen();
      ({ port } = proxy);
      (await Wire.connect(port)).destroy();
    }
    await assert.rejects(Wire.connect(port), { code: 'ECONNREFUSED' });
  });
});

describe('listen()', () => {
  test('makes the CA on first use, and finds it again', async (t) => {
    const caDir = join(await temporaryDirectory(t), 'new', 'ca');
    const first = await withProxy({ caDir }, ({ ca }) => ca);
    const second = await withProxy({ caDir }, ({ ca }) => ca);
    assert.deepEqual([first.created, second.created], [true, false]);
    assert.equal(first.fingerprint256, second.fingerprint256);
    await access(join(caDir, 'ca.pem'));
  });

  test('says where it listens', async (t) => {
    const { proxy } = await Scene.open(t);
    assert.equal(proxy.url, `http://127.0.0.1:${proxy.port}`);
    assert.equal(proxy.host, '127.0.0.1');
  });

  test('fails with ERR_PORT_IN_USE on a port that is taken, and leaves nothing open', async (t) => {
    const port = await listening(t, net.createServer());
    const proxy = createProxy({ caDir: await temporaryDirectory(t), port });
    await assert.rejects(proxy.listen(), { code: 'ERR_PORT_IN_USE' });
    await proxy.close();
  });

  test('fails with ERR_UPSTREAM_CA for trust that is none', async (t) => {
    const proxy = createProxy({ caDir: await temporaryDirectory(t), upstreamCa: 'no certificate' });
    await assert.rejects(proxy.listen(), { code: 'ERR_UPSTREAM_CA' });
  });
});

describe('Several proxies in one process', () => {
  test('share nothing', async (t) => {
    const [one, other] = [await Scene.open(t), await Scene.open(t)];
    const origin = await one.tlsOrigin();
    assert.notEqual(one.proxy.ca.fingerprint256, other.proxy.ca.fingerprint256);

    const client = await one.secureClient('shop.test', origin.port);
    client.send('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n');
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 204 No Content\r\n\r\n');
    await client.head();
    await one.exchange();
    assert.equal(other.exchanges.length, 0, 'each hears its own events');
    assert.equal(other.proxy.ledger().connections.created, 0);

    // The other trusts other CAs.
    const refused = await other.secureClient('shop.test', origin.port);
    refused.send('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n');
    assert.match(await refused.head(), /^HTTP\/1\.1 502 [^]*ERR_UPSTREAM_CERT_UNTRUSTED/);

    await one.proxy.close();
    const still = await other.client();
    still.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.match(await still.head(), /^HTTP\/1\.1 400 /);
  });
});

describe('500 new connections at once, to 50 hosts', () => {
  test('all succeed, each with the leaf of its host, and each host has one leaf', async (t) => {
    // All of it is the work of one process: on a slow machine the last client waits for longer than the defaults are.
    const most = 120_000;
    const timeouts = { sniff: most, clientHandshake: most, connect: most, upstreamHandshake: most };
    const scene = await Scene.open(t, { timeouts });
    const origin = await scene.tlsOrigin();
    const serve = async (): Promise<void> => {
      for (let count = 0; count < 500; count += 1) {
        const server = await origin.next();
        void server.head().then((head) => {
          const name = /\r\nHost: (.*)\r\n/.exec(head)?.[1] ?? '';
          server.send(
            `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${name.length}\r\n\r\n${name}`,
          );
        });
      }
    };
    const serials = new Map<string, Set<string>>();
    const visit = async (number: number): Promise<void> => {
      const host = `host-${number % 50}.test`;
      const client = await scene.secureClient(host, origin.port);
      const { serialNumber, subjectaltname } = client.tls.getPeerCertificate();
      assert.equal(subjectaltname, `DNS:${host}`);
      serials.set(host, (serials.get(host) ?? new Set()).add(serialNumber));
      client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      assert.equal((await client.message()).body, host);
      client.destroy();
    };
    const visits = Array.from({ length: 500 }, (_, number) => visit(number));
    await within(Promise.all([serve(), ...visits]), '500 visits', 120_000);
    assert.equal(serials.size, 50);
    for (const [host, set] of serials) assert.equal(set.size, 1, `${host} has one leaf`);
    assert.equal(scene.exchanges.filter(({ status }) => status === 200).length, 500);
  });
});

describe('Connections that come and go', () => {
  test('leave nothing behind: the ledger is even while the proxy runs', async (t) => {
    const scene = await Scene.open(t, { timeouts: { idleUpstream: 20, serverFirst: 20 } });
    const secure = await scene.tlsOrigin();
    for (let round = 0; round < 5; round += 1) {
      const origin = await scene.tcpOrigin();
      const { client, server } = await halfWay(scene, origin);
      if (round % 2 === 0) server.send('world');
      client.reset();
      const tunnel = await scene.tunnel(`db.test:${origin.port}`);
      tunnel.send('\0');
      await (await origin.next()).bytes(1);
      tunnel.reset();
      (await scene.secureClient('shop.test', secure.port)).destroy();
      (await scene.tunnel('nobody.invalid:443')).send('\x16\x03\x01').end();
    }
    // What comes with connections, and goes with them.
    const lasting: readonly LedgerKind[] = ['identities', 'secureContexts', 'listeners', ...sharedKinds];
    const kinds = ledgerKinds.filter((kind) => !lasting.includes(kind));
    const outstanding = (): number => {
      const lines = scene.proxy.ledger();
      return kinds.reduce((sum, kind) => sum + lines[kind].outstanding, 0);
    };
    await eventually('the ledger is even', () => outstanding() === 0);
  });
});
