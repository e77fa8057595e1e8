import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { Deadline, DeadlineWheel, systemClock } from '../../src/base/deadlines.js';
import { VirtualClock } from './virtual-clock.js';

const tick = 10;
/** One turn of the wheel. */
const turn = 8192 * tick;

/** A wheel on virtual time, and deadlines that write down when they fired. */
function setUp(start = 0) {
  const clock = new VirtualClock(start);
  const wheel = new DeadlineWheel(clock);
  const fired: [name: string | number, at: number][] = [];
  const deadline = (name: string | number, then?: () => void): Deadline =>
    new Deadline(() => {
      fired.push([name, clock.now()]);
      then?.();
    });
  return { clock, wheel, fired, deadline };
}

suite('deadlines', () => {
  for (const start of [0, 3, 9.999, 10, 123_456.789]) {
    for (const ms of [0, 0.1, 1, 9.5, 10, 11, 250, 1000, 60_000, turn - 1, turn, turn + 1, 3 * turn + 5]) {
      test(`${ms} ms from ${start}: never early, at most a tick late`, () => {
        const { clock, wheel, fired, deadline } = setUp(start);
        wheel.arm(deadline('one'), ms);
        clock.advance(ms + 2 * tick);
        const [entry] = fired;
        assert.ok(entry, 'it did not fire');
        assert.equal(fired.length, 1);
        assert.ok(entry[1] >= start + ms, `early: ${entry[1] - start}`);
        assert.ok(entry[1] <= start + ms + tick + 1, `late: ${entry[1] - start}`);
        assert.equal(wheel.outstanding, 0);
        assert.equal(clock.armed, 0);
      });
    }
  }

  test('the process stays alive for those deadlines alone that hold it, whatever their order', () => {
    const { clock, wheel, deadline } = setUp();
    const idle = (): Deadline => new Deadline(() => undefined, { holds: false });
    const [first, later] = [idle(), idle()];
    wheel.arm(first, 100);
    assert.deepEqual([clock.armed, clock.holdsProcess], [1, false]);
    const one = deadline('one');
    wheel.arm(one, 500);
    assert.equal(clock.holdsProcess, true);
    wheel.arm(later, 1000);
    clock.advance(200);
    assert.equal(clock.holdsProcess, true, 'the timer is for another now');
    wheel.disarm(one);
    assert.deepEqual([clock.armed, clock.holdsProcess], [1, false]);
    wheel.arm(one, 50);
    assert.equal(clock.holdsProcess, true);
    clock.advance(100);
    assert.deepEqual([clock.armed, clock.holdsProcess], [1, false], 'it has fired');
    clock.advance(1000);
    assert.deepEqual([clock.armed, wheel.outstanding], [0, 0]);
  });

  test('what holds the process and what does not, at random: the timer says whether there is one that does', () => {
    const step = fc.record({ index: fc.nat(5), ms: fc.option(fc.nat(300)), pass: fc.nat(200) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { clock, wheel } = setUp();
        const all = Array.from(
          { length: 6 },
          (_, n) => new Deadline(() => undefined, { holds: n % 2 === 0 }),
        );
        for (const { index, ms, pass } of steps) {
          const deadline = all[index];
          assert.ok(deadline);
          if (ms === null) wheel.disarm(deadline);
          else wheel.arm(deadline, ms);
          clock.advance(pass);
          const wanted = all.some(({ armed, holds }) => armed && holds);
          assert.equal(clock.holdsProcess, wanted);
        }
      }),
    );
  });

  test('one beyond 2^31 ms does not fire early, and no timer is longer than a turn', () => {
    const { clock, wheel, fired, deadline } = setUp();
    const ms = 2 ** 31 + 12_345;
    wheel.arm(deadline('far'), ms);
    // In leaps: every turn of 25 days would be gone through otherwise.
    for (let at = 0; at < 9; at += 1) {
      clock.freeze(Math.floor(ms / 9) - turn);
      clock.advance(turn);
    }
    clock.advance(ms - clock.now() - 1);
    assert.deepEqual(fired, []);
    clock.advance(2 * tick);
    assert.equal(fired.length, 1);
    assert.ok(clock.longest <= turn);
  });

  test('a deadline that is moved later fires once, at its new time', () => {
    const { clock, wheel, fired, deadline } = setUp();
    const one = deadline('one');
    wheel.arm(one, 100);
    for (let at = 0; at < 50; at += 1) {
      clock.advance(90);
      wheel.arm(one, 100);
      assert.equal(wheel.outstanding, 1);
    }
    assert.deepEqual(fired, []);
    clock.advance(120);
    assert.deepEqual(fired, [['one', 50 * 90 + 100]]);
  });

  test('a deadline that is moved earlier fires once, at its new time', () => {
    const { clock, wheel, fired, deadline } = setUp();
    const one = deadline('one');
    wheel.arm(one, 10_000);
    clock.advance(1000);
    wheel.arm(one, 50);
    clock.advance(20_000);
    assert.deepEqual(fired, [['one', 1050]]);
  });

  test('moved later and then earlier again', () => {
    const { clock, wheel, fired, deadline } = setUp();
    const one = deadline('one');
    wheel.arm(one, 100);
    wheel.arm(one, 100_000);
    wheel.arm(one, 200);
    clock.advance(300_000);
    assert.deepEqual(fired, [['one', 200]]);
  });

  test('a disarmed deadline does not fire, and can be armed again', () => {
    const { clock, wheel, fired, deadline } = setUp();
    const one = deadline('one');
    wheel.disarm(one);
    wheel.arm(one, 50);
    assert.ok(one.armed);
    wheel.disarm(one);
    wheel.disarm(one);
    assert.ok(!one.armed);
    assert.equal(wheel.outstanding, 0);
    assert.equal(clock.armed, 0);
    clock.advance(1000);
    assert.deepEqual(fired, []);
    wheel.arm(one, 50);
    wheel.arm(one, Number.POSITIVE_INFINITY);
    clock.advance(1000);
    assert.deepEqual(fired, []);
    wheel.arm(one, 50);
    clock.advance(1000);
    assert.equal(fired.length, 1);
  });

  test('a timer is armed only while a deadline is outstanding, and never more than one', () => {
    const { clock, wheel, deadline } = setUp();
    assert.equal(clock.armed, 0);
    const some = [5, 100, 70_000, 200_000].map((ms) => {
      const one = deadline(ms);
      wheel.arm(one, ms);
      assert.equal(clock.armed, 1);
      return one;
    });
    for (const one of some.slice(1)) wheel.disarm(one);
    assert.equal(clock.armed, 1);
    clock.advance(30);
    assert.equal(clock.armed, 0);
    clock.advance(300_000);
    wheel.arm(deadline('later'), 10);
    assert.equal(clock.armed, 1);
  });

  test('one that arms another, far ahead, does not delay those that were outstanding', () => {
    const { clock, wheel, fired, deadline } = setUp();
    const far = deadline('far');
    wheel.arm(
      deadline('first', () => {
        wheel.arm(far, 60_000);
      }),
      100,
    );
    wheel.arm(deadline('second'), 500);
    clock.advance(1000);
    assert.deepEqual(fired, [
      ['first', 100],
      ['second', 500],
    ]);
  });

  test('one that was moved later does not delay the others when its old slot is swept', () => {
    const { clock, wheel, fired, deadline } = setUp();
    const moved = deadline('moved');
    wheel.arm(moved, 100);
    wheel.arm(moved, 60_000);
    wheel.arm(deadline('other'), 500);
    clock.advance(1000);
    assert.deepEqual(fired, [['other', 500]]);
  });

  test('one that fires may arm itself anew, drop others and move others', () => {
    const { clock, wheel, fired, deadline } = setUp();
    const dropped = deadline('dropped');
    const moved = deadline('moved');
    const self: Deadline = deadline('self', () => {
      if (fired.length > 1) return;
      wheel.arm(self, 100);
      wheel.disarm(dropped);
      wheel.arm(moved, 300);
    });
    wheel.arm(self, 50);
    wheel.arm(dropped, 200);
    wheel.arm(moved, 70);
    clock.advance(1000);
    assert.deepEqual(fired, [
      ['self', 50],
      ['self', 150],
      ['moved', 350],
    ]);
    assert.equal(wheel.outstanding, 0);
    assert.equal(clock.armed, 0);
  });

  test('one that is due can be dropped by another that fires before it in the same sweep', () => {
    const { clock, wheel, fired, deadline } = setUp();
    const both: Deadline[] = [];
    const dropOther = (own: number) => (): void => {
      const other = both[1 - own];
      if (other) wheel.disarm(other);
    };
    both.push(deadline(0, dropOther(0)), deadline(1, dropOther(1)));
    for (const one of both) wheel.arm(one, 50);
    clock.advance(1000);
    assert.equal(fired.length, 1);
    assert.ok(both.every((one) => !one.armed));
  });

  test('a throw does not take the other deadlines along', () => {
    const { clock, wheel, fired, deadline } = setUp();
    const broken = (): void => {
      throw new Error('broken');
    };
    for (const name of ['a', 'b', 'c']) wheel.arm(deadline(name, broken), 50);
    wheel.arm(deadline('later'), 500);
    for (let at = 0; at < 3; at += 1) assert.throws(() => clock.advance(100), /broken/);
    clock.advance(1000);
    assert.deepEqual(new Set(fired.map(([name]) => name)), new Set(['a', 'b', 'c', 'later']));
    assert.equal(fired.length, 4);
    assert.equal(wheel.outstanding, 0);
    assert.equal(clock.armed, 0);
  });

  test('after a long standstill everything due fires, and nothing else', () => {
    const { clock, wheel, fired, deadline } = setUp();
    for (const ms of [10, 5000, 2 * turn, 5 * turn, 5 * turn + 100]) wheel.arm(deadline(ms), ms);
    clock.freeze(5 * turn + 1);
    clock.advance(1);
    assert.deepEqual(new Set(fired.map(([name]) => name)), new Set([10, 5000, 2 * turn, 5 * turn]));
    assert.equal(fired.length, 4);
    clock.advance(200);
    assert.equal(fired.length, 5);
  });

  test('lists what is outstanding', () => {
    const { wheel, deadline } = setUp();
    const some = [1, 1, 5000, 200_000].map((ms) => {
      const one = deadline(ms);
      wheel.arm(one, ms);
      return one;
    });
    assert.deepEqual(new Set(wheel.entries()), new Set(some));
    assert.equal(wheel.outstanding, some.length);
  });

  test('on the clock of the system', async () => {
    const wheel = new DeadlineWheel(systemClock);
    const started = performance.now();
    await new Promise<void>((resolve) => {
      wheel.arm(new Deadline(resolve), 30);
    });
    assert.ok(performance.now() - started >= 30);
    assert.equal(wheel.outstanding, 0);
  });

  const spans = fc.oneof(
    fc.integer({ min: 0, max: 400 }),
    fc.integer({ min: 0, max: 3 * turn }),
    fc.double({ min: 0, max: 1000, noNaN: true }),
  );
  const steps = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('arm' as const), which: fc.nat(7), ms: spans }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('disarm' as const), which: fc.nat(7) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: spans }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('freeze' as const), ms: spans }) },
  );

  test('any sequence of arming, moving, dropping and waiting is as with a sorted list', () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 120 }), fc.nat(100_000), (script, start) => {
        const clock = new VirtualClock(start);
        const wheel = new DeadlineWheel(clock);
        const model = new Map<number, number>();
        let lateBy = tick + 1;
        const deadlines = Array.from(
          { length: 8 },
          (_, name) =>
            new Deadline(() => {
              const at = model.get(name);
              assert.ok(at !== undefined, 'it fired without being armed');
              assert.ok(clock.now() >= at, `early by ${at - clock.now()}`);
              assert.ok(clock.now() <= at + lateBy, `late by ${clock.now() - at}`);
              model.delete(name);
            }),
        );
        for (const step of script) {
          if (step.do === 'advance') {
            clock.advance(step.ms);
            lateBy = tick + 1;
          } else if (step.do === 'freeze') {
            clock.freeze(step.ms);
            lateBy += step.ms;
          } else {
            const one = deadlines[step.which];
            assert.ok(one);
            if (step.do === 'arm') {
              wheel.arm(one, step.ms);
              model.set(step.which, clock.now() + step.ms);
            } else {
              wheel.disarm(one);
              model.delete(step.which);
            }
            assert.equal(one.armed, step.do === 'arm');
          }
          assert.equal(wheel.outstanding, model.size);
          assert.equal(clock.armed, model.size > 0 ? 1 : 0);
        }
        lateBy = Number.POSITIVE_INFINITY;
        clock.advance(4 * turn);
        assert.equal(model.size, 0, 'some never fired');
        assert.equal(clock.armed, 0);
      }),
      { numRuns: 1000 },
    );
  });

  test('thousands at random times fire in the order of their ticks', () => {
    const order = fc.array(fc.nat(3 * turn), { minLength: 3000, maxLength: 3000 });
    fc.assert(
      fc.property(order, (times) => {
        const { clock, wheel, fired, deadline } = setUp();
        for (const ms of times) wheel.arm(deadline(ms), ms);
        clock.advance(3 * turn + 2 * tick);
        assert.equal(fired.length, times.length);
        for (const [ms, at] of fired) {
          assert.ok(at >= Number(ms) && at <= Number(ms) + tick, `${ms} fired at ${at}`);
        }
      }),
      { numRuns: 3 },
    );
  });
});
