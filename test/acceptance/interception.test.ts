/** What happens to a tunnel: which are decrypted, as whom, where to, and which are left alone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { secureThrough } from '../support/bridge.js';
import { eventually } from '../support/patience.js';
import { masked, Scene } from '../support/scene.js';
import type { RawOrigin } from '../support/origins.js';
import type { Wire } from '../support/wire.js';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

/** Sends a request on `client`, lets `origin` answer it, and returns the request's head as the origin had it. */
async function exchange(client: Wire, origin: RawOrigin, host: string): Promise<string> {
  client.send(`GET /path HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const server = await origin.next();
  const head = await server.head();
  server.send(ok);
  assert.equal((await client.message()).body, 'hello');
  return masked(head);
}

/** The names of the leaf that a client was shown. */
function shownNames(client: Wire): string | undefined {
  return client.tls.getPeerCertificate().subjectaltname;
}

describe('TLS inside a tunnel is decrypted', () => {
  test('and the requests in it go to the origin over TLS that is verified', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const client = await scene.secureClient('shop.test', origin.port);
    const head = await exchange(client, origin, `shop.test:${origin.port}`);
    assert.equal(head, `GET /path HTTP/1.1\r\nHost: shop.test:${origin.port}\r\nVia: 1.1 sallyport\r\n\r\n`);
    const { url, status, server, client: leg } = await scene.exchange();
    assert.equal(url, `https://shop.test:${origin.port}/path`);
    assert.equal(status, 200);
    assert.equal(server?.tls?.version, 'TLSv1.3');
    assert.equal(leg.tls?.serverName, 'shop.test');
  });

  test('when the ClientHello comes in the same segment as the CONNECT', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const wire = await scene.client();
    let connect = `CONNECT shop.test:${origin.port} HTTP/1.1\r\nHost: shop.test:${origin.port}\r\n\r\n`;
    const options = { ca: scene.proxy.ca.pem, servername: 'shop.test' };
    const send = (bytes: Buffer): void => {
      wire.send(connect, bytes);
      connect = '';
    };
    const client = await secureThrough(wire, options, send, () => wire.head());
    await exchange(client, origin, 'shop.test');
  });

  test('when the ClientHello comes byte by byte', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const wire = await scene.tunnel(`shop.test:${origin.port}`);
    const options = { ca: scene.proxy.ca.pem, servername: 'shop.test' };
    const client = await secureThrough(wire, options, (bytes) => wire.sendSlowly(bytes));
    await exchange(client, origin, 'shop.test');
  });

  test('with http/1.1, by ALPN, for a client that offers h2 as well', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const client = await scene.secureClient('shop.test', origin.port, { ALPNProtocols: ['h2', 'http/1.1'] });
    assert.equal(client.tls.alpnProtocol, 'http/1.1');
    await exchange(client, origin, 'shop.test');
  });

  test('with TLS 1.2 for a client that knows no newer one', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const client = await scene.secureClient('shop.test', origin.port, { maxVersion: 'TLSv1.2' });
    assert.equal(client.tls.getProtocol(), 'TLSv1.2');
    await exchange(client, origin, 'shop.test');
  });

  test('and so are many requests, one after the other, over one connection on either leg', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const client = await scene.secureClient('shop.test', origin.port);
    client.send('GET /1 HTTP/1.1\r\nHost: shop.test\r\n\r\n');
    const server = await origin.next();
    await server.head();
    server.send(ok);
    await client.message();
    for (let count = 2; count <= 5; count += 1) {
      client.send(`GET /${count} HTTP/1.1\r\nHost: shop.test\r\n\r\n`);
      assert.match(await server.head(), new RegExp(`^GET /${count} `));
      server.send(ok);
      await client.message();
    }
    assert.equal(origin.connections, 1);
    assert.equal((await scene.exchange(5)).server?.reused, true);
  });
});

describe('The certificate that a client sees', () => {
  test('is for the name that it asks for by SNI, whatever the CONNECT says', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const wire = await scene.tunnel(`127.0.0.1:${origin.port}`);
    const client = await wire.secure({ ca: scene.proxy.ca.pem, servername: 'shop.test' });
    assert.equal(shownNames(client), 'DNS:shop.test');
    client.send('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n');
    const server = await origin.next();
    assert.equal(server.tls.servername, 'shop.test');
    client.destroy();
  });

  test('is for the host of the CONNECT where there is no SNI', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const wire = await scene.tunnel(`shop.test:${origin.port}`);
    const options = { ca: scene.proxy.ca.pem, host: 'shop.test', servername: '' };
    const client = await wire.secure(options);
    assert.equal(shownNames(client), 'DNS:shop.test');
  });

  test('is for the address where the CONNECT names one, as an IP address and not as a name', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const client = await scene.secureClient('127.0.0.1', origin.port);
    assert.equal(shownNames(client), 'IP Address:127.0.0.1');
    await exchange(client, origin, '127.0.0.1');
  });

  test('leads to the CA of this proxy and to no other', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const tunnel = await scene.tunnel(`shop.test:${origin.port}`);
    await assert.rejects(tunnel.secure({ ca: scene.pki.ca, servername: 'shop.test' }), /certificate/);
    // And the proxy tells whoever runs it what is the matter.
    await eventually('the proxy has noticed', () => scene.failures.length > 0);
    assert.equal(scene.failures[0]?.code, 'ERR_CLIENT_HANDSHAKE');
    assert.match(scene.failures[0]?.detail ?? '', /trust/);
  });
});

describe('The origin', () => {
  test('is the target of the CONNECT, whatever the Host field inside says', async (t) => {
    const scene = await Scene.open(t);
    const [origin, other] = [await scene.tlsOrigin(), await scene.tlsOrigin()];
    const client = await scene.secureClient('shop.test', origin.port);
    const head = await exchange(client, origin, `other.test:${other.port}`);
    assert.match(head, new RegExp(`\r\nHost: other\\.test:${other.port}\r\n`));
    assert.equal(other.connections, 0);
  });

  test('is the target of the CONNECT, even where a URL inside names another', async (t) => {
    const scene = await Scene.open(t);
    const [origin, other] = [await scene.tlsOrigin(), await scene.tlsOrigin()];
    const client = await scene.secureClient('shop.test', origin.port);
    client.send(`GET https://other.test:${other.port}/x HTTP/1.1\r\nHost: shop.test\r\n\r\n`);
    const server = await origin.next();
    // RFC 9112 §3.2.2: Host follows the target.
    assert.match(await server.head(), new RegExp(`^GET /x HTTP/1.1\r\nHost: other\\.test:${other.port}\r\n`));
    client.destroy();
    assert.equal(other.connections, 0);
  });

  test('of a request outside a tunnel is the one that its URL names, and Host follows it', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://shop.test:${origin.port}/a?b=c HTTP/1.1\r\nHost: elsewhere.test\r\nA: b\r\n\r\n`);
    const server = await origin.next();
    assert.equal(
      masked(await server.head()),
      `GET /a?b=c HTTP/1.1\r\nHost: shop.test:${origin.port}\r\nA: b\r\nVia: 1.1 sallyport\r\n\r\n`,
    );
    server.send(ok);
    assert.equal((await client.message()).body, 'hello');
  });

  test('of an https URL outside a tunnel is spoken to over TLS, never in clear text', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const client = await scene.client();
    client.send(`GET https://shop.test:${origin.port}/ HTTP/1.1\r\nHost: shop.test\r\n\r\n`);
    const server = await origin.next();
    assert.match(await server.head(), /^GET \/ HTTP\/1\.1\r\n/);
    server.send(ok);
    assert.equal((await client.message()).body, 'hello');

    const plain = await scene.tcpOrigin();
    client.send(`GET https://shop.test:${plain.port}/ HTTP/1.1\r\nHost: shop.test\r\n\r\n`);
    const wire = await plain.next();
    assert.equal(await wire.bytes(1), '\x16', 'a TLS record');
    wire.destroy();
    assert.match(await client.head(), /^HTTP\/1\.1 502 /);
  });

  test('of HTTP in a tunnel without TLS is the target of the CONNECT', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.tunnel(`shop.test:${origin.port}`);
    const head = await exchange(client, origin, 'shop.test');
    assert.match(head, /^GET \/path HTTP\/1\.1\r\nHost: shop\.test\r\n/);
    assert.equal((await scene.exchange()).url, `http://shop.test:${origin.port}/path`);
  });
});

/** Bytes go both ways, and each side's end is the other's. */
async function assertRelayed(client: Wire, server: Wire): Promise<void> {
  client.send('\0from the client\xff');
  assert.equal(await server.until('\xff'), '\0from the client\xff');
  server.send('\x01from the origin\xfe');
  assert.equal(await client.until('\xfe'), '\x01from the origin\xfe');
  client.end();
  assert.equal(await server.rest(), '');
  server.send('after the half-close').end();
  assert.equal(await client.rest(), 'after the half-close');
}

describe('What is neither TLS nor HTTP is relayed as it is', () => {
  test('in a tunnel, from the first byte', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.tunnel(`db.test:${origin.port}`);
    client.send('\x03\0\0\x0bbinary');
    const server = await origin.next();
    assert.equal(await server.bytes(10), '\x03\0\0\x0bbinary');
    await assertRelayed(client, server);
    assert.equal((await scene.tunnelOpened()).reason, 'not-http');
  });

  test('when the server speaks first', async (t) => {
    const scene = await Scene.open(t, { timeouts: { serverFirst: 50 } });
    const origin = await scene.tcpOrigin();
    const client = await scene.tunnel(`mail.test:${origin.port}`);
    const server = await origin.next();
    server.send('220 mail.test\r\n');
    assert.equal(await client.until('\r\n'), '220 mail.test\r\n');
    await assertRelayed(client, server);
    assert.equal((await scene.tunnelOpened()).reason, 'server-first');
  });

  test('when the server speaks first inside TLS, to a client that did not negotiate HTTP', async (t) => {
    const scene = await Scene.open(t, { timeouts: { serverFirst: 50 } });
    const origin = await scene.tlsOrigin();
    const client = await scene.secureClient('mail.test', origin.port);
    const server = await origin.next();
    server.send('220 mail.test\r\n');
    assert.equal(await client.until('\r\n'), '220 mail.test\r\n');
    client.send('EHLO client.test\r\n');
    assert.equal(await server.until('\r\n'), 'EHLO client.test\r\n');
    assert.equal((await scene.tunnelOpened()).reason, 'server-first');
  });

  test('inside TLS too', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tlsOrigin();
    const client = await scene.secureClient('mqtt.test', origin.port);
    client.send('\x10\x0c\0\x04MQTT');
    const server = await origin.next();
    assert.equal(await server.bytes(8), '\x10\x0c\0\x04MQTT');
    server.send('\x20\x02\0\0');
    assert.equal(await client.bytes(4), '\x20\x02\0\0');
  });

  for (const protocol of ['h2', 'mqtt']) {
    test(`for a client that offers ${protocol} alone, which hears the origin's own ALPN answer`, async (t) => {
      const scene = await Scene.open(t);
      const origin = await scene.tlsOrigin({ ALPNProtocols: [protocol] });
      const client = await scene.secureClient('api.test', origin.port, { ALPNProtocols: [protocol] });
      assert.equal(client.tls.alpnProtocol, protocol);
      assert.equal(client.tls.getPeerX509Certificate()?.checkIssued(scene.proxy.ca.certificate), true);
      const server = await origin.next();
      assert.equal(server.tls.alpnProtocol, protocol);
      client.send('\0\x01\x02');
      assert.equal(await server.bytes(3), '\0\x01\x02');
      server.send('\x03\x04');
      assert.equal(await client.bytes(2), '\x03\x04');
      assert.equal((await scene.tunnelOpened()).reason, 'alpn');
    });
  }

  test('to the last byte, though the origin takes its time and the client is gone', async (t) => {
    const scene = await Scene.open(t, { limits: { buffered: 64 * 1024 * 1024 } });
    const origin = await scene.tcpOrigin();
    const client = await scene.tunnel(`db.test:${origin.port}`, { allowHalfOpen: true });
    client.send('\0');
    const server = await origin.next();
    await server.bytes(1);
    server.end();
    assert.equal(await client.rest(), '');
    server.socket.pause();
    const last = 'x'.repeat(20_000_000);
    client.send(last).end();
    await eventually('the client is gone', () => scene.proxy.ledger().connections.outstanding === 0);
    server.socket.resume();
    assert.equal((await server.rest()).length, last.length);
  });

  test('where an end of one side in the middle reaches the other as what it was', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.tunnel(`db.test:${origin.port}`);
    client.send('\0\0');
    const server = await origin.next();
    await server.bytes(2);
    server.reset();
    assert.equal(await client.ending(), 'reset');
  });
});

describe('A CONNECT that is not host:port is refused with 400', () => {
  const targets: Readonly<Record<string, string>> = {
    'a path': 'shop.test:443/path',
    'a query': 'shop.test:443?query',
    userinfo: 'user@shop.test:443',
    'no port': 'shop.test',
    'an empty port': 'shop.test:',
    'port 0': 'shop.test:0',
    'a port past 65535': 'shop.test:65536',
    'a port that is no number': 'shop.test:https',
    'a sign in the port': 'shop.test:+443',
    'no host': ':443',
    'a URL': 'https://shop.test:443',
    'IPv6 without brackets': '::1:443',
    'an open bracket': '[::1:443',
    'a zone': '[fe80::1%25eth0]:443',
    'a percent-encoded host': 'shop%2etest:443',
    'an address in another spelling': '127.1:443',
    'a control character': 'shop.test\x01:443',
    'a byte above ASCII': 'sh\xf6p.test:443',
    'a tab': 'shop.test:443\tx',
  };
  for (const [what, target] of Object.entries(targets)) {
    test(what, async (t) => {
      const scene = await Scene.open(t);
      const client = await scene.client();
      client.send(`CONNECT ${target} HTTP/1.1\r\nHost: shop.test\r\n\r\n`);
      const { head, body } = await client.message();
      assert.match(head, /^HTTP\/1\.1 400 /);
      assert.match(body, /ERR_(?:TARGET_INVALID|REQUEST_SYNTAX|PROTOCOL_UNKNOWN)/);
      assert.equal(scene.failures.length, 1);
    });
  }
});

describe('A request that would come back to the proxy is refused with 508', () => {
  async function assertLoop(client: Wire, request: string): Promise<void> {
    client.send(request);
    const { head, body } = await client.message();
    assert.match(head, /^HTTP\/1\.1 508 /);
    assert.match(head, /\r\nProxy-Status: sallyport; error=proxy_loop_detected; details="ERR_LOOP"\r\n/);
    assert.match(body, /ERR_LOOP/);
  }

  const hosts = ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '0.0.0.0'];
  for (const host of hosts) {
    test(`CONNECT to ${host} and its own port`, async (t) => {
      const scene = await Scene.open(t);
      const { port } = scene.proxy;
      await assertLoop(await scene.client(), `CONNECT ${host}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`);
    });

    test(`a URL with ${host} and its own port`, async (t) => {
      const scene = await Scene.open(t);
      const { port } = scene.proxy;
      await assertLoop(await scene.client(), `GET http://${host}:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    });
  }

  test('a URL whose name resolves to it', async (t) => {
    const scene = await Scene.open(t);
    const { port } = scene.proxy;
    await assertLoop(await scene.client(), `GET http://me.test:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
  });

  test('an https URL whose name resolves to it', async (t) => {
    const scene = await Scene.open(t, { timeouts: { upstreamHandshake: 1000 } });
    const { port } = scene.proxy;
    await assertLoop(await scene.client(), `GET https://me.test:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
  });

  test('a request inside a tunnel to a name that resolves to it', async (t) => {
    const scene = await Scene.open(t);
    const client = await scene.tunnel(`me.test:${scene.proxy.port}`);
    await assertLoop(client, 'GET / HTTP/1.1\r\nHost: me.test\r\n\r\n');
  });

  test('a request that comes back through another proxy, by its own name in Via', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    const request = `GET http://a.test:${origin.port}/ HTTP/1.1\r\nHost: a.test\r\n`;
    client.send(request, '\r\n');
    const server = await origin.next();
    const via = /\r\nVia: (.*)\r\n/.exec(await server.head())?.[1] ?? '';
    server.send(ok);
    await client.message();
    await assertLoop(client, `${request}Via: ${via}, 1.0 other\r\n\r\n`);
    assert.equal(scene.exchanges.length, 2);
  });
});

describe('Bytes at the port of the proxy itself', () => {
  test('that are TLS end the connection, and the log says why', async (t) => {
    const scene = await Scene.open(t);
    const client = await scene.client();
    await assert.rejects(client.secure({ servername: 'shop.test' }));
    assert.equal(scene.failures[0]?.code, 'ERR_PROTOCOL_UNKNOWN');
    assert.match(scene.failures[0]?.detail ?? '', /TLS, and this is an http:\/\/ proxy/);
  });

  const greetings: Readonly<Record<string, string>> = {
    'SOCKS 5': '\x05\x01\0',
    'SOCKS 4': '\x04\x01\x01\xbb\x7f\0\0\x01\0',
    'HTTP/2 with prior knowledge': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'no protocol at all': '\0\0\0\0',
    'in lower case': 'get / http/1.1\r\n\r\n',
  };
  for (const [what, bytes] of Object.entries(greetings)) {
    test(`that are ${what} are answered with 400`, async (t) => {
      const scene = await Scene.open(t);
      const client = await scene.client();
      client.send(bytes);
      assert.match(await client.rest(), /^HTTP\/1\.1 400 Bad Request\r\n[^]*ERR_PROTOCOL_UNKNOWN/);
    });
  }

  test('that are a request as to an origin are answered with 400, and the hint to use it as a proxy', async (t) => {
    const scene = await Scene.open(t);
    const client = await scene.client();
    client.send('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n');
    const { head, body } = await client.message();
    assert.match(head, /^HTTP\/1\.1 400 /);
    assert.match(body, /ERR_NOT_A_PROXY_REQUEST/);
    assert.match(body, /as the HTTP proxy of your client/);
  });

  test('that do not come close the connection after a while', async (t) => {
    const scene = await Scene.open(t, { timeouts: { sniff: 50 } });
    const client = await scene.client();
    assert.equal(await client.rest(), '');
  });
});
