/** Contexts that are dropped without being closed. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Context } from '../../src/base/context.js';
import { contextKey } from '../../src/base/context-key.js';
import { DeadlineWheel } from '../../src/base/deadlines.js';
import { bytesEach, collectGarbage } from './garbage.js';
import { VirtualClock } from './virtual-clock.js';

function watched(): { clock: VirtualClock; wheel: DeadlineWheel; root: Context } {
  const clock = new VirtualClock();
  const wheel = new DeadlineWheel(clock);
  const root = Context.root(wheel, { watched: true });
  root.ledger.sampleStacks(1);
  return { clock, wheel, root };
}

/** Lets contexts grow old enough to be held weakly, and collects what nobody holds. */
async function grow(clock: VirtualClock): Promise<void> {
  clock.advance(2500);
  await collectGarbage();
}

const hour = 3_600_000;

/** Each makes what it drops in a function of its own, so that no register of the test holds it. */
suite('contexts that are dropped', () => {
  test('one is found and counted with its stack, and its deadline goes with it', async () => {
    const { clock, wheel, root } = watched();
    (function forgetful() {
      root.withTimeout(hour);
    })();
    assert.equal(wheel.outstanding, 2, 'its deadline, and the look at it');
    await grow(clock);
    const { created, closed, leaked, outstanding } = root.ledger.counts();
    assert.deepEqual([created, closed, leaked, outstanding], [1, 0, 1, 0]);
    assert.equal(wheel.outstanding, 0);
    assert.equal(clock.armed, 0);
    const [leak] = root.ledger.leaks();
    assert.equal(leak?.count, 1);
    assert.match(leak.stack ?? '', /^at forgetful \(.*context-watch\.test/);
  });

  test('one below a parent that lives on, with all that is below it', async () => {
    const { clock, root } = watched();
    const key = contextKey<object>('key');
    using parent = root.withCancel();
    const value = (() => {
      const large = { large: true };
      const child = parent.withValue(key, large);
      child.withTimeout(hour).withCancel();
      child.withCancel();
      return new WeakRef(large);
    })();
    await grow(clock);
    assert.equal(root.ledger.counts().leaked, 4);
    assert.equal(value.deref(), undefined);
    assert.equal(root.outstanding().length, 1);
  });

  test('one that is closed in time is no leak, whether it grew old or not', async () => {
    const { clock, wheel, root } = watched();
    const old = Array.from({ length: 10 }, () => root.withTimeout(hour));
    await grow(clock);
    for (const context of old) context.close();
    old.length = 0;
    root.withTimeout(hour).close();
    await grow(clock);
    const { created, closed, leaked } = root.ledger.counts();
    assert.deepEqual([created, closed, leaked], [11, 11, 0]);
    assert.equal(wheel.outstanding, 0);
  });

  test('one whose holder waits for nothing is closed by its deadline and by its parent all the same', async () => {
    const { clock, root } = watched();
    const parent = root.withCancel();
    const timed = root.withTimeout(5000, 'ERR_TUNNEL_IDLE');
    const child = parent.withCancel();
    await grow(clock);
    clock.advance(4000);
    assert.equal(timed.err?.code, 'ERR_TUNNEL_IDLE');
    parent.close();
    assert.ok(child.closed);
    assert.equal(root.ledger.counts().outstanding, 0);
  });

  test('one with a listener is kept, and its parents, until it has told it', async () => {
    const { clock, root } = watched();
    const told: string[] = [];
    (() => {
      const parent = root.withTimeout(10_000, 'ERR_TUNNEL_IDLE');
      parent
        .withCancel()
        .withCancel()
        .onClose(({ err }) => told.push(err?.code ?? 'none'));
    })();
    await grow(clock);
    await grow(clock);
    assert.equal(root.ledger.counts().outstanding, 3);
    clock.advance(10_000);
    assert.deepEqual(told, ['ERR_TUNNEL_IDLE']);
    const { leaked, outstanding } = root.ledger.counts();
    assert.deepEqual([leaked, outstanding], [0, 0]);
  });

  test('one that got its listener when it was old, and one that lost its last', async () => {
    const { clock, root } = watched();
    const told: string[] = [];
    const stop: (() => void)[] = [];
    let held: Context | undefined = root.withTimeout(20_000).withCancel();
    await grow(clock);
    held.onClose(() => told.push('held'));
    stop.push(held.onClose(() => told.push('stopped')));
    held = undefined;
    (() => {
      stop.push(root.withTimeout(hour).onClose(() => told.push('never')));
    })();
    await grow(clock);
    assert.equal(root.ledger.counts().leaked, 0);
    (() => {
      while (stop.length > 0) stop.pop()?.();
    })();
    await grow(clock);
    assert.equal(root.ledger.counts().leaked, 1, 'the one that lost its last');
    clock.advance(20_000);
    assert.deepEqual(told, ['held']);
  });

  test('who waits in done() or sleep() is not forgotten', async () => {
    const { clock, root } = watched();
    const done = (() => root.withTimeout(5000).done())();
    const asleep = (() => root.withCancel().sleep(6000))();
    await grow(clock);
    clock.advance(10_000);
    await done;
    await asleep;
    await grow(clock);
    const { closed, leaked } = root.ledger.counts();
    assert.deepEqual([closed, leaked], [1, 1], 'the sleeper had woken, and was dropped');
  });

  test('a young one below an old one that nobody holds is counted too', async () => {
    const { clock, root } = watched();
    let parent: Context | undefined = root.withCancel();
    await grow(clock);
    parent.withCancel();
    parent = undefined;
    await collectGarbage();
    assert.equal(root.ledger.counts().leaked, 0, 'the young one holds its parent');
    await grow(clock);
    await grow(clock);
    assert.equal(root.ledger.counts().leaked, 2);
  });

  test('a parent that closes between the end of a child and its finalizer counts it', async () => {
    const { clock, root } = watched();
    const parent = root.withCancel();
    const holder: { child?: Context } = { child: parent.withTimeout(hour) };
    clock.advance(2500);
    await Promise.resolve();
    delete holder.child;
    await collectGarbage();
    parent.close();
    await collectGarbage();
    const { created, closed, leaked } = root.ledger.counts();
    assert.deepEqual([created, closed, leaked], [2, 1, 1]);
  });

  test('those below unwatched() stay until it closes', async () => {
    const { clock, wheel, root } = watched();
    const trusted = root.unwatched();
    (() => {
      trusted.withTimeout(hour).withCancel();
    })();
    await grow(clock);
    await grow(clock);
    assert.equal(root.ledger.counts().outstanding, 3);
    trusted.close();
    const { closed, leaked } = root.ledger.counts();
    assert.deepEqual([closed, leaked, wheel.outstanding], [3, 0, 0]);
  });
});

suite('signals of contexts that are dropped', () => {
  test('one that is held aborts at the deadline; the context is a leak', async () => {
    const { clock, wheel, root } = watched();
    const signal = (() => root.withTimeout(10_000, 'ERR_TUNNEL_IDLE').signal)();
    await grow(clock);
    assert.equal(root.ledger.counts().leaked, 1);
    assert.ok(!signal.aborted);
    clock.advance(10_000);
    assert.ok(signal.aborted);
    assert.equal((signal.reason as { code: string }).code, 'ERR_TUNNEL_IDLE');
    assert.equal(wheel.outstanding, 0);
  });

  test('one that only its listener remembers aborts too', async () => {
    const { clock, root } = watched();
    let aborted = 0;
    (() => {
      root.withTimeout(10_000).signal.addEventListener('abort', () => (aborted += 1));
    })();
    await grow(clock);
    await grow(clock);
    clock.advance(10_000);
    assert.equal(aborted, 1);
  });

  test('one by the deadline of a parent that was dropped with it, and by a parent that closes', async () => {
    const { clock, wheel, root } = watched();
    using parent = root.withCancel();
    const byDeadline = (() => root.withTimeout(20_000, 'ERR_TUNNEL_IDLE').withCancel().withCancel().signal)();
    const byParent = (() => parent.withCancel().signal)();
    await grow(clock);
    assert.equal(root.ledger.counts().leaked, 4);
    const cause = new Error('closed');
    parent.close(cause);
    assert.equal(byParent.reason, cause);
    clock.advance(20_000);
    assert.ok(byDeadline.aborted);
    assert.equal(wheel.outstanding, 0);
  });

  test('one that nobody has any more takes the deadline with it', async () => {
    const { clock, wheel, root } = watched();
    (() => root.withTimeout(hour).withCancel().signal.aborted)();
    await grow(clock);
    await grow(clock);
    assert.equal(root.ledger.counts().leaked, 2);
    assert.equal(wheel.outstanding, 0);
  });
});

suite('memory', () => {
  test('a closed context that somebody holds takes less than 200 bytes, whatever it had', async () => {
    const { root } = watched();
    root.ledger.sampleStacks('adaptive');
    const key = contextKey<number>('key');
    const bytes = await bytesEach(20_000, (index) => {
      const context = root.child({ timeout: hour, label: 'x', values: [{ key, value: index }] });
      const inner = context.withCancel();
      inner.onClose(() => index);
      context.onClose(() => index);
      context.close();
      return context;
    });
    assert.ok(bytes > 50 && bytes < 200, `${bytes} bytes`);
  });
});
