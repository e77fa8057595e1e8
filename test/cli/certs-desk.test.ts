/** What is done with the entries of a store: who is held up by it, and what a host's name selects. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { Context } from '../../src/base/context.js';
import { Identities, MemoryStore, openAuthority, TieredStore } from '../../src/certs/index.js';
import { type PurgedHosts, StoreDesk } from '../../src/cli/certs-desk.js';
import { temporaryDirectory } from './support.js';

async function deskOf(
  t: TestContext,
  wildcardLeaves = false,
): Promise<{ readonly desk: StoreDesk; readonly store: MemoryStore; readonly told: PurgedHosts[] }> {
  const authority = await openAuthority({ dir: await temporaryDirectory(t) });
  const store = new MemoryStore();
  const told: PurgedHosts[] = [];
  const desk = new StoreDesk({
    store,
    authority,
    leaves: { wildcardLeaves },
    forget: (hosts) => {
      told.push(hosts);
    },
  });
  t.after(() => {
    store.close();
  });
  return { desk, store, told };
}

function names(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `w${index}.example.com`);
}

describe('warm', () => {
  test('others have their turn between the hosts', async (t) => {
    const { desk } = await deskOf(t);
    let turns = 0;
    let over = false;
    const count = (): void => {
      turns += 1;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    const warmed = await desk.warm(names(200));
    over = true;
    assert.ok(warmed.every(({ outcome }) => outcome === 'made'));
    assert.ok(turns > 50, `${turns} turns of the event loop for 200 hosts`);
  });

  test('it ends when nobody waits for it any more', async (t) => {
    const { desk, store } = await deskOf(t);
    using context = Context.background.withCancel();
    const warming = desk.warm(names(2000), {}, context);
    setImmediate(() => {
      context.close();
    });
    await assert.rejects(warming, { code: 'ERR_CANCELLED' });
    assert.ok(store.counters.generated < 1000, `${store.counters.generated} were made all the same`);
  });

  test('made once, then found: under any spelling, and with others of its group', async (t) => {
    const { desk } = await deskOf(t, true);
    const outcomes = await desk.warm(['www.a.example.com', 'WWW.a.example.com.', 'mail.a.example.com', '*']);
    assert.deepEqual(
      outcomes.map(({ host, outcome, error }) => [host, outcome, error?.code]),
      [
        ['www.a.example.com', 'made', undefined],
        ['www.a.example.com', 'found', undefined],
        ['mail.a.example.com', 'found', undefined],
        ['*', 'failed', 'ERR_LEAF_CERTIFICATE'],
      ],
    );
    assert.equal(new Set(outcomes.slice(0, 3).map(({ serial }) => serial)).size, 1);
  });
});

describe('a host whose leaf is that of its group', () => {
  test('is purged with it, and the group is named to those who have it at hand', async (t) => {
    const { desk, told } = await deskOf(t, true);
    await desk.warm(['www.a.example.com', 'www.b.example.com']);
    const purged = await desk.purge({ kind: 'host', host: 'mail.a.example.com' });
    assert.deepEqual(purged, { removed: 1, groups: ['*.a.example.com'] });
    assert.deepEqual(told, [['mail.a.example.com', '*.a.example.com']]);
    const left: string[] = [];
    for await (const { key } of desk.entries()) left.push(key.host);
    assert.deepEqual(left, ['*.b.example.com']);
    await desk.warm(['own.c.example.com'], { wildcardLeaves: false });
    const own = await desk.purge({ kind: 'host', host: 'own.c.example.com' });
    assert.deepEqual(own, { removed: 1, groups: [] });
  });

  test('a host is not of the group below it, nor of one further above', async (t) => {
    const { desk } = await deskOf(t, true);
    await desk.warm(['www.a.example.com']);
    for (const host of ['a.example.com', 'x.www.a.example.com', 'example.com', 'xa.example.com']) {
      assert.deepEqual(await desk.purge({ kind: 'host', host }), { removed: 0, groups: [] }, host);
    }
  });

  test('what one stores while it is being told goes too, and all are told again', async (t) => {
    const authority = await openAuthority({ dir: await temporaryDirectory(t) });
    const store = new MemoryStore();
    const told: PurgedHosts[] = [];
    const other = new StoreDesk({ store, authority });
    const desk = new StoreDesk({
      store,
      authority,
      forget: async (hosts) => {
        told.push(hosts);
        if (told.length % 2 === 1) await other.warm(['late.example', 'kept.example']);
      },
    });
    await desk.warm(['late.example']);
    const late = { kind: 'host', host: 'late.example' } as const;
    assert.deepEqual(await desk.purge(late), { removed: 1, groups: [] });
    assert.deepEqual(told, [['late.example'], ['late.example']]);
    const left: string[] = [];
    for await (const { key } of desk.entries()) left.push(key.host);
    assert.deepEqual(left, ['kept.example']);
    assert.deepEqual(await desk.purge({ kind: 'expired' }), { removed: 0, groups: [] });
    assert.equal(told.length, 3, 'nothing leaked: they are told once');
    store.close();
  });

  test('memory in front of what is shared forgets it, though the entry has gone there', async (t) => {
    const { desk, store: back } = await deskOf(t, true);
    const front = new MemoryStore();
    await desk.warm(['www.a.example.com']);
    const authority = await openAuthority({ dir: await temporaryDirectory(t) });
    const identities = new Identities({ authority, store: new TieredStore({ front, back }) });
    for await (const { key } of back.entries()) {
      await front.fetchFrom(back, key, () => assert.fail('it is there'));
      assert.equal(front.counters.entries, 1);
      await identities.forget(['other.b.example.com']);
      assert.equal(front.counters.entries, 1);
      await identities.forget(['mail.a.example.com']);
      assert.equal(front.counters.entries, 0);
    }
    await identities.close();
  });
});
