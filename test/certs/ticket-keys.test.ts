/** Who draws ticket keys, and when others take their place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TicketKeys } from '../../src/certs/ticket-keys.js';
import { withCode } from './support.js';

test('keys last for their lifetime, and are drawn anew when asked for after it', () => {
  let now = 0;
  const keys = new TicketKeys({ lifetime: 1000, now: () => now });
  const first = keys.current;
  assert.equal(first.length, 48);
  now = 999;
  assert.equal(keys.current, first);
  now = 1000;
  const second = keys.current;
  assert.notDeepEqual(second, first);
  assert.equal(keys.current, second);
  assert.notDeepEqual(keys.rotate(), second);
});

test('keys that were given are copied, and are their giver’s to replace', () => {
  let now = 0;
  const keys = new TicketKeys({ lifetime: 1000, now: () => now });
  const given = Buffer.alloc(48, 7);
  keys.set(given);
  given.fill(8);
  now = 5000;
  const { current } = keys;
  assert.deepEqual(current, Buffer.alloc(48, 7));
  keys.set(Buffer.alloc(48, 7));
  assert.equal(keys.current, current);
  assert.throws(
    () => {
      keys.set(Buffer.alloc(47));
    },
    withCode('ERR_INTERNAL', /48 bytes/),
  );
});
