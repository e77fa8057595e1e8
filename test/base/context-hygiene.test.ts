import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { DeadlineHygiene, type DeadlineSuspicion } from '../../src/base/context-hygiene.js';

function setUp(options: { maxDeadline?: number; routes?: number } = {}): {
  hygiene: DeadlineHygiene;
  told: DeadlineSuspicion[];
} {
  const told: DeadlineSuspicion[] = [];
  return { hygiene: new DeadlineHygiene({ ...options, onSuspicion: (one) => told.push(one) }), told };
}

function repeat(hygiene: DeadlineHygiene, route: string, ms: number, times: number): void {
  for (let at = 0; at < times; at += 1) hygiene.check(route, ms);
}

const hour = 3_600_000;

suite('hygiene of deadlines', () => {
  test("Square's: 60,000 s where 60 s are usual is told with both values, and clamped", () => {
    const { hygiene, told } = setUp({ maxDeadline: 300_000 });
    repeat(hygiene, 'GET /card', 60_000, 10);
    assert.equal(told.length, 0);
    assert.equal(hygiene.check('GET /card', 60_000_000), 300_000);
    const [first] = told;
    assert.ok(first);
    const { message, ...values } = first;
    assert.deepEqual(values, {
      route: 'GET /card',
      deadline: 60_000_000,
      median: 60_000,
      granted: 300_000,
      reason: 'thousandfold',
    });
    assert.equal(
      message,
      'GET /card: a deadline of 60,000,000 ms where 60,000 ms is usual, cut to 300,000 ms: ' +
        'seconds given as milliseconds?',
    );
  });

  test('over an hour is told at the first, without anything to compare with', () => {
    const { hygiene, told } = setUp();
    assert.equal(hygiene.check('a', hour), hour);
    assert.equal(told.length, 0);
    assert.equal(hygiene.check('a', hour + 1), hour + 1);
    assert.deepEqual(
      told.map(({ reason, median }) => [reason, median]),
      [['over-an-hour', undefined]],
    );
    assert.match(told[0]?.message ?? '', /^a: a deadline of 3,600,001 ms: seconds given as milliseconds\?$/);
  });

  test('a thousand times the median, a fifth more or less, and nothing else', () => {
    for (const [factor, suspicious] of [
      [799, false],
      [800, true],
      [1000, true],
      [1200, true],
      [1201, false],
    ] as const) {
      const { hygiene, told } = setUp();
      repeat(hygiene, 'a', 10, 9);
      hygiene.check('a', 10 * factor);
      assert.equal(told.length, suspicious ? 1 : 0, String(factor));
    }
  });

  test('routes do not know each other, and few deadlines are no habit', () => {
    const { hygiene, told } = setUp();
    repeat(hygiene, 'a', 10, 9);
    hygiene.check('b', 10_000);
    repeat(hygiene, 'c', 10, 4);
    hygiene.check('c', 10_000);
    assert.deepEqual(told, []);
    hygiene.check('c', 10_000);
    assert.equal(told.length, 1);
  });

  test('a route that has really changed is believed', () => {
    const { hygiene, told } = setUp();
    repeat(hygiene, 'a', 10, 100);
    repeat(hygiene, 'a', 10_000, 15);
    assert.equal(told.length, 15);
    repeat(hygiene, 'a', 10_000, 100);
    assert.ok(told.length < 18, String(told.length));
  });

  test('no deadline becomes the longest, silently; what is no number too', () => {
    const { hygiene, told } = setUp({ maxDeadline: 5000 });
    assert.equal(hygiene.check('a', Number.POSITIVE_INFINITY), 5000);
    assert.equal(hygiene.check('a', Number.NaN), 5000);
    assert.equal(hygiene.check('a', -1), -1);
    assert.equal(hygiene.check('a', 0), 0);
    assert.deepEqual(told, []);
    assert.throws(() => new DeadlineHygiene({ maxDeadline: Number.NaN }), RangeError);
    assert.throws(() => new DeadlineHygiene({ routes: 0 }), RangeError);
  });

  test('remembers so many routes, those seen last', () => {
    const { hygiene, told } = setUp({ routes: 10 });
    repeat(hygiene, 'kept', 10, 9);
    for (let at = 0; at < 5000; at += 1) {
      hygiene.check(`route ${at}`, 50);
      if (at % 9 === 0) hygiene.check('kept', 10);
    }
    assert.equal(hygiene.size, 10);
    hygiene.check('kept', 10_000);
    assert.equal(told.length, 1);
  });

  test('the median is that of the last 31, and what is granted is never above the limit', () => {
    const times = fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 5, maxLength: 100 });
    fc.assert(
      fc.property(times, fc.integer({ min: 1, max: 100_000 }), (all, maxDeadline) => {
        const { hygiene, told } = setUp({ maxDeadline });
        for (const ms of all) assert.equal(hygiene.check('a', ms), Math.min(ms, maxDeadline));
        const last = all.slice(-31).toSorted((one, other) => one - other);
        told.length = 0;
        hygiene.check('a', hour * 1000);
        assert.equal(told[0]?.median, last[last.length >> 1]);
      }),
    );
  });
});
