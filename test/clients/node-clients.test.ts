/** Node's own clients through the library: undici's ProxyAgent, and `node:https` in a tunnel made by hand. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { fetch, ProxyAgent, request } from 'undici';
import { within } from '../support/patience.js';
import { Scene } from '../support/scene.js';
import { later } from '../support/stage.js';
import { cutShort, cutShortInChunks, type Echo, EchoOrigin, sample } from './echo.js';

interface Shop {
  readonly scene: Scene;
  readonly origin: EchoOrigin;
  /** `https://shop.test:port` */
  readonly url: string;
}

async function openShop(t: TestContext): Promise<Shop> {
  const scene = await Scene.open(t);
  const pages = { '/cut': cutShort, '/cut-in-chunks': cutShortInChunks };
  const origin = await EchoOrigin.open(t, await scene.pki.anyHost(), pages);
  return { scene, origin, url: `https://shop.test:${origin.port}` };
}

/** An agent that trusts the CA of the proxy and nobody else. */
function agent(t: TestContext, scene: Scene, options: Partial<ProxyAgent.Options> = {}): ProxyAgent {
  const made = new ProxyAgent({ uri: scene.proxy.url, requestTls: { ca: scene.proxy.ca.pem }, ...options });
  later(t, () => made.destroy());
  return made;
}

/** The client connections of the exchanges so far, each once. */
function connectionsOf(scene: Scene): ReadonlySet<number> {
  return new Set(scene.exchanges.map(({ client }) => client.connection));
}

describe("undici's ProxyAgent", () => {
  test('fetch(), GET and POST', async (t) => {
    const { scene, url } = await openShop(t);
    const dispatcher = agent(t, scene);
    const got = await fetch(`${url}/a?b=c`, { dispatcher });
    assert.equal(got.status, 200);
    const echo = (await got.json()) as Echo;
    assert.equal(echo.url, '/a?b=c');
    assert.match(echo.headers.via ?? '', /sallyport/);
    const { bytes, sha256 } = sample(500_000);
    const posted = await fetch(`${url}/post`, { dispatcher, method: 'POST', body: bytes });
    assert.equal(((await posted.json()) as Echo).sha256, sha256);
    assert.equal((await scene.exchange(2)).requestBytes, 500_000);
  });

  test('request(), many after one another over one connection on either leg', async (t) => {
    const { scene, origin, url } = await openShop(t);
    // Else it opens a second one for a request that comes as soon as the body before has ended.
    const dispatcher = agent(t, scene, { connections: 1 });
    for (let count = 1; count <= 5; count += 1) {
      const { statusCode, body } = await request(`${url}/${count}`, { dispatcher });
      assert.equal(statusCode, 200);
      assert.equal(((await body.json()) as Echo).url, `/${count}`);
    }
    assert.equal((await scene.exchange(5)).server?.reused, true);
    assert.equal(connectionsOf(scene).size, 1);
    assert.equal(origin.connections, 1);
  });

  test('request(), many at the same time', async (t) => {
    const { scene, url } = await openShop(t);
    const dispatcher = agent(t, scene);
    const paths = Array.from({ length: 20 }, (_, index) => `/${index}`);
    const echoes = await Promise.all(
      paths.map(async (path) => {
        const { body } = await request(url + path, { dispatcher, method: 'PUT', body: path });
        return (await body.json()) as Echo;
      }),
    );
    assert.deepEqual(
      echoes.map((echo) => echo.url),
      paths,
    );
    await scene.exchange(20);
  });

  for (const proxyTunnel of [true, false]) {
    test(`http://, ${proxyTunnel ? 'in a tunnel' : 'in absolute form'}`, async (t) => {
      const { scene } = await openShop(t);
      const plain = await EchoOrigin.open(t, undefined);
      const dispatcher = agent(t, scene, { proxyTunnel });
      const { body } = await request(`http://shop.test:${plain.port}/plain`, { dispatcher });
      const echo = (await body.json()) as Echo;
      assert.equal(echo.url, '/plain');
      assert.equal(echo.headers.host, `shop.test:${plain.port}`);
      assert.match(echo.headers.via ?? '', /sallyport/);
      const { url, client } = await scene.exchange();
      assert.equal(url, `http://shop.test:${plain.port}/plain`);
      assert.equal(client.tls, undefined);
    });
  }

  for (const path of ['/cut', '/cut-in-chunks']) {
    test(`a body cut short is an error (${path})`, async (t) => {
      const { scene, url } = await openShop(t);
      const response = await fetch(url + path, { dispatcher: agent(t, scene) });
      assert.equal(response.status, 200);
      await assert.rejects(response.text());
      assert.equal((await scene.exchange()).error?.code, 'ERR_RESPONSE_TRUNCATED');
    });
  }

  test('trusts nobody that it was not told of', async (t) => {
    const { scene, origin, url } = await openShop(t);
    const dispatcher = agent(t, scene, { requestTls: { ca: scene.pki.ca } });
    await assert.rejects(request(url, { dispatcher }), {
      code: /^(?:SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE)$/,
    });
    assert.equal(origin.seen.length, 0);
  });
});

/** A tunnel to `authority`, by a CONNECT of `node:http`. */
async function connect(t: TestContext, scene: Scene, authority: string): Promise<Socket> {
  const { host, port } = scene.proxy;
  const asking = http.request({ host, port, method: 'CONNECT', path: authority }).end();
  const answered = once(asking, 'connect') as Promise<[http.IncomingMessage, Socket, Buffer]>;
  const [response, socket, head] = await within(answered, 'the answer to CONNECT');
  later(t, () => socket.destroy());
  assert.equal(response.statusCode, 200);
  assert.equal(head.length, 0);
  return socket;
}

describe('node:https over a CONNECT', () => {
  test('with an agent that keeps the tunnel', async (t) => {
    const { scene, origin } = await openShop(t);
    const socket = await connect(t, scene, `shop.test:${origin.port}`);
    const secured = tls.connect({ socket, servername: 'shop.test', ca: scene.proxy.ca.pem });
    await within(once(secured, 'secureConnect'), 'the TLS handshake');
    assert.equal(secured.getPeerX509Certificate()?.subjectAltName, 'DNS:shop.test');
    const keeping = new https.Agent({ keepAlive: true, maxSockets: 1 });
    later(t, () => keeping.destroy());
    let handedOut = 0;
    keeping.createConnection = () => {
      handedOut += 1;
      return secured;
    };
    for (const path of ['/1', '/2', '/3']) {
      const options = { agent: keeping, host: 'shop.test', port: origin.port, path, method: 'POST' };
      const asking = https.request(options).end(`body of ${path}`);
      const answered = once(asking, 'response') as Promise<[http.IncomingMessage]>;
      const [response] = await within(answered, `the response to ${path}`);
      const echo = JSON.parse(await text(response)) as Echo;
      assert.deepEqual([response.statusCode, echo.url, echo.length], [200, path, 10]);
    }
    assert.equal(handedOut, 1);
    assert.equal((await scene.exchange(3)).server?.reused, true);
    assert.equal(connectionsOf(scene).size, 1);
  });

  test('to an address, without SNI', async (t) => {
    const { scene, origin } = await openShop(t);
    const socket = await connect(t, scene, `127.0.0.1:${origin.port}`);
    const options = { socket, host: '127.0.0.1', ca: scene.proxy.ca.pem };
    const asking = https.get({
      createConnection: () => tls.connect(options),
      host: '127.0.0.1',
      path: '/ip',
    });
    const [response] = (await within(once(asking, 'response'), 'the response')) as [http.IncomingMessage];
    assert.equal((JSON.parse(await text(response)) as Echo).url, '/ip');
    assert.equal((await scene.exchange()).client.tls?.serverName, undefined);
  });
});
