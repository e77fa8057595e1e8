import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Context } from '../../src/base/context.js';
import { contextKey } from '../../src/base/context-key.js';
import { Deadline } from '../../src/base/deadlines.js';
import { SallyportError } from '../../src/base/errors.js';
import { countListeners } from './listeners.js';
import { virtualRoot } from './virtual-clock.js';

suite('contexts', () => {
  test('tells objects as it tells functions, in their order, and not those that were removed', () => {
    const { root } = virtualRoot();
    for (const count of [1, 2, 3, 8]) {
      const context = root.withCancel();
      const told: number[] = [];
      const listeners = Array.from({ length: count }, (_, name) => ({
        contextClosed: (closed: Context) => {
          assert.equal(closed, context);
          told.push(name);
          // Those that come later may still be removed.
          if (name === 3) for (const later of listeners.slice(6)) context.removeCloseListener(later);
        },
      }));
      for (const listener of listeners) context.addCloseListener(listener);
      const gone = { contextClosed: () => assert.fail('it was removed') };
      context.addCloseListener(gone);
      const stop = context.onClose(() => told.push(-1));
      context.removeCloseListener(gone);
      context.removeCloseListener(gone);
      if (count === 2) stop();
      context.close();
      const expected = [0, 1, 2, 3, 4, 5].slice(0, count);
      assert.deepEqual(told, count === 2 ? expected : [...expected, -1]);
      let late = 0;
      context.addCloseListener({ contextClosed: () => (late += 1) });
      assert.equal(late, 1, 'at once, when it is closed');
    }
  });

  test("arms a deadline that is its owner's", () => {
    const { root, clock } = virtualRoot();
    let expired = 0;
    const deadline = new Deadline({ expired: () => (expired += 1) });
    root.arm(deadline, 50);
    clock.advance(49);
    assert.equal(expired, 0);
    clock.advance(20);
    assert.equal(expired, 1);
    root.arm(deadline, 50);
    root.arm(deadline, Number.POSITIVE_INFINITY);
    clock.advance(100);
    assert.equal(expired, 1);
    assert.ok(!deadline.armed);
  });

  test('closing closes the tree below, youngest first, children before their parent', () => {
    const { root } = virtualRoot();
    const closed: string[] = [];
    const named = (parent: Context, name: string): Context => {
      const child = parent.withCancel();
      child.onClose(() => closed.push(name));
      return child;
    };
    const a = named(root, 'a');
    named(a, 'a1');
    const a2 = named(a, 'a2');
    named(a2, 'a2x');
    named(a2, 'a2y');
    named(a, 'a3');
    const b = named(root, 'b');
    a.close();
    assert.deepEqual(closed, ['a3', 'a2y', 'a2x', 'a2', 'a1', 'a']);
    assert.ok(!b.closed && !root.closed);
    a.close();
    root.close();
    assert.deepEqual(closed.slice(6), ['b']);
  });

  test('a child that closed has left its parent, from any place among its siblings', () => {
    const { root } = virtualRoot();
    const parent = root.withCancel();
    const closed: number[] = [];
    const children = [0, 1, 2, 3, 4].map((name) => {
      const child = parent.withCancel();
      child.onClose(() => closed.push(name));
      return child;
    });
    for (const at of [2, 0, 4]) children[at]?.close();
    parent.close();
    assert.deepEqual(closed, [2, 0, 4, 3, 1]);
  });

  test('the first cause stays, and children have it too', () => {
    const { root } = virtualRoot();
    const parent = root.withCancel();
    const child = parent.withCancel();
    const cause = new SallyportError('ERR_CLIENT_GONE', 'test');
    parent.close(cause);
    parent.close(new Error('other'));
    assert.equal(parent.cause, cause);
    assert.equal(parent.err, cause);
    assert.equal(child.err, cause);
    assert.throws(() => child.throwIfClosed(), cause);
  });

  test('without a table error as cause, err is ERR_CANCELLED with the cause kept', () => {
    const { root } = virtualRoot();
    const context = root.withCancel();
    const errBefore = context.err;
    assert.equal(errBefore, undefined);
    context.throwIfClosed();
    const cause = new Error('reason');
    context.close(cause);
    const { err } = context;
    assert.equal(err?.code, 'ERR_CANCELLED');
    assert.equal(err.cause, cause);
  });

  test('a child of a closed context is closed from the start, with its cause', () => {
    const { root, wheel } = virtualRoot();
    const parent = root.withCancel();
    const cause = new SallyportError('ERR_CLIENT_GONE', 'test');
    parent.close(cause);
    const child = parent.withTimeout(50);
    assert.ok(child.closed);
    assert.equal(child.err, cause);
    assert.equal(wheel.outstanding, 0);
    let told = 0;
    child.onClose(() => (told += 1));
    assert.equal(told, 1);
  });

  test('a listener that was removed is not called, and removing twice removes no other', () => {
    const { root } = virtualRoot();
    const context = root.withCancel();
    const called: string[] = [];
    const listener = (name: string) => (): void => void called.push(name);
    const a = listener('a');
    const removeA = context.onClose(a);
    context.onClose(listener('b'));
    context.onClose(a);
    const removeC = context.onClose(listener('c'));
    removeA();
    removeA();
    removeC();
    context.close();
    assert.deepEqual(called, ['b', 'a']);
    removeA();
  });

  test('a listener that another one removes while the context closes is not called', () => {
    const { root } = virtualRoot();
    const context = root.withCancel();
    const called: string[] = [];
    const remove: (() => void)[] = [];
    context.onClose(() => {
      called.push('first');
      remove[0]?.();
    });
    remove.push(context.onClose(() => called.push('second')));
    context.onClose(() => called.push('third'));
    context.close();
    assert.deepEqual(called, ['first', 'third']);
  });

  test('a listener sees the context closed, and may close it and its relatives again', () => {
    const { root } = virtualRoot();
    const parent = root.withCancel();
    const older = parent.withCancel();
    const child = parent.withCancel();
    const called: string[] = [];
    older.onClose(() => called.push('older'));
    child.onClose((closed) => {
      assert.equal(closed, child);
      assert.ok(closed.closed && parent.closed);
      closed.close();
      parent.close(new Error('late'));
      older.close();
      called.push('child');
    });
    parent.onClose(() => called.push('parent'));
    const cause = new SallyportError('ERR_CLIENT_GONE', 'test');
    parent.close(cause);
    assert.deepEqual(called, ['older', 'child', 'parent']);
    assert.equal(parent.err, cause);
  });

  test('a listener that adds a child or a listener to the closing context finds it closed', () => {
    const { root } = virtualRoot();
    const context = root.withCancel();
    let told = 0;
    context.onClose(() => {
      assert.ok(context.withCancel().closed);
      context.onClose(() => (told += 1));
    });
    context.close();
    assert.equal(told, 1);
  });

  test('a listener that throws keeps nobody from being told, and the throw is not lost', () => {
    const { root, wheel } = virtualRoot();
    const parent = root.withTimeout(1000);
    const older = parent.withTimeout(1000);
    const child = parent.withCancel();
    const called: string[] = [];
    older.onClose(() => called.push('older'));
    child.onClose(() => {
      throw new Error('broken');
    });
    child.onClose(() => called.push('child'));
    parent.onClose(() => called.push('parent'));
    const { signal } = parent;
    assert.throws(() => parent.close(), /broken/);
    assert.deepEqual(called, ['child', 'older', 'parent']);
    assert.ok(older.closed && signal.aborted);
    assert.equal(wheel.outstanding, 0);
  });

  test('values are those of the nearest context; a closed one has none', () => {
    const { root } = virtualRoot();
    const name = contextKey<string>('name');
    const other = contextKey<string>('name');
    const outer = root.withValue(name, 'outer');
    const inner = outer.withCancel().withValue(name, 'inner').withCancel();
    assert.equal(root.value(name), undefined);
    assert.equal(outer.value(name), 'outer');
    assert.equal(inner.value(name), 'inner');
    assert.equal(inner.value(other), undefined);
    inner.close();
    assert.equal(inner.value(name), undefined);
    outer.close();
    assert.equal(outer.value(name), undefined);
  });

  test('a value of undefined hides the one above', () => {
    const { root } = virtualRoot();
    const key = contextKey<string | undefined>('key');
    assert.equal(root.withValue(key, 'above').withValue(key, undefined).value(key), undefined);
  });

  suite('deadlines', () => {
    test('one that passes closes the context with its code', () => {
      const { root, clock, wheel } = virtualRoot();
      const context = root.withTimeout(500, 'ERR_SNIFF_TIMEOUT');
      const child = context.withCancel();
      clock.advance(499);
      assert.ok(!context.closed);
      clock.advance(20);
      assert.equal(child.err?.code, 'ERR_SNIFF_TIMEOUT');
      assert.equal(wheel.outstanding, 0);
      assert.equal(clock.armed, 0);
    });

    test('setTimeout replaces the one before, with its code: one a phase', () => {
      const { root, clock, wheel } = virtualRoot();
      const context = root.withTimeout(100, 'ERR_SNIFF_TIMEOUT');
      clock.advance(90);
      context.setTimeout(1000, 'ERR_REQUEST_HEAD_TIMEOUT');
      assert.equal(wheel.outstanding, 1);
      clock.advance(900);
      assert.ok(!context.closed);
      context.setTimeout(10, 'ERR_RESPONSE_HEAD_TIMEOUT');
      clock.advance(30);
      assert.equal(context.err?.code, 'ERR_RESPONSE_HEAD_TIMEOUT');
    });

    test('Infinity drops it, and it can be set again', () => {
      const { root, clock, wheel } = virtualRoot();
      const context = root.withTimeout(100);
      context.setTimeout(Number.POSITIVE_INFINITY, 'ERR_CANCELLED');
      assert.equal(wheel.outstanding, 0);
      clock.advance(1000);
      assert.ok(!context.closed);
      context.setTimeout(100, 'ERR_TUNNEL_IDLE');
      clock.advance(200);
      assert.equal(context.err?.code, 'ERR_TUNNEL_IDLE');
      const never = root.withTimeout(Number.POSITIVE_INFINITY);
      assert.equal(wheel.outstanding, 0);
      never.close();
    });

    test('closing before drops it; on a closed context nothing is set', () => {
      const { root, clock, wheel } = virtualRoot();
      const context = root.withTimeout(100);
      context.close();
      context.setTimeout(50, 'ERR_CANCELLED');
      assert.equal(wheel.outstanding, 0);
      assert.equal(clock.armed, 0);
    });

    test('one beyond 2^31 ms does not pass at once', () => {
      const { root, clock } = virtualRoot();
      const context = root.withTimeout(2 ** 31 + 1000);
      clock.freeze(2 ** 31 - 1000);
      clock.advance(1000);
      assert.ok(!context.closed);
      clock.advance(1020);
      assert.ok(context.closed);
    });

    test('remaining is the nearest of its own and its parents', () => {
      const { root, clock } = virtualRoot();
      assert.equal(root.remaining, Number.POSITIVE_INFINITY);
      const outer = root.withTimeout(1000);
      const inner = outer.withTimeout(5000);
      const innermost = inner.withTimeout(100);
      assert.equal(inner.remaining, 1000);
      assert.equal(innermost.remaining, 100);
      clock.advance(50);
      assert.equal(innermost.remaining, 50);
      assert.equal(outer.remaining, 950);
      clock.freeze(2000);
      assert.equal(outer.remaining, 0);
      outer.close();
      assert.equal(inner.remaining, Number.POSITIVE_INFINITY);
    });

    test('withDeadline counts from the wall clock', () => {
      const { root, clock } = virtualRoot();
      const context = root.withDeadline(new Date(Date.now() + 60_000), 'ERR_CONNECT_TIMEOUT');
      assert.ok(context.remaining > 55_000 && context.remaining <= 60_000);
      clock.advance(60_020);
      assert.equal(context.err?.code, 'ERR_CONNECT_TIMEOUT');
      const past = root.withDeadline(new Date(0));
      clock.advance(20);
      assert.ok(past.closed);
    });
  });

  suite('signals', () => {
    test('is made once, aborts with err, and after the listeners', () => {
      const { root } = virtualRoot();
      const context = root.withCancel();
      const { signal } = context;
      assert.equal(context.signal, signal);
      assert.ok(!signal.aborted);
      const order: string[] = [];
      signal.addEventListener('abort', () => order.push('signal'));
      context.onClose(() => order.push('listener'));
      const cause = new SallyportError('ERR_CLIENT_GONE', 'test');
      context.close(cause);
      assert.ok(signal.aborted);
      assert.equal(signal.reason, cause);
      assert.deepEqual(order, ['listener', 'signal']);
    });

    test('one that is asked for after the end is aborted', () => {
      const { root } = virtualRoot();
      const context = root.withCancel();
      context.close();
      assert.ok(context.signal.aborted);
      assert.ok(context.signal.reason instanceof SallyportError);
    });

    test('is made when it is asked for, and not before', (t) => {
      const { root } = virtualRoot();
      const original = globalThis.AbortController;
      let made = 0;
      globalThis.AbortController = class extends original {
        constructor() {
          super();
          made += 1;
        }
      };
      t.after(() => {
        globalThis.AbortController = original;
      });
      const context = root.withTimeout(100);
      context.withValue(contextKey('x'), 1).onClose(() => undefined);
      assert.equal(made, 0);
      assert.ok(!context.signal.aborted);
      assert.equal(made, 1);
      context.close();
      assert.equal(made, 1);
    });
  });

  suite('done and sleep', () => {
    test('done resolves when the context closes, at once when it is closed', async () => {
      const { root } = virtualRoot();
      const context = root.withCancel();
      const done = context.done();
      context.close(new Error('whatever'));
      await done;
      await context.done();
    });

    test('sleep ends after its time and leaves nothing', async () => {
      const { root, clock, wheel } = virtualRoot();
      const context = root.withCancel();
      const asleep = context.sleep(100);
      assert.equal(wheel.outstanding, 1);
      clock.advance(110);
      await asleep;
      assert.equal(wheel.outstanding, 0);
      assert.equal(clock.armed, 0);
      context.close();
    });

    test('sleep ends with err when the context closes, and leaves nothing', async () => {
      const { root, clock, wheel } = virtualRoot();
      const context = root.withCancel();
      const asleep = context.sleep(100);
      const cause = new SallyportError('ERR_CLIENT_GONE', 'test');
      context.close(cause);
      await assert.rejects(asleep, cause);
      assert.equal(wheel.outstanding, 0);
      assert.equal(clock.armed, 0);
      await assert.rejects(context.sleep(100), cause);
      assert.equal(wheel.outstanding, 0);
    });

    test('many sleeps on one context leave no listener behind', async () => {
      const { root, clock } = virtualRoot();
      const context = root.withCancel();
      const listeners = countListeners(context);
      for (let round = 0; round < 20; round += 1) {
        const asleep = context.sleep(10);
        assert.equal(listeners(), 1);
        clock.advance(20);
        await asleep;
        assert.equal(listeners(), 0);
      }
    });
  });

  suite('run and using', () => {
    test('run gives back what work gives, and closes', async () => {
      const { root } = virtualRoot();
      let inside: Context | undefined;
      const result = await Context.run(root, {}, async (context) => {
        inside = context;
        assert.ok(!context.closed);
        return 42;
      });
      assert.equal(result, 42);
      assert.ok(inside?.closed);
      assert.equal(await Context.run(root, {}, () => 'at once'), 'at once');
    });

    test('run closes when work throws or rejects', async () => {
      const { root } = virtualRoot();
      const seen: Context[] = [];
      const sync = Context.run(root, {}, (context) => {
        seen.push(context);
        throw new Error('thrown');
      });
      await assert.rejects(sync, /thrown/);
      const async = Context.run(root, { timeout: 100 }, async (context) => {
        seen.push(context);
        await Promise.resolve();
        throw new Error('rejected');
      });
      await assert.rejects(async, /rejected/);
      assert.ok(seen.every((context) => context.closed));
      assert.equal(seen.length, 2);
    });

    test('run closes the child when its time is over, and work ends by itself', async () => {
      const { root, clock, wheel } = virtualRoot();
      const running = Context.run(root, { timeout: 100 }, (context) => context.sleep(1000));
      clock.advance(120);
      await assert.rejects(running, { code: 'ERR_CANCELLED' });
      assert.equal(wheel.outstanding, 0);
    });

    test('using closes', () => {
      const { root } = virtualRoot();
      let kept: Context;
      {
        using context = root.withTimeout(100);
        kept = context;
        assert.ok(!kept.closed);
      }
      assert.ok(kept.closed);
    });

    test('the background is never closed', () => {
      Context.background.close();
      assert.ok(!Context.background.closed);
      assert.equal(Context.background.remaining, Number.POSITIVE_INFINITY);
    });
  });

  test('a closed context keeps nothing of its parent, children, values or listeners alive', async () => {
    const { root } = virtualRoot();
    const gone: WeakRef<object>[] = [];
    const kept = ((): Context => {
      const watch = <T extends object>(object: T): T => {
        gone.push(new WeakRef(object));
        return object;
      };
      const key = contextKey<object>('key');
      const parent = watch(root.withValue(key, watch({ big: 'value' })));
      const context = parent.withValue(key, watch({ other: 'value' }));
      watch(context.withTimeout(1000));
      context.onClose(watch(() => undefined));
      context.close();
      parent.close();
      return context;
    })();
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    await new Promise(setImmediate);
    collect();
    assert.deepEqual(
      gone.map((ref) => ref.deref()),
      [undefined, undefined, undefined, undefined, undefined],
    );
    assert.ok(kept.closed && !root.closed);
  });
});
