import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SessionCache } from '../../src/tls/session-cache.js';

describe('SessionCache', () => {
  const session = Buffer.from('ticket');

  it('keeps the most recently used', () => {
    const cache = new SessionCache(2, () => 0);
    for (const key of ['a', 'b']) cache.set(key, { session, verifiedAt: 0 });
    assert.ok(cache.get('a'));
    cache.set('c', { session, verifiedAt: 0 });
    assert.equal(cache.size, 2);
    assert.equal(cache.get('b'), undefined);
    assert.ok(cache.get('a'));
    assert.ok(cache.get('c'));
  });

  it('a session takes the place of the one before', () => {
    const cache = new SessionCache(2, () => 0);
    cache.set('a', { session, verifiedAt: 0 });
    const newer = Buffer.from('newer');
    cache.set('a', { session: newer, verifiedAt: 0 });
    assert.equal(cache.size, 1);
    assert.equal(cache.get('a')?.session, newer);
    cache.delete('a');
    assert.equal(cache.get('a'), undefined);
  });

  it('forgets an hour after the verification, used or not', () => {
    let now = 0;
    const cache = new SessionCache(2, () => now);
    cache.set('a', { session, verifiedAt: now });
    now = 3_599_999;
    assert.ok(cache.get('a'));
    now = 3_600_000;
    assert.equal(cache.get('a'), undefined);
    assert.equal(cache.size, 0);
  });

  it('takes nothing that is very large, and nothing at all with a limit of 0', () => {
    const cache = new SessionCache(2, () => 0);
    cache.set('a', { session, verifiedAt: 0 });
    cache.set('a', { session: Buffer.alloc(16 * 1024 + 1), verifiedAt: 0 });
    assert.equal(cache.size, 0);
    const none = new SessionCache(0, () => 0);
    none.set('a', { session, verifiedAt: 0 });
    assert.equal(none.size, 0);
  });
});
