/** The cache that finds again what is still used, and what a context really takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { WeakLru, contextBytes } from '../../src/certs/contexts.js';
import { Identities } from '../../src/certs/identity.js';
import { temporaryAuthority } from './support.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

test('the least used goes by weight, and is the same again while somebody has it', () => {
  const cache = new WeakLru<{ weight: number }>(10, ({ weight }) => weight);
  const a = { weight: 4 };
  cache.set('a', a);
  cache.set('b', { weight: 4 });
  assert.equal(cache.get('a'), a);
  cache.set('c', { weight: 4 });
  assert.deepEqual(cache.counters, { secondChances: 0, evicted: 1, size: 2, bytes: 8 });
  cache.set('d', { weight: 9 });
  assert.deepEqual(cache.counters, { secondChances: 0, evicted: 3, size: 1, bytes: 9 });
  assert.equal(cache.get('a'), a);
  assert.equal(cache.counters.secondChances, 1);
  a.weight = 6;
  cache.reweigh('a', a);
  assert.equal(cache.counters.bytes, 6);
  // What was replaced or deleted is not found again.
  cache.set('x', { weight: 9 });
  cache.set('a', { weight: 1 });
  assert.notEqual(cache.get('a'), a);
  cache.delete('a');
  assert.equal(cache.get('a'), undefined);
});

test('what nobody uses is collected, and its name with it, unless a later one has it', async () => {
  const cache = new WeakLru<{ id: number }>(1, () => 1);
  for (let id = 0; id < 100; id += 1) cache.set(`k${id % 50}`, { id });
  for (let round = 0; round < 50 && cache.dropped > 0; round += 1) {
    await new Promise((resolve) => void setImmediate(resolve));
    gc();
  }
  assert.equal(cache.dropped, 0);
  assert.equal(cache.counters.size, 1);
});

test('a context takes what it is reckoned to take', async (t) => {
  const authority = await temporaryAuthority(t);
  const identities = new Identities({ authority, capacity: Number.POSITIVE_INFINITY });
  t.after(() => identities.close());
  const add = async (from: number, to: number): Promise<number> => {
    for (let index = from; index < to; index += 1) await identities.get(`h${index}.example`);
    gc();
    return process.memoryUsage().rss;
  };
  const before = await add(0, 300);
  const after = await add(300, 1300);
  const each = (after - before) / 1000;
  t.diagnostic(`${(each / 1024).toFixed(1)} KiB`);
  assert.ok(each > contextBytes / 2 && each < contextBytes * 1.4, `${each}`);
});
