import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Failures, backoff, isPausing, nextFailure } from '../../src/certs/failures.js';

test('the pause doubles from 100 ms to 10 s', () => {
  const pauses = [1, 2, 3, 7, 8, 9, 5000].map((count) => backoff(count));
  assert.deepEqual(pauses, [100, 200, 400, 6400, 10_000, 10_000, 10_000]);
});

test('a failure is remembered for its pause, and the next one in the row for twice as long', () => {
  let now = 0;
  const failures = new Failures(() => now);
  const errors = [new Error('one'), new Error('two')];
  assert.equal(failures.find('a'), undefined);
  failures.remember('a', errors[0]);
  assert.equal(failures.find('b'), undefined);
  now = 99;
  assert.equal(failures.find('a'), errors[0]);
  now = 100;
  assert.equal(failures.find('a'), undefined);
  failures.remember('a', errors[1]);
  now = 299;
  assert.equal(failures.find('a'), errors[1]);
  now = 300;
  assert.equal(failures.find('a'), undefined);
});

test('a row ends with a success, or a minute after its pause', () => {
  let now = 0;
  const failures = new Failures(() => now);
  const lasts = (): number => {
    const start = now;
    while (failures.find('a') !== undefined) now += 1;
    return now - start;
  };
  const fail = (): number => {
    failures.remember('a', new Error('no'));
    return lasts();
  };
  assert.deepEqual([fail(), fail()], [100, 200]);
  failures.forget('a');
  assert.equal(fail(), 100);
  now += 59_999;
  assert.equal(failures.find('a'), undefined);
  assert.equal(fail(), 200);
  now += 60_000;
  assert.equal(fail(), 100);
});

test('no more than 1,000 keys are remembered: the oldest failure gives way', () => {
  const failures = new Failures(() => 0);
  for (let index = 0; index < 1000; index += 1) failures.remember(`${index}`, index + 1);
  failures.remember('0', 'again');
  failures.remember('new', 'new');
  assert.deepEqual(
    ['0', '1', '2', 'new'].map((id) => failures.find(id)),
    ['again', undefined, 3, 'new'],
  );
});

test('what a clock far ahead wrote does not stop us', () => {
  assert.deepEqual(nextFailure({ count: 3, until: 500 }, 600), { count: 4, until: 1400 });
  assert.equal(isPausing({ count: 1, until: 10_000 }, 0), true);
  assert.equal(isPausing({ count: 1, until: 10_001 }, 0), false);
});
