/** Mistakes that were made once on the wire: slow readers, odd peers, and what they may cost. */
import assert from 'node:assert/strict';
import type { LookupFunction } from 'node:net';
import { describe, test } from 'node:test';
import { type Hooks, refuse } from '../../src/index.js';
import { httpOrigin } from '../support/origins.js';
import { eventually, within } from '../support/patience.js';
import { codeIn, Scene, statusOf } from '../support/scene.js';
import { later } from '../support/stage.js';
import type { Wire } from '../support/wire.js';

const refuseAll: Hooks = { request: () => refuse() };

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

describe('Secrets are in no error page, event or message', () => {
  for (const [what, request] of [
    ['of a URL', 'GET http://user:topsecret@x/ HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['of a URL that is not understood', 'GET ftp://user:topsecret@x/ HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['of a broken field', 'GET http://x/ HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer topsecret\r\n\r\n'],
    ['of a folded field', 'GET http://x/ HTTP/1.1\r\nHost: x\r\nAuthorization:\r\n Bearer topsecret\r\n\r\n'],
  ] as const) {
    test(what, async (t) => {
      const scene = await Scene.open(t);
      const client = await scene.client();
      client.send(request);
      const { head, body } = await client.message();
      assert.equal(statusOf(head), 400);
      assert.doesNotMatch(head + body, /topsecret/);
      await eventually('it was told', () => scene.exchanges.length + scene.failures.length > 0);
      for (const { url, error } of scene.exchanges)
        assert.doesNotMatch(`${url} ${String(error)}`, /topsecret/);
      for (const error of scene.failures)
        assert.doesNotMatch(`${String(error)} ${error.detail}`, /topsecret/);
    });
  }
});

describe('A client that does not read', () => {
  test('and pipelines is served no further than its responses leave; then it gets all of them', async (t) => {
    const count = 800;
    const body = 'x'.repeat(50_000);
    const scene = await Scene.open(t);
    let seen = 0;
    const { port } = await httpOrigin(t, (_request, response) => {
      seen += 1;
      response.end(body);
    });
    const client = await scene.client();
    client.socket.pause();
    const get = (lines: string): string =>
      `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\n${lines}\r\n`;
    client.send(get('').repeat(count - 1), get('Connection: close\r\n'));
    // What the system's own buffers hold has no event: when nothing more happens, they are full.
    let before = -1;
    while (before !== seen) {
      before = seen;
      await sleep(seen === 0 ? 50 : 500);
      if (seen === 0) before = -1;
    }
    assert.ok(seen < 600, `${seen} of ${count} requests were served, though nobody takes the responses`);
    client.socket.resume();
    const all = await within(client.rest(), 'all responses');
    assert.equal(all.split('HTTP/1.1 200 OK\r\n').length - 1, count);
    assert.equal(all.split(body).length - 1, count);
  });

  for (const [what, version, framing] of [
    ['of HTTP/1.1, with Connection: close', '1.1', true],
    ['of HTTP/1.0, to whom only the close is the end', '1.0', false],
  ] as const) {
    test(`for a while gets the whole of a last response (${what})`, async (t) => {
      const size = 32_000_000;
      // All of the response is handed over at once, and most of it waits in this process.
      const scene = await Scene.open(t, { limits: { buffered: 2 * size } });
      const origin = await scene.tcpOrigin();
      const client = await scene.client();
      client.socket.pause();
      client.send(`GET http://${origin.at}/ HTTP/${version}\r\nHost: x\r\nConnection: close\r\n\r\n`);
      const server = await origin.next();
      await server.head();
      server.send(`HTTP/1.1 200 OK\r\n${framing ? `Content-Length: ${size}\r\n` : ''}\r\n`);
      server.send(Buffer.alloc(size, 'x')).end();
      const { error } = await scene.exchange();
      assert.equal(error, undefined);
      // Longer than a connection lingers whose last byte has left.
      await sleep(2500);
      client.socket.resume();
      const rest = await client.rest();
      assert.equal(rest.length - (rest.indexOf('\r\n\r\n') + 4), size);
    });
  }
});

describe('An origin', () => {
  test('that sends interim responses without end is a 502, after a bounded number of them', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n'.repeat(2000));
    const before = await client.until('HTTP/1.1 502 ');
    assert.ok(before.split('HTTP/1.1 103 ').length < 1000);
    assert.equal(codeIn(`HTTP/1.1 502 ${await client.head()}`), 'ERR_RESPONSE_HEAD_TOO_LARGE');
    await server.ending();
  });

  test('that says its Content-Length several times is passed on with one', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nA: b\r\nContent-Length: 2\r\n\r\nhi');
    const response = await client.until('hi');
    assert.deepEqual(response.match(/content-length.*/gi), ['Content-Length: 2']);
    assert.match(response, /\r\nA: b\r\n/);
  });

  test('that is slow after an upload that filled the buffer has its own deadline', async (t) => {
    const scene = await Scene.open(t, { limits: { buffered: 1 }, timeouts: { idleBody: 100 } });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    client.send('x'.repeat(40_000));
    await server.bytes(40_000);
    await sleep(400);
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    assert.equal(statusOf(await client.head()), 200);
  });
});

describe('A client of HTTP/1.0', () => {
  test('gets no Transfer-Encoding, in answer to HEAD neither', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`HEAD http://${origin.at}/ HTTP/1.0\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    assert.doesNotMatch(await client.rest(), /transfer-encoding/i);
  });

  test('has its Upgrade ignored', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
    client.send(`GET http://${origin.at}/ HTTP/1.0\r\nHost: x\r\n${upgrade}\r\n`);
    const server = await origin.next();
    assert.doesNotMatch(await server.head(), /upgrade/i);
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    assert.equal((await client.message()).body, 'hi');
  });
});

describe('A tunnel', () => {
  for (const leg of ['TCP', 'TLS'] as const) {
    test(`goes on after a pause of its reader, with a small limits.buffered (${leg})`, async (t) => {
      const scene = await Scene.open(t, { limits: { buffered: 1024 }, timeouts: { serverFirst: 50 } });
      const origin = leg === 'TCP' ? await scene.tcpOrigin() : await scene.tlsOrigin();
      const client =
        leg === 'TCP'
          ? await scene.tunnel(`a.test:${origin.port}`)
          : await scene.secureClient('a.test', origin.port);
      const server = await origin.next();
      server.send('220 hello\r\n');
      await client.until('\r\n');
      client.socket.pause();
      const part = 'x'.repeat(2000);
      const parts = 5000;
      for (let count = 0; count < parts; count += 1) {
        server.send(part);
        await new Promise(setImmediate);
      }
      client.socket.resume();
      assert.equal((await client.bytes(part.length * parts)).length, part.length * parts);
    });
  }

  for (const [what, fails] of [
    ['cannot be resolved', true],
    ['takes long to be resolved', false],
  ] as const) {
    test(`to an origin that ${what} hears a client that speaks late, and tells it`, async (t) => {
      const timeouts = { serverFirst: 300, connect: 60_000 };
      let asked = 0;
      const lookup: LookupFunction = (host, _options, callback) => {
        asked += 1;
        if (!fails && asked === 1) return;
        const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' });
        process.nextTick(callback, error, [], 0);
      };
      const scene = await Scene.open(t, { lookup, timeouts });
      const client = await scene.tunnel('nowhere.invalid:80');
      await eventually('the origin is given the first word', () => asked > 0);
      client.send('GET / HTTP/1.1\r\nHost: nowhere.invalid\r\n\r\n');
      const { head } = await client.message();
      assert.equal(statusOf(head), 502);
      assert.match(String(codeIn(head)), /^ERR_/);
    });
  }

  const request = '\r\nGET /s HTTP/1.1\r\nHost: shop.test\r\n\r\n';
  const ways: Readonly<Record<string, (scene: Scene, port: number) => Promise<Wire>>> = {
    'behind an empty line': async (scene, port) => (await scene.tunnel(`shop.test:${port}`)).send(request),
    'behind an empty line, byte by byte': async (scene, port) => {
      const client = await scene.tunnel(`shop.test:${port}`);
      await client.sendSlowly(request);
      return client;
    },
    'behind an empty line, over TLS': async (scene, port) =>
      (await scene.secureClient('shop.test', port)).send(request),
    'of a client that offers an ALPN name that nobody knows': async (scene, port) => {
      const client = await scene.secureClient('shop.test', port, { ALPNProtocols: ['foo'] });
      return client.send(request.trimStart());
    },
  };
  for (const [what, open] of Object.entries(ways)) {
    test(`does not lead a request past the hooks (${what})`, async (t) => {
      const scene = await Scene.open(t, { hooks: refuseAll });
      const origin = await scene.tlsOrigin();
      const client = await open(scene, origin.port);
      assert.equal(codeIn((await client.message()).head), 'ERR_REFUSED');
      assert.deepEqual(scene.tunnels, []);
    });
  }
});

describe('A limit that no response of the proxy itself would keep', () => {
  test('does not end the process at a bad request', async (t) => {
    const unhandled: unknown[] = [];
    const listener = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', listener);
    later(t, () => process.off('unhandledRejection', listener));
    const scene = await Scene.open(t, { limits: { fields: 3 }, hooks: refuseAll });
    for (const request of ['GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n', 'no request at all\r\n\r\n']) {
      const client = await scene.client();
      client.send(request);
      assert.equal(statusOf((await client.message()).head), 400);
    }
    const client = await scene.client();
    client.send('GET http://x.test/ HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.equal(codeIn((await client.message()).head), 'ERR_REFUSED');
    await new Promise(setImmediate);
    assert.deepEqual(unhandled, []);
  });
});
