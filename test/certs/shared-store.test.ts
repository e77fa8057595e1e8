import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Context } from '../../src/base/context.js';
import { SallyportError } from '../../src/base/errors.js';
import { type Authority, openAuthority } from '../../src/certs/authority.js';
import { Minter } from '../../src/certs/mint.js';
import { certificateName } from '../../src/certs/names.js';
import { SharedStore } from '../../src/certs/shared-store.js';
import type { CertificateKey, Generate, LeafMaterial, StoreReport } from '../../src/certs/store.js';
import { encodeEntry } from '../../src/certs/stored-entry.js';
import { type VirtualClock, virtualRoot } from '../base/virtual-clock.js';
import { FakeBackend, FakePlace, type Operation } from './fake-backend.js';
import { temporaryDirectory, withCode } from './support.js';

const day = 24 * 3600 * 1000;
const start = Date.UTC(2030, 0, 1);

/** Several processes, as it were, over one place, on virtual time. */
class World {
  readonly clock: VirtualClock;
  readonly root: Context;
  readonly place: FakePlace;
  readonly reports: StoreReport[] = [];
  readonly stores: SharedStore[] = [];
  readonly backends: FakeBackend[] = [];
  readonly authority: Authority;
  readonly key: CertificateKey;
  /** Generations that began. */
  begun = 0;
  readonly #minter: Minter;

  constructor(authority: Authority) {
    const { clock, root } = virtualRoot(start);
    this.clock = clock;
    this.root = root;
    this.authority = authority;
    this.place = new FakePlace(() => clock.now());
    this.key = this.keyOf('example.com');
    this.#minter = new Minter({ issuer: authority, now: () => clock.now() });
  }

  keyOf(host: string): CertificateKey {
    return { host, authority: this.authority.fingerprint256, profile: 'p256' };
  }

  store(): SharedStore {
    const backend = new FakeBackend(this.place);
    const store = new SharedStore({
      backend,
      sealer: this.authority.sealer,
      report: (report) => void this.reports.push(report),
      now: () => this.clock.now(),
      context: this.root,
    });
    this.backends.push(backend);
    this.stores.push(store);
    return store;
  }

  mint(): LeafMaterial {
    return this.#minter.mint(certificateName('example.com')) as LeafMaterial;
  }

  /** Mints, after `ms`, unless it is cancelled. */
  generate(ms = 0): Generate {
    return async ({ signal }) => {
      this.begun += 1;
      using context = this.root.withCancel();
      const stop = (): void => {
        context.close(signal?.reason);
      };
      signal?.addEventListener('abort', stop);
      try {
        if (ms > 0) await context.sleep(ms);
      } finally {
        signal?.removeEventListener('abort', stop);
      }
      return this.mint();
    };
  }

  failing(message: string, ms = 0): Generate {
    const wait = this.generate(ms);
    return async (options) => {
      await wait(options);
      throw new SallyportError('ERR_LEAF_CERTIFICATE', message);
    };
  }

  /** Lets `ms` pass, in steps, and all that follows from it happen. Backends notice what ran out, as real ones do. */
  async pass(ms: number): Promise<void> {
    await settle();
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(Math.min(50, left));
      this.place.tell();
      await settle();
    }
  }

  kinds(): string[] {
    return this.reports.map(({ kind }) => kind);
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
}

async function testAuthority(t: TestContext): Promise<Authority> {
  return await openAuthority({ dir: await temporaryDirectory(t), name: 'Test CA', now: () => start - day });
}

async function world(t: TestContext): Promise<World> {
  const made = new World(await testAuthority(t));
  t.after(() => Promise.all(made.stores.map((store) => store.close())));
  return made;
}

function serials(materials: readonly LeafMaterial[]): number {
  return new Set(materials.map(({ serial }) => serial)).size;
}

test('many waiters in many processes: one generation, one serial', async (t) => {
  const w = await world(t);
  const stores = Array.from({ length: 5 }, () => w.store());
  const fetches = stores.flatMap((store) =>
    Array.from({ length: 100 }, () => store.fetch(w.key, w.generate(12_000))),
  );
  await w.pass(13_000);
  const all = await Promise.all(fetches);
  assert.deepEqual([w.begun, serials(all)], [1, 1]);
  const sum = (name: 'waited' | 'generated' | 'hits'): number =>
    stores.reduce((total, { counters }) => total + counters[name], 0);
  assert.deepEqual([sum('generated'), sum('waited'), sum('hits')], [1, 499, 0]);
  const [store] = stores;
  assert.equal((await store?.fetch(w.key, w.generate()))?.serial, all[0]?.serial);
  assert.deepEqual([w.begun, sum('hits')], [1, 1]);
  assert.ok(w.place.log.filter((operation) => operation === 'renew').length >= 6, 'the lease was kept');
});

test('a leader that died is replaced when its lease has run out', async (t) => {
  const w = await world(t);
  w.place.takeForDead(w.key, 5000);
  const fetch = w.store().fetch(w.key, w.generate());
  await w.pass(4900);
  assert.equal(w.begun, 0);
  await w.pass(150);
  assert.ok(await fetch);
});

test('a failure reaches who waits elsewhere, is remembered everywhere, and the next generation ends it', async (t) => {
  const w = await world(t);
  const [one, two] = [w.store(), w.store()];
  const here = one.fetch(w.key, w.failing('no luck', 500));
  await settle();
  const there = two.fetch(w.key, w.generate());
  const outcomes = Promise.allSettled([here, there]);
  await w.pass(500);
  const [first, second] = await outcomes;
  assert.ok(first?.status === 'rejected' && second?.status === 'rejected');
  withCode('ERR_LEAF_CERTIFICATE', /^no luck$/)(second.reason);
  await assert.rejects(
    async () => one.fetch(w.key, w.generate()),
    (error) => error === first.reason,
  );
  await assert.rejects(
    async () => two.fetch(w.key, w.generate()),
    withCode('ERR_LEAF_CERTIFICATE', /^no luck$/),
  );
  assert.deepEqual([w.begun, one.counters.failed, two.counters.failed], [1, 1, 0]);

  await w.pass(100);
  await assert.rejects(
    async () => two.fetch(w.key, w.failing('again')),
    withCode('ERR_LEAF_CERTIFICATE', /again/),
  );
  await w.pass(150);
  await assert.rejects(async () => one.fetch(w.key, w.generate()), withCode('ERR_LEAF_CERTIFICATE', /again/));
  await w.pass(50);
  assert.ok(await one.fetch(w.key, w.generate()));
  assert.ok(await two.fetch(w.key, w.generate()));
  assert.equal(w.begun, 3);
});

test('a waiter hears of a failure whose pause was over before it looked', async (t) => {
  const w = await world(t);
  const [one, two] = [w.store(), w.store()];
  const here = Promise.allSettled([one.fetch(w.key, w.failing('no luck', 500))]);
  await settle();
  let slow = true;
  w.place.delay = async (operation) => {
    if (slow && operation === 'read') await w.root.sleep(400);
  };
  const there = Promise.allSettled([two.fetch(w.key, w.generate())]);
  await w.pass(2000);
  slow = false;
  await w.pass(500);
  await here;
  assert.equal((await there)[0].status, 'rejected');
  assert.equal(w.begun, 1);
});

test('a failure with a code that we do not know is internal', async (t) => {
  const w = await world(t);
  const failure = { code: 'toString', detail: 'odd', count: 1, until: start + 50 };
  w.place.slot(w.key).failure = failure;
  await assert.rejects(async () => w.store().fetch(w.key, w.generate()), withCode('ERR_INTERNAL', /odd/));
});

test('who leaves hurts nobody; when all have left, the lease is given back and nothing is remembered', async (t) => {
  const w = await world(t);
  const [one, two] = [w.store(), w.store()];
  const leaving = Array.from({ length: 2 }, () => new AbortController());
  const gone = Promise.allSettled(
    leaving.map(({ signal }) => one.fetch(w.key, w.generate(60_000), { signal })),
  );
  await settle();
  const stays = two.fetch(w.key, w.generate());
  await w.pass(100);
  leaving[0]?.abort();
  await w.pass(100);
  assert.equal(w.begun, 1);
  leaving[1]?.abort();
  await w.pass(50);
  assert.ok(await stays);
  for (const outcome of await gone) {
    assert.ok(outcome.status === 'rejected');
    withCode('ERR_CANCELLED')(outcome.reason);
  }
  assert.deepEqual([w.begun, one.counters.failed], [2, 0]);
  assert.ok(!w.place.log.includes('fail') && w.place.log.includes('release'));
});

test('a generation that fails after its caller left gives way to that of who still waits', async (t) => {
  const w = await world(t);
  const store = w.store();
  const leaving = new AbortController();
  const gone = Promise.allSettled([store.fetch(w.key, w.failing('mine', 200), { signal: leaving.signal })]);
  await settle();
  const stays = store.fetch(w.key, w.generate());
  leaving.abort();
  await w.pass(300);
  assert.ok(await stays);
  await gone;
  assert.deepEqual([w.begun, store.counters.failed], [2, 0]);
});

test('who waits for another process can leave at once', async (t) => {
  const w = await world(t);
  w.place.takeForDead(w.key, 5000);
  const leaving = new AbortController();
  const fetch = w.store().fetch(w.key, w.generate(), { signal: leaving.signal });
  await settle();
  leaving.abort('enough');
  await assert.rejects(fetch, withCode('ERR_CANCELLED'));
  await settle();
  assert.deepEqual(
    [...w.place.waiters.values()].map(({ size }) => size),
    [0],
  );
});

test('an entry is renewed in the background by one, and served by all meanwhile', async (t) => {
  const w = await world(t);
  const stores = [w.store(), w.store(), w.store()];
  const [one] = stores;
  const old = await one?.fetch(w.key, w.generate());
  w.clock.freeze(198 * day - 3_600_000);
  const served = await Promise.all(stores.map((store) => store.fetch(w.key, w.generate(1000))));
  assert.deepEqual(
    served.map(({ serial }) => serial),
    Array.from(served, () => old?.serial),
  );
  await w.pass(1000);
  const renewed = await Promise.all(stores.map((store) => store.fetch(w.key, w.generate())));
  assert.deepEqual([w.begun, serials(renewed)], [2, 1]);
  assert.notEqual(renewed[0]?.serial, old?.serial);
  assert.equal(
    stores.reduce((sum, { counters }) => sum + counters.renewed, 0),
    1,
  );
});

test('a renewal that fails is reported and paused; the old entry is served to its end and not after', async (t) => {
  const w = await world(t);
  const store = w.store();
  const old = await store.fetch(w.key, w.generate());
  w.clock.freeze(old.notAfter - w.clock.now() - 10_000);
  for (let index = 0; index < 3; index += 1) {
    assert.equal((await store.fetch(w.key, w.failing('no'))).serial, old.serial);
    await settle();
  }
  assert.deepEqual([w.begun, w.kinds()], [2, ['renewal-failed']]);
  w.clock.freeze(9_999);
  assert.equal((await store.fetch(w.key, w.generate(500))).serial, old.serial);
  await settle();
  w.clock.freeze(1);
  const late = store.fetch(w.key, w.generate());
  await w.pass(600);
  assert.notEqual((await late).serial, old.serial);
  assert.equal(w.begun, 3, 'the renewal under way served who came too late for the old one');
});

test('a CA that ends soon does not have its leaves renewed for every fetch', async (t) => {
  const w = await world(t);
  const store = w.store();
  w.clock.freeze(w.authority.notAfter - w.clock.now() - 600_000);
  for (let second = 0; second < 590; second += 1) {
    w.clock.freeze(1000);
    await store.fetch(w.key, w.generate());
    await settle();
  }
  assert.ok(w.begun >= 2 && w.begun <= 25, `${w.begun} generations`);
});

test('broken entries are reported once, replaced and never served', async (t) => {
  const w = await world(t);
  const { sealer } = w.authority;
  const good = encodeEntry(w.key, w.mint(), sealer);
  const flipped = Buffer.from(good);
  flipped[900] = (flipped[900] ?? 0) ^ 1;
  const foreign = encodeEntry(w.keyOf('example.org'), w.mint(), sealer);
  for (const bytes of [flipped, foreign, good.subarray(0, 500), Buffer.alloc(0), Buffer.alloc(70_000)]) {
    w.place.slot(w.key).entry = bytes;
    w.begun = 0;
    w.reports.length = 0;
    const [one, two] = [w.store(), w.store()];
    const fetches = [one, two, one].map((store) => store.fetch(w.key, w.generate(200)));
    await w.pass(300);
    const all = await Promise.all(fetches);
    assert.deepEqual([w.begun, serials(all), w.kinds()], [1, 1, ['broken']]);
    assert.equal(one.counters.broken + two.counters.broken, 1);
    const [report] = w.reports;
    assert.ok(report?.kind === 'broken');
    withCode('ERR_STORE_ENTRY', /example\.com in fake:/)(report.error);
  }
});

test('the loser of a lease takes what the winner wrote', async (t) => {
  const w = await world(t);
  const [one, two] = [w.store(), w.store()];
  const slow = one.fetch(w.key, async () => {
    w.begun += 1;
    // The process stood still: no renewal, and the lease ran out.
    w.clock.freeze(6000);
    const winner = await two.fetch(w.key, w.generate());
    assert.ok(winner);
    return w.mint();
  });
  assert.equal((await slow).serial, (await two.fetch(w.key, w.generate())).serial);
  assert.equal(w.begun, 2);
});

test('the loser whose winner wrote nothing stores what it has made', async (t) => {
  const w = await world(t);
  const store = w.store();
  const material = await store.fetch(w.key, () => {
    w.begun += 1;
    w.clock.freeze(6000);
    return w.mint();
  });
  assert.equal(w.begun, 1);
  assert.equal((await w.store().fetch(w.key, w.generate())).serial, material.serial);
});

const operations: readonly Operation[] = ['read', 'acquire', 'commit', 'fail', 'release', 'changed', 'renew'];

for (const operation of operations) {
  test(`no request fails when the place is away at ${operation}, and it heals`, async (t) => {
    const w = await world(t);
    const [one, two] = [w.store(), w.store()];
    let away = true;
    let first = true;
    // Everything works up to the operation.
    w.place.unavailable = (asked) => {
      if (asked === operation) first = false;
      return away && !first;
    };
    if (operation === 'changed') w.place.takeForDead(w.key, 3000);
    const fails = operation === 'fail';
    const leaving = new AbortController();
    const generate = fails ? w.failing('no', 2000) : w.generate(operation === 'release' ? 60_000 : 2000);
    const fetch = Promise.allSettled([one.fetch(w.key, generate, { signal: leaving.signal })]);
    await w.pass(100);
    if (operation === 'release') leaving.abort();
    await w.pass(2000);
    const [outcome] = await fetch;
    assert.equal(outcome.status, fails || operation === 'release' ? 'rejected' : 'fulfilled');
    if (fails && outcome.status === 'rejected') withCode('ERR_LEAF_CERTIFICATE', /^no$/)(outcome.reason);
    const again = await Promise.allSettled([one.fetch(w.key, w.generate())]);
    if (outcome.status === 'fulfilled') {
      assert.ok(again[0].status === 'fulfilled' && again[0].value.serial === outcome.value.serial);
    }
    assert.deepEqual(w.kinds(), ['degraded']);
    const [report] = w.reports;
    assert.ok(report?.kind === 'degraded' && report.store === 'fake:');
    withCode('ERR_STORE_UNAVAILABLE')(report.error);

    away = false;
    await w.pass(1100);
    assert.deepEqual(w.kinds(), ['degraded', 'restored']);
    const made = w.begun;
    const healed = one.fetch(w.key, w.generate());
    await w.pass(1000);
    const elsewhere = await two.fetch(w.key, w.generate());
    assert.equal((await healed).serial, elsewhere.serial);
    if (outcome.status === 'fulfilled') {
      assert.equal(elsewhere.serial, outcome.value.serial, 'what was made in the outage is shared after it');
      assert.equal(w.begun, made);
    }
  });
}

test('an outage: one report, requests do not wait for the place, failures are remembered, memory is bounded', async (t) => {
  const w = await world(t);
  const store = w.store();
  w.place.unavailable = () => true;
  for (let index = 0; index < 50; index += 1)
    assert.ok(await store.fetch(w.keyOf(`h${index}`), w.generate()));
  const asked = w.place.log.length;
  assert.equal(asked, 1);
  await assert.rejects(async () => store.fetch(w.key, w.failing('no')), withCode('ERR_LEAF_CERTIFICATE'));
  await assert.rejects(async () => store.fetch(w.key, w.generate()), withCode('ERR_LEAF_CERTIFICATE'));
  await w.pass(100);
  const fetches = Array.from({ length: 20 }, () => store.fetch(w.key, w.generate(100)));
  await w.pass(200);
  assert.equal(serials(await Promise.all(fetches)), 1);
  await w.pass(5000);
  assert.deepEqual(w.kinds(), ['degraded']);
  assert.ok(w.place.log.length <= asked + 6, 'once a second');
  w.place.unavailable = () => false;
  await w.pass(1100);
  assert.deepEqual(w.kinds(), ['degraded', 'restored']);
});

test('entries are listed and deleted without being opened', async (t) => {
  const w = await world(t);
  const store = w.store();
  const { sealer } = w.authority;
  const material = await store.fetch(w.key, w.generate());
  w.place.slot(w.keyOf('broken')).entry = Buffer.from('?');
  w.place.slot(w.keyOf('swapped')).entry = encodeEntry(w.key, material, sealer);
  w.place.slot(w.keyOf('nameless')).entry = Buffer.from('?');
  const list = async (): Promise<string[]> => {
    const lines: string[] = [];
    for await (const { key, state, serial = '-', problem = '-' } of store.entries()) {
      lines.push(`${key.host} ${state} ${serial} ${problem}`);
    }
    return lines.toSorted();
  };
  assert.deepEqual(await list(), [
    '? broken - it is not JSON',
    'broken broken - it is not JSON',
    `example.com valid ${material.serial} -`,
    'swapped broken - it belongs to example.com',
  ]);
  w.clock.freeze(300 * day);
  assert.ok((await list()).includes(`example.com expired ${material.serial} -`));
  w.clock.freeze(material.notBefore - 1 - w.clock.now());
  assert.ok((await list()).includes(`example.com not-yet-valid ${material.serial} -`));
  for (const host of ['example.com', 'broken', 'swapped']) {
    assert.equal(await store.delete(w.keyOf(host)), true);
    assert.equal(await store.delete(w.keyOf(host)), false);
  }
  for await (const { key } of store.entries()) assert.equal(await store.delete(key), true);
  assert.deepEqual(await list(), []);
  w.place.unavailable = () => true;
  await assert.rejects(async () => store.delete(w.key), withCode('ERR_STORE_UNAVAILABLE'));
  await assert.rejects(list, withCode('ERR_STORE_UNAVAILABLE'));
});

test('closing rejects who waits, gives leases back, stops what runs, and closes the backend', async (t) => {
  const w = await world(t);
  const [one, two] = [w.store(), w.store()];
  const fetches = [one, two].map((store) => store.fetch(w.key, w.generate(60_000)));
  const outcomes = Promise.allSettled(fetches);
  await settle();
  await one.close();
  await one.close();
  await settle();
  assert.equal(w.begun, 2, 'the other took over');
  await two.close();
  for (const outcome of await outcomes) {
    assert.ok(outcome.status === 'rejected');
    withCode('ERR_CANCELLED')(outcome.reason);
  }
  assert.deepEqual(
    w.backends.map(({ closed }) => closed),
    [true, true],
  );
  assert.equal(w.place.slot(w.key).holder, undefined);
  await assert.rejects(async () => one.fetch(w.key, w.generate()), withCode('ERR_CANCELLED'));
  assert.equal(w.clock.armed, 0, 'no timer is left');
  assert.deepEqual(w.reports, []);
});

test('whatever the order: never two generations under a live lease, and one serial for all', async (t) => {
  const authority = await testAuthority(t);
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.record({ store: fc.nat(2), leaves: fc.boolean() }), { minLength: 2, maxLength: 10 }),
      async (scheduler, callers) => {
        const w = new World(authority);
        w.place.delay = (operation) => scheduler.schedule(Promise.resolve(), operation);
        const stores = Array.from({ length: 3 }, () => w.store());
        let running = 0;
        let ended = 0;
        const generate: Generate = async ({ signal }) => {
          running += 1;
          assert.equal(running, 1, 'two generations at a time');
          await scheduler.schedule(Promise.resolve(), 'generate');
          running -= 1;
          signal?.throwIfAborted();
          ended += 1;
          return w.mint();
        };
        const fetches = callers.map(async ({ store, leaves }) => {
          const leaving = new AbortController();
          const fetch = stores[store]?.fetch(w.key, generate, { signal: leaving.signal });
          const outcome = Promise.allSettled([fetch]);
          await scheduler.schedule(Promise.resolve(), 'leave');
          if (leaves) leaving.abort();
          return (await outcome)[0];
        });
        const all = Promise.all(fetches);
        await scheduler.waitFor(all);
        const given: LeafMaterial[] = [];
        for (const [index, outcome] of (await all).entries()) {
          if (outcome.status === 'fulfilled' && outcome.value) given.push(outcome.value);
          else assert.ok(callers[index]?.leaves, 'only who left may go without');
        }
        assert.ok(serials(given) <= 1, 'one serial');
        assert.ok(ended <= 1, 'one generation');
        const closing = Promise.all(stores.map((store) => store.close()));
        await scheduler.waitFor(closing);
      },
    ),
    { numRuns: 200 },
  );
});
