import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../src/certs/memory-store.js';
import {
  type CertificateKey,
  type Generate,
  type LeafMaterial,
  renewalTime,
  type StoreEntry,
  type StoreReport,
} from '../../src/certs/store.js';
import { withCode } from './support.js';

const day = 24 * 3600 * 1000;

const keyOf = (host: string, more: Partial<CertificateKey> = {}): CertificateKey => ({
  host,
  authority: 'AA:BB',
  profile: 'p256',
  ...more,
});

/** Lets everything that is ready to happen happen. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
}

let made = 0;

/** Material that nobody would take for a certificate, 1,000 characters in all. */
function material(notAfter = 200 * day): LeafMaterial {
  made += 1;
  return {
    certificatePem: 'c'.repeat(700),
    privateKeyPem: 'k'.repeat(300),
    notBefore: 0,
    notAfter,
    serial: String(made),
  };
}

test('a hundred at once: one generation; and then a hit without a promise', async () => {
  const store = new MemoryStore({ now: () => 0 });
  let generations = 0;
  const results = Array.from({ length: 100 }, () =>
    store.fetch(keyOf('a.example'), async () => {
      generations += 1;
      return material();
    }),
  );
  const found = await Promise.all(results);
  assert.equal(generations, 1);
  assert.equal(new Set(found).size, 1);
  const hit = store.fetch(keyOf('a.example'), () => assert.fail('generated again'));
  assert.equal(hit, found[0]);
  assert.equal(store.peek(keyOf('a.example')), found[0]);
  assert.deepEqual(
    { ...store.counters, bytes: 0 },
    { entries: 1, bytes: 0, hits: 2, generated: 1, failed: 0, waited: 99, renewed: 0, evicted: 0, broken: 0 },
  );
});

test('a host, an authority and a profile each have their own', () => {
  const store = new MemoryStore({ now: () => 0 });
  const keys = [
    keyOf('a.example'),
    keyOf('b.example'),
    keyOf('a.example', { authority: 'CC:DD' }),
    keyOf('a.example', { profile: 'rsa-2048' }),
  ];
  const serials = keys.map((key) => (store.fetch(key, () => material()) as LeafMaterial).serial);
  assert.equal(new Set(serials).size, keys.length);
  assert.deepEqual(
    keys.map((key) => store.peek(key)?.serial),
    serials,
  );
});

test('a failure becomes no entry, thrown or rejected, and is tried again after a pause that doubles', async () => {
  let now = 0;
  const store = new MemoryStore({ now: () => now });
  let generations = 0;
  const error = new Error('at once');
  const thrown = (): never => {
    generations += 1;
    throw error;
  };
  const fetch = (): unknown => store.fetch(keyOf('a.example'), thrown);
  for (const at of [0, 100, 300, 700]) {
    now = at - 1;
    if (at > 0) assert.throws(fetch, error);
    now = at;
    const before = generations;
    assert.throws(fetch, error);
    assert.equal(generations, before + 1, `at ${at}`);
  }
  assert.equal(store.counters.failed, 4);
  now = 1600;
  const rejected = store.fetch(keyOf('b.example'), async () => {
    throw new Error('later');
  });
  await assert.rejects(async () => rejected, /later/);
  assert.throws(() => store.fetch(keyOf('b.example'), () => assert.fail('generated')), /later/);
  assert.equal(store.peek(keyOf('b.example')), undefined);
  assert.ok(store.fetch(keyOf('a.example'), () => material()));
  assert.equal(store.counters.failed, 5);
  // What was made since begins a new row.
  await store.delete(keyOf('a.example'));
  assert.throws(fetch, error);
  now += 100;
  const before = generations;
  assert.throws(fetch, error);
  assert.equal(generations, before + 1);
});

test('a generation that was cancelled is not remembered, nor that of a leader who was replaced', async () => {
  const store = new MemoryStore({ now: () => 0 });
  const controller = new AbortController();
  const { signal } = controller;
  const untilAborted: Generate = (work) =>
    new Promise((_, reject) => {
      work.signal?.addEventListener('abort', () => {
        reject(new Error('dropped'));
      });
    });
  const alone = store.fetch(keyOf('a'), untilAborted, { signal });
  let failLeader: (error: Error) => void = () => undefined;
  const leads: Generate = () =>
    new Promise((_, reject) => {
      failLeader = reject;
    });
  const leader = store.fetch(keyOf('b'), leads, { signal });
  const follower = store.fetch(keyOf('b'), () => material());
  controller.abort();
  failLeader(new Error('its caller left'));
  for (const left of [alone, leader]) await assert.rejects(async () => left, withCode('ERR_CANCELLED'));
  const found = await follower;
  await settled();
  assert.equal(store.peek(keyOf('b'))?.serial, found.serial);
  assert.ok(store.fetch(keyOf('a'), () => material()));
  assert.equal(store.counters.failed, 0);
});

test('what ends soon is replaced behind the back of the request, once, and is never served after its end', async () => {
  let now = 0;
  const store = new MemoryStore({ now: () => now });
  let generations = 0;
  const fetch = (notAfter: number): LeafMaterial =>
    store.fetch(keyOf('a.example'), () => {
      generations += 1;
      return material(notAfter);
    }) as LeafMaterial;
  const first = fetch(100 * day);
  now = 99 * day - 1;
  assert.equal(fetch(200 * day), first);
  await settled();
  assert.equal(generations, 1);
  now = 99 * day;
  for (let round = 0; round < 10; round += 1) assert.equal(fetch(200 * day), first);
  assert.equal(generations, 1, 'not while the request is served');
  await settled();
  assert.equal(generations, 2);
  const second = fetch(300 * day);
  assert.equal(second.notAfter, 200 * day);
  assert.deepEqual([store.counters.entries, store.counters.renewed], [1, 1]);
  now = 200 * day;
  assert.equal(store.peek(keyOf('a.example')), undefined);
  assert.deepEqual([store.counters.entries, store.counters.bytes], [0, 0]);
  assert.throws(() => fetch(200 * day), withCode('ERR_LEAF_CERTIFICATE', /already ended/));
  assert.equal(store.counters.entries, 0);
});

test('a renewal that fails is reported and tried again later; the old one goes on to its end', async () => {
  let now = 0;
  const reports: StoreReport[] = [];
  const store = new MemoryStore({ now: () => now, report: (report) => void reports.push(report) });
  const key = keyOf('a.example');
  const first = store.fetch(key, () => material(100 * day));
  let generations = 0;
  const broken = async (): Promise<LeafMaterial> => {
    generations += 1;
    throw new Error('the device is gone');
  };
  now = 99 * day;
  for (let round = 0; round < 10; round += 1) {
    for (const _ of 'abc') assert.equal(store.fetch(key, broken), first);
    await settled();
  }
  assert.equal(generations, 1);
  const [report] = reports;
  assert.ok(report?.kind === 'renewal-failed' && reports.length === 1);
  assert.deepEqual([report.key, report.store], [key, 'memory']);
  assert.match(report.error.detail, /the device is gone/);
  now += 60_000;
  assert.equal(store.fetch(key, broken), first);
  await settled();
  assert.equal(generations, 2);
  now = 100 * day - 1;
  assert.equal(store.peek(key), first);
  now = 100 * day;
  assert.notEqual(
    store.fetch(key, () => material()),
    first,
  );
});

test('a renewal that lasts no longer is looked for again later, not at every fetch', async () => {
  let now = 0;
  const store = new MemoryStore({ now: () => now });
  const key = keyOf('a.example');
  const first = store.fetch(key, () => material(100 * day));
  let generations = 0;
  const same = (): LeafMaterial => {
    generations += 1;
    return material(100 * day);
  };
  now = 99.5 * day;
  for (let minute = 0; minute < 5; minute += 1) {
    for (let round = 0; round < 5; round += 1) {
      assert.equal(store.fetch(key, same), first);
      await settled();
    }
    now += 60_000;
  }
  assert.deepEqual([generations, store.counters.generated, store.counters.renewed], [5, 1, 0]);
});

test('who comes after the end waits for the renewal that runs', async () => {
  let now = 0;
  const store = new MemoryStore({ now: () => now });
  const key = keyOf('a.example');
  void store.fetch(key, () => material(100 * day));
  now = 99.5 * day;
  let finish: (value: LeafMaterial) => void = () => undefined;
  const slow: Generate = () =>
    new Promise((resolve) => {
      finish = resolve;
    });
  void store.fetch(key, slow);
  await settled();
  now = 100 * day;
  const late = store.fetch(key, () => assert.fail('a second generation'));
  const renewed = material(200 * day);
  finish(renewed);
  assert.equal((await late).serial, renewed.serial);
  assert.deepEqual([store.counters.generated, store.counters.renewed], [2, 0]);
});

test('entries can be looked at and removed', async () => {
  let now = 0;
  const store = new MemoryStore({ now: () => now });
  const keys = [
    keyOf('a.example'),
    keyOf('*.b.example', { profile: 'rsa-2048', authority: 'CC' }),
    keyOf('a.example/mirror:00'),
  ];
  keys.forEach((key, index) => void store.fetch(key, () => material((index + 1) * 100 * day)));
  now = 150 * day;
  const entries: StoreEntry[] = [];
  for await (const entry of store.entries()) {
    entries.push(entry);
    // Using what is listed neither lists it again nor leaves any out.
    void store.peek(entry.key);
  }
  assert.deepEqual(
    entries.map(({ key }) => key),
    keys,
  );
  assert.deepEqual(
    entries.map(({ state }) => state),
    ['expired', 'valid', 'valid'],
  );
  now = -1;
  for await (const { state } of store.entries()) assert.equal(state, 'not-yet-valid');
  now = 150 * day;
  assert.equal(
    entries.slice(1).reduce((sum, { bytes }) => sum + bytes, 0),
    store.counters.bytes,
  );
  const [, wildcard = keyOf('none')] = keys;
  assert.equal(await store.delete(wildcard), true);
  assert.equal(await store.delete(wildcard), false);
  assert.equal(store.peek(wildcard), undefined);
  assert.equal(store.counters.entries, 1);
});

test('renewal comes between now and the end', () => {
  assert.equal(renewalTime(199 * day, 0), 198 * day);
  assert.equal(renewalTime(1000, 0), 900);
  assert.equal(renewalTime(1000, 1000), 1000);
});

test('the bytes are bounded, and what was not used for longest goes first', () => {
  const store = new MemoryStore({ capacity: 10_000, now: () => 0 });
  const put = (host: string): unknown => store.fetch(keyOf(host), () => material());
  for (const host of ['a', 'b', 'c', 'd', 'e', 'f']) put(host);
  const { entries, bytes } = store.counters;
  assert.equal(entries, 6);
  assert.ok(bytes >= 6 * 1000 && bytes <= 10_000);
  store.peek(keyOf('a'));
  for (const host of ['g', 'h']) put(host);
  const present = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].filter((host) => store.peek(keyOf(host)));
  assert.ok(present.includes('a') && present.includes('h') && !present.includes('b'));
  assert.equal(present.length + store.counters.evicted, 8);
  for (let index = 0; index < 1000; index += 1) {
    put(`host-${index}`);
    assert.ok(store.counters.bytes <= 10_000);
  }
  const tiny = new MemoryStore({ capacity: 100, now: () => 0 });
  assert.ok(tiny.fetch(keyOf('a'), () => material()));
  assert.deepEqual([tiny.counters.entries, tiny.counters.bytes], [0, 0]);
});

test('closing gives everything back and rejects who waits', async () => {
  const store = new MemoryStore({ now: () => 0 });
  void store.fetch(keyOf('a'), () => material());
  let finish: (value: LeafMaterial) => void = () => undefined;
  const waiting = store.fetch(
    keyOf('b'),
    () =>
      new Promise<LeafMaterial>((resolve) => {
        finish = resolve;
      }),
  );
  let now = 0;
  const ahead = new MemoryStore({ now: () => now, report: () => assert.fail('reported') });
  void ahead.fetch(keyOf('a'), () => material(100 * day));
  now = 99.5 * day;
  void ahead.fetch(keyOf('a'), () => assert.fail('generated after close'));
  ahead.close();
  store.close();
  await assert.rejects(async () => waiting, withCode('ERR_CANCELLED'));
  finish(material());
  await settled();
  await settled();
  assert.deepEqual([store.counters.entries, store.counters.bytes], [0, 0]);
  assert.deepEqual([ahead.counters.entries, ahead.counters.bytes, ahead.counters.failed], [0, 0, 0]);
  assert.throws(() => store.fetch(keyOf('a'), () => material()), withCode('ERR_CANCELLED'));
  store.close();
});
