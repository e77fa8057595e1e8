import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../src/certs/memory-store.js';
import type { CertificateKey, CertificateStore, LeafMaterial } from '../../src/certs/store.js';
import { TieredStore } from '../../src/certs/tiered-store.js';
import { withCode } from './support.js';

const day = 24 * 3600 * 1000;
const key: CertificateKey = { host: 'a.example', authority: 'AA:BB', profile: 'p256' };

let made = 0;
const material = (notAfter = 100 * day): LeafMaterial => {
  made += 1;
  return { certificatePem: 'c', privateKeyPem: 'k', notBefore: 0, notAfter, serial: String(made) };
};

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
}

/** Two processes with memory of their own in front of one place. */
function setUp(): {
  readonly clock: { now: number };
  readonly back: MemoryStore;
  readonly asked: { times: number };
  readonly stores: readonly [TieredStore, TieredStore];
} {
  const clock = { now: 0 };
  const now = (): number => clock.now;
  const back = new MemoryStore({ now });
  const asked = { times: 0 };
  const counting: CertificateStore = {
    fetch: (...args) => {
      asked.times += 1;
      // As one that has to look elsewhere: never at once.
      return Promise.resolve().then(() => back.fetch(...args));
    },
    close: () => back.close(),
  };
  const open = (): TieredStore => new TieredStore({ front: new MemoryStore({ now }), back: counting });
  return { clock, back, asked, stores: [open(), open()] };
}

test('what was fetched once is at hand, without a promise and without the store behind', async () => {
  const { stores, asked } = setUp();
  const found = await stores[0].fetch(key, () => material());
  assert.equal((await stores[1].fetch(key, () => assert.fail('generated'))).serial, found.serial);
  assert.equal(asked.times, 2);
  for (const store of stores) {
    const hit = store.fetch(key, () => assert.fail('generated'));
    assert.ok(!(hit instanceof Promise));
    assert.equal(hit.serial, found.serial);
  }
  assert.equal(asked.times, 2);
});

test('an answer that is at hand behind comes without a promise', () => {
  const now = (): number => 0;
  const back = new MemoryStore({ now });
  const store = new TieredStore({ front: new MemoryStore({ now }), back });
  const found = store.fetch(key, () => material());
  assert.ok(!(found instanceof Promise));
  assert.equal(
    store.fetch(key, () => assert.fail('generated')),
    found,
  );
});

test('a failure lasts as long as the store behind remembers it, and no longer', async () => {
  const { stores, clock } = setUp();
  let generations = 0;
  const fails = async (): Promise<LeafMaterial> => {
    generations += 1;
    throw new Error('gone');
  };
  const fetch = async (store: TieredStore): Promise<unknown> => store.fetch(key, fails);
  await assert.rejects(fetch(stores[0]), /gone/);
  for (clock.now = 10; clock.now < 100; clock.now += 10) {
    for (const store of stores) await assert.rejects(fetch(store), /gone/);
  }
  assert.equal(generations, 1);
  clock.now = 100;
  assert.ok(await stores[1].fetch(key, () => material()));
  assert.ok(await stores[0].fetch(key, () => assert.fail('generated')));
});

test('a renewal behind reaches every front within a minute, with one generation and few questions', async () => {
  const { stores, clock, asked, back } = setUp();
  const first = await stores[0].fetch(key, () => material());
  await stores[1].fetch(key, () => material());
  clock.now = 99.5 * day;
  asked.times = 0;
  let generations = 0;
  const renew = (): LeafMaterial => {
    generations += 1;
    return material(200 * day);
  };
  const fetch = (store: TieredStore): string => {
    const found = store.fetch(key, renew);
    assert.ok(!(found instanceof Promise), 'a request waits for the renewal');
    return found.serial;
  };
  for (let round = 0; round < 20; round += 1) {
    for (const store of stores) assert.equal(fetch(store), first.serial);
  }
  await settled();
  for (let round = 0; round < 20; round += 1) {
    for (const store of stores) fetch(store);
    await settled();
  }
  assert.equal(generations, 1);
  assert.ok(asked.times <= 4, `${asked.times} questions`);
  clock.now += 60_000;
  for (const store of stores) fetch(store);
  await settled();
  const renewed = back.peek(key);
  assert.ok(renewed && renewed.notAfter === 200 * day);
  assert.deepEqual(stores.map(fetch), [renewed.serial, renewed.serial]);
});

test('what is behind is listed, counted and removed, with what is in front', async () => {
  const now = (): number => 0;
  const back = new MemoryStore({ now });
  const store = new TieredStore({ front: new MemoryStore({ now }), back });
  const first = await store.fetch(key, () => material());
  await store.fetch(key, () => material());
  await store.fetch(key, () => material());
  const { hits, generated } = store.counters;
  assert.deepEqual([hits, generated], [2, 1]);
  for await (const entry of store.entries()) assert.deepEqual([entry.key, entry.serial], [key, first.serial]);
  assert.equal(await store.delete(key), true);
  assert.equal(await store.delete(key), false);
  assert.notEqual((await store.fetch(key, () => material())).serial, first.serial);
});

test('in front of a store that cannot be looked into, the front answers', async () => {
  const { stores, back } = setUp();
  await stores[0].fetch(key, () => material());
  const hosts: string[] = [];
  for await (const entry of stores[0].entries()) hosts.push(entry.key.host);
  assert.deepEqual(hosts, ['a.example']);
  assert.equal(stores[0].counters.generated, 1);
  assert.equal(await stores[0].delete(key), true);
  assert.ok(back.peek(key));
});

test('it closes both', async () => {
  const now = (): number => 0;
  const front = new MemoryStore({ now });
  const back = new MemoryStore({ now });
  const store = new TieredStore({ front, back });
  void store.fetch(key, () => material());
  const waiting = store.fetch({ ...key, host: 'b.example' }, () => new Promise<never>(() => undefined));
  await store.close();
  await assert.rejects(async () => waiting, withCode('ERR_CANCELLED'));
  assert.deepEqual([front.counters.entries, back.counters.entries], [0, 0]);
  await assert.rejects(async () => store.fetch(key, () => material()), withCode('ERR_CANCELLED'));
  await store.close();
});
