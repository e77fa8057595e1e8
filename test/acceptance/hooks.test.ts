/** What the owner of a proxy can do to the exchanges that go through it. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import {
  answer,
  type Exchange,
  type Hooks,
  pass,
  refuse,
  type RequestVerdict,
  type ResponseVerdict,
  rewrite,
} from '../../src/index.js';
import type { RawOrigin } from '../support/origins.js';
import { eventually, within } from '../support/patience.js';
import { codeIn, Scene, statusOf } from '../support/scene.js';
import type { Wire } from '../support/wire.js';

interface Stage {
  readonly scene: Scene;
  readonly origin: RawOrigin;
  readonly client: Wire;
}

async function withHooks(t: TestContext, hooks: Hooks): Promise<Stage> {
  const scene = await Scene.open(t, { hooks, via: false });
  return { scene, origin: await scene.tcpOrigin(), client: await scene.client() };
}

const plainResponse = (body: string, lines = ''): string =>
  `HTTP/1.1 200 OK\r\n${lines}Content-Length: ${body.length}\r\n\r\n${body}`;

function get(origin: RawOrigin, path = '/', lines = ''): string {
  return `GET http://${origin.at}${path} HTTP/1.1\r\nHost: ${origin.at}\r\n${lines}\r\n`;
}

function post(origin: RawOrigin, body: string, lines = ''): string {
  const head = `POST http://${origin.at}/ HTTP/1.1\r\nHost: ${origin.at}\r\n${lines}`;
  return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
}

describe('A request hook', () => {
  test('sees the request as the client made it', async (t) => {
    const seen: Exchange[] = [];
    const scene = await Scene.open(t, { hooks: { request: (exchange) => void seen.push(exchange) } });
    const origin = await scene.tlsOrigin();
    const client = await scene.secureClient('shop.test', origin.port);
    client.send('GET /a?b HTTP/1.1\r\nHost: shop.test\r\nX-A: 1\r\nx-a: 2\r\n\r\n');
    const server = await origin.next();
    await server.head();
    const [exchange] = seen;
    assert.ok(exchange);
    assert.equal(exchange.request.method, 'GET');
    assert.equal(exchange.request.url, `https://shop.test:${origin.port}/a?b`);
    assert.deepEqual(exchange.request.headers.raw, ['Host', 'shop.test', 'X-A', '1', 'x-a', '2']);
    assert.equal(exchange.request.headers.get('x-A'), '1, 2');
    assert.equal(exchange.client.tls?.serverName, 'shop.test');
    assert.equal(exchange.response, undefined);
    client.destroy();
  });

  test('that passes changes nothing and buffers nothing', async (t) => {
    const { origin, client } = await withHooks(t, { request: () => pass(), response: () => undefined });
    client.send(
      `PUT http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n`,
    );
    const server = await origin.next();
    await server.head();
    assert.equal(await server.bytes(6), '1\r\na\r\n', 'before the rest of the request has come');
    client.send('0\r\n\r\n');
    await server.until('0\r\n\r\n');
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na');
    await client.head();
    assert.equal(await client.bytes(1), 'a', 'before the rest of the response has come');
  });

  test('can change method, path, fields and body', async (t) => {
    const request = ({ request: { headers } }: Exchange): RequestVerdict =>
      rewrite({
        method: 'PUT',
        url: '/other?x=1',
        headers: headers.clone().set('X-A', 'new').append('X-B', 'added'),
        body: 'longer than before',
      });
    const { origin, client } = await withHooks(t, { request });
    client.send(post(origin, 'short', 'x-a: old\r\n'));
    const server = await origin.next();
    assert.equal(
      await server.until('before'),
      `PUT /other?x=1 HTTP/1.1\r\nHost: ${origin.at}\r\nx-a: new\r\nContent-Length: 18\r\nX-B: added\r\n\r\n` +
        'longer than before',
    );
  });

  test('can send the request to another origin, and Host follows', async (t) => {
    const scene = await Scene.open(t, {
      hooks: { request: () => rewrite({ url: `https://other.test:${other.port}/x` }) },
      via: false,
    });
    const other = await scene.tlsOrigin();
    const client = await scene.secureClient('shop.test', 443);
    client.send('GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n');
    const server = await other.next();
    assert.equal(await server.head(), `GET /x HTTP/1.1\r\nHost: other.test:${other.port}\r\n\r\n`);
    assert.equal(server.tls.servername, 'other.test');
    server.send(plainResponse('moved'));
    assert.equal((await client.message()).body, 'moved');
    assert.equal((await scene.exchange()).url, `https://other.test:${other.port}/x`);
  });

  test('can give a body to a request that had none, and the client may go on after it', async (t) => {
    const { origin, client } = await withHooks(t, {
      request: () => rewrite({ method: 'POST', body: 'new' }),
    });
    client.send(get(origin));
    const server = await origin.next();
    assert.match(await server.until('new'), /^POST [^]*\r\nContent-Length: 3\r\n\r\nnew$/);
    server.send(plainResponse('one'));
    await client.message();
    client.send(get(origin));
    await server.until('new');
  });

  test('can answer in place of the origin', async (t) => {
    const hooks: Hooks = {
      request: () => answer({ status: 201, headers: { 'X-Mock': ['1', '2'] }, body: 'mocked' }),
    };
    const { origin, client, scene } = await withHooks(t, hooks);
    client.send(post(origin, 'x'.repeat(1000)), get(origin));
    for (let count = 0; count < 2; count += 1) {
      const { head, body } = await client.message();
      assert.equal(head, 'HTTP/1.1 201 Created\r\nX-Mock: 1\r\nX-Mock: 2\r\nContent-Length: 6\r\n\r\n');
      assert.equal(body, 'mocked');
    }
    assert.equal(origin.connections, 0);
    const { answeredBy, responseBytes } = await scene.exchange(2);
    assert.deepEqual([answeredBy, responseBytes], ['hook', 6]);
  });

  test('answers to HEAD without the body', async (t) => {
    const { origin, client } = await withHooks(t, { request: () => answer({ status: 200, body: 'mocked' }) });
    client.send(get(origin).replace('GET', 'HEAD'), get(origin));
    assert.equal(await client.head(), 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n');
    assert.equal((await client.message()).body, 'mocked');
  });

  test('can refuse, with 403 or another status, and say why', async (t) => {
    const request = ({ request: { target } }: Exchange): RequestVerdict =>
      target === '/plain' ? refuse() : refuse({ status: 451, reason: 'not in this country' });
    const { origin, client, scene } = await withHooks(t, { request });
    client.send(get(origin, '/plain'), get(origin, '/because'));
    assert.equal(statusOf((await client.message()).head), 403);
    const { head, body } = await client.message();
    assert.equal(statusOf(head), 451);
    assert.equal(codeIn(head), 'ERR_REFUSED');
    assert.match(body, /not in this country/);
    assert.equal(origin.connections, 0);
    assert.equal((await scene.exchange()).answeredBy, 'hook');
  });

  test('may take its time, and nothing is sent before', async (t) => {
    const decision = deferred<RequestVerdict>();
    const { origin, client } = await withHooks(t, { request: () => decision.promise });
    client.send(get(origin));
    await new Promise(setImmediate);
    assert.equal(origin.connections, 0);
    decision.resolve(rewrite({ url: '/later' }));
    assert.match(await (await origin.next()).head(), /^GET \/later /);
  });

  test('hears by its context when the client leaves', async (t) => {
    const asked = deferred<boolean>();
    const aborted = deferred<string>();
    const request = ({ context }: Exchange): Promise<RequestVerdict> =>
      new Promise((resolve) => {
        asked.resolve(true);
        context.signal.addEventListener('abort', () => {
          aborted.resolve(String(context.err?.code));
          resolve(pass());
        });
      });
    const { origin, client } = await withHooks(t, { request });
    client.send(get(origin));
    await within(asked.promise, 'the hook');
    client.reset();
    assert.equal(await within(aborted.promise, 'the end of the context'), 'ERR_CLIENT_GONE');
    assert.equal(origin.connections, 0);
  });
});

describe('A response hook', () => {
  test('sees the response and where it came from', async (t) => {
    const seen: Exchange[] = [];
    const { origin, client } = await withHooks(t, { response: (exchange) => void seen.push(exchange) });
    client.send(get(origin));
    (await origin.next()).send(plainResponse('x', 'X-A: 1\r\n'));
    await client.message();
    const [exchange] = seen;
    assert.equal(exchange?.response?.status, 200);
    assert.equal(exchange.response.headers.get('x-a'), '1');
    assert.equal(exchange.server?.port, origin.port);
  });

  test('can change status, fields and body', async (t) => {
    const hooks: Hooks = {
      response: () => rewrite({ status: 404, headers: { 'X-New': '1' }, body: 'nothing here' }),
    };
    const { origin, client } = await withHooks(t, hooks);
    client.send(get(origin));
    const server = await origin.next();
    server.send(plainResponse('old', 'A: b\r\n'));
    assert.equal(
      await client.until('here'),
      'HTTP/1.1 404 Not Found\r\nX-New: 1\r\nContent-Length: 12\r\n\r\nnothing here',
    );
    client.send(get(origin, '/2'));
    await server.head();
    assert.match(await server.head(), /^GET \/2 /);
  });

  test('can change the fields and leave the body to stream', async (t) => {
    const response = ({ response: found }: Exchange): ResponseVerdict | undefined =>
      found && rewrite({ headers: found.headers.clone().set('A', 'new') });
    const { origin, client } = await withHooks(t, { response });
    client.send(get(origin));
    const server = await origin.next();
    server.send('HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n');
    assert.equal(
      await client.until('a\r\n'),
      'HTTP/1.1 200 OK\r\nA: new\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n',
    );
    server.send('0\r\n\r\n');
    await client.until('0\r\n\r\n');
  });

  test('can answer and refuse in place of what came', async (t) => {
    const response = ({ request: { target } }: Exchange): ResponseVerdict =>
      target === '/answer' ? answer({ status: 200, body: 'instead' }) : refuse({ status: 502 });
    const { origin, client } = await withHooks(t, { response });
    client.send(get(origin, '/answer'));
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsecret');
    assert.equal((await client.message()).body, 'instead');
    await server.ending();
    client.send(get(origin, '/refuse'));
    const second = await origin.next();
    await second.head();
    second.send('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret');
    const { head, body } = await client.message();
    assert.equal(codeIn(head), 'ERR_REFUSED');
    assert.doesNotMatch(body, /secret/);
  });

  test('can make a status without a body of one that has a body, and none is sent', async (t) => {
    const { origin, client } = await withHooks(t, { response: () => rewrite({ status: 204 }) });
    for (let count = 0; count < 2; count += 1) {
      client.send(get(origin));
      const server = await origin.next();
      await server.head();
      server.send(plainResponse('HTTP/1.1 200 OK\r\n\r\n'));
      assert.equal(await client.head(), 'HTTP/1.1 204 No Content\r\n\r\n');
    }
  });

  for (const [asked, sent] of [
    ['HEAD', 'GET'],
    ['GET', 'HEAD'],
  ] as const) {
    test(`after ${asked} became ${sent} sends what ${asked} has`, async (t) => {
      const { origin, client } = await withHooks(t, { request: () => rewrite({ method: sent }) });
      for (let count = 0; count < 2; count += 1) {
        client.send(get(origin).replace('GET', asked));
        const server = await origin.next();
        assert.match(await server.head(), new RegExp(`^${sent} `));
        server.send(
          'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\n',
          sent === 'GET' ? 'body' : '',
        );
        const length = asked === 'HEAD' ? 4 : 0;
        assert.equal(await client.head(), `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`);
      }
    });
  }

  test('that replaces a body leaves a connection that is used again', async (t) => {
    const { origin, client } = await withHooks(t, { response: () => rewrite({ body: 'new' }) });
    client.send(get(origin));
    const server = await origin.next();
    for (let count = 0; count < 3; count += 1) {
      await server.head();
      server.send(plainResponse('old'));
      assert.equal((await client.message()).body, 'new');
      client.send(get(origin));
    }
  });

  test('that replaces a body that does not end lets its connection go', async (t) => {
    const { origin, client } = await withHooks(t, { response: () => rewrite({ body: 'new' }) });
    client.send(get(origin));
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n');
    assert.equal((await client.message()).body, 'new');
    await server.ending();
  });

  test('may take its time while the body waits, of many responses at once', async (t) => {
    const turns: (() => void)[] = [];
    const scene = await Scene.open(t, {
      hooks: { response: () => new Promise((resolve) => turns.push(() => resolve(undefined))) },
    });
    const origin = await scene.tlsOrigin();
    // Each body comes in one piece with its head, and waits while the others come.
    const bodies = Array.from({ length: 8 }, (_, index) => String(index).repeat(5000));
    const clients = await Promise.all(
      bodies.map(async (body, index) => {
        const client = await scene.secureClient('shop.test', origin.port);
        client.send(`GET /${index} HTTP/1.1\r\nHost: shop.test\r\n\r\n`);
        const server = await origin.next();
        const path = /^GET \/(\d) /.exec(await server.head())?.[1];
        server.send(plainResponse(bodies[Number(path)] ?? ''));
        return { client, body };
      }),
    );
    await eventually('all wait in the hook', () => turns.length === bodies.length);
    for (const turn of turns.toReversed()) turn();
    for (const { client, body } of clients) assert.equal((await client.message()).body, body);
  });
});

describe('A body', () => {
  test('is collected when a hook asks for it, and still goes to the origin', async (t) => {
    const seen: unknown[] = [];
    const request = async ({ request: { body } }: Exchange): Promise<undefined> => {
      seen.push(await body.json());
    };
    const { origin, client } = await withHooks(t, { request });
    client.send(
      `POST http://${origin.at}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n`,
    );
    client.send('2\r\n1}\r\n0\r\n\r\n');
    const server = await origin.next();
    assert.match(await server.until('{"a":1}'), /\r\nContent-Length: 7\r\n\r\n\{"a":1\}$/);
    assert.deepEqual(seen, [{ a: 1 }]);
  });

  test('of a response is collected when a hook asks for it, and still goes to the client', async (t) => {
    const seen: string[] = [];
    const response = async (exchange: Exchange): Promise<undefined> => {
      seen.push((await exchange.response?.body.text()) ?? '');
    };
    const { origin, client } = await withHooks(t, { response });
    client.send(get(origin));
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\n\r\nuntil ');
    server.send('the close').end();
    const { head, body } = await client.message();
    assert.match(head, /\r\nContent-Length: 15\r\n/);
    assert.equal(body, 'until the close');
    assert.deepEqual(seen, ['until the close']);
  });

  test('that a hook changes by what it read has the new length', async (t) => {
    const response = async (exchange: Exchange): Promise<ResponseVerdict> =>
      rewrite({ body: ((await exchange.response?.body.text()) ?? '').replace('old', 'brand-new') });
    const { origin, client } = await withHooks(t, { response });
    client.send(get(origin));
    (await origin.next()).send(plainResponse('an old page'));
    assert.equal((await client.message()).body, 'an brand-new page');
  });

  test('larger than the hook would collect is a 413', async (t) => {
    const request = async ({ request: { body } }: Exchange): Promise<undefined> => {
      await body.bytes({ limit: 10 });
    };
    const { origin, client } = await withHooks(t, { request });
    client.send(post(origin, '01234567890'));
    const { head } = await client.message();
    assert.equal(statusOf(head), 413);
    assert.equal(codeIn(head), 'ERR_REQUEST_BODY_TOO_LARGE');
    assert.equal(origin.connections, 0);
  });

  test('of a response larger than limits.collectedBody is a 502', async (t) => {
    const hooks: Hooks = {
      response: async (exchange) => {
        await exchange.response?.body.bytes();
      },
    };
    const scene = await Scene.open(t, { hooks, limits: { collectedBody: 10 } });
    const origin = await scene.tcpOrigin();
    const client = await scene.client();
    client.send(get(origin));
    const server = await origin.next();
    await server.head();
    server.send(plainResponse('01234567890'));
    const { head } = await client.message();
    assert.equal(statusOf(head), 502);
    assert.equal(codeIn(head), 'ERR_RESPONSE_BODY_TOO_LARGE');
  });

  test('that nobody sends on breaks the exchange when it is cut short, though a hook reads it', async (t) => {
    const hooks: Hooks = {
      response: async (exchange) => {
        await exchange.response?.body.bytes();
      },
    };
    const { origin, client } = await withHooks(t, hooks);
    client.send(get(origin));
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello').end();
    const { head } = await client.message();
    assert.equal(codeIn(head), 'ERR_RESPONSE_TRUNCATED');
  });
});

describe('A hook that is broken fails the exchange and nothing else', () => {
  const broken: Readonly<Record<string, readonly [hooks: Hooks, code: string]>> = {
    'when it throws': [
      {
        request: () => {
          throw new Error('secret detail');
        },
      },
      'ERR_HOOK_FAILED',
    ],
    'when its promise rejects': [
      { request: () => Promise.reject(new TypeError('secret detail')) },
      'ERR_HOOK_FAILED',
    ],
    'when the response hook throws': [
      {
        response: () => {
          throw new Error('secret detail');
        },
      },
      'ERR_HOOK_FAILED',
    ],
    'when the promise of the response hook rejects': [
      { response: () => Promise.reject(new Error('secret detail')) },
      'ERR_HOOK_FAILED',
    ],
    'when it returns what is no verdict': [{ request: () => true as never }, 'ERR_HOOK_VERDICT'],
    'when the verdict is null': [{ request: () => null as never }, 'ERR_HOOK_VERDICT'],
    'when a value would begin a new line': [
      { request: () => rewrite({ headers: { Host: 'x', A: 'b\r\nInjected: 1' } }) },
      'ERR_HOOK_VERDICT',
    ],
    'when a name would begin a new line': [
      { request: () => answer({ status: 200, headers: { 'A\nInjected': '1' } }) },
      'ERR_HOOK_VERDICT',
    ],
    'when a method would begin a new line': [
      { request: () => rewrite({ method: 'GET / HTTP/1.1\r\nInjected: 1\r\n\r\nGET' }) },
      'ERR_HOOK_VERDICT',
    ],
    'when a path would begin a new line': [
      { request: () => rewrite({ url: '/ HTTP/1.1\r\nInjected: 1\r\n\r\n' }) },
      'ERR_HOOK_VERDICT',
    ],
    'when a request would become a CONNECT': [
      { request: () => rewrite({ method: 'CONNECT' }) },
      'ERR_HOOK_VERDICT',
    ],
    'when a URL is none': [{ request: () => rewrite({ url: 'gopher://x/' }) }, 'ERR_HOOK_VERDICT'],
    'when a status is none': [{ request: () => answer({ status: 99 }) }, 'ERR_HOOK_VERDICT'],
    'when a status is not final': [{ request: () => answer({ status: 101 }) }, 'ERR_HOOK_VERDICT'],
    'when a refusal has a status that is none': [
      { request: () => refuse({ status: 42 }) },
      'ERR_HOOK_VERDICT',
    ],
    'when a response value would begin a new line': [
      { response: () => rewrite({ headers: { A: 'b\r\n\r\ninjected' } }) },
      'ERR_HOOK_VERDICT',
    ],
    'when a response status is none': [{ response: () => rewrite({ status: 1000 }) }, 'ERR_HOOK_VERDICT'],
    'when a response status is not final': [{ response: () => rewrite({ status: 103 }) }, 'ERR_HOOK_VERDICT'],
  };
  for (const [what, [hooks, code]] of Object.entries(broken)) {
    test(what, async (t) => {
      const { origin, client, scene } = await withHooks(t, hooks);
      client.send(get(origin));
      if (hooks.response) {
        const server = await origin.next();
        await server.head();
        server.send(plainResponse('x'));
      }
      const { head, body } = await client.message();
      assert.equal(codeIn(head), code);
      assert.equal(statusOf(head), 500);
      assert.doesNotMatch(head + body, /secret|\n ?injected/i);
      if (!hooks.response) assert.equal(origin.connections, 0);
      const { error } = await scene.exchange();
      if (code === 'ERR_HOOK_FAILED') assert.match(String(error?.cause), /secret detail/, 'the log has it');
    });
  }
});

interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
