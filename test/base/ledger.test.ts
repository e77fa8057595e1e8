import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Ledger, ledgerKinds } from '../../src/base/ledger.js';

suite('the ledger', () => {
  test('begins with every kind at zero', () => {
    const lines = new Ledger().lines();
    assert.deepEqual(Object.keys(lines).toSorted(), [...ledgerKinds].toSorted());
    for (const line of Object.values(lines)) {
      assert.deepEqual(line, { created: 0, closed: 0, outstanding: 0, highWater: 0 });
    }
  });

  test('counts what is open, and the most that ever was', () => {
    const ledger = new Ledger();
    for (let at = 0; at < 3; at += 1) ledger.open('connections');
    ledger.close('connections');
    ledger.close('connections');
    ledger.open('connections');
    ledger.open('tunnels');
    assert.equal(ledger.outstanding('connections'), 2);
    assert.deepEqual(ledger.lines().connections, { created: 4, closed: 2, outstanding: 2, highWater: 3 });
    assert.deepEqual(ledger.lines().tunnels, { created: 1, closed: 0, outstanding: 1, highWater: 1 });
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
});
