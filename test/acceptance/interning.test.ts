/** What hooks and listeners see of an origin's certificates: the same objects everywhere, made when somebody looks. */
import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { before, describe, test, type TestContext } from 'node:test';
import { inspect } from 'node:util';
import { internCounters } from '../../src/certs/index.js';
import type { Exchange, ProxyOptions, ServerLeg } from '../../src/index.js';
import { type Chain, makeChain } from '../support/chain.js';
import { RawOrigin } from '../support/origins.js';
import { Scene } from '../support/scene.js';

let chain: Chain;

before(async () => {
  chain = await makeChain('DNS:shop.test');
});

/** One request to an origin that closes each connection afterwards, so that the next is a new or resumed one. */
async function visit(scene: Scene, origin: RawOrigin): Promise<void> {
  const client = await scene.client();
  client.send(`GET https://shop.test:${origin.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
  const server = await origin.next();
  await server.head();
  server.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
  assert.equal((await client.message()).body, 'ok');
  client.destroy();
}

async function stage(
  t: TestContext,
  options: ProxyOptions = {},
): Promise<{ scene: Scene; origin: RawOrigin }> {
  const scene = await Scene.open(t, { upstreamCa: chain.root, ...options });
  const origin = await RawOrigin.tls(t, { cert: chain.sent, key: chain.key });
  return { scene, origin };
}

const texts = (certificates: readonly X509Certificate[] | undefined): readonly string[] =>
  (certificates ?? []).map(String);

describe('exchange.server.certificates', () => {
  test('is what the origin showed, on resumed connections too, and the same objects', async (t) => {
    const seen: (readonly X509Certificate[] | undefined)[] = [];
    const resumed: (boolean | undefined)[] = [];
    const response = ({ server }: Exchange): void => {
      seen.push(server?.certificates);
      resumed.push(server?.tls?.resumed);
    };
    const { scene, origin } = await stage(t, { hooks: { response } });
    for (let count = 0; count < 3; count += 1) await visit(scene, origin);
    assert.deepEqual(resumed, [false, true, true]);
    for (const certificates of seen) {
      assert.deepEqual(texts(certificates), texts(chain.certificates));
      assert.ok(Object.isFrozen(certificates));
    }
    assert.equal(new Set(seen.flat()).size, 3);
    await scene.exchange(3);
    assert.equal(scene.exchanges[2]?.server?.certificates[0], seen[0]?.[0]);
  });

  test('is there on a resumed connection when the hook looks for the first time', async (t) => {
    const looks: (readonly string[])[] = [];
    let count = 0;
    const response = ({ server }: Exchange): void => {
      count += 1;
      if (count > 1) looks.push(texts(server?.certificates));
    };
    const { scene, origin } = await stage(t, { hooks: { response } });
    await visit(scene, origin);
    await visit(scene, origin);
    await scene.exchange(2);
    assert.equal(scene.exchanges[1]?.server?.tls?.resumed, true);
    assert.deepEqual(looks, [texts(chain.certificates)]);
  });

  test('is the leaf alone where nobody was expected to look, and did after the end', async (t) => {
    const { scene, origin } = await stage(t);
    await visit(scene, origin);
    await visit(scene, origin);
    await scene.exchange(2);
    for (const { server } of scene.exchanges)
      assert.equal(String(server?.certificates[0]), String(chain.certificates[0]));
    assert.equal(scene.exchanges[1]?.server?.tls?.resumed, true);
    assert.equal(scene.exchanges[1].server.certificates.length, 1);
  });

  test('is whole when there is a listener for the handshake', async (t) => {
    const { scene, origin } = await stage(t);
    scene.proxy.on('tls.upstream', () => undefined);
    await visit(scene, origin);
    await visit(scene, origin);
    await scene.exchange(2);
    assert.deepEqual(texts(scene.exchanges[1]?.server?.certificates), texts(chain.certificates));
  });

  test('is empty for http', async (t) => {
    const seen: ServerLeg[] = [];
    const response = ({ server }: Exchange): void => {
      if (server) seen.push(server);
    };
    const scene = await Scene.open(t, { hooks: { response } });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 204 No Content\r\n\r\n');
    await client.head();
    assert.deepEqual(
      seen.map(({ certificates }) => certificates),
      [[]],
    );
  });

  test('is there where the proxy was told not to verify', async (t) => {
    const seen: (readonly string[])[] = [];
    const response = ({ server }: Exchange): void => {
      seen.push(texts(server?.certificates));
    };
    // The test's other CA is trusted here.
    const scene = await Scene.open(t, { hooks: { response }, verifyUpstream: false });
    const origin = await RawOrigin.tls(t, { cert: chain.sent, key: chain.key });
    await visit(scene, origin);
    await visit(scene, origin);
    // The root was not sent, and nobody trusts it.
    assert.deepEqual(seen, [texts(chain.certificates).slice(0, 2), texts(chain.certificates).slice(0, 2)]);
  });

  test('is not parsed when nobody looks, however the leg is copied or logged', async (t) => {
    let legs = 0;
    const response = ({ server }: Exchange): void => {
      legs += 1;
      const logged = [JSON.stringify(server), JSON.stringify({ ...server }), inspect(server)];
      for (const text of logged) assert.ok(!text.includes('ertificate'), text);
    };
    const { scene, origin } = await stage(t, { hooks: { response } });
    scene.proxy.on('tls.upstream', () => undefined);
    const { parses } = internCounters();
    for (let count = 0; count < 3; count += 1) await visit(scene, origin);
    await scene.exchange(3);
    assert.equal(legs, 3);
    assert.equal(internCounters().parses, parses);
  });
});
