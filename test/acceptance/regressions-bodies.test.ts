/** Mistakes that were made once with bodies that hooks collect, or would like to. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { type Exchange, type Hooks, type ProxyOptions } from '../../src/index.js';
import type { RawOrigin } from '../support/origins.js';
import { eventually, within } from '../support/patience.js';
import { codeIn, Scene, statusOf } from '../support/scene.js';
import { later } from '../support/stage.js';
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

function post(origin: RawOrigin, length: number, lines = ''): string {
  return request(origin, '/', `${lines}Content-Length: ${length}\r\n`, 'POST');
}

describe('A body that a hook collects', () => {
  test('may not stand still: 408 for a request', async (t) => {
    const hooks: Hooks = { request: async (exchange) => void (await exchange.request.body.bytes()) };
    const { origin, client } = await withHooks(t, hooks, { timeouts: { idleBody: 50 } });
    client.send(post(origin, 10));
    const { head } = await client.message();
    assert.equal(statusOf(head), 408);
    assert.equal(codeIn(head), 'ERR_REQUEST_BODY_TIMEOUT');
  });

  test('may not stand still: an error for a response', async (t) => {
    const hooks: Hooks = { response: async (exchange) => void (await exchange.response?.body.bytes()) };
    const { origin, client } = await withHooks(t, hooks, { timeouts: { idleBody: 50 } });
    client.send(request(origin));
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n');
    assert.equal(codeIn((await client.message()).head), 'ERR_RESPONSE_BODY_TIMEOUT');
    await server.ending();
  });

  test('is not waited for when the client leaves', async (t) => {
    const asked: Promise<Buffer>[] = [];
    const hooks: Hooks = { request: ({ request: { body } }) => keep(asked, body.bytes()) };
    const { origin, client } = await withHooks(t, hooks);
    client.send(post(origin, 10), 'abc');
    await eventually('the hook was asked', () => asked.length > 0);
    client.reset();
    assert.equal(await codeOf(asked[0]), 'ERR_CLIENT_GONE');
  });

  test('is not waited for when the origin leaves', async (t) => {
    const asked: Promise<Buffer | undefined>[] = [];
    const hooks: Hooks = {
      response: (exchange) => keep(asked, exchange.response?.body.bytes()),
    };
    const { scene, origin, client } = await withHooks(t, hooks);
    client.send(request(origin));
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    await eventually('the hook was asked', () => asked.length > 0);
    server.reset();
    const code = await codeOf(asked[0]);
    assert.match(String(code), /^ERR_/);
    assert.equal((await scene.exchange()).error?.code, code);
    assert.equal(codeIn(await client.head()), code);
  });

  test('leaves the hook the time that it needs afterwards', async (t) => {
    const slow = async (body: Promise<unknown> | undefined): Promise<undefined> => {
      await body;
      await longerThanIdle();
    };
    const hooks: Hooks = {
      request: ({ request: { body } }) => slow(body.bytes()),
      response: (exchange) => slow(exchange.response?.body.bytes()),
    };
    const { origin, client } = await withHooks(t, hooks, { timeouts: { idleBody: 50 } });
    client.send(post(origin, 3), 'abc');
    const server = await origin.next();
    await server.until('abc');
    server.send(ok('def'));
    assert.equal(await client.until('def'), ok('def'));
  });

  test('is asked for where the client waits for 100 Continue', async (t) => {
    const hooks: Hooks = { request: async (exchange) => void (await exchange.request.body.bytes()) };
    const { origin, client } = await withHooks(t, hooks);
    client.send(post(origin, 3, 'Expect: 100-continue\r\n'));
    assert.equal(await client.head(), 'HTTP/1.1 100 Continue\r\n\r\n');
    client.send('abc');
    assert.doesNotMatch(await (await origin.next()).until('abc'), /expect/i);
  });

  test('is put together right of chunks of one byte', async (t) => {
    const seen: (string | undefined)[] = [];
    const hooks: Hooks = {
      request: async (exchange) => void seen.push(await exchange.request.body.text()),
      response: async (exchange) => void seen.push(await exchange.response?.body.text()),
    };
    const { origin, client } = await withHooks(t, hooks);
    const body = Array.from({ length: 20_000 }, (_, index) => String.fromCharCode(97 + (index % 23))).join(
      '',
    );
    const chunks = `${[...body].map((letter) => `1\r\n${letter}\r\n`).join('')}0\r\n\r\n`;
    client.send(request(origin, '/', 'Transfer-Encoding: chunked\r\n', 'POST'), chunks);
    const server = await origin.next();
    assert.equal((await server.message()).body, body);
    server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', chunks);
    assert.equal((await client.message()).body, body);
    assert.ok(seen.length === 2 && seen.every((text) => text === body));
  });

  test('and does not wait for cannot end the process', async (t) => {
    const unhandled = unhandledRejections(t);
    const hooks: Hooks = {
      request: ({ request: { body, target } }) => {
        if (target === '/text') void body.text({ limit: 5 });
        else void body.json();
      },
    };
    const { origin, client, scene } = await withHooks(t, hooks);
    const large = 'Content-Length: 10\r\n';
    client.send(request(origin, '/text', large, 'POST'), '0123456789');
    assert.equal(codeIn((await client.message()).head), 'ERR_REQUEST_BODY_TOO_LARGE');
    const second = await scene.client();
    second.send(request(origin, '/json', large, 'POST'), 'not a JSON');
    (await origin.next()).send(ok(''));
    await second.message();
    assert.deepEqual(await unhandled(), []);
  });
});

describe('A body that went its way', () => {
  test('cannot be had after its exchange, nor does asking disturb the next', async (t) => {
    const seen: Exchange[] = [];
    let goOn: () => void = () => undefined;
    const hooks: Hooks = {
      response: (exchange) => {
        seen.push(exchange);
        if (seen.length === 1) return undefined;
        return new Promise((resolve) => {
          goOn = () => {
            resolve(undefined);
          };
        });
      },
    };
    const { scene, origin, client } = await withHooks(t, hooks);
    client.send(request(origin));
    const server = await origin.next();
    await server.head();
    server.send(ok('one'));
    assert.equal(await client.until('one'), ok('one'));
    await scene.exchange();
    const other = await scene.client();
    other.send(request(origin));
    await server.head();
    server.send(ok('two'));
    await eventually('the hook was asked', () => seen.length === 2);
    assert.equal(await codeOf(seen[0]?.response?.body.text()), 'ERR_BODY_GONE');
    assert.equal(await codeOf(seen[0]?.response?.body.json()), 'ERR_BODY_GONE');
    goOn();
    assert.equal(await other.until('two'), ok('two'));
    assert.equal(origin.connections, 1);
  });

  test('cannot be had while it is on its way to the client, who gets all of it', async (t) => {
    const seen: Exchange[] = [];
    const { origin, client } = await withHooks(t, { response: (exchange) => void seen.push(exchange) });
    client.send(request(origin));
    const server = await origin.next();
    await server.head();
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcde');
    await client.until('abcde');
    assert.equal(await codeOf(seen[0]?.response?.body.text()), 'ERR_BODY_GONE');
    server.send('fghij');
    await client.until('fghij');
  });

  test('cannot be had from the request in a response hook, and the upload goes on', async (t) => {
    const codes: unknown[] = [];
    const hooks: Hooks = {
      response: async (exchange) => void codes.push(await codeOf(exchange.request.body.text())),
    };
    const { origin, client } = await withHooks(t, hooks);
    client.send(post(origin, 6), 'abc');
    const server = await origin.next();
    await server.until('abc');
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nea');
    await client.until('ea');
    client.send('def');
    await server.until('def');
    server.send('rly');
    await client.until('rly');
    const other = await withHooks(t, hooks);
    other.client.send(post(other.origin, 3), 'abc');
    (await other.origin.next()).send(ok('done'));
    await other.client.until('done');
    assert.deepEqual(codes, ['ERR_BODY_GONE', 'ERR_BODY_GONE']);
  });
});

/** The code of the error that `promise` rejects with. */
async function codeOf(promise: Promise<unknown> | undefined): Promise<unknown> {
  assert.ok(promise);
  return within(
    promise.then(
      (value) => `resolved with ${String(value)}`,
      (error: unknown) => (error as { code?: unknown }).code,
    ),
    'a promise to settle',
  );
}

async function keep<T>(list: Promise<T>[], promise: Promise<T> | undefined): Promise<void> {
  assert.ok(promise);
  list.push(promise);
  await promise;
}

/** A hook that is slow: several times `idleBody`. */
function longerThanIdle(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 300);
  });
}

/** Hears of rejections that nobody handled, up to when it is asked. */
function unhandledRejections(t: TestContext): () => Promise<readonly unknown[]> {
  const seen: unknown[] = [];
  const listener = (error: unknown): void => void seen.push(error);
  process.on('unhandledRejection', listener);
  later(t, () => process.off('unhandledRejection', listener));
  return async () => {
    for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
    return seen;
  };
}
