/** Origins that fail, each in its own way, and origins that are asked again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import type { ProxyOptions } from '../../src/index.js';
import { freePort, listening, RawOrigin } from '../support/origins.js';
import { eventually } from '../support/patience.js';
import { codeIn, Scene, statusOf } from '../support/scene.js';
import type { Wire } from '../support/wire.js';
import { selfSigned } from '../tls/support/certificates.js';

const answer = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

async function assertFails(scene: Scene, url: string, status: number, code: string): Promise<string> {
  const client = await scene.client();
  client.send(`GET ${url} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const { head, body } = await client.message();
  assert.equal(codeIn(head), code);
  assert.equal(statusOf(head), status);
  assert.equal((await scene.exchange(scene.exchanges.length)).error?.code, code);
  return body;
}

describe('The certificate of an origin is verified', () => {
  test('expired', async (t) => {
    const scene = await Scene.open(t);
    const { port } = await RawOrigin.tls(t, await scene.pki.leaf('shop.test', -300));
    const body = await assertFails(scene, `https://shop.test:${port}/`, 502, 'ERR_UPSTREAM_CERT_EXPIRED');
    assert.match(body, /expired/);
  });

  test('not valid yet', async (t) => {
    const scene = await Scene.open(t);
    const { port } = await RawOrigin.tls(t, await scene.pki.leaf('shop.test', 10));
    await assertFails(scene, `https://shop.test:${port}/`, 502, 'ERR_UPSTREAM_CERT_NOT_YET_VALID');
  });

  test('self-signed', async (t) => {
    const scene = await Scene.open(t);
    const { port } = await RawOrigin.tls(t, await selfSigned('DNS:shop.test'));
    await assertFails(scene, `https://shop.test:${port}/`, 502, 'ERR_UPSTREAM_CERT_SELF_SIGNED');
  });

  test('for another host, which the message names', async (t) => {
    const scene = await Scene.open(t);
    const { port } = await RawOrigin.tls(t, await scene.pki.leaf('other.test'));
    const body = await assertFails(scene, `https://shop.test:${port}/`, 502, 'ERR_UPSTREAM_CERT_WRONG_HOST');
    assert.match(body, /the certificate is for DNS:other\.test/);
  });

  test('for another address', async (t) => {
    const scene = await Scene.open(t);
    const { port } = await RawOrigin.tls(t, await scene.pki.leaf('10.1.2.3'));
    await assertFails(scene, `https://127.0.0.1:${port}/`, 502, 'ERR_UPSTREAM_CERT_WRONG_HOST');
  });

  test('of a CA that nobody trusts', async (t) => {
    const [scene, stranger] = [await Scene.open(t), await Scene.open(t)];
    const { port } = await stranger.tlsOrigin();
    await assertFails(scene, `https://shop.test:${port}/`, 502, 'ERR_UPSTREAM_CERT_UNTRUSTED');
  });

  test('unless the proxy was told not to', async (t) => {
    const scene = await Scene.open(t, { verifyUpstream: false });
    const origin = await RawOrigin.tls(t, await selfSigned('DNS:other.test'));
    const client = await scene.client();
    client.send(`GET https://shop.test:${origin.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send(answer('anybody'));
    assert.equal((await client.message()).body, 'anybody');
  });

  test('and a client in a tunnel is told inside its own TLS', async (t) => {
    const scene = await Scene.open(t);
    const { port } = await RawOrigin.tls(t, await scene.pki.leaf('shop.test', -300));
    const client = await scene.secureClient('shop.test', port);
    client.send('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n');
    const { head } = await client.message();
    assert.equal(codeIn(head), 'ERR_UPSTREAM_CERT_EXPIRED');
  });

  test('where bytes are relayed too', async (t) => {
    const scene = await Scene.open(t);
    const origin = await RawOrigin.tls(t, await scene.pki.leaf('shop.test', -300));
    const client = await scene.secureClient('shop.test', origin.port);
    client.send('\0\0');
    await client.ending();
    assert.equal(scene.failures[0]?.code, 'ERR_UPSTREAM_CERT_EXPIRED');
    assert.equal(origin.connections, 0);
  });
});

describe('An origin that', () => {
  test('refuses connections is a 502', async (t) => {
    const scene = await Scene.open(t);
    const port = await freePort();
    await assertFails(scene, `http://127.0.0.1:${port}/`, 502, 'ERR_UPSTREAM_REFUSED');
    await assertFails(scene, `https://127.0.0.1:${port}/`, 502, 'ERR_UPSTREAM_REFUSED');
  });

  test('has no address is a 502', async (t) => {
    const scene = await Scene.open(t);
    await assertFails(scene, 'http://nowhere.invalid/', 502, 'ERR_DNS');
    await assertFails(scene, 'https://nowhere.invalid/', 502, 'ERR_DNS');
  });

  test('does not speak TLS where it should is a 502', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const failed = assertFails(scene, `https://shop.test:${origin.port}/`, 502, 'ERR_UPSTREAM_TLS');
    (await origin.next()).send('HTTP/1.1 400 Bad Request\r\n\r\n');
    assert.match(await failed, /does the origin speak TLS on this port\?/);
  });

  for (const how of ['end', 'reset'] as const) {
    test(`ends the connection (${how}) before it answers is a 502`, async (t) => {
      const scene = await Scene.open(t);
      const origin = await scene.tcpOrigin();
      const failed = assertFails(scene, `http://${origin.at}/`, 502, 'ERR_UPSTREAM_RESET');
      const server = await origin.next();
      await server.head();
      server[how]();
      await failed;
      assert.equal(origin.connections, 1, 'a new connection that dies is no reason to try again');
    });

    test(`ends the connection (${how}) within the head is a 502`, async (t) => {
      const scene = await Scene.open(t);
      const origin = await scene.tcpOrigin();
      const failed = assertFails(scene, `http://${origin.at}/`, 502, 'ERR_UPSTREAM_RESET');
      const server = await origin.next();
      await server.head();
      server.send('HTTP/1.1 200 OK\r\nContent-');
      await new Promise(setImmediate);
      server[how]();
      await failed;
    });
  }

  test('ends the connection during the handshake is a 502', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const failed = assertFails(scene, `https://shop.test:${origin.port}/`, 502, 'ERR_UPSTREAM_RESET');
    const server = await origin.next();
    await server.bytes(1);
    server.reset();
    await failed;
  });

  test('takes too long to be resolved and connected to is a 504', async (t) => {
    const lookup: NonNullable<ProxyOptions['lookup']> = () => {
      // Never answers.
    };
    const scene = await Scene.open(t, { lookup, timeouts: { connect: 50 } });
    await assertFails(scene, 'http://slow.test/', 504, 'ERR_CONNECT_TIMEOUT');
    await assertFails(scene, 'https://slow.test/', 504, 'ERR_CONNECT_TIMEOUT');
  });

  test('takes too long for the handshake is a 504', async (t) => {
    const scene = await Scene.open(t, { timeouts: { upstreamHandshake: 50 } });
    const origin = await scene.tcpOrigin();
    const url = `https://shop.test:${origin.port}/`;
    await assertFails(scene, url, 504, 'ERR_UPSTREAM_HANDSHAKE_TIMEOUT');
    await (await origin.next()).ending();
  });

  test('takes too long to answer is a 504', async (t) => {
    const scene = await Scene.open(t, { timeouts: { responseHead: 50 } });
    const origin = await scene.tcpOrigin();
    await assertFails(scene, `http://${origin.at}/`, 504, 'ERR_RESPONSE_HEAD_TIMEOUT');
    await (await origin.next()).ending();
  });

  test('stands still within the body is cut off', async (t) => {
    const scene = await Scene.open(t, { timeouts: { idleBody: 50 } });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
    await client.until('hello');
    await client.ending();
    await server.ending();
    assert.equal((await scene.exchange()).error?.code, 'ERR_RESPONSE_BODY_TIMEOUT');
  });
});

/** Asks for `path` and has it answered on `server`, or on the next connection. */
async function exchange(client: Wire, origin: RawOrigin, path: string, server?: Wire): Promise<Wire> {
  client.send(`GET http://${origin.at}${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const wire = server ?? (await origin.next());
  assert.match(await wire.head(), new RegExp(`^GET ${path} `));
  wire.send(answer(path));
  assert.equal((await client.message()).body, path);
  return wire;
}

describe('Connections to an origin', () => {
  test('are used again, by other clients as well', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const server = await exchange(await scene.client(), origin, '/1');
    await exchange(await scene.client(), origin, '/2', server);
    assert.equal(origin.connections, 1);
    assert.deepEqual(
      scene.exchanges.map(({ server }) => server?.reused),
      [false, true],
    );
  });

  test('are not used again when the origin says close', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/1 HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none');
    const { head } = await client.message();
    assert.doesNotMatch(head, /close/, 'that is between the proxy and the origin');
    await server.ending();
    await exchange(client, origin, '/2');
  });

  test('are closed after a while without use', async (t) => {
    const scene = await Scene.open(t, { timeouts: { idleUpstream: 50 } });
    const origin = await scene.tcpOrigin();
    const server = await exchange(await scene.client(), origin, '/1');
    assert.equal(await server.rest(), '');
  });

  test('of one host name are not given to a request for another name at the same address', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    for (const name of ['a.test', 'b.test']) {
      const client = await scene.secureClient(name, origin.port);
      client.send(`GET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`);
      const server = await origin.next();
      await server.head();
      assert.equal(server.tls.servername, name);
      server.send(answer(name));
      await client.message();
    }
    assert.equal(origin.connections, 2);
  });

  test('resume their TLS session', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    for (const round of [1, 2]) {
      const client = await scene.client();
      client.send(`GET https://shop.test:${origin.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
      const server = await origin.next();
      await server.head();
      server.send('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok');
      await client.message();
      assert.equal((await scene.exchange(round)).server?.tls?.resumed, round === 2);
    }
  });

  test('that died in the pool are replaced for a request that is safe to repeat', async (t) => {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE']) {
      const scene = await Scene.open(t);
      const origin = await scene.tcpOrigin();
      const client = await scene.client();
      const first = await exchange(client, origin, '/1');
      client.send(`${method} http://${origin.at}/2 HTTP/1.1\r\nHost: x\r\n\r\n`);
      // Closed just as the request is sent: the proxy cannot know that it was not seen.
      await first.head();
      first.reset();
      const second = await origin.next();
      assert.match(await second.head(), new RegExp(`^${method} /2 `));
      second.send('HTTP/1.1 204 No Content\r\n\r\n');
      assert.match(await client.head(), /^HTTP\/1\.1 204 /);
    }
  });

  const unsafe: Readonly<Record<string, string>> = {
    'POST without a body': 'POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n',
    'PUT whose body was sent': 'PUT /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc',
    'a method that is not known': 'BREW /2 HTTP/1.1\r\nHost: x\r\n\r\n',
  };
  for (const [what, request] of Object.entries(unsafe)) {
    test(`that died in the pool are a 502 for ${what}`, async (t) => {
      const scene = await Scene.open(t);
      const origin = await scene.tcpOrigin();
      const client = await scene.client();
      const first = await exchange(client, origin, '/1');
      client.send(request.replace(' /2', ` http://${origin.at}/2`));
      await first.head();
      first.reset();
      const { head } = await client.message();
      assert.equal(codeIn(head), 'ERR_UPSTREAM_RESET');
      assert.equal(origin.connections, 1);
    });
  }

  test('that die again and again are tried twice, not for ever', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    const first = await exchange(client, origin, '/1');
    client.send(`GET http://${origin.at}/2 HTTP/1.1\r\nHost: x\r\n\r\n`);
    await first.head();
    first.reset();
    const second = await origin.next();
    await second.head();
    second.reset();
    assert.equal(codeIn((await client.message()).head), 'ERR_UPSTREAM_RESET');
    assert.equal(origin.connections, 2);
  });

  test('over limits.upstreamPerOrigin are waited for', async (t) => {
    const scene = await Scene.open(t, { limits: { upstreamPerOrigin: 1 } });
    const origin = await scene.tcpOrigin();
    const [first, second] = [await scene.client(), await scene.client()];
    first.send(`GET http://${origin.at}/1 HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    second.send(`GET http://${origin.at}/2 HTTP/1.1\r\nHost: x\r\n\r\n`);
    await eventually('the second waits', () => scene.proxy.ledger().upstreamWaiters.outstanding === 1);
    assert.equal(server.arrived, '');
    server.send(answer('/1'));
    assert.equal((await first.message()).body, '/1');
    assert.match(await server.head(), /^GET \/2 /);
    server.send(answer('/2'));
    assert.equal((await second.message()).body, '/2');
    assert.equal(origin.connections, 1);
  });

  test('over limits.upstreamPerOrigin are waited for in vain with 503', async (t) => {
    const scene = await Scene.open(t, {
      limits: { upstreamPerOrigin: 1 },
      timeouts: { connect: 50, upstreamHandshake: 50 },
    });
    const origin = await scene.tcpOrigin();
    const first = await scene.client();
    first.send(`GET http://${origin.at}/1 HTTP/1.1\r\nHost: x\r\n\r\n`);
    await (await origin.next()).head();
    await assertFails(scene, `http://${origin.at}/2`, 503, 'ERR_UPSTREAM_LIMIT');
  });

  test('try the next address when the first does not answer', async (t) => {
    const lookup: NonNullable<ProxyOptions['lookup']> = (_host, _options, callback) => {
      process.nextTick(callback, null, [
        { address: '::1', family: 6 },
        { address: '127.0.0.1', family: 4 },
      ]);
    };
    const scene = await Scene.open(t, { lookup });
    const server = net.createServer();
    const port = await listening(t, server);
    const client = await scene.client();
    client.send(`GET http://two.test:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const [socket] = (await once(server, 'connection')) as [net.Socket];
    socket.end('HTTP/1.1 204 No Content\r\n\r\n');
    assert.match(await client.head(), /^HTTP\/1\.1 204 /);
  });
});
