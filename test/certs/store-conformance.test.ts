/** The suite that users run their stores through: ours pass it, and each of many faults is caught by its case. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openFileStore } from '../../src/certs/file-store.js';
import { MemoryStore } from '../../src/certs/memory-store.js';
import { openRedisStore } from '../../src/certs/redis-store.js';
import type { InspectableStore } from '../../src/certs/store.js';
import { TieredStore } from '../../src/certs/tiered-store.js';
import {
  type ConformanceCase,
  type StoreConformanceOptions,
  type StoreWorld,
  certificateStoreConformance,
} from '../../src/testing/index.js';
import { RedisServer, freePort } from '../support/redis.js';
import { badStores, openBadStore } from './bad-stores.js';
import { type Fault, faults, NaiveStore } from './naive-store.js';

const sized = (capacity: number | undefined): { readonly capacity?: number } =>
  capacity === undefined ? {} : { capacity };

/** Where the stores that share keep what they share. */
const places = { directory: '', redis: new RedisServer(0, '', []) };

before(async () => {
  places.directory = await mkdtemp(join(tmpdir(), 'sallyport-stores-'));
  places.redis = new RedisServer(await freePort(), places.directory, []);
  await places.redis.start();
});
after(async () => {
  await places.redis.stop();
  await rm(places.directory, { recursive: true, force: true });
});

function file({ id, capacity, ...world }: StoreWorld): Promise<InspectableStore> {
  return openFileStore({ ...world, ...sized(capacity), dir: join(places.directory, id) });
}

function redis({ id, capacity, ...world }: StoreWorld): Promise<InspectableStore> {
  return openRedisStore({ ...world, ...sized(capacity), url: places.redis.url, prefix: id });
}

function tiered(open: (world: StoreWorld) => Promise<InspectableStore>): StoreConformanceOptions {
  return {
    open: async (world) =>
      new TieredStore({ front: new MemoryStore({ now: world.now }), back: await open(world) }),
    clock: true,
    shared: true,
  };
}

const ours: Readonly<Record<string, StoreConformanceOptions>> = {
  memory: {
    open: ({ now, capacity }) => new MemoryStore({ now, ...sized(capacity) }),
    clock: true,
    bounded: true,
  },
  'memory in real time': { open: () => new MemoryStore() },
  'memory in front of memory': {
    open: ({ now }) => new TieredStore({ front: new MemoryStore({ now }), back: new MemoryStore({ now }) }),
    clock: true,
  },
  file: { open: file, clock: true, shared: true, bounded: true },
  redis: { open: redis, clock: true, shared: true, bounded: true },
  'memory in front of file': tiered(file),
  'memory in front of redis': tiered(redis),
  'the store of a user': naive(),
  "memory in front of a user's": {
    open: ({ now }) => new TieredStore({ front: new MemoryStore({ now }), back: new NaiveStore(now) }),
    clock: true,
  },
};

for (const [store, options] of Object.entries(ours)) {
  describe(`${store} keeps the contract:`, { concurrency: 4 }, () => {
    for (const { name, run } of played(options)) test(name, run);
  });
}

describe('a store with a fault is found out:', { concurrency: 4 }, () => {
  for (const [fault, culprit] of Object.entries(faults)) {
    test(fault, async () => {
      const cases = played({ ...naive(fault as Fault), patience: 400 }).filter(({ name }) =>
        name.includes(culprit),
      );
      assert.ok(cases.length > 0, `no case is called "${culprit}"`);
      for (const { run } of cases) await assert.rejects(run, /^Error: the store breaks its contract: /);
    });
  }
  for (const [fault, bad] of Object.entries(badStores)) {
    test(fault, async () => {
      const options = { open: ({ now }: StoreWorld) => openBadStore(bad, now), clock: true, patience: 400 };
      const cases = played(options).filter(({ name }) => name.includes(bad.culprit));
      assert.equal(cases.length, 1, `one case is called "${bad.culprit}"`);
      for (const { run } of cases) await assert.rejects(run, /^Error: the store breaks its contract: /);
    });
  }
});

test('what the options do not speak of is listed as skipped, with the reason', async () => {
  const skipped = certificateStoreConformance({ open: () => new MemoryStore() }).filter(
    (one) => one.skipped !== undefined,
  );
  assert.ok(skipped.length >= 2);
  for (const { name, skipped: reason, run } of skipped) {
    assert.match(name, /\(skipped: the options do not say that/);
    assert.ok(reason !== undefined && name.includes(reason));
    await run();
  }
});

test('every store that was opened is closed, and its place is cleaned up, also after a failure', async () => {
  const events: string[] = [];
  const [first] = certificateStoreConformance({
    open: ({ id }) => ({
      fetch: () => {
        throw new Error('not today');
      },
      close: () => {
        events.push(`closed ${id}`);
      },
    }),
    cleanUp: (id) => {
      events.push(`cleaned ${id}`);
    },
  });
  assert.ok(first);
  await assert.rejects(first.run, /not today/);
  assert.equal(events.length, 2);
  assert.match(events.join(), /^closed (c-\w+),cleaned \1$/);
});

function naive(fault?: Fault): StoreConformanceOptions {
  return { open: ({ now, capacity }) => new NaiveStore(now, capacity, fault), clock: true, bounded: true };
}

function played(options: StoreConformanceOptions): readonly ConformanceCase[] {
  return certificateStoreConformance(options).filter(({ skipped }) => skipped === undefined);
}
