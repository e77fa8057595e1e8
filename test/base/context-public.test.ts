/** What users of `sallyport/context` see beside the tree: options, current, race, counters, outstanding. */
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { suite, test } from 'node:test';
import { Context } from '../../src/base/context.js';
import { contextKey, contextValue } from '../../src/base/context-key.js';
import { DeadlineWheel } from '../../src/base/deadlines.js';
import { bytesEach, collectGarbage } from './garbage.js';
import { countListeners } from './listeners.js';
import { VirtualClock, virtualRoot } from './virtual-clock.js';

suite('Context.run and its options', () => {
  test('a child with deadline, values and label in one', () => {
    const { root, clock } = virtualRoot();
    const name = contextKey<string>('name');
    const size = contextKey<number>('size');
    using child = root.child({
      timeout: 1000,
      code: 'ERR_TUNNEL_IDLE',
      label: 'job',
      values: [contextValue(name, 'first'), contextValue(size, 1), contextValue(name, 'second')],
    });
    assert.deepEqual([child.value(name), child.value(size)], ['second', 1]);
    assert.equal(root.outstanding()[0]?.label, 'job');
    clock.advance(1020);
    assert.equal(child.err?.code, 'ERR_TUNNEL_IDLE');
    assert.equal(child.value(name), undefined);
  });

  test('the earlier of timeout and deadline counts', () => {
    const { root } = virtualRoot();
    const soon = new Date(Date.now() + 50_000);
    using byDate = root.child({ timeout: 90_000, deadline: soon });
    assert.ok(byDate.remaining <= 50_000 && byDate.remaining > 40_000);
    using byTime = root.child({ timeout: 10_000, deadline: soon });
    assert.equal(byTime.remaining, 10_000);
    using never = root.child({});
    assert.equal(never.deadline, undefined);
  });

  test('a time that is no number is refused, and nothing stays open', () => {
    const { root, wheel } = virtualRoot();
    assert.throws(() => root.withTimeout(Number.NaN), RangeError);
    assert.throws(() => root.withDeadline(new Date('soon')), RangeError);
    assert.throws(() => root.child({ timeout: Number.NaN }), RangeError);
    assert.throws(() => root.child({ timeout: 5, deadline: new Date('soon') }), RangeError);
    using child = root.withTimeout(1000);
    assert.throws(() => child.setTimeout(Number.NaN, 'ERR_CANCELLED'), RangeError);
    assert.equal(child.remaining, 1000);
    assert.deepEqual([root.ledger.counts().outstanding, wheel.outstanding], [1, 1]);
  });

  test('deadline is a date, that of the nearest above too, and a step of the wall clock moves nothing', () => {
    const clock = new VirtualClock();
    let wall = Date.UTC(2026, 0, 1);
    const wheel = new DeadlineWheel(Object.assign(clock, { wall: () => wall }));
    const root = Context.root(wheel);
    using outer = root.withDeadline(new Date(wall + 60_000));
    using inner = outer.withTimeout(90_000);
    assert.deepEqual(inner.deadline, new Date(Date.UTC(2026, 0, 1, 0, 1)));
    wall += 7 * 86_400_000;
    clock.advance(59_000);
    assert.ok(!outer.closed);
    wall -= 14 * 86_400_000;
    clock.advance(1020);
    assert.ok(outer.closed && inner.closed);
    assert.equal(inner.deadline, undefined);
  });

  test('closes in every path, and so does await using', async () => {
    const { root } = virtualRoot();
    const broken = new Error('broken');
    await assert.rejects(
      Context.run(root, { timeout: 1000 }, () => Promise.reject(broken)),
      broken,
    );
    await assert.rejects(
      Context.run(root, {}, () => {
        throw broken;
      }),
      broken,
    );
    assert.equal(await Context.run(root, { label: 'x' }, () => 'result'), 'result');
    const seen = await (async () => {
      await using child = root.withTimeout(1000);
      assert.ok(!child.closed);
      return child;
    })();
    assert.ok(seen.closed);
    assert.equal(root.ledger.counts().outstanding, 0);
  });
});

suite('Context.current', () => {
  test('is the innermost that runs, through awaits and timers, and background outside', async () => {
    assert.equal(Context.current(), Context.background);
    await Context.run(Context.background, { label: 'outer' }, async (outer) => {
      assert.equal(Context.current(), outer);
      await new Promise(setImmediate);
      await Context.run(outer, {}, async (inner) => {
        await Promise.resolve();
        assert.equal(Context.current(), inner);
      });
      assert.equal(Context.current(), outer);
    });
    assert.equal(Context.current(), Context.background);
  });

  test('what lives on from a run finds it closed, and does not keep it alive', async () => {
    let later: () => Context = () => assert.fail('not set');
    const gone = await (async () =>
      await Context.run(Context.background, {}, (context) => {
        later = AsyncLocalStorage.bind(() => Context.current());
        assert.equal(later(), context);
        return new WeakRef(context);
      }))();
    assert.equal(later(), Context.background);
    await collectGarbage();
    assert.equal(gone.deref(), undefined);
  });
});

suite('race', () => {
  test('ends with the promise or with the context, and leaves no listener', async () => {
    const { root } = virtualRoot();
    const context = root.withCancel();
    const listening = countListeners(context);
    assert.equal(await context.race(Promise.resolve(1)), 1);
    await assert.rejects(context.race(Promise.reject(new Error('its own'))), /its own/);
    assert.equal(listening(), 0);
    const never = new Promise<never>(() => undefined);
    const raced = context.race(never);
    const cause = new Error('over');
    context.close(cause);
    await assert.rejects(raced, { code: 'ERR_CANCELLED', cause });
    await assert.rejects(context.race(never), { code: 'ERR_CANCELLED' });
    // Nobody is there to see it, and it is no unhandled rejection.
    await assert.rejects(context.race(Promise.reject(new Error('late'))), { code: 'ERR_CANCELLED' });
  });

  test('many at one promise are all told, in their order', async () => {
    const { root } = virtualRoot();
    const told: number[] = [];
    let settle: (value: string) => void = () => undefined;
    const promise = new Promise<string>((resolve) => {
      settle = resolve;
    });
    const racing = [0, 1, 2].map(async (index) => {
      using context = root.withCancel();
      assert.equal(await context.race(promise), 'now');
      told.push(index);
    });
    settle('now');
    await Promise.all(racing);
    assert.deepEqual(told, [0, 1, 2]);
    using context = root.withCancel();
    assert.equal(await context.race(promise), 'now');
  });

  test('against a promise that lives on, nothing is left of any of them', async () => {
    const { root } = virtualRoot();
    const lives = new Promise<never>(() => undefined);
    const bytes = await bytesEach(20_000, () => {
      const context = root.withCancel();
      context.race(lives).catch(() => undefined);
      context.close();
      return undefined;
    });
    assert.ok(bytes < 10, `${bytes} bytes each`);
    assert.equal(await Promise.race([lives, Promise.resolve('still')]), 'still');
  });

  test('of works: the first that ends wins, and the others are told', async () => {
    const { root } = virtualRoot();
    const closed: string[] = [];
    const result = await Context.race(root, {}, [
      async (context) => {
        context.onClose(() => closed.push('slow'));
        await context.done();
        return 'slow';
      },
      () => 'fast',
      () => Promise.reject(new Error('too late')),
    ]);
    assert.equal(result, 'fast');
    assert.deepEqual(closed, ['slow']);
    const { clock, root: timed } = virtualRoot();
    const racing = Context.race(timed, { timeout: 100, code: 'ERR_TUNNEL_IDLE' }, [
      (context) => context.sleep(500).then(() => 'too late'),
    ]);
    clock.advance(200);
    await assert.rejects(racing, { code: 'ERR_TUNNEL_IDLE' });
    assert.deepEqual([timed.ledger.counts().outstanding, clock.armed], [0, 0]);
  });
});

suite('the ledger of contexts', () => {
  test('counts contexts and deadlines, watched or not', () => {
    for (const isWatched of [false, true]) {
      const clock = new VirtualClock();
      const wheel = new DeadlineWheel(clock);
      const root = Context.root(wheel, { watched: isWatched });
      const first = root.withTimeout(60_000);
      clock.advance(500);
      const others = [1, 2, 3].map(() => first.withCancel());
      others[0]?.close();
      const counts = root.ledger.counts();
      assert.deepEqual(
        [counts.created, counts.closed, counts.leaked, counts.outstanding, counts.highWater],
        [4, 1, 0, 3, 4],
      );
      assert.equal(root.outstanding().length, 3);
      if (isWatched) assert.equal(counts.oldestMs, 500);
      else assert.ok(root.ledger.deadlines().oldestMs === 500);
      first.close();
      first.withTimeout(5).close();
      const { created, closed, outstanding, highWater } = root.ledger.counts();
      assert.deepEqual([created, closed, outstanding, highWater], [5, 5, 0, 4]);
      assert.equal(root.ledger.counts().oldestMs, 0);
      assert.deepEqual(wheel.counts(), {
        created: isWatched ? 2 : 1,
        closed: isWatched ? 2 : 1,
        outstanding: 0,
        highWater: isWatched ? 2 : 1,
        oldestMs: 0,
      });
      assert.equal(clock.armed, 0);
    }
  });

  test('outstanding() says whose, how long still, since when, and where from', () => {
    const clock = new VirtualClock();
    const root = Context.root(new DeadlineWheel(clock), { watched: true });
    root.ledger.sampleStacks(1);
    using outer = root.child({ label: 'fetch', timeout: 10_000 });
    clock.advance(1500);
    using _inner = outer.withTimeout(20_000);
    clock.advance(500);
    const list = root.outstanding().toSorted((one, other) => other.ageMs - one.ageMs);
    assert.deepEqual(
      list.map(({ label, remainingMs, ageMs }) => [label, remainingMs, ageMs]),
      [
        ['fetch', 8000, 2000],
        ['fetch', 8000, 500],
      ],
    );
    for (const { stack } of list) assert.match(stack ?? '', /^at TestContext.*context-public\.test/);
  });

  test('the sample of stacks: none, all, one in N, or some a second', () => {
    const clock = new VirtualClock();
    const root = Context.root(new DeadlineWheel(clock), { watched: true });
    const sampled = (count: number): number => {
      using parent = root.withCancel();
      for (let made = 0; made < count; made += 1) parent.withCancel();
      return parent.outstanding().filter(({ stack }) => stack !== undefined).length;
    };
    root.ledger.sampleStacks(0);
    assert.equal(sampled(100), 0);
    root.ledger.sampleStacks(1);
    assert.equal(sampled(100), 100);
    root.ledger.sampleStacks(10);
    const tenth = sampled(100);
    assert.ok(tenth >= 9 && tenth <= 11, String(tenth));
    root.ledger.sampleStacks('adaptive');
    for (let second = 0; second < 10; second += 1) {
      const some = sampled(10_000);
      using _keepsSweeping = root.withCancel();
      clock.advance(1100);
      assert.ok(some >= 1 && some <= 40, String(some));
    }
    assert.throws(() => root.ledger.sampleStacks(-1), RangeError);
    assert.throws(() => root.ledger.sampleStacks(Number.NaN), RangeError);
  });
});
