/** Bodies on their way through the proxy: how they are framed, when they leave, how they end. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { RawOrigin } from '../support/origins.js';
import { codeIn, Scene } from '../support/scene.js';
import type { Wire } from '../support/wire.js';

interface Asked {
  readonly scene: Scene;
  readonly client: Wire;
  readonly origin: RawOrigin;
  readonly server: Wire;
}

interface Wanted {
  readonly version?: string;
  readonly lines?: string;
  readonly method?: string;
}

/** A request that has arrived at its origin. */
async function asked(
  t: TestContext,
  { version = '1.1', lines = '', method = 'GET' }: Wanted = {},
): Promise<Asked> {
  const scene = await Scene.open(t, { via: false });
  const origin = await scene.tcpOrigin();
  const client = await scene.client();
  client.send(`${method} http://${origin.at}/ HTTP/${version}\r\nHost: ${origin.at}\r\n${lines}\r\n`);
  const server = await origin.next();
  await server.head();
  return { scene, client, origin, server };
}

/** The connection is still good for another exchange, on either leg. */
async function assertReusable({ client, origin, server }: Asked): Promise<void> {
  client.send(`GET http://${origin.at}/again HTTP/1.1\r\nHost: ${origin.at}\r\n\r\n`);
  assert.match(await server.head(), /^GET \/again /);
  server.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain');
  assert.equal((await client.message()).body, 'again');
}

describe('A response', () => {
  test('with Content-Length goes on with it', async (t) => {
    const all = await asked(t);
    const response = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
    all.server.send(response);
    assert.equal(await all.client.until('hello'), response);
    await assertReusable(all);
  });

  test('in chunks goes on in chunks, with its trailers and without chunk extensions', async (t) => {
    const all = await asked(t);
    all.server.send(
      'HTTP/1.1 200 OK\r\nTrailer: X-Sum, X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n' +
        '5;a=b;c="d"\r\nhello\r\n06\r\n world\r\n0;last\r\nX-Sum: 1\r\nx-sum: 2\r\nContent-Length: 9\r\n\r\n',
    );
    assert.equal(
      await all.client.until('\r\n\r\n0'.slice(0, 4)),
      'HTTP/1.1 200 OK\r\nTrailer: X-Sum, X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    // RFC 9110 §6.5.1: a length has no place among trailers.
    assert.match(
      await all.client.until('\r\n\r\n'),
      /^5\r\nhello\r\n0?6\r\n world\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n$/,
    );
    await assertReusable(all);
  });

  test('that lasts until the close is sent in chunks to a client of HTTP/1.1', async (t) => {
    const { client, server, scene, origin } = await asked(t);
    server.send('HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello');
    assert.equal(await client.head(), 'HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n');
    assert.equal(await client.bytes(10), '5\r\nhello\r\n');
    server.end();
    assert.equal(await client.bytes(5), '0\r\n\r\n');
    // The client's connection goes on, the origin's does not.
    client.send(`GET http://${origin.at}/2 HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.match(await (await origin.next()).head(), /^GET \/2 /);
    assert.equal((await scene.exchange()).responseBytes, 5);
  });

  test('that lasts until the close ends with the close for a client of HTTP/1.0', async (t) => {
    const { client, server } = await asked(t, { version: '1.0', lines: 'Connection: keep-alive\r\n' });
    server.send('HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello').end();
    assert.equal(await client.rest(), 'HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\nhello');
  });

  test('in chunks is taken out of them for a client of HTTP/1.0', async (t) => {
    const { client, server } = await asked(t, { version: '1.0' });
    server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n');
    assert.equal(await client.rest(), 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello');
  });

  test('to HEAD has no body, whatever its length says', async (t) => {
    const all = await asked(t, { method: 'HEAD' });
    all.server.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n');
    assert.equal(await all.client.head(), 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n');
    await assertReusable(all);
  });

  test('to HEAD keeps the coding that GET would have', async (t) => {
    const all = await asked(t, { method: 'HEAD' });
    all.server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    assert.equal(await all.client.head(), 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    await assertReusable(all);
  });

  test('of status 204 has no body and no length', async (t) => {
    const all = await asked(t);
    all.server.send('HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nA: b\r\n\r\n');
    assert.equal(await all.client.head(), 'HTTP/1.1 204 No Content\r\nA: b\r\n\r\n');
    await assertReusable(all);
  });

  test('of status 304 has no body, and keeps the length that 200 would have', async (t) => {
    const all = await asked(t);
    all.server.send('HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: "x"\r\n\r\n');
    assert.equal(
      await all.client.head(),
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: "x"\r\n\r\n',
    );
    await assertReusable(all);
  });

  test('with bytes behind it is delivered, and its connection not used again', async (t) => {
    const { client, server, origin } = await asked(t);
    server.send(
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison',
    );
    assert.equal((await client.message()).body, 'ok');
    client.send(`GET http://${origin.at}/next HTTP/1.1\r\nHost: x\r\n\r\n`);
    const second = await origin.next();
    await second.head();
    second.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood');
    assert.equal((await client.message()).body, 'good');
  });
});

describe('A request', () => {
  test('with Content-Length goes on with it', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    const rest = `Host: ${origin.at}\r\nContent-Length: 5\r\n\r\nhello`;
    client.send(`POST http://${origin.at}/ HTTP/1.1\r\n${rest}`);
    assert.equal(await (await origin.next()).until('hello'), `POST / HTTP/1.1\r\n${rest}`);
  });

  test('in chunks goes on in chunks, with its trailers and without chunk extensions', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(
      `POST http://${origin.at}/ HTTP/1.1\r\nHost: ${origin.at}\r\nTransfer-Encoding: chunked\r\n\r\n` +
        'A;x=y\r\n0123456789\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n',
    );
    const server = await origin.next();
    assert.match(await server.head(), /\r\nTransfer-Encoding: chunked\r\n/);
    assert.match(await server.head(), /^A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n$/i);
  });

  test('leaves for the origin piece by piece, as it comes', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    for (const piece of ['1\r\na\r\n', '1\r\nb\r\n', '1\r\nc\r\n']) {
      client.send(piece);
      assert.equal(await server.bytes(6), piece);
    }
  });

  test('with a broken chunk is answered with 400, and the origin does not get the end of it', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(
      `PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n`,
    );
    const { head } = await client.message();
    assert.match(head, /^HTTP\/1\.1 400 /);
    assert.equal(codeIn(head), 'ERR_REQUEST_BODY_SYNTAX');
    assert.equal(await client.rest(), '');
    const server = await origin.next();
    await server.ending();
    assert.doesNotMatch(server.arrived, /0\r\n\r\n$/);
  });

  test('that is cut short never reaches the origin as complete', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(
      `PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n`,
    );
    const server = await origin.next();
    await server.until('ab');
    client.end();
    await server.ending();
    assert.doesNotMatch(server.arrived, /0\r\n\r\n$/);
    assert.equal((await scene.exchange()).error?.code, 'ERR_CLIENT_GONE');
  });
});

describe('What has arrived leaves at once', () => {
  test('the head of a response and the first bytes of its body', async (t) => {
    const { client, server } = await asked(t);
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n');
    await client.head();
    server.send('a');
    assert.equal(await client.bytes(1), 'a');
    server.send('b');
    assert.equal(await client.bytes(1), 'b');
    server.send('cdefghij');
    assert.equal(await client.bytes(8), 'cdefghij');
  });

  for (const framing of ['Transfer-Encoding: chunked\r\n', '']) {
    test(`each server-sent event, ${framing ? 'in chunks' : 'until the close'}, over TLS`, async (t) => {
      const scene = await Scene.open(t);
      const origin = await scene.tlsOrigin();
      const client = await scene.secureClient('events.test', origin.port);
      client.send('GET / HTTP/1.1\r\nHost: events.test\r\nAccept: text/event-stream\r\n\r\n');
      const server = await origin.next();
      await server.head();
      server.send(`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n${framing}\r\n`);
      await client.head();
      for (let count = 1; count <= 5; count += 1) {
        const event = `data: ${count}\n\n`;
        server.send(framing ? `${event.length.toString(16)}\r\n${event}\r\n` : event);
        assert.equal(await client.until('\n\n\r\n'), `9\r\n${event}\r\n`);
      }
    });
  }
});

describe('A response that is cut short is never a clean end', () => {
  const cuts: Readonly<Record<string, readonly [head: string, body: string]>> = {
    'with Content-Length': ['Content-Length: 10\r\n', 'hello'],
    'in chunks, between two': ['Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n'],
    'in chunks, within one': ['Transfer-Encoding: chunked\r\n', 'a\r\nhello'],
    'in chunks, within the trailers': ['Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n0\r\nX: y\r\n'],
  };
  for (const [what, [head, body]] of Object.entries(cuts)) {
    test(what, async (t) => {
      const { scene, client, server } = await asked(t);
      server.send(`HTTP/1.1 200 OK\r\n${head}\r\n${body}`).end();
      await client.head();
      await client.until('hello');
      await client.ending();
      assert.doesNotMatch(client.arrived, /0\r\n/, 'no last chunk');
      assert.equal((await scene.exchange()).error?.code, 'ERR_RESPONSE_TRUNCATED');
    });

    test(`${what}, to a client of HTTP/1.0, who knows an end by the close alone`, async (t) => {
      const { client, server } = await asked(t, { version: '1.0' });
      server.send(`HTTP/1.1 200 OK\r\n${head}\r\n${body}`);
      await client.until('hello');
      server.end();
      if (head.startsWith('Transfer-Encoding')) assert.equal(await client.ending(), 'reset');
      else await client.ending();
    });
  }

  test('by a reset, where it would last until the close', async (t) => {
    const { client, server, scene } = await asked(t);
    server.send('HTTP/1.1 200 OK\r\n\r\nhello');
    await client.until('hello\r\n');
    server.reset();
    await client.ending();
    assert.equal(client.arrived, '', 'no last chunk');
    assert.equal((await scene.exchange()).error?.code, 'ERR_RESPONSE_TRUNCATED');
  });

  test('by a broken chunk', async (t) => {
    const { client, server, scene } = await asked(t);
    server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await client.until('hello\r\n');
    server.send('zz\r\n');
    await client.ending();
    assert.equal(client.arrived, '');
    assert.equal((await scene.exchange()).error?.code, 'ERR_RESPONSE_BODY_SYNTAX');
  });
});
