/** What a store that is shared does with what it made alone, with a place that is only half there, and in a purge. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Context } from '../../src/base/context.js';
import { type Authority, openAuthority } from '../../src/certs/authority.js';
import { MemoryStore } from '../../src/certs/memory-store.js';
import { Minter } from '../../src/certs/mint.js';
import { certificateName } from '../../src/certs/names.js';
import { SharedStore } from '../../src/certs/shared-store.js';
import type { CertificateKey, CertificateStore, LeafMaterial, StoreReport } from '../../src/certs/store.js';
import { isForOneOf } from '../../src/certs/forgetting.js';
import { TieredStore } from '../../src/certs/tiered-store.js';
import { type VirtualClock, virtualRoot } from '../base/virtual-clock.js';
import { FakeBackend, FakePlace, type Operation } from './fake-backend.js';
import { temporaryDirectory } from './support.js';

const start = Date.UTC(2030, 0, 1);

class World {
  readonly clock: VirtualClock;
  readonly root: Context;
  readonly place: FakePlace;
  readonly reports: StoreReport[] = [];
  readonly authority: Authority;
  readonly key: CertificateKey;
  readonly #stores: CertificateStore[] = [];
  readonly #minter: Minter;

  constructor(t: TestContext, authority: Authority) {
    const { clock, root } = virtualRoot(start);
    this.clock = clock;
    this.root = root;
    this.authority = authority;
    this.place = new FakePlace(() => clock.now());
    this.key = this.keyOf('h.example');
    this.#minter = new Minter({ issuer: authority, now: () => clock.now() });
    t.after(() => Promise.all(this.#stores.map((store) => store.close())));
  }

  static async open(t: TestContext): Promise<World> {
    const dir = await temporaryDirectory(t);
    return new World(t, await openAuthority({ dir, name: 'Test CA', now: () => start - 24 * 3600 * 1000 }));
  }

  keyOf(host: string): CertificateKey {
    return { host, authority: this.authority.fingerprint256, profile: 'p256' };
  }

  store(change: (backend: FakeBackend) => void = () => undefined): SharedStore {
    const backend = new FakeBackend(this.place);
    change(backend);
    const store = new SharedStore({
      backend,
      sealer: this.authority.sealer,
      report: (report) => void this.reports.push(report),
      now: () => this.clock.now(),
      context: this.root,
    });
    this.#stores.push(store);
    return store;
  }

  async fetch(store: CertificateStore, key = this.key): Promise<LeafMaterial> {
    return await store.fetch(key, () => this.mint());
  }

  mint(): LeafMaterial | Promise<LeafMaterial> {
    return this.#minter.mint(certificateName('h.example'));
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 250) {
      for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
      this.clock.advance(Math.min(250, left));
    }
    for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
  }

  /** Has the place away while `during` runs, and waits until the stores have seen that it is back. */
  async outage(during: () => Promise<void>): Promise<void> {
    this.place.unavailable = () => true;
    await during();
    this.place.unavailable = () => false;
    await this.pass(1500);
  }

  kinds(): string[] {
    return this.reports.map(({ kind }) => kind);
  }
}

test('what one made in an outage gives way to what another has shared, and does not come back when that is removed', async (t) => {
  const w = await World.open(t);
  const [one, two] = [w.store(), w.store()];
  let alone: LeafMaterial | undefined;
  await w.outage(async () => {
    alone = await w.fetch(one);
    await w.fetch(two);
  });
  const shared = await w.fetch(two);
  assert.equal((await w.fetch(one)).serial, shared.serial);
  // By a process that does not know of either.
  await new FakeBackend(w.place).delete(w.key);
  const next = await w.fetch(one);
  assert.ok(next.serial !== alone?.serial && next.serial !== shared.serial);
  assert.equal((await w.fetch(two)).serial, next.serial);
});

test('what one made in an outage is not shared by the lease that found it superseded', async (t) => {
  const w = await World.open(t);
  const [one, two] = [w.store(), w.store()];
  let alone: LeafMaterial | undefined;
  await w.outage(async () => {
    alone = await w.fetch(one);
  });
  // The other stores its own between the first look and the lease.
  let meddles = true;
  w.place.delay = async (operation: Operation) => {
    if (operation !== 'acquire' || !meddles) return;
    meddles = false;
    await w.fetch(two);
  };
  await w.fetch(one);
  await new FakeBackend(w.place).delete(w.key);
  assert.notEqual((await w.fetch(one)).serial, alone?.serial);
});

test('a purge reaches what was made in an outage and is not shared yet; of the hosts it is about', async (t) => {
  const w = await World.open(t);
  const front = new MemoryStore({ now: () => w.clock.now() });
  const store = new TieredStore({ front, back: w.store() });
  const forget = async (hosts?: readonly string[]): Promise<void> => {
    const isGone = isForOneOf(hosts);
    await store.forget(({ host }) => isGone(host));
  };
  const other = w.keyOf('other.example');
  const mirror = w.keyOf('h.example/mirror:00');
  const made: string[] = [];
  await w.outage(async () => {
    for (const key of [w.key, mirror, other]) made.push((await w.fetch(store, key)).serial);
  });
  await forget(['h.example']);
  assert.notEqual((await w.fetch(store)).serial, made[0]);
  assert.notEqual((await w.fetch(store, mirror)).serial, made[1]);
  assert.equal((await w.fetch(store, other)).serial, made[2], 'another host keeps what it has');
  const last = w.keyOf('last.example');
  let before = '';
  await w.outage(async () => {
    before = (await w.fetch(store, last)).serial;
  });
  await forget();
  assert.notEqual((await w.fetch(store, last)).serial, before);
});

for (const operation of ['acquire', 'commit', 'fail'] as const) {
  test(`a place that can be read and refuses ${operation} is reported once, or ever less often`, async (t) => {
    const w = await World.open(t);
    const store = w.store();
    w.place.unavailable = (asked) =>
      operation === 'fail' ? ['fail', 'commit'].includes(asked) : asked === operation;
    for (let second = 0; second < 300; second += 1) {
      await w.fetch(store, w.keyOf(`x${second}.example`));
      await w.pass(1000);
    }
    const degraded = w.kinds().filter((kind) => kind === 'degraded').length;
    // What cannot be told by a probe (an entry alone is refused) is tried after 1, 2, 4 … 30 s.
    if (operation === 'commit') assert.ok(degraded >= 4 && degraded <= 15, `${degraded} reports in 300 s`);
    else assert.deepEqual(w.kinds(), ['degraded']);
    w.place.unavailable = () => false;
    await w.pass(31_000);
    assert.equal(w.kinds().at(-1), 'restored');
    // An entry that was stored ends the row: the next outage is over soon again.
    await w.fetch(store, w.keyOf('stored.example'));
    w.reports.length = 0;
    await w.outage(async () => {
      await w.fetch(store, w.keyOf('again.example'));
    });
    assert.deepEqual(w.kinds(), ['degraded', 'restored']);
  });
}

test('a probe leaves no entry and no lease behind', async (t) => {
  const w = await World.open(t);
  const store = w.store();
  await w.outage(async () => {
    await w.fetch(store);
  });
  assert.deepEqual(w.kinds(), ['degraded', 'restored']);
  const hosts: string[] = [];
  for await (const { key } of store.entries()) hosts.push(key.host);
  assert.deepEqual(hosts, []);
  assert.ok([...w.place.slots.values()].every(({ holder, entry }) => !holder && !entry));
});

/** By a process that does not know of the store, which is then told. */
async function purge(w: World, store: SharedStore): Promise<void> {
  await new FakeBackend(w.place).delete(w.key);
  store.forget(({ host }) => host === w.key.host);
}

/** The serial of what is in the place. */
async function kept(store: SharedStore): Promise<string | undefined> {
  for await (const { serial } of store.entries()) return serial;
  return undefined;
}

for (const operation of ['acquire', 'commit'] as const) {
  test(`what was under way to the place at a purge (${operation}) is made again, and leaves nothing there`, async (t) => {
    const w = await World.open(t);
    const store = w.store();
    let purges = true;
    w.place.delay = async (asked: Operation) => {
      if (asked !== operation || !purges) return;
      purges = false;
      await purge(w, store);
    };
    const made: string[] = [];
    const fetch = async (): Promise<LeafMaterial> =>
      store.fetch(w.key, async () => {
        const leaf = await w.mint();
        made.push(leaf.serial);
        return leaf;
      });
    const [one, two] = await Promise.all([fetch(), fetch()]);
    assert.equal(made.length, operation === 'commit' ? 2 : 1);
    assert.deepEqual([one.serial, two.serial], [made.at(-1), made.at(-1)]);
    assert.equal(await kept(store), made.at(-1));
    assert.ok([...w.place.slots.values()].every(({ holder }) => !holder));
  });
}

test('what is being made at a purge is made again, with and without the place', async (t) => {
  const w = await World.open(t);
  const store = w.store();
  const made: string[] = [];
  const fetch = async (key: CertificateKey): Promise<LeafMaterial> =>
    store.fetch(key, async () => {
      const leaf = await w.mint();
      made.push(leaf.serial);
      if (made.length % 2 === 1) store.forget(({ host }) => host === key.host);
      return leaf;
    });
  assert.equal((await fetch(w.key)).serial, made[1]);
  await w.outage(async () => {
    assert.equal((await fetch(w.keyOf('b.example'))).serial, made[3]);
  });
  assert.equal(made.length, 4);
  const deleted = w.keyOf('c.example');
  const fetched = await store.fetch(deleted, async () => {
    const leaf = await w.mint();
    made.push(leaf.serial);
    if (made.length === 5) await store.delete(deleted);
    return leaf;
  });
  assert.deepEqual([made.length, fetched.serial], [6, made[5]]);
});

test('what was read just before a purge is not given out, nor does a renewal under way bring it back', async (t) => {
  const w = await World.open(t);
  const store = w.store();
  const first = await w.fetch(store);
  w.clock.advance(first.notAfter - w.clock.now() - 1000);
  let renewal: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (renewal = resolve));
  w.place.delay = async (asked: Operation) => {
    if (asked === 'commit') await held;
  };
  assert.equal((await w.fetch(store)).serial, first.serial);
  await w.pass(0);
  await purge(w, store);
  w.place.delay = () => Promise.resolve();
  renewal();
  await w.pass(0);
  assert.equal(await kept(store), undefined);

  const reader = w.store((backend) => {
    const read = backend.read.bind(backend);
    let purges = true;
    backend.read = async (key) => {
      const state = await read(key);
      if (state.entry && purges) {
        purges = false;
        await purge(w, reader);
      }
      return state;
    };
  });
  const second = await w.fetch(store);
  const third = await w.fetch(reader);
  assert.notEqual(third.serial, second.serial);
  assert.equal(await kept(reader), third.serial);
});

test('to delete an entry clears its failure, though the place is away', async (t) => {
  const w = await World.open(t);
  const store = w.store();
  await w.outage(async () => {
    const fails = (): Promise<never> => Promise.reject(new Error('no key'));
    await assert.rejects(store.fetch(w.key, fails), /no key/);
    await assert.rejects(w.fetch(store), /no key/, 'it is remembered');
    await assert.rejects(store.delete(w.key), { code: 'ERR_STORE_UNAVAILABLE' });
    assert.ok((await w.fetch(store)).serial);
  });
});
