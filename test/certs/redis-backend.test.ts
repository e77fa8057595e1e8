import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { RedisBackend, type RedisBackendOptions } from '../../src/certs/redis-backend.js';
import { redisClients } from '../../src/certs/redis-client.js';
import { type CertificateKey, identify } from '../../src/certs/store.js';
import type { Lease } from '../../src/certs/store-backend.js';
import { eventually, within } from '../support/patience.js';
import { freePort, redisServer } from '../support/redis.js';
import { withCode } from './support.js';

const lease = 5000;
const never = new AbortController().signal;

const keyOf = (host: string): CertificateKey => ({ host, authority: 'AA:BB', profile: 'p256' });
const entryKey = (host: string): string => `{sallyport}:entry:${identify(keyOf(host))}`;
const lockKey = (host: string): string => `{sallyport}:lock:${identify(keyOf(host))}`;

async function backendOf(
  t: TestContext,
  url: string,
  more: Partial<RedisBackendOptions> = {},
): Promise<RedisBackend> {
  const make = await redisClients(url);
  const options = { make, name: 'redis', prefix: 'sallyport', capacity: 1 << 20, now: Date.now, ...more };
  const backend = new RedisBackend(options);
  t.after(() => backend.close());
  return backend;
}

async function acquire(backend: RedisBackend, host: string, ms = lease): Promise<Lease> {
  const held = await backend.acquire(keyOf(host), ms);
  assert.ok(held, `the lease of ${host} is free`);
  return held;
}

const until = (ms = 60_000): number => Date.now() + ms;

async function put(backend: RedisBackend, host: string, bytes: string | Buffer): Promise<void> {
  const held = await acquire(backend, host);
  assert.ok(await held.commit(Buffer.from(bytes), { notAfter: until(), replaced: undefined }));
}

async function entryOf(backend: RedisBackend, host: string): Promise<string | undefined> {
  return (await backend.read(keyOf(host))).entry?.toString();
}

const unavailable = withCode('ERR_STORE_UNAVAILABLE');

test('one holds the lease; a commit is seen by all, ends with its certificate, and gives the lease back', async (t) => {
  const server = await redisServer(t);
  const [one, two] = [await backendOf(t, server.url), await backendOf(t, server.url)];
  const held = await acquire(one, 'a');
  assert.equal(await two.acquire(keyOf('a'), lease), undefined);
  assert.ok(await two.acquire(keyOf('b'), lease), 'another key has a lease of its own');
  assert.ok(await held.renew());
  assert.ok(await held.commit(Buffer.from([0, 255, 10]), { notAfter: until(), replaced: undefined }));
  assert.deepEqual((await two.read(keyOf('a'))).entry, Buffer.from([0, 255, 10]));
  const life = Number(await server.command('PTTL', entryKey('a')));
  assert.ok(life > 55_000 && life <= 60_000, `${life} ms`);
  assert.ok(await two.acquire(keyOf('a'), lease), 'the lease was given back');
  assert.ok(!(await held.renew()));
});

test('who lost the lease writes nothing, gives nothing back and marks no failure', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url);
  const old = await acquire(backend, 'a');
  await server.command('DEL', lockKey('a'));
  const current = await acquire(backend, 'a');
  assert.ok(!(await old.renew()));
  await old.release();
  await old.fail({ code: 'ERR_INTERNAL', detail: 'late', count: 1, until: until() });
  assert.ok(!(await old.commit(Buffer.from('old'), { notAfter: until(), replaced: undefined })));
  assert.deepEqual(await backend.read(keyOf('a')), { entry: undefined, failure: undefined });
  assert.ok(await current.commit(Buffer.from('new'), { notAfter: until(), replaced: undefined }));
  assert.ok(!(await old.commit(Buffer.from('old'), { notAfter: until(), replaced: undefined })));
  assert.equal(await entryOf(backend, 'a'), 'new');
});

test('a lease that ran out with nobody after it may still write, if nothing changed', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url);
  const held = await acquire(backend, 'a');
  await server.command('DEL', lockKey('a'));
  assert.ok(await held.commit(Buffer.from('late'), { notAfter: until(), replaced: undefined }));
  const renewing = await acquire(backend, 'a');
  const replaced = Buffer.from('something else');
  assert.ok(!(await renewing.commit(Buffer.from('next'), { notAfter: until(), replaced })));
  assert.equal(await entryOf(backend, 'a'), 'late');
  assert.ok(await renewing.commit(Buffer.from('next'), { notAfter: until(), replaced: Buffer.from('late') }));
  assert.equal(await entryOf(backend, 'a'), 'next');
});

test('a lease ends by itself', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url);
  await acquire(backend, 'a', 30);
  await eventually('the lease ends', async () => (await backend.acquire(keyOf('a'), lease)) !== undefined);
});

test('a failure is told, remembered, and forgotten by the next entry; what is no failure is none', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url);
  const failure = { code: 'ERR_INTERNAL', detail: 'why ✗', count: 2, until: until() };
  await (await acquire(backend, 'a')).fail(failure);
  assert.deepEqual(await backend.read(keyOf('a')), { entry: undefined, failure });
  await put(backend, 'a', 'x');
  assert.equal((await backend.read(keyOf('a'))).failure, undefined);
  const at = `{sallyport}:failure:${identify(keyOf('a'))}`;
  for (const text of ['{', 'null', '{"code":1}', '{"code":"A","detail":"b","count":"1","until":2}']) {
    await server.command('SET', at, text);
    assert.equal((await backend.read(keyOf('a'))).failure, undefined, text);
  }
  await server.command('DEL', at);
  await server.command('RPUSH', at, 'x');
  assert.equal((await backend.read(keyOf('a'))).failure, undefined);
});

test('whoever waits hears of a commit, a failure, a release and a removal by message', async (t) => {
  const server = await redisServer(t);
  const [one, two] = [await backendOf(t, server.url), await backendOf(t, server.url)];
  await two.changed(keyOf('a'), { signal: never, attempt: 0 });
  await eventually('it is subscribed', async () =>
    (await server.text('PUBSUB', 'NUMSUB', '{sallyport}:changed')).endsWith(',1'),
  );
  const acts: ((held: Lease) => Promise<unknown>)[] = [
    (held) => held.commit(Buffer.from('x'), { notAfter: until(), replaced: undefined }),
    () => one.delete(keyOf('a')),
    (held) => held.fail({ code: 'ERR_INTERNAL', detail: '', count: 1, until: until() }),
    (held) => held.release(),
  ];
  let quickest = Number.POSITIVE_INFINITY;
  for (const act of acts) {
    await server.command('DEL', lockKey('a'));
    const held = await acquire(one, 'a');
    const waits = two.changed(keyOf('a'), { signal: never, attempt: 9 });
    const start = performance.now();
    await act(held);
    await within(waits, 'the message');
    quickest = performance.now() - start;
    assert.ok(quickest < 200, `${quickest} ms: not by polling, which takes 250 ms`);
  }
});

test('without messages a wait ends after 50 to 250 ms; an abort and the end of the store cut it short', async (t) => {
  const backend = await backendOf(t, `redis://127.0.0.1:${await freePort()}`);
  const start = performance.now();
  await backend.changed(keyOf('a'), { signal: never, attempt: 0 });
  const first = performance.now() - start;
  await backend.changed(keyOf('a'), { signal: never, attempt: 20 });
  const second = performance.now() - start - first;
  assert.ok(first >= 50 && second >= 250, `${first} ms, ${second} ms`);
  const controller = new AbortController();
  const waits = [1, 2].map(() => backend.changed(keyOf('a'), { signal: controller.signal, attempt: 20 }));
  controller.abort('enough');
  for (const wait of waits) await assert.rejects(wait, withCode('ERR_CANCELLED'));
  await assert.rejects(
    backend.changed(keyOf('a'), { signal: controller.signal, attempt: 0 }),
    withCode('ERR_CANCELLED'),
  );
  const last = backend.changed(keyOf('a'), { signal: never, attempt: 20 });
  await Promise.all([backend.close(), assert.rejects(last, withCode('ERR_CANCELLED'))]);
  await assert.rejects(backend.read(keyOf('a')), withCode('ERR_STORE_UNAVAILABLE', /closed/));
});

test('the longest unused gives way, by bytes; never the new one', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url, { capacity: 10_000 });
  for (const host of ['a', 'b', 'c']) await put(backend, host, Buffer.alloc(2500));
  assert.equal(backend.evicted, 0);
  // As if all had been used long ago, and then `a` was read.
  for (const host of ['a', 'b', 'c'])
    await server.command('ZADD', '{sallyport}:used', '5', identify(keyOf(host)));
  await backend.read(keyOf('a'));
  await put(backend, 'd', Buffer.alloc(2500));
  assert.equal(backend.evicted, 1);
  assert.equal(await entryOf(backend, 'b'), undefined);
  assert.ok((await entryOf(backend, 'a')) !== undefined && (await entryOf(backend, 'c')) !== undefined);
  await put(backend, 'big', Buffer.alloc(20_000));
  assert.equal((await entryOf(backend, 'big'))?.length, 20_000);
  assert.equal(backend.evicted, 4);
  assert.equal(await server.text('HGET', '{sallyport}:sizes', 'total'), '20600');
  assert.ok(await backend.delete(keyOf('big')));
  assert.ok(!(await backend.delete(keyOf('big'))));
  assert.equal(await server.text('HGET', '{sallyport}:sizes', 'total'), '0');
  assert.equal(await server.text('ZCARD', '{sallyport}:used'), '0');
});

test('the bound holds over many entries, of changing sizes, from two processes', async (t) => {
  const server = await redisServer(t);
  const capacity = 40_000;
  const both = [await backendOf(t, server.url, { capacity }), await backendOf(t, server.url, { capacity })];
  const puts = async (backend: RedisBackend, step: number): Promise<void> => {
    for (let n = 0; n < 150; n += 1) {
      const host = `h${(n * step) % 61}`;
      const held = await backend.acquire(keyOf(host), lease);
      const { entry: replaced } = await backend.read(keyOf(host));
      await held?.commit(Buffer.alloc(100 + ((n * 997) % 3000)), { notAfter: until(), replaced });
    }
  };
  await Promise.all(both.map((backend, index) => puts(backend, 7 + index)));
  let bytes = 0;
  let count = 0;
  for await (const { bytes: size } of both[0]?.list() ?? []) {
    bytes += size;
    count += 1;
  }
  assert.ok(bytes + count * 600 <= capacity && count > 10, `${bytes} B in ${count}`);
  assert.equal(Number(await server.text('HGET', '{sallyport}:sizes', 'total')), bytes + count * 600);
});

test('list gives all with their keys; a foreign one can be removed all the same', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url);
  await put(backend, 'a', 'one');
  await put(backend, '*.b', 'two');
  await server.command('SET', '{sallyport}:entry:what is this', 'three');
  await server.command('RPUSH', '{sallyport}:entry:list', '4');
  await server.command('SET', 'unrelated', 'x');
  const found = new Map<string, CertificateKey | undefined>();
  for await (const { key, entry, remove } of backend.list()) {
    found.set(entry.toString(), key);
    if (!key) await remove();
  }
  assert.deepEqual([...found.keys()].toSorted(), ['a Redis list and no string', 'one', 'three', 'two']);
  assert.deepEqual(
    [found.get('one'), found.get('two'), found.get('three')],
    [keyOf('a'), keyOf('*.b'), undefined],
  );
  const left = (await server.keys()).filter((name) => name.includes('entry'));
  assert.deepEqual(left.toSorted(), [entryKey('*.b'), entryKey('a')].toSorted());
});

test('what others wrote at our keys, of whatever type, is a broken entry or is put right', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url);
  await server.command('RPUSH', entryKey('a'), 'x');
  for (const name of ['used', 'sizes']) await server.command('SET', `{sallyport}:${name}`, 'x');
  await server.command('SADD', lockKey('a'), 'x');
  await server.command('SET', lockKey('b'), 'stays for ever');
  const { entry: replaced } = await backend.read(keyOf('a'));
  assert.match(String(replaced), /list/);
  const held = await acquire(backend, 'a');
  assert.ok(await held.commit(Buffer.from('good'), { notAfter: until(), replaced }));
  assert.equal(await entryOf(backend, 'a'), 'good');
  await acquire(backend, 'b');
});

test('scripts that the server forgot are given again', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url);
  await put(backend, 'a', 'x');
  await server.command('SCRIPT', 'FLUSH');
  assert.equal(await entryOf(backend, 'a'), 'x');
});

test('a server that is gone: every command fails soon, and works again when it is back', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url);
  await put(backend, 'a', 'x');
  await server.stop();
  const start = performance.now();
  for (let n = 0; n < 20; n += 1) await assert.rejects(backend.read(keyOf('a')), unavailable);
  assert.ok(performance.now() - start < 5000);
  await server.start();
  await eventually(
    'it is back',
    async () => (await entryOf(backend, 'a').catch(() => 'not yet')) === undefined,
    8000,
  );
  await put(backend, 'a', 'y');
});

test('a server that stands still: one second, then at once; and it heals', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url);
  await put(backend, 'a', 'x');
  server.pause();
  const start = performance.now();
  const many = Array.from({ length: 50 }, () => assert.rejects(backend.read(keyOf('a')), unavailable));
  await Promise.all(many);
  const waited = performance.now() - start;
  assert.ok(waited > 900 && waited < 1500, `${waited} ms`);
  for (let n = 0; n < 20; n += 1) await assert.rejects(backend.read(keyOf('a')), unavailable);
  assert.ok(performance.now() - start - waited < 200);
  server.resume();
  await eventually(
    'it is back',
    async () => (await entryOf(backend, 'a').catch(() => 'not yet')) === 'x',
    8000,
  );
});

test('what accepts and never answers, or talks something else, is unavailable', async (t) => {
  const sockets = new Set<Socket>();
  const listen = async (greet?: string): Promise<string> => {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      if (greet !== undefined) socket.on('data', () => socket.write(greet));
    }).listen(0, '127.0.0.1');
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    return `redis://127.0.0.1:${address.port}`;
  };
  for (const greet of [
    undefined,
    'HTTP/1.1 400 Bad Request\r\n\r\n',
    '$-5\r\n',
    '*3\r\n',
    '-ERR max clients\r\n',
  ]) {
    const backend = await backendOf(t, await listen(greet));
    const start = performance.now();
    await assert.rejects(backend.read(keyOf('a')), unavailable, greet);
    assert.ok(performance.now() - start < 3000);
    const again = performance.now();
    await assert.rejects(backend.read(keyOf('a')), unavailable);
    assert.ok(performance.now() - again < 900);
    await backend.close();
  }
});

test('a password is needed and given, wrong, or missing; it is in no message', async (t) => {
  const server = await redisServer(t, '--requirepass', 'pass word/1');
  const good = await backendOf(t, `redis://default:pass%20word%2F1@127.0.0.1:${server.port}/3`);
  await put(good, 'a', 'x');
  for (const credentials of ['', ':wrong-one@']) {
    const backend = await backendOf(t, `redis://${credentials}127.0.0.1:${server.port}`);
    await assert.rejects(backend.read(keyOf('a')), (error: Error) => {
      assert.doesNotMatch(`${error.stack} ${JSON.stringify(error.cause)}`, /wrong-one/);
      return withCode('ERR_STORE_UNAVAILABLE', /NOAUTH|WRONGPASS/)(error);
    });
  }
});

test('a full server and a replica are unavailable for writing', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url);
  await put(backend, 'a', 'x');
  await server.command('CONFIG', 'SET', 'maxmemory', '1');
  await assert.rejects(backend.acquire(keyOf('b'), lease), withCode('ERR_STORE_UNAVAILABLE', /OOM/));
  await server.command('CONFIG', 'SET', 'maxmemory', '0');
  await acquire(backend, 'b');
  await server.command('CONFIG', 'SET', 'replica-read-only', 'yes');
  await server.command('REPLICAOF', '127.0.0.1', String(await freePort()));
  await assert.rejects(backend.acquire(keyOf('c'), lease), withCode('ERR_STORE_UNAVAILABLE', /READONLY/));
  await server.command('REPLICAOF', 'NO', 'ONE');
  await acquire(backend, 'c');
});

for (const lost of ['used', 'sizes', 'used and entries'] as const) {
  test(`the bound holds after Redis itself evicted a part of the index: ${lost}`, async (t) => {
    const server = await redisServer(t);
    const backend = await backendOf(t, server.url, { capacity: 20_000 });
    const count = async (): Promise<number> =>
      (await server.keys()).filter((name) => name.includes(':entry:')).length;
    for (let n = 0; n < 12; n += 1) await put(backend, `a${n}`, Buffer.alloc(1400));
    assert.equal(await count(), 10);
    const entries = (await server.keys()).filter((name) => name.includes(':entry:'));
    await server.command('DEL', lost === 'sizes' ? '{sallyport}:sizes' : '{sallyport}:used');
    if (lost === 'used and entries') await server.command('DEL', ...entries);
    // What is used comes back into the index, once.
    if (lost !== 'used and entries') {
      if (lost === 'used') assert.ok(await entryOf(backend, 'a5'));
      await put(backend, 'c', Buffer.alloc(1400));
      for (const host of ['a5', 'a6', 'a5']) assert.ok(await entryOf(backend, host));
      assert.equal(await server.text('HGET', '{sallyport}:sizes', 'total'), '6000');
      assert.equal(await server.text('ZCARD', '{sallyport}:used'), '3');
    }
    for (let n = 0; n < 12; n += 1) await put(backend, `b${n}`, Buffer.alloc(1400));
    const known = await server.text('ZCARD', '{sallyport}:used');
    assert.equal(known, '10', 'as many as there is room for');
    assert.equal(await server.text('HGET', '{sallyport}:sizes', 'total'), '20000');
    for (const host of ['a5', 'a6']) assert.equal(await entryOf(backend, host), undefined, 'they gave way');
    // Of those that were lost, what nobody reads stays until it ends, or until Redis needs the room.
    assert.equal(await count(), lost === 'used and entries' ? 10 : 18);
  });
}

test('sizes of entries that are gone do not keep new ones out', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url, { capacity: 20_000 });
  await put(backend, 'a', Buffer.alloc(1400));
  await server.command('HSET', '{sallyport}:sizes', 'total', '1000000');
  for (let n = 0; n < 5; n += 1) await put(backend, `b${n}`, Buffer.alloc(1400));
  assert.equal(await server.text('HGET', '{sallyport}:sizes', 'total'), '10000');
  assert.ok(await entryOf(backend, 'b0'));
});

/** What the server has sent to all its clients, in bytes; the answers to this question are some 6 KiB each. */
async function sentBy(server: Awaited<ReturnType<typeof redisServer>>): Promise<number> {
  return Number(/total_net_output_bytes:(\d+)/.exec(await server.text('INFO', 'stats'))?.[1]);
}

test('a value far larger than any entry is not sent, and is replaced', async (t) => {
  const server = await redisServer(t);
  const backend = await backendOf(t, server.url);
  for (const size of [64 * 1024 + 1, 300_000_000]) {
    await server.command('SETRANGE', entryKey('a'), String(size - 1), 'x');
    await server.command('SETRANGE', `{sallyport}:failure:${identify(keyOf('a'))}`, String(size - 1), 'x');
    const before = await sentBy(server);
    const { entry: replaced, failure } = await backend.read(keyOf('a'));
    assert.ok((await sentBy(server)) - before < 32 * 1024);
    assert.equal(replaced?.toString(), `${size} bytes are no entry`);
    assert.equal(failure, undefined);
    for await (const { bytes } of backend.list()) assert.ok(bytes < 100);
    const held = await acquire(backend, 'a');
    assert.ok(await held.commit(Buffer.from('good'), { notAfter: until(), replaced }));
    assert.equal(await entryOf(backend, 'a'), 'good');
  }
  await server.command('SETRANGE', entryKey('a'), String(64 * 1024 - 1), 'x');
  assert.equal((await backend.read(keyOf('a'))).entry?.length, 64 * 1024);
});
