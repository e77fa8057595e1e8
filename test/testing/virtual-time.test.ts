import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualTime } from '../../src/testing/index.js';

test('virtual time passes only when it is told to, in order, and what follows comes in between', async () => {
  const time = virtualTime({ start: new Date(Date.UTC(2030, 0, 1)) });
  const order: string[] = [];
  const sleeper = time.root.withCancel();
  const sleep = async (name: string, ms: number): Promise<void> => {
    await sleeper.sleep(ms);
    order.push(`${name} at ${time.now}`);
  };
  const both = (async () => {
    await sleep('first', 1000);
    await sleep('second', 500);
  })();
  const other = sleep('other', 1200);
  const late = time.root.withTimeout(60_000_000);
  assert.equal(late.deadline?.toISOString(), '2030-01-01T16:40:00.000Z');
  await time.advance(999);
  assert.deepEqual(order, []);
  await time.advance(1001);
  await Promise.all([both, other]);
  assert.deepEqual(order, ['first at 1000', 'other at 1200', 'second at 1500']);
  assert.equal(time.now, 2000);
  await time.advance(60_000_000);
  assert.equal(late.err?.code, 'ERR_CANCELLED');
  sleeper.close();
  assert.equal(time.timers, 0);
  await assert.rejects(time.advance(-1), RangeError);
});
