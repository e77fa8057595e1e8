/** Clients of Node's own world through the proxy. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { fetch, ProxyAgent } from 'undici';
import { httpOrigin } from '../../support/origins.js';
import { Scene } from '../../support/scene.js';
import { later } from '../../support/stage.js';

const echo: http.RequestListener = (request, response) => {
  response.setHeader('x-url', request.url ?? '');
  request.pipe(response);
};

describe('undici', () => {
  for (const scheme of ['http', 'https'] as const) {
    test(`fetches ${scheme} by its ProxyAgent, over connections that are kept`, async (t) => {
      const scene = await Scene.open(t);
      const origin = await httpOrigin(t, echo, scheme === 'https' ? await scene.pki.anyHost() : undefined);
      const agent = new ProxyAgent({ uri: scene.proxy.url, requestTls: { ca: scene.proxy.ca.pem } });
      later(t, () => agent.destroy());
      for (const number of [1, 2, 3]) {
        const response = await fetch(`${scheme}://shop.test:${origin.port}/${number}`, {
          method: 'POST',
          body: `body ${number}`,
          dispatcher: agent,
        });
        assert.equal(response.headers.get('x-url'), `/${number}`);
        assert.equal(await response.text(), `body ${number}`);
      }
      const { exchanges, proxy } = scene;
      assert.deepEqual(
        exchanges.map(({ url }) => url),
        [1, 2, 3].map((number) => `${scheme}://shop.test:${origin.port}/${number}`),
      );
      assert.equal(proxy.ledger().connections.created, 1);
      assert.equal(proxy.ledger().upstreamSockets.created, 1);
    });
  }
});

describe('node:https', () => {
  test('asks over a tunnel that CONNECT made', async (t) => {
    const scene = await Scene.open(t);
    const origin = await httpOrigin(t, echo, await scene.pki.anyHost());
    const path = `shop.test:${origin.port}`;
    const connect = http.request({ host: '127.0.0.1', port: scene.proxy.port, method: 'CONNECT', path });
    connect.end();
    const [{ statusCode }, socket] = (await once(connect, 'connect')) as [IncomingMessage, Socket];
    later(t, () => socket.destroy());
    assert.equal(statusCode, 200);
    const request = https.request(`https://${path}/x`, {
      method: 'PUT',
      agent: new https.Agent({ socket, ca: scene.proxy.ca.pem } as https.AgentOptions),
    });
    request.end('hello');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    assert.equal((await response.setEncoding('utf8').toArray()).join(''), 'hello');
    assert.equal(response.headers['x-url'], '/x');
  });

  test('asks by an https URL in absolute form', async (t) => {
    const scene = await Scene.open(t);
    const origin = await httpOrigin(t, echo, await scene.pki.anyHost());
    const request = http.request({
      host: '127.0.0.1',
      port: scene.proxy.port,
      path: `https://shop.test:${origin.port}/y`,
      headers: { host: 'shop.test' },
      agent: false,
    });
    request.end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    assert.equal(response.headers['x-url'], '/y');
    response.resume();
    await once(response, 'end');
  });
});
