/** Exchanges that are more than a request and then a response. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { codeIn, masked, Scene } from '../support/scene.js';

const get = (at: string, path = '/', lines = ''): string =>
  `GET http://${at}${path} HTTP/1.1\r\nHost: ${at}\r\n${lines}\r\n`;
const answer = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe('Pipelined requests', () => {
  test('are answered in order', async (t) => {
    const scene = await Scene.open(t);
    const [slow, quick] = [await scene.tcpOrigin(), await scene.tcpOrigin()];
    const client = await scene.client();
    const post = `POST http://${quick.at}/2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc`;
    client.send(get(slow.at, '/1'), post, get(slow.at, '/3'), get(quick.at, '/4'));
    const first = await slow.next();
    await first.head();
    assert.equal(quick.connections, 0, 'the second waits for the first');
    first.send(answer('one'));
    const second = await quick.next();
    assert.match(await second.until('abc'), /^POST \/2 /);
    second.send(answer('two'));
    assert.match(await first.head(), /^GET \/3 /);
    first.send(answer('three'));
    assert.match(await second.head(), /^GET \/4 /);
    second.send(answer('four'));
    for (const body of ['one', 'two', 'three', 'four']) assert.equal((await client.message()).body, body);
  });

  test('after a request that closes the connection are not served', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(get(origin.at, '/1', 'Connection: close\r\n'), get(origin.at, '/2'));
    const server = await origin.next();
    await server.head();
    server.send(answer('one'));
    assert.match(await client.rest(), /^HTTP\/1\.1 200 OK\r\n[^]*\r\nConnection: close\r\n[^]*\r\n\r\none$/);
    assert.equal(scene.exchanges.length, 1);
  });
});

describe('HTTP/1.0 clients', () => {
  test('are closed after a response', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.0\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send(answer('one'));
    assert.equal(await client.rest(), 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\none');
  });

  test('that ask to be kept alive are, and are told so', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    for (const path of ['/1', '/2']) {
      client.send(`GET http://${origin.at}${path} HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n`);
      const server = path === '/1' ? await origin.next() : undefined;
      if (server) {
        await server.head();
        server.send(answer('one'));
        assert.equal(
          await client.until('one'),
          'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\none',
        );
        server.end();
      }
    }
    const second = await origin.next();
    await second.head();
    second.send(answer('two'));
    assert.equal((await client.message()).body, 'two');
  });
});

describe('A client that closes its side after the request', () => {
  test('still gets the response, over TCP', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(get(origin.at)).end();
    const server = await origin.next();
    await server.head();
    server.send(answer('one'));
    assert.match(await client.rest(), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\none$/);
  });

  test('with a body, too', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`POST http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc`).end();
    const server = await origin.next();
    await server.until('abc');
    server.send(answer('one'));
    assert.match(await client.rest(), /one$/);
  });
});

describe('An early response, during the upload', () => {
  test('reaches the client whole, and the connection is closed after it', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(
      `PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n`,
      'x'.repeat(1000),
    );
    const server = await origin.next();
    await server.until('x'.repeat(1000));
    server
      .send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big')
      .end();
    const { head, body } = await client.message();
    assert.match(head, /^HTTP\/1\.1 413 Content Too Large\r\n/);
    assert.match(head, /\r\nConnection: close\r\n/);
    assert.equal(body, 'too big');
    assert.equal(await client.rest(), '');
  });

  test('reaches a client that goes on sending, without a reset that would take it away', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    const part = 'x'.repeat(100_000);
    client.send(`PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n`, part);
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno').end();
    const { head } = await client.message();
    client.send(part, part);
    assert.match(head, /^HTTP\/1\.1 403 /);
    assert.equal(await client.rest(), '');
  });

  test('may begin before the upload ends, and both go on', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`POST http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc`);
    const server = await origin.next();
    await server.until('abc');
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nABC');
    await client.until('ABC');
    client.send('def');
    assert.equal(await server.bytes(3), 'def');
    server.send('DEF');
    assert.equal(await client.bytes(3), 'DEF');
  });
});

describe('Upgrade', () => {
  const handshake =
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
  const accepted =
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

  test('to a WebSocket becomes a tunnel, with what was sent in the same segments', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const client = await scene.secureClient('ws.test', origin.port);
    client.send(`GET /chat HTTP/1.1\r\nHost: ws.test\r\n${handshake}\r\n`);
    const server = await origin.next();
    const request = await server.head();
    assert.match(request, /\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n/);
    assert.match(request, /\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n/);
    server.send(accepted, '\x81\x05hello');
    assert.equal(
      masked(await client.head()),
      'HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n' +
        'Connection: Upgrade\r\nUpgrade: websocket\r\nVia: 1.1 sallyport\r\n\r\n',
    );
    assert.equal(await client.bytes(7), '\x81\x05hello');
    client.send('\x81\x85\0\0\0\0world');
    assert.equal(await server.bytes(11), '\x81\x85\0\0\0\0world');
    const { reason, target } = await scene.tunnelOpened();
    assert.deepEqual([reason, target], ['upgrade', `ws.test:${origin.port}`]);
    const { status } = await scene.exchange();
    assert.equal(status, 101);
    client.end();
    assert.equal(await server.rest(), '');
    server.end();
  });

  test('takes what a client sent behind the request along', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(get(origin.at, '/', handshake), 'early');
    const server = await origin.next();
    await server.head();
    server.send(accepted);
    assert.equal(await server.bytes(5), 'early');
    server.end();
  });

  for (const answered of ['200 OK', '400 Bad Request', '426 Upgrade Required']) {
    test(`answered with ${answered} is an exchange like any other`, async (t) => {
      const scene = await Scene.open(t);
      const origin = await scene.tcpOrigin();
      const client = await scene.client();
      client.send(get(origin.at, '/', handshake));
      const server = await origin.next();
      await server.head();
      server.send(
        `HTTP/1.1 ${answered}\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno`,
      );
      const { head, body } = await client.message();
      assert.match(head, new RegExp(`^HTTP/1\\.1 ${answered}\r\n`));
      assert.equal(body, 'no');
      client.send(get(origin.at, '/2'));
      assert.match(await server.head(), /^GET \/2 /);
    });
  }

  test('that nobody asked for is a 502', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(get(origin.at));
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nstrange');
    const { head } = await client.message();
    assert.match(head, /^HTTP\/1\.1 502 /);
    assert.equal(codeIn(head), 'ERR_UPGRADE_UNEXPECTED');
  });

  const odd: Readonly<Record<string, string>> = {
    'without an Upgrade field': 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
    'to another protocol':
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n',
    'with a length':
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello',
    twice: 'HTTP/1.1 101 A\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 101 B\r\nUpgrade: websocket\r\n\r\n',
    'and closed at once': '',
  };
  for (const [what, response] of Object.entries(odd)) {
    test(`answered ${what} does not end the process`, async (t) => {
      const scene = await Scene.open(t);
      const [origin, other] = [await scene.tcpOrigin(), await scene.tcpOrigin()];
      const client = await scene.client();
      client.send(get(origin.at, '/', handshake));
      const server = await origin.next();
      await server.head();
      server.send(response).end();
      await client.head();
      client.destroy();

      const again = await scene.client();
      again.send(get(other.at));
      const second = await other.next();
      await second.head();
      second.send(answer('alive'));
      assert.equal((await again.message()).body, 'alive');
    });
  }

  test('to h2c is not passed on', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    const lines =
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
    client.send(get(origin.at, '/', lines));
    const server = await origin.next();
    assert.equal(await server.head(), `GET / HTTP/1.1\r\nHost: ${origin.at}\r\n\r\n`);
  });
});

describe('Interim responses', () => {
  test('100 Continue goes to the client, and its body then to the origin', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(
      `PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`,
    );
    const server = await origin.next();
    assert.match(await server.head(), /\r\nExpect: 100-continue\r\n/);
    server.send('HTTP/1.1 100 Continue\r\n\r\n');
    assert.match(await client.head(), /^HTTP\/1\.1 100 Continue\r\n/);
    client.send('body');
    assert.equal(await server.bytes(4), 'body');
    server.send(answer('done'));
    assert.equal((await client.message()).body, 'done');
  });

  test('instead of 100 Continue, a refusal goes to the client, who need not send the body', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(
      `PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`,
    );
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno');
    const { head, body } = await client.message();
    assert.match(head, /^HTTP\/1\.1 417 /);
    assert.equal(body, 'no');
  });

  test('103 Early Hints, and any others, go to the client as they come', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(get(origin.at));
    const server = await origin.next();
    await server.head();
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n';
    server.send(hints);
    assert.equal(await client.head(), hints);
    server.send('HTTP/1.1 199 Still Working\r\n\r\n', hints, answer('done'));
    assert.equal(await client.head(), 'HTTP/1.1 199 Still Working\r\n\r\n');
    assert.equal(await client.head(), hints);
    assert.equal((await client.message()).body, 'done');
  });

  test('are kept from a client of HTTP/1.0, who knows none', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.0\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n', answer('done'));
    assert.match(await client.rest(), /^HTTP\/1\.1 200 OK\r\n/);
  });
});
