/** What a store that is shared does with what it made alone, and with a place that is only half there. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Context } from '../../src/base/context.js';
import { type Authority, openAuthority } from '../../src/certs/authority.js';
import { MemoryStore } from '../../src/certs/memory-store.js';
import { Minter } from '../../src/certs/mint.js';
import { certificateName } from '../../src/certs/names.js';
import { SharedStore } from '../../src/certs/shared-store.js';
import type { CertificateKey, CertificateStore, LeafMaterial, StoreReport } from '../../src/certs/store.js';
import { inFrontOf } from '../../src/cli/certs-store.js';
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

  store(): SharedStore {
    const store = new SharedStore({
      backend: new FakeBackend(this.place),
      sealer: this.authority.sealer,
      report: (report) => void this.reports.push(report),
      now: () => this.clock.now(),
      context: this.root,
    });
    this.#stores.push(store);
    return store;
  }

  async fetch(store: CertificateStore, key = this.key): Promise<LeafMaterial> {
    return await store.fetch(key, () => this.#minter.mint(certificateName('h.example')));
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
  const { store, forget } = inFrontOf(new MemoryStore({ now: () => w.clock.now() }), w.store());
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
  await forget('all');
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
