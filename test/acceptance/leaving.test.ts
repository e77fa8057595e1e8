/** Clients that leave, at any moment: the origin hears of it soon, and the proxy goes on. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { RawOrigin } from '../support/origins.js';
import { Scene } from '../support/scene.js';
import type { Wire } from '../support/wire.js';

interface Leaving {
  readonly scene: Scene;
  readonly origin: RawOrigin;
  readonly client: Wire;
  readonly leave: (how: 'destroy' | 'reset') => void;
}

async function overTcp(t: TestContext): Promise<Leaving> {
  const scene = await Scene.open(t);
  const origin = await scene.tcpOrigin();
  const client = await scene.client();
  client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
  return { scene, origin, client, leave: (how) => client[how]() };
}

async function overTls(t: TestContext): Promise<Leaving> {
  const scene = await Scene.open(t);
  const origin = await scene.tlsOrigin();
  const tunnel = await scene.tunnel(`shop.test:${origin.port}`);
  const client = await tunnel.secure({ ca: scene.proxy.ca.pem, servername: 'shop.test' });
  client.send('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n');
  return {
    scene,
    origin,
    client,
    leave: (how) => {
      if (how === 'destroy') client.destroy();
      else tunnel.reset();
    },
  };
}

/** Waits until the origin has heard. Promised are 100 ms; machines that test may be busy. */
async function assertHeardSoon(t: TestContext, server: Wire, left: number): Promise<void> {
  await server.ending();
  const took = performance.now() - left;
  t.diagnostic(`the origin heard of it after ${took.toFixed(1)} ms`);
  assert.ok(took < 1000, `${took} ms`);
}

for (const [leg, open] of Object.entries({ TCP: overTcp, TLS: overTls })) {
  for (const how of ['destroy', 'reset'] as const) {
    describe(`A client that leaves over ${leg} (${how})`, () => {
      test('during a download closes the connection to the origin', async (t) => {
        const { scene, origin, client, leave } = await open(t);
        const server = await origin.next();
        await server.head();
        server.send('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n', 'x'.repeat(1000));
        await client.until('x'.repeat(1000));
        const left = performance.now();
        leave(how);
        // A close of TCP may be half of one: that it is not is noticed when the download goes on.
        const going = setInterval(() => server.send('x'.repeat(1000)), 1);
        await assertHeardSoon(t, server, left).finally(() => {
          clearInterval(going);
        });
        const { error, responseBytes } = await scene.exchange();
        assert.equal(error?.code, 'ERR_CLIENT_GONE');
        assert.ok(responseBytes >= 1000);
      });

      test('during a download that it does not read closes the connection to the origin', async (t) => {
        const { origin, client, leave } = await open(t);
        const server = await origin.next();
        await server.head();
        client.socket.pause();
        server.send('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n');
        const part = 'x'.repeat(100_000);
        while (server.socket.writableLength < 1_000_000) {
          server.send(part);
          await new Promise(setImmediate);
        }
        const left = performance.now();
        leave(how);
        await assertHeardSoon(t, server, left);
      });

      // A half-close of TCP is no leaving: see exchanges.test.ts.
      if (leg === 'TLS' || how === 'reset') {
        test('while it waits for the head closes the connection to the origin', async (t) => {
          const { scene, origin, leave } = await open(t);
          const server = await origin.next();
          await server.head();
          const left = performance.now();
          leave(how);
          await assertHeardSoon(t, server, left);
          assert.equal((await scene.exchange()).error?.code, 'ERR_CLIENT_GONE');
        });
      }

      test('during an upload closes the connection to the origin', async (t) => {
        const scene = await Scene.open(t);
        const origin = await scene.tcpOrigin();
        const client = await scene.client();
        client.send(`PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc`);
        const server = await origin.next();
        await server.until('abc');
        const left = performance.now();
        client[how]();
        await assertHeardSoon(t, server, left);
      });
    });
  }
}

describe('A reset never ends the proxy', () => {
  test('at any moment of a connection', async (t) => {
    const scene = await Scene.open(t, { timeouts: { serverFirst: 20 } });
    const [plain, secure] = [await scene.tcpOrigin(), await scene.tlsOrigin()];
    const get = `GET http://${plain.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`;
    const connect = `CONNECT shop.test:${secure.port} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const moments: readonly string[] = [
      '',
      'G',
      'GET http://x',
      get,
      get + get,
      `${get}GET `,
      get.replace('GET', 'POST').replace('Host', 'Content-Length: 10\r\nHost'),
      'CONN',
      connect,
      `${connect}\x16`,
      `${connect}\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03`,
      `${connect}\0binary`,
      `${connect}GET / HT`,
      '\x16\x03\x01\0\x05hello',
      '\x05\x01\0',
      'nonsense\r\n\r\n',
    ];
    for (const bytes of moments) {
      const early = await scene.client();
      if (bytes !== '') early.send(bytes);
      early.reset();
      const late = await scene.client();
      if (bytes !== '') late.send(bytes);
      for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
      late.reset();
    }
    const client = await scene.secureClient('shop.test', secure.port);
    client.send('GET /alive HTTP/1.1\r\nHost: shop.test\r\n\r\n');
    for (;;) {
      const server = await secure.next();
      try {
        assert.match(await server.head(), /^GET \/alive /);
        server.send('HTTP/1.1 204 No Content\r\n\r\n');
        break;
      } catch (error) {
        // The connection of one of those that left.
        if (!server.ended) throw error;
      }
    }
    assert.match(await client.head(), /^HTTP\/1\.1 204 /);
  });
});
