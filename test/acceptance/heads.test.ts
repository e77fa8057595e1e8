/** What becomes of heads on their way through the proxy: raw clients, raw origins, exact bytes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { codeIn, masked, Scene } from '../support/scene.js';
import type { RawOrigin } from '../support/origins.js';
import type { Wire } from '../support/wire.js';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Sends a GET with these field lines; what arrives at the origin. */
async function ask(client: Wire, origin: RawOrigin, lines: string, method = 'GET'): Promise<string> {
  client.send(`${method} http://${origin.at}/ HTTP/1.1\r\nHost: ${origin.at}\r\n${lines}\r\n`);
  const server = await origin.next();
  const head = await server.head();
  server.send(ok);
  return head;
}

describe('A request head', () => {
  test('keeps names, their case, their order, duplicates and the bytes of values', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const lines =
      'ACCEPT: a\r\nx-b:  two  spaces \t\r\nX-A: 1\r\naccept: b\r\nX-a: 2\r\n' +
      'Empty:\r\nCookie: k=v; q="\xe4\xff"\r\ncookie: m=n\r\nOdd!#$%&\'*+-.^_`|~: ok\r\n';
    const head = await ask(await scene.client(), origin, lines);
    assert.equal(head, `GET / HTTP/1.1\r\nHost: ${origin.at}\r\n${lines}\r\n`);
  });

  test('keeps its target byte for byte', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    const target = '/a//b/../%2e%2E/%zz;x?q=[1]|{2}^"\xe9';
    client.send(`GET http://${origin.at}${target} HTTP/1.1\r\nHost: ${origin.at}\r\n\r\n`);
    const server = await origin.next();
    assert.equal(await server.head(), `GET ${target} HTTP/1.1\r\nHost: ${origin.at}\r\n\r\n`);
  });

  test('loses the fields that are meant for the proxy, and those that Connection lists', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const lines =
      'X-Kept: 1\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, X-Listed,  x-other\r\nX-Listed: gone\r\n' +
      'TE: trailers\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nX-OTHER: gone\r\n' +
      'Upgrade: websocket\r\nX-Also-Kept: 2\r\n';
    const head = await ask(await scene.client(), origin, lines);
    assert.equal(head, `GET / HTTP/1.1\r\nHost: ${origin.at}\r\nX-Kept: 1\r\nX-Also-Kept: 2\r\n\r\n`);
  });

  test('keeps what Connection may not list: the fields that frame and route it', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    const lines = `Host: ${origin.at}\r\nContent-Length: 2\r\n`;
    const connection = 'Connection: host, content-length, close\r\n';
    client.send(`POST http://${origin.at}/ HTTP/1.1\r\n${lines}${connection}\r\nhi`);
    const server = await origin.next();
    assert.equal(await server.until('hi'), `POST / HTTP/1.1\r\n${lines}\r\nhi`);
  });

  test('gets the proxy appended to its Via', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const head = await ask(await scene.client(), origin, 'Via: 1.0 fred\r\n');
    assert.equal(
      masked(head),
      `GET / HTTP/1.1\r\nHost: ${origin.at}\r\nVia: 1.0 fred\r\nVia: 1.1 sallyport\r\n\r\n`,
    );
  });

  test('of HTTP/1.0 without Host gets one, and its own version in Via', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.0\r\nA: b\r\n\r\n`);
    const server = await origin.next();
    assert.equal(
      masked(await server.head()),
      `GET / HTTP/1.1\r\nHost: ${origin.at}\r\nA: b\r\nVia: 1.0 sallyport\r\n\r\n`,
    );
  });

  test('may have a method that nobody knows', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const head = await ask(await scene.client(), origin, '', 'BREW');
    assert.equal(head, `BREW / HTTP/1.1\r\nHost: ${origin.at}\r\n\r\n`);
  });
});

describe('Max-Forwards', () => {
  test('is counted down for OPTIONS, and left alone for GET', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    assert.match(
      await ask(await scene.client(), origin, 'Max-Forwards: 7\r\n', 'OPTIONS'),
      /\r\nMax-Forwards: 6\r\n/,
    );
    const second = await scene.tcpOrigin();
    assert.match(await ask(await scene.client(), second, 'Max-Forwards: 7\r\n'), /\r\nMax-Forwards: 7\r\n/);
  });

  test('of 0 makes the proxy answer OPTIONS itself', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`OPTIONS http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n`);
    assert.match(await client.head(), /^HTTP\/1\.1 204 No Content\r\nAllow: /);
    assert.equal(origin.connections, 0);
    assert.equal((await scene.exchange()).answeredBy, 'proxy');
  });

  test('of 0 makes the proxy send TRACE back, without secrets', async (t) => {
    const scene = await Scene.open(t);
    const client = await scene.client();
    client.send(
      'TRACE http://a.test/x HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\nX-A: 1\r\n' +
        'Cookie: secret\r\nAuthorization: Basic secret\r\nProxy-Authorization: Basic secret\r\n\r\n',
    );
    const { head, body } = await client.message();
    assert.match(head, /^HTTP\/1\.1 200 OK\r\nContent-Type: message\/http\r\n/);
    assert.equal(body, 'TRACE http://a.test/x HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\nX-A: 1\r\n\r\n');
  });
});

describe('A response head', () => {
  test('keeps its reason, names, their case, their order, duplicates and the bytes of values', async (t) => {
    const scene = await Scene.open(t, { via: false });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    const head =
      'HTTP/1.1 299 Odd  \xdcber\r\nserver: x\r\nSet-Cookie: a=1\r\nX-Empty:\r\nSET-COOKIE: b=2\r\n' +
      'content-length:0\r\nX-Last:  y \r\n\r\n';
    server.send(head);
    assert.equal(await client.head(), head);
  });

  test('loses the fields that are meant for the proxy, and gets the proxy appended to its Via', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send(
      'HTTP/1.1 200 OK\r\nVia: 1.1 cdn\r\nConnection: X-Listed, keep-alive\r\nKeep-Alive: timeout=5\r\n' +
        'X-Listed: gone\r\nProxy-Authenticate: Basic\r\nUpgrade: h2\r\nContent-Length: 0\r\n\r\n',
    );
    assert.equal(
      masked(await client.head()),
      'HTTP/1.1 200 OK\r\nVia: 1.1 cdn\r\nContent-Length: 0\r\nVia: 1.1 sallyport\r\n\r\n',
    );
  });

  test('of HTTP/1.0 becomes one of HTTP/1.1, and Via says what it was', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n');
    assert.equal(
      masked(await client.head()),
      'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nVia: 1.0 sallyport\r\n\r\n',
    );
  });
});

describe('What two parsers could read in two ways is refused with 400, and the connection closed', () => {
  const post = (lines: string, body = 'hello'): string =>
    `POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n${lines}\r\n${body}`;
  const requests: Readonly<Record<string, string>> = {
    'Content-Length and Transfer-Encoding': post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'),
    'Transfer-Encoding and Content-Length': post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n'),
    'two lengths that differ': post('Content-Length: 5\r\nContent-Length: 6\r\n'),
    'two lengths that do not differ': post('Content-Length: 5\r\nContent-Length: 5\r\n'),
    'a list of lengths': post('Content-Length: 5, 5\r\n'),
    'a negative length': post('Content-Length: -5\r\n'),
    'a signed length': post('Content-Length: +5\r\n'),
    'a hexadecimal length': post('Content-Length: 0x5\r\n'),
    'a length past 2^53': post('Content-Length: 9007199254740993\r\n'),
    'an empty length': post('Content-Length:\r\n'),
    'a coding that is not known': post('Transfer-Encoding: gzip, chunked\r\n'),
    'chunked that is not last': post('Transfer-Encoding: chunked, identity\r\n'),
    'chunked twice': post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'),
    'chunked spelled with a vertical tab': post('Transfer-Encoding: \x0bchunked\r\n'),
    'a space before the colon': post('Content-Length : 5\r\n'),
    'a continued line': post('X-A: 1\r\n Content-Length: 5\r\n'),
    'a line without a colon': post('Content-Length 5\r\n'),
    'a bare LF': post('X-A: 1\nContent-Length: 5\r\n'),
    'a bare CR': post('X-A: 1\rContent-Length: 5\r\n'),
    'a NUL in a value': post('X-A: 1\0\r\n'),
    'a control character in a name': post('X\x01A: 1\r\n'),
    'two Host fields': post('Host: b.test\r\n', ''),
    'no Host field': 'GET http://a.test/ HTTP/1.1\r\n\r\n',
    'chunked in HTTP/1.0': 'POST http://a.test/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'two spaces in the request line': 'GET  http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n',
    'a third word in the request line': 'GET http://a.test/ x HTTP/1.1\r\nHost: a.test\r\n\r\n',
  };
  for (const [what, request] of Object.entries(requests)) {
    test(what, async (t) => {
      const scene = await Scene.open(t);
      const client = await scene.client();
      client.send(request, 'GET http://smuggled.test/ HTTP/1.1\r\nHost: smuggled.test\r\n\r\n');
      const { head } = await client.message();
      assert.match(head, /^HTTP\/1\.1 400 Bad Request\r\n/);
      assert.match(head, /\r\nConnection: close\r\n/i);
      assert.equal(await client.rest(), '', 'nothing behind it is read');
      assert.equal(scene.proxy.ledger().upstreamSockets.created, 0, 'no origin was asked');
    });
  }

  for (const url of [
    'http://a@b.test/',
    'http://b.test/#x',
    'http://b.test:0/',
    'ftp://b.test/',
    'http:/b.test/',
  ]) {
    test(`the URL ${url}, though here nothing is unclear about the end of the request`, async (t) => {
      const scene = await Scene.open(t);
      const client = await scene.client();
      client.send(`GET ${url} HTTP/1.1\r\nHost: b.test\r\n\r\n`);
      const { head } = await client.message();
      assert.match(head, /^HTTP\/1\.1 400 Bad Request\r\n/);
      assert.match(codeIn(head) ?? '', /^ERR_(?:TARGET_INVALID|PROTOCOL_UNKNOWN)$/);
    });
  }

  test('a version that is not 1.0 or 1.1, with 505', async (t) => {
    const scene = await Scene.open(t);
    const client = await scene.client();
    client.send('GET http://a.test/ HTTP/1.2\r\nHost: a.test\r\n\r\n');
    assert.match(await client.rest(), /^HTTP\/1\.1 505 [^]*ERR_REQUEST_VERSION/);
  });
});

describe('A broken response is a 502 that says so', () => {
  const responses: Readonly<Record<string, readonly [response: string, code: string]>> = {
    'Content-Length and Transfer-Encoding': [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'ERR_RESPONSE_FRAMING',
    ],
    'lengths that differ': ['HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab', 'ERR_RESPONSE_FRAMING'],
    'a coding that is not known': [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n',
      'ERR_RESPONSE_FRAMING',
    ],
    'a continued line': ['HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n', 'ERR_RESPONSE_SYNTAX'],
    'a space before the colon': ['HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n', 'ERR_RESPONSE_SYNTAX'],
    'another protocol': ['SSH-2.0-OpenSSH_9.2\r\n', 'ERR_RESPONSE_SYNTAX'],
    'HTTP/0.9': ['<html>hello</html>', 'ERR_RESPONSE_SYNTAX'],
    'HTTP/2 without being asked': ['\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64', 'ERR_RESPONSE_SYNTAX'],
    'a status of two digits': ['HTTP/1.1 20 OK\r\n\r\n', 'ERR_RESPONSE_SYNTAX'],
    'a bare LF': ['HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'ERR_RESPONSE_SYNTAX'],
  };
  for (const [what, [response, code]] of Object.entries(responses)) {
    test(what, async (t) => {
      const scene = await Scene.open(t);
      const origin = await scene.tcpOrigin();
      const client = await scene.client();
      client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
      const server = await origin.next();
      await server.head();
      server.send(response);
      const { head } = await client.message();
      assert.match(head, /^HTTP\/1\.1 502 /);
      assert.equal(codeIn(head), code);
      await server.ending();
    });
  }

  test('and the client may go on with another request', async (t) => {
    const scene = await Scene.open(t);
    const [broken, whole] = [await scene.tcpOrigin(), await scene.tcpOrigin()];
    const client = await scene.client();
    client.send(`GET http://${broken.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const server = await broken.next();
    await server.head();
    server.send('garbage\r\n');
    assert.match((await client.message()).head, /^HTTP\/1\.1 502 /);
    await ask(client, whole, '');
    assert.equal((await client.message()).body, 'ok');
  });
});
