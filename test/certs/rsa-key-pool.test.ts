import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Context } from '../../src/base/context.js';
import { leafKeySource } from '../../src/certs/leaf-keys.js';
import { RsaKeyPool } from '../../src/certs/rsa-key-pool.js';
import { environment, run } from '../support/programs.js';
import { withCode } from './support.js';

/** A pool whose keys are numbers, and are there when the test says so. */
function stage(size = 4) {
  const started: { readonly done: () => void; readonly fail: (error: Error) => void }[] = [];
  let made = 0;
  let atOnce = 0;
  let most = 0;
  const pool = new RsaKeyPool<number>({
    size,
    make: () =>
      new Promise((resolve, reject) => {
        atOnce += 1;
        most = Math.max(most, atOnce);
        started.push({
          done: () => {
            atOnce -= 1;
            resolve((made += 1));
          },
          fail: (error) => {
            atOnce -= 1;
            reject(error);
          },
        });
      }),
  });
  /** Lets what follows from a key happen: promises, and the refill. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn += 1) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  };
  const next = async (): Promise<void> => {
    const work = started.shift();
    assert.ok(work, 'a key is being made');
    work.done();
    await settle();
  };
  return { pool, started, next, settle, most: () => most };
}

describe('keys made ahead', () => {
  test('nothing is made before the first take; then the pool is filled one key at a time', async () => {
    const { pool, started, next, settle, most } = stage();
    await settle();
    assert.equal(started.length, 0);
    const first = pool.take();
    assert.ok(first instanceof Promise);
    await next();
    assert.equal(await first, 1);
    for (let count = 1; count <= 4; count += 1) {
      assert.equal(started.length, 1, 'one at a time');
      await next();
      assert.equal(pool.ready, count);
    }
    assert.equal(started.length, 0, 'and then no more');
    assert.equal(most(), 1);
    assert.equal(pool.take(), 2, 'without a promise');
    await settle();
    assert.equal(started.length, 1, 'what was taken is replaced');
    pool.close();
  });

  test('never more than two at once, first come first served, and each key once', async () => {
    const { pool, started, next, most } = stage();
    const takes = Array.from({ length: 20 }, () => pool.take());
    assert.equal(started.length, 2);
    for (let count = 0; count < 20; count += 1) await next();
    assert.deepEqual(
      await Promise.all(takes),
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
    assert.equal(most(), 2);
    pool.close();
  });

  test('who is cancelled leaves the line, and its key goes to the next', async () => {
    const { pool, next } = stage();
    const context = Context.background.withCancel();
    const left = pool.take({ signal: context.signal });
    const stays = pool.take();
    context.close();
    await assert.rejects(async () => left, withCode('ERR_CANCELLED'));
    await next();
    assert.equal(await stays, 1);
    await next();
    assert.equal(pool.ready, 1, 'what was begun for who left is kept');
    pool.close();
  });

  test('a failure reaches one who waits, and no loop begins', async () => {
    const { pool, started, settle } = stage();
    const first = pool.take();
    const second = pool.take();
    started.shift()?.fail(new Error('no entropy'));
    await assert.rejects(async () => first, /no entropy/);
    started.shift()?.done();
    assert.equal(await second, 1);
    await settle();
    started.shift()?.fail(new Error('again'));
    await settle();
    for (let tries = started.length; tries > 0; tries -= 1) started.shift()?.fail(new Error('again'));
    await settle();
    assert.equal(started.length, 0, 'nobody waits: it is not tried again');
    pool.close();
  });

  test('close rejects whoever waits, and what comes later is dropped', async () => {
    const { pool, started, next, settle } = stage();
    const waiting = pool.take();
    pool.close();
    await assert.rejects(async () => waiting, withCode('ERR_CANCELLED'));
    await next();
    await settle();
    assert.equal(pool.ready, 0);
    assert.equal(started.length, 0);
    assert.throws(() => pool.take(), withCode('ERR_CANCELLED'));
  });
});

test('RSA keys are made off the event loop', async () => {
  const source = leafKeySource('rsa-2048');
  let turns = 0;
  let spinning = true;
  const spin = (): void => {
    turns += 1;
    if (spinning) setImmediate(spin);
  };
  spin();
  await source.take();
  spinning = false;
  source.close();
  assert.ok(turns > 20, `the event loop turned ${turns} times meanwhile`);
});

test('keys for nobody keep no process alive', async () => {
  const module = new URL('../../src/certs/leaf-keys.js', import.meta.url).href;
  // A process that is never told to close: it ends after the key that is being made, and not after all four.
  const program = `
    import { leafKeySource } from ${JSON.stringify(module)};
    await leafKeySource('rsa-2048').take();
    process.once('exit', () => console.log('ended'));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], {
    env: { ...environment(), NODE_OPTIONS: '' },
    timeout: 20_000,
  });
  assert.equal(stdout, 'ended\n');
});
