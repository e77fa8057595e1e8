import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Events } from '../../src/base/events.js';
import { Ledger, ledgerKinds } from '../../src/base/ledger.js';
import { joinedLedgers, joinLedgers, processLedger, processStacks } from '../../src/base/ledger-process.js';
import { untilCollected } from '../support/garbage.js';

/** A ledger whose clock stands still until it is set. */
function setUp(): { readonly ledger: Ledger; readonly clock: { now: number } } {
  const clock = { now: 1000 };
  return { ledger: new Ledger({ now: () => clock.now }), clock };
}

const nothing = { created: 0, closed: 0, leaked: 0, outstanding: 0, oldestMs: 0, highWater: 0 };

suite('the ledger', () => {
  test('begins with every kind at zero', () => {
    const lines = new Ledger().lines();
    assert.deepEqual(Object.keys(lines).toSorted(), [...ledgerKinds].toSorted());
    for (const line of Object.values(lines)) assert.deepEqual(line, nothing);
  });

  test('counts what is open, and the most that ever was', () => {
    const { ledger } = setUp();
    const marks = [0, 1, 2].map(() => ledger.open('connections'));
    ledger.close('connections', marks[0] ?? 0);
    ledger.close('connections', marks[1] ?? 0);
    ledger.open('connections');
    ledger.open('tunnels');
    assert.equal(ledger.outstanding('connections'), 2);
    const { oldestMs, ...counts } = ledger.lines().connections;
    assert.deepEqual(counts, { created: 4, closed: 2, leaked: 0, outstanding: 2, highWater: 3 });
    assert.ok(oldestMs <= 64);
    assert.equal(ledger.lines().tunnels.outstanding, 1);
    assert.equal(ledger.outstanding('exchanges'), 0);
  });

  test('gives copies, and two ledgers share nothing', () => {
    const one = new Ledger();
    const other = new Ledger();
    const before = one.lines();
    one.open('exchanges');
    assert.equal(before.exchanges.created, 0);
    assert.equal(other.outstanding('exchanges'), 0);
  });

  test('tells how old the oldest is: never too little, too much by 64 ms and a sixteenth', () => {
    const { ledger, clock } = setUp();
    const old = ledger.open('exchanges');
    for (const age of [10, 100, 1000, 3000, 60_000, 3_600_000, 30 * 86_400_000]) {
      clock.now = 1000 + age;
      ledger.close('exchanges', ledger.open('exchanges'));
      const { oldestMs } = ledger.lines().exchanges;
      assert.ok(oldestMs >= age && oldestMs <= age * (17 / 16) + 64, `${oldestMs} for ${age}`);
    }
    ledger.close('exchanges', old);
    assert.equal(ledger.lines().exchanges.oldestMs, 0);
  });

  test('what is opened is as old as the last look at the clock, which whoever looked may tell', () => {
    const clock = { now: 0 };
    const ledger = new Ledger({ now: () => clock.now, recent: () => 0 });
    clock.now = 64_000;
    const mark = ledger.open('tunnels');
    assert.ok(ledger.lines().tunnels.oldestMs >= 64_000);
    ledger.close('tunnels', mark);
    ledger.passed(64_000);
    ledger.open('tunnels');
    assert.equal(ledger.lines().tunnels.oldestMs, 64);
    ledger.passed();
    ledger.passed(1);
    ledger.open('exchanges');
    assert.equal(ledger.lines().exchanges.oldestMs, 64);
  });

  test('counts bytes, which may become more', () => {
    const { ledger } = setUp();
    const mark = ledger.open('bodyBytes', undefined, 100);
    ledger.grow('bodyBytes', mark, 50);
    assert.equal(ledger.outstanding('bodyBytes'), 150);
    ledger.close('bodyBytes', mark, 150);
    const { created, closed, highWater } = ledger.lines().bodyBytes;
    assert.deepEqual([created, closed, highWater], [150, 150, 150]);
  });

  test('reads what is counted elsewhere when somebody looks, and not before', () => {
    const { ledger } = setUp();
    let asked = 0;
    let outstanding = 7;
    ledger.provide('identities', () => {
      asked += 1;
      return { created: 10, outstanding, oldestMs: 5 };
    });
    assert.equal(asked, 0);
    const line = { created: 10, closed: 3, leaked: 0, outstanding: 7, oldestMs: 5, highWater: 7 };
    assert.deepEqual(ledger.lines().identities, line);
    outstanding = 1;
    assert.deepEqual(ledger.lines().identities, { ...line, closed: 9, outstanding: 1 });
  });

  test('keeps the stacks of a sample, and of all on demand; equal ones are one', () => {
    const { ledger } = setUp();
    const openHere = (): unknown => ledger.open('exchanges');
    for (let count = 0; count < 1000; count += 1) openHere();
    const sampled = ledger.stacks().exchanges ?? [];
    assert.equal(sampled.length, 1);
    assert.match(sampled[0]?.stack ?? '', /^at openHere .*ledger\.test/);
    const few = sampled[0]?.outstanding ?? 0;
    assert.ok(few >= 8 && few < 40, `${few} of a burst of 1000`);
    ledger.sampleStacks(1);
    const marks = Array.from({ length: 100 }, () => ledger.open('tunnels'));
    assert.equal(ledger.stacks().tunnels?.[0]?.outstanding, 100);
    for (const mark of marks) ledger.close('tunnels', mark);
    assert.equal(ledger.stacks().tunnels, undefined);
    ledger.sampleStacks(0);
    ledger.open('tunnels');
    assert.equal(ledger.stacks().tunnels, undefined);
    assert.equal(ledger.lines().tunnels.created, 101);
  });

  test('about eight stacks a second, whatever the rate', () => {
    const { ledger, clock } = setUp();
    const seconds = 60;
    for (let ms = 0; ms < seconds * 1000; ms += 1) {
      clock.now += 1;
      ledger.open('exchanges');
    }
    const kept = (ledger.stacks().exchanges ?? []).reduce((sum, { outstanding }) => sum + outstanding, 0);
    assert.ok(kept > 4 * seconds && kept < 12 * seconds, `${kept} in a minute`);
  });

  test('what is collected without being closed is a leak, with its stack; a close that comes late takes it back', async () => {
    const { ledger } = setUp();
    ledger.sampleStacks(1);
    const drop = (): unknown => ledger.open('exchanges', {});
    for (let count = 0; count < 3; count += 1) drop();
    const late = ledger.open('exchanges', {});
    const held = {};
    const mark = ledger.open('exchanges', held);
    await untilCollected('the dropped are found', () => ledger.lines().exchanges.leaked === 4);
    assert.equal(ledger.outstanding('exchanges'), 1);
    const dropped = ledger.stacks().exchanges?.find(({ leaked }) => leaked === 3);
    assert.match(dropped?.stack ?? '', /^at drop /);
    ledger.close('exchanges', late);
    ledger.close('exchanges', mark);
    const { created, closed, leaked, outstanding, oldestMs } = ledger.lines().exchanges;
    assert.deepEqual([created, closed, leaked, outstanding, oldestMs], [5, 2, 3, 0, 0]);
    assert.ok(held);
  });

  test('listeners: counted from `on` until they are removed, once', () => {
    const { ledger } = setUp();
    const events = new Events('sallyport-test', ledger);
    const stop = events.on('failure', () => undefined);
    events.on('exchange.end', () => undefined);
    assert.equal(ledger.outstanding('listeners'), 2);
    stop();
    stop();
    assert.equal(ledger.outstanding('listeners'), 1);
    events.close();
    const { created, closed, outstanding } = ledger.lines().listeners;
    assert.deepEqual([created, closed, outstanding], [2, 2, 0]);
  });
});

suite('the ledgers of a process', () => {
  test('are added up while they have joined; what they share counts once', () => {
    const one = new Ledger();
    const other = new Ledger();
    for (const ledger of [one, other]) {
      ledger.sampleStacks(1);
      ledger.open('tunnels');
      ledger.provide('internedCertificates', () => ({ created: 9, outstanding: 4 }));
    }
    const leave = [one, other].map((ledger) => joinLedgers(ledger));
    assert.deepEqual(new Set(joinedLedgers()), new Set([one, other]));
    const { tunnels, internedCertificates } = processLedger();
    assert.deepEqual([tunnels.outstanding, internedCertificates.outstanding], [2, 4]);
    const count = processStacks().tunnels?.reduce((sum, { outstanding }) => sum + outstanding, 0);
    assert.equal(count, 2);
    for (const stop of leave) stop();
    assert.deepEqual(joinedLedgers(), []);
    assert.equal(processLedger().tunnels.created, 0);
  });
});
