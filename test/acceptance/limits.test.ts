/** What one client or origin may use at the most, and how it is told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { codeIn, Scene, statusOf } from '../support/scene.js';
import type { Wire } from '../support/wire.js';

async function assertRefused(client: Wire, status: number, code: string): Promise<void> {
  const { head } = await client.message();
  assert.equal(statusOf(head), status);
  assert.equal(codeIn(head), code);
  assert.match(head, /\r\nConnection: close\r\n/);
  assert.equal(await client.rest(), '', 'closed in order: a reset could overtake the answer');
}

describe('A request is refused', () => {
  test('with 431 when its head is larger than 64 KiB', async (t) => {
    const scene = await Scene.open(t);
    const client = await scene.client();
    client.send(`GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`);
    await assertRefused(client, 431, 'ERR_REQUEST_HEAD_TOO_LARGE');
  });

  test('with 431 at the limit, while the rest of the head is still on its way', async (t) => {
    const scene = await Scene.open(t, { limits: { head: 1000 } });
    const client = await scene.client();
    client.send(`GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nX: ${'x'.repeat(1000)}`);
    await assertRefused(client, 431, 'ERR_REQUEST_HEAD_TOO_LARGE');
  });

  test('with 431 when it has more than 200 fields', async (t) => {
    const scene = await Scene.open(t);
    const client = await scene.client();
    client.send(`GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n${'A: b\r\n'.repeat(200)}\r\n`);
    await assertRefused(client, 431, 'ERR_REQUEST_HEAD_TOO_LARGE');
  });

  test('with 414 when its URL is longer than 16 KiB', async (t) => {
    const scene = await Scene.open(t);
    const client = await scene.client();
    client.send(`GET http://a.test/${'x'.repeat(16 * 1024)} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    await assertRefused(client, 414, 'ERR_URI_TOO_LONG');
  });

  test('with 413, unsent, when its Content-Length is over limits.requestBody', async (t) => {
    const scene = await Scene.open(t, { limits: { requestBody: 10 } });
    const client = await scene.client();
    client.send('PUT http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\n01234567890');
    await assertRefused(client, 413, 'ERR_REQUEST_BODY_TOO_LARGE');
    assert.equal(scene.proxy.ledger().upstreamSockets.created, 0);
  });

  test('with 413 when its chunks are over limits.requestBody, and the origin gets no end of it', async (t) => {
    const scene = await Scene.open(t, { limits: { requestBody: 10 } });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(
      `PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n`,
    );
    const server = await origin.next();
    await server.until('0123456789');
    client.send('1\r\nx\r\n0\r\n\r\n');
    await assertRefused(client, 413, 'ERR_REQUEST_BODY_TOO_LARGE');
    await server.ending();
    assert.doesNotMatch(server.arrived, /0\r\n\r\n$/);
  });

  test('with 503 when there are limits.connections of its kind', async (t) => {
    const scene = await Scene.open(t, { limits: { connections: 2 } });
    const origin = await scene.tcpOrigin();
    const [first] = [await scene.client(), await scene.client()];
    const third = await scene.client();
    assert.match(await third.rest(), /^HTTP\/1\.1 503 [^]*connection_limit_reached/);
    first.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    server.send('HTTP/1.1 204 No Content\r\n\r\n');
    assert.match(await first.head(), /^HTTP\/1\.1 204 /);
    assert.equal(scene.failures[0]?.code, 'ERR_CONNECTION_LIMIT');
  });
});

describe('A response is a 502', () => {
  const heads: Readonly<Record<string, string>> = {
    'when its head is larger than 64 KiB': `X: ${'x'.repeat(70_000)}\r\n`,
    'when it has more than 200 fields': 'A: b\r\n'.repeat(201),
  };
  for (const [what, lines] of Object.entries(heads)) {
    test(what, async (t) => {
      const scene = await Scene.open(t);
      const origin = await scene.tcpOrigin();
      const client = await scene.client();
      client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
      const server = await origin.next();
      await server.head();
      server.send(`HTTP/1.1 200 OK\r\n${lines}\r\n`);
      const { head } = await client.message();
      assert.equal(statusOf(head), 502);
      assert.equal(codeIn(head), 'ERR_RESPONSE_HEAD_TOO_LARGE');
    });
  }
});

describe('A client that is too slow is told so, or let go', () => {
  test('with 408 when its request head does not end in time', async (t) => {
    const scene = await Scene.open(t, { timeouts: { requestHead: 50 } });
    const client = await scene.client();
    client.send('GET http://a.test/ HTTP/1.1\r\nHost: ');
    await assertRefused(client, 408, 'ERR_REQUEST_HEAD_TIMEOUT');
  });

  test('with 408 when its body stands still', async (t) => {
    const scene = await Scene.open(t, { timeouts: { idleBody: 50 } });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc`);
    await assertRefused(client, 408, 'ERR_REQUEST_BODY_TIMEOUT');
    await (await origin.next()).ending();
  });

  test('without a word when it sends nothing after a response', async (t) => {
    const scene = await Scene.open(t, { timeouts: { idleClient: 50 } });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 204 No Content\r\n\r\n');
    await client.head();
    assert.equal(await client.rest(), '');
  });

  test('without a word when its ClientHello does not end in time', async (t) => {
    const scene = await Scene.open(t, { timeouts: { clientHandshake: 50 } });
    const tunnel = await scene.tunnel('a.test:443');
    tunnel.send('\x16\x03\x01\x02\0');
    await tunnel.ending();
    assert.equal(scene.failures[0]?.code, 'ERR_CLIENT_HANDSHAKE_TIMEOUT');
  });

  test('when its tunnel stands still', async (t) => {
    const scene = await Scene.open(t, { timeouts: { idleTunnel: 50 } });
    const origin = await scene.tcpOrigin();
    const client = await scene.tunnel(`db.test:${origin.port}`);
    client.send('\0');
    const server = await origin.next();
    await server.bytes(1);
    await client.ending();
    await server.ending();
    assert.equal((await scene.tunnelEnd()).error?.code, 'ERR_TUNNEL_IDLE');
  });
});
