import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type FailedRequest, mayRetry } from '../../src/upstream/retry.js';

const stale: FailedRequest = {
  method: 'GET',
  reused: true,
  responseStarted: false,
  bodySent: false,
  attempts: 1,
};

suite('may a failed request be sent again?', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']) {
    test(`${method} may, when a reused connection died before its answer`, () => {
      assert.equal(mayRetry({ ...stale, method }), true);
    });
  }
  // PROPFIND is idempotent by RFC 4918, but a proxy need not know every method; `get` is not GET.
  for (const method of ['POST', 'PATCH', 'CONNECT', 'LOCK', 'PROPFIND', 'get', '']) {
    test(`'${method}' may not`, () => {
      assert.equal(mayRetry({ ...stale, method }), false);
    });
  }
  const others: readonly (readonly [why: string, change: Partial<FailedRequest>])[] = [
    ['the connection was new', { reused: false }],
    ['a byte of the response arrived', { responseStarted: true }],
    ['body bytes are gone', { bodySent: true }],
    ['it was sent again already', { attempts: 2 }],
  ];
  for (const [why, change] of others) {
    test(`not when ${why}`, () => {
      assert.equal(mayRetry({ ...stale, ...change }), false);
      assert.equal(mayRetry({ ...stale, ...change, method: 'PUT' }), false);
    });
  }
});
