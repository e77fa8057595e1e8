/** Mistakes that were made once in what hooks can do: verdicts, and the framing that follows from them. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import {
  answer,
  type Exchange,
  type Hooks,
  type ProxyOptions,
  refuse,
  type RequestVerdict,
  rewrite,
} from '../../src/index.js';
import type { RawOrigin } from '../support/origins.js';
import { eventually } from '../support/patience.js';
import { codeIn, Scene, statusOf } from '../support/scene.js';
import type { Wire } from '../support/wire.js';

interface Stage {
  readonly scene: Scene;
  readonly origin: RawOrigin;
  readonly client: Wire;
}

async function withHooks(t: TestContext, hooks: Hooks, options: ProxyOptions = {}): Promise<Stage> {
  const scene = await Scene.open(t, { hooks, via: false, ...options });
  return { scene, origin: await scene.tcpOrigin(), client: await scene.client() };
}

const ok = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

function request(origin: RawOrigin, path = '/', lines = '', method = 'GET'): string {
  return `${method} http://${origin.at}${path} HTTP/1.1\r\nHost: ${origin.at}\r\n${lines}\r\n`;
}

describe('A request that is answered at once leaves its connection usable', () => {
  const ownAnswer = ({ request: { target } }: Exchange): RequestVerdict | undefined =>
    target === '/own' ? answer({ status: 200, body: 'own' }) : undefined;

  test('when a hook answers, one request after the other and pipelined', async (t) => {
    const { origin, client } = await withHooks(t, { request: ownAnswer });
    for (let count = 0; count < 2; count += 1) {
      client.send(request(origin, '/own'));
      assert.equal((await client.message()).body, 'own');
    }
    client.send(request(origin, '/own').repeat(3), request(origin, '/other'), request(origin, '/own'));
    for (let count = 0; count < 3; count += 1) assert.equal((await client.message()).body, 'own');
    const server = await origin.next();
    await server.head();
    server.send(ok('other'));
    assert.equal((await client.message()).body, 'other');
    assert.equal((await client.message()).body, 'own');
  });

  test('when its target is refused, or its forwards are used up', async (t) => {
    const { origin, client } = await withHooks(t, {});
    const bad = 'GET ftp://x.test/ HTTP/1.1\r\nHost: x\r\n\r\n';
    const options = request(origin, '/', 'Max-Forwards: 0\r\n', 'OPTIONS');
    client.send(options);
    assert.equal(statusOf((await client.message()).head), 204);
    client.send(bad);
    assert.equal(codeIn((await client.message()).head), 'ERR_TARGET_INVALID');
    client.send(bad, options, bad, options, request(origin));
    for (const status of [400, 204, 400, 204]) assert.equal(statusOf((await client.message()).head), status);
    const server = await origin.next();
    await server.head();
    server.send(ok('other'));
    assert.equal((await client.message()).body, 'other');
  });

  test('for an Upgrade behind it, which takes all that follows along', async (t) => {
    const { origin, client } = await withHooks(t, { request: ownAnswer });
    const upgrade = request(origin, '/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\n');
    client.send(request(origin, '/own'), upgrade, 'first frame');
    assert.equal((await client.message()).body, 'own');
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await client.head();
    client.send(', second frame');
    assert.equal(await server.until('second frame'), 'first frame, second frame');
  });
});

describe('A response that a hook changes is framed as what is sent', () => {
  test('a body that is replaced lets go of the endless one of the origin', async (t) => {
    const { scene, origin, client } = await withHooks(t, { response: () => rewrite({ body: 'short' }) });
    client.send(request(origin));
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n');
    assert.equal((await client.message()).body, 'short');
    const going = setInterval(() => server.send('data: 2\n\n'), 5);
    await server.ending().finally(() => {
      clearInterval(going);
    });
    await eventually('the place is free again', () => {
      return scene.proxy.ledger().upstreamSockets?.outstanding === 0;
    });
    client.send(request(origin));
    (await origin.next()).send(ok('other'));
    assert.equal((await client.message()).body, 'short');
  });

  for (const status of [204, 304]) {
    for (const [kind, coding] of [
      ['a length', 'Content-Length: 8\r\n\r\nHTTP/1.1'],
      ['chunks', 'Transfer-Encoding: chunked\r\n\r\n8\r\nHTTP/1.1\r\n0\r\n\r\n'],
      ['no length', 'Connection: close\r\n\r\nHTTP/1.1'],
    ] as const) {
      test(`a 200 with ${kind} that becomes ${status} has no body`, async (t) => {
        const response = ({ request: { target } }: Exchange): ReturnType<typeof rewrite> =>
          rewrite({ status: target === '/' ? status : 200 });
        const { origin, client } = await withHooks(t, { response });
        client.send(request(origin), request(origin, '/next'));
        const first = await origin.next();
        await first.head();
        first.send(`HTTP/1.1 200 OK\r\n${coding}`);
        const head = await client.head();
        assert.equal(statusOf(head), status);
        assert.doesNotMatch(head, /connection/i);
        if (status === 204) assert.equal(head, 'HTTP/1.1 204 No Content\r\n\r\n');
        const second = await origin.next();
        await second.head();
        second.send(ok('next'));
        assert.equal(await client.until('next'), ok('next'));
      });
    }
  }

  test('a 304 that becomes 200 has an empty body', async (t) => {
    const { origin, client } = await withHooks(t, { response: () => rewrite({ status: 200 }) });
    client.send(request(origin));
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n');
    assert.equal(await client.head(), 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    client.send(request(origin));
    await server.head();
    server.send(ok('body'));
    assert.equal(await client.until('body'), ok('body'));
  });

  for (const [what, method, given] of [
    ['to HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n'],
    ['of status 204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['of status 304', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n'],
  ] as const) {
    test(`a response ${what} with other fields leaves the origin's connection usable`, async (t) => {
      const response = ({ response: found }: Exchange): ReturnType<typeof rewrite> | undefined =>
        found && rewrite({ headers: found.headers.clone().set('A', 'b') });
      const { origin, client } = await withHooks(t, { response });
      client.send(request(origin, '/', '', method));
      const server = await origin.next();
      for (let count = 0; count < 3; count += 1) {
        await server.head();
        server.send(given);
        assert.match(await client.head(), /\r\nA: b\r\n/);
        client.send(request(origin, '/', '', method));
      }
      assert.equal(origin.connections, 1);
    });
  }

  test('a HEAD that became GET, with another body, lets go of the endless one of the origin', async (t) => {
    const { origin, client } = await withHooks(t, {
      request: () => rewrite({ method: 'GET' }),
      response: () => rewrite({ body: 'short' }),
    });
    client.send(request(origin, '/', '', 'HEAD'));
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n');
    assert.equal(await client.head(), 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n');
    await server.ending();
  });

  test('a GET that became HEAD, without a length from the origin, has an empty body', async (t) => {
    const { origin, client } = await withHooks(t, { request: () => rewrite({ method: 'HEAD' }) });
    for (const coding of ['', 'Transfer-Encoding: chunked\r\n']) {
      client.send(request(origin));
      const server = await origin.next();
      await server.head();
      server.send(`HTTP/1.1 200 OK\r\nConnection: close\r\n${coding}\r\n`);
      assert.equal(await client.head(), 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    }
  });

  test('a HEAD that became GET has no body, however that was framed', async (t) => {
    const { origin, client } = await withHooks(t, { request: () => rewrite({ method: 'GET' }) });
    for (const body of ['Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n', '\r\nuntil the close']) {
      client.send(request(origin, '/', '', 'HEAD'));
      const server = await origin.next();
      await server.head();
      server.send(`HTTP/1.1 200 OK\r\n${body}`);
      assert.equal(statusOf(await client.head()), 200);
    }
    client.send(request(origin, '/', '', 'HEAD'));
    (await origin.next()).send(ok('body'));
    assert.equal(await client.head(), 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n');
    assert.equal(client.arrived, '');
  });

  for (const [what, verdict] of [
    ['a refusal with 304', refuse({ status: 304 })],
    ['a refusal with 204', refuse({ status: 204 })],
    ['an answer with 100', answer({ status: 100 })],
    ['an answer with 103', answer({ status: 103 })],
    ['a URL that is not http', rewrite({ url: 'ftp://x/' })],
  ] as const) {
    test(`${what} is the mistake of the hook, and the client goes on`, async (t) => {
      const { origin, client } = await withHooks(t, { request: () => verdict });
      for (let count = 0; count < 2; count += 1) {
        client.send(request(origin));
        const { head } = await client.message();
        assert.equal(statusOf(head), 500);
        assert.equal(codeIn(head), 'ERR_HOOK_VERDICT');
      }
      assert.equal(origin.connections, 0);
    });
  }
});
