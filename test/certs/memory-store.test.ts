import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../src/certs/memory-store.js';
import { type CertificateKey, type LeafMaterial, renewalTime } from '../../src/certs/store.js';
import { withCode } from './support.js';

const day = 24 * 3600 * 1000;

const keyOf = (host: string, more: Partial<CertificateKey> = {}): CertificateKey => ({
  host,
  authority: 'AA:BB',
  profile: 'p256',
  ...more,
});

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
    { entries: 1, bytes: 0, hits: 2, generated: 1, failed: 0, evicted: 0 },
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

test('a failure becomes no entry, thrown or rejected', async () => {
  const store = new MemoryStore({ now: () => 0 });
  const thrown = (): never => {
    throw new Error('at once');
  };
  assert.throws(() => store.fetch(keyOf('a.example'), thrown), /at once/);
  const rejected = store.fetch(keyOf('a.example'), async () => {
    throw new Error('later');
  });
  await assert.rejects(async () => rejected, /later/);
  assert.equal(store.peek(keyOf('a.example')), undefined);
  assert.equal(store.counters.failed, 2);
  assert.ok(store.fetch(keyOf('a.example'), () => material()));
});

test('what ends is made anew before it ends, and is never served after', () => {
  let now = 0;
  const store = new MemoryStore({ now: () => now });
  const fetch = (notAfter: number): LeafMaterial =>
    store.fetch(keyOf('a.example'), () => material(notAfter)) as LeafMaterial;
  const first = fetch(100 * day);
  now = 99 * day - 1;
  assert.equal(fetch(200 * day), first);
  now = 99 * day;
  const second = fetch(100 * day);
  assert.notEqual(second, first);
  // One day is left, of which a tenth is kept back.
  now = 99.89 * day;
  assert.equal(fetch(200 * day), second);
  now = 99.9 * day;
  assert.notEqual(fetch(200 * day), second);
  assert.equal(store.counters.entries, 1);
  now = 300 * day;
  assert.equal(store.peek(keyOf('a.example')), undefined);
  assert.deepEqual([store.counters.entries, store.counters.bytes], [0, 0]);
  assert.throws(() => fetch(300 * day), withCode('ERR_LEAF_CERTIFICATE', /already ended/));
  assert.equal(store.counters.entries, 0);
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
  store.close();
  await assert.rejects(async () => waiting, withCode('ERR_CANCELLED'));
  finish(material());
  await new Promise((resolve) => void setImmediate(resolve));
  assert.deepEqual([store.counters.entries, store.counters.bytes], [0, 0]);
  assert.throws(() => store.fetch(keyOf('a'), () => material()), withCode('ERR_CANCELLED'));
  store.close();
});
