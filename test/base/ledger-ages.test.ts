import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { Ages } from '../../src/base/ledger-ages.js';

suite('ages', () => {
  test('of nothing there is no oldest', () => {
    const ages = new Ages();
    assert.equal(ages.oldest, undefined);
    ages.add(7, 1);
    assert.equal(ages.oldest, 7);
    ages.add(7, -1);
    assert.equal(ages.oldest, undefined);
  });

  test('never later than it was, and earlier by a sixteenth of the time since; whatever is closed, is gone', () => {
    const pauses = fc.oneof(
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 0, max: 200 }),
      fc.integer({ min: 0, max: 1_000_000 }),
    );
    const steps = fc.array(fc.tuple(pauses, fc.integer({ min: 1, max: 5 }), fc.option(fc.nat())), {
      maxLength: 300,
    });
    fc.assert(
      fc.property(steps, (all) => {
        const ages = new Ages();
        const open: { readonly at: number; readonly amount: number }[] = [];
        let now = 0;
        for (const [pause, amount, closing] of all) {
          now += pause;
          ages.add(now, amount);
          open.push({ at: now, amount });
          const [closed] = closing === null ? [] : open.splice(closing % open.length, 1);
          if (closed) ages.add(closed.at, -closed.amount);
          const oldest = open.length === 0 ? undefined : Math.min(...open.map(({ at }) => at));
          const told = ages.oldest;
          if (oldest === undefined || told === undefined) {
            assert.equal(told, oldest);
          } else {
            assert.ok(told <= oldest, `${told} is after ${oldest}`);
            assert.ok(oldest - told <= (now - oldest) / 16, `${told} for ${oldest} at ${now}`);
          }
        }
        for (const { at, amount } of open) ages.add(at, -amount);
        assert.equal(ages.oldest, undefined);
      }),
    );
  });

  test('of four years', () => {
    const ages = new Ages();
    const last = 2 ** 31 - 1;
    ages.add(3, 1);
    for (let at = 5; at < last; at = at * 2 + 1) ages.add(at, 1);
    ages.add(last, 1);
    assert.equal(ages.oldest, 0);
    ages.add(3, -1);
    for (let at = 5; at < last; at = at * 2 + 1) ages.add(at, -1);
    assert.equal(ages.oldest, last);
  });
});
