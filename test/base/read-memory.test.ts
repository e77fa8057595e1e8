import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BufferBudget } from '../../src/base/budget.js';
import { ReadMemory } from '../../src/base/read-memory.js';

const KiB = 1024;

test('full reads double the next one up to the size that is set, and all share one piece of memory', () => {
  const memory = new ReadMemory(1024 * KiB);
  const sizes: number[] = [];
  let step = 0;
  for (let read = 0; read < 7; read += 1) {
    const view = memory.view(step);
    sizes.push(view.length / KiB);
    assert.equal(view.buffer, memory.view(0).buffer);
    step = memory.nextStep(step, view.length, false);
  }
  assert.deepEqual(sizes, [64, 128, 256, 512, 1024, 1024, 1024]);
});

test('it falls back: a step when a read leaves most of it empty, at once when readers are slow', () => {
  const memory = new ReadMemory(1024 * KiB);
  assert.equal(memory.nextStep(4, 300 * KiB, false), 4);
  assert.equal(memory.nextStep(4, 200 * KiB, false), 3);
  assert.equal(memory.nextStep(0, 1, false), 0);
  assert.equal(memory.nextStep(4, 1024 * KiB, true), 0);
});

test('a size below 64 KiB, or between two steps, is kept to', () => {
  assert.equal(new ReadMemory(4 * KiB).view(0).length, 4 * KiB);
  const odd = new ReadMemory(100 * KiB);
  assert.equal(odd.view(odd.nextStep(0, 64 * KiB, false)).length, 100 * KiB);
  assert.equal(odd.nextStep(1, 100 * KiB, false), 1);
});

test('what is no size is refused', () => {
  for (const size of [0, 4095, 4096.5, 4 * KiB * KiB + 1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => new ReadMemory(size), { code: 'ERR_OPTION_VALUE' });
  }
  for (const limit of [0, -1, Number.NaN]) {
    assert.throws(() => new BufferBudget(limit), { code: 'ERR_OPTION_VALUE' });
  }
});

test('a budget is spent at its limit, and not any more when enough is given back', () => {
  const budget = new BufferBudget(10);
  budget.hold(9);
  assert.equal(budget.spent, false);
  budget.hold(1);
  assert.equal(budget.spent, true);
  budget.giveBack(1);
  assert.deepEqual([budget.spent, budget.used], [false, 9]);
});
