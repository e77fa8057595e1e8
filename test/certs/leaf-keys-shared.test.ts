import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Context } from '../../src/base/context.js';
import { SharedKey } from '../../src/certs/leaf-keys-shared.js';
import { withCode } from './support.js';

const lifetime = 1000;

/** Keys that are numbers, and are there when the test says so, on a clock that it moves. */
function stage() {
  const started: { readonly done: () => Promise<void>; readonly fail: (error: Error) => Promise<void> }[] =
    [];
  const clock = { now: 0 };
  let made = 0;
  const settled = async (): Promise<void> => {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  };
  const keys = new SharedKey<number>({
    lifetime,
    now: () => clock.now,
    make: () =>
      new Promise((resolve, reject) => {
        started.push({
          done: () => {
            resolve((made += 1));
            return settled();
          },
          fail: (error) => {
            reject(error);
            return settled();
          },
        });
      }),
  });
  return { keys, started, clock };
}

describe('one key for many leaves', () => {
  test('nothing is made before it is asked for; then one for all who wait, and who come later', async () => {
    const { keys, started } = stage();
    assert.equal(started.length, 0);
    keys.prepare();
    keys.prepare();
    const takes = Array.from({ length: 20 }, () => keys.take());
    assert.equal(started.length, 1);
    await started.shift()?.done();
    assert.deepEqual(new Set(await Promise.all(takes)), new Set([1]));
    assert.equal(keys.take(), 1, 'without a promise');
    keys.prepare();
    assert.equal(started.length, 0);
    keys.close();
  });

  test('after its lifetime the old one is given until the next is there, which is made once', async () => {
    const { keys, started, clock } = stage();
    keys.prepare();
    await started.shift()?.done();
    clock.now += lifetime - 1;
    assert.equal(keys.take(), 1);
    assert.equal(started.length, 0);
    clock.now += 1;
    assert.deepEqual([keys.take(), keys.take()], [1, 1]);
    assert.equal(started.length, 1);
    await started.shift()?.done();
    assert.equal(keys.take(), 2);
    assert.equal(started.length, 0, 'its own lifetime begins when it is there');
    keys.close();
  });

  test('a key that is made at once changes at the very end of its lifetime', () => {
    let [made, now] = [0, 0];
    const keys = new SharedKey<number>({ lifetime, now: () => now, make: () => (made += 1) });
    assert.deepEqual([keys.take(), keys.take()], [1, 1]);
    now = lifetime;
    assert.deepEqual([keys.take(), keys.take()], [2, 2]);
  });

  test('who is cancelled is told, and nobody else', async () => {
    const { keys, started } = stage();
    const context = Context.background.withCancel();
    const left = keys.take(context);
    const stays = keys.take();
    context.close();
    await assert.rejects(async () => left, withCode('ERR_CANCELLED'));
    await assert.rejects(async () => keys.take(context), withCode('ERR_CANCELLED'));
    await started.shift()?.done();
    assert.equal(await stays, 1);
    keys.close();
  });

  test('a failure reaches all who wait, the next call tries again, and an old key is kept', async () => {
    const { keys, started, clock } = stage();
    const waiting = [keys.take(), keys.take()].map(async (take) =>
      assert.rejects(async () => take, /no entropy/),
    );
    await started.shift()?.fail(new Error('no entropy'));
    await Promise.all(waiting);
    assert.equal(started.length, 0, 'nobody waits: it is not tried again');
    const again = keys.take();
    await started.shift()?.done();
    assert.equal(await again, 1);
    clock.now += lifetime;
    assert.equal(keys.take(), 1);
    await started.shift()?.fail(new Error('again'));
    assert.equal(keys.take(), 1);
    assert.equal(started.length, 1);
    keys.close();
  });

  test('a key that is forgotten is given to nobody again: who comes waits for the next, which is begun', async () => {
    const { keys, started } = stage();
    keys.forget();
    assert.equal(started.length, 0, 'nothing was made that could be known to anybody');
    keys.prepare();
    await started.shift()?.done();
    assert.equal(keys.take(), 1);
    keys.forget();
    keys.forget();
    assert.equal(started.length, 1);
    const waiting = [keys.take(), keys.take()];
    assert.equal(started.length, 1);
    await started.shift()?.done();
    assert.deepEqual(await Promise.all(waiting), [2, 2]);
    keys.close();
    keys.forget();
    assert.equal(started.length, 0);
  });

  test('forgotten past its lifetime, while the next is made: the old one is not given meanwhile', async () => {
    const { keys, started, clock } = stage();
    keys.prepare();
    await started.shift()?.done();
    clock.now += lifetime;
    assert.equal(keys.take(), 1);
    keys.forget();
    const waiting = keys.take();
    assert.equal(started.length, 1, 'nobody has had the one that is being made');
    await started.shift()?.done();
    assert.equal(await waiting, 2);
    keys.close();
  });

  test('close rejects whoever waits, and what comes later is dropped', async () => {
    const { keys, started } = stage();
    const waiting = keys.take();
    keys.close();
    await assert.rejects(async () => waiting, withCode('ERR_CANCELLED'));
    await started.shift()?.done();
    assert.throws(() => keys.take(), withCode('ERR_CANCELLED'));
    keys.prepare();
    assert.equal(started.length, 0);
  });
});
