import assert from 'node:assert/strict';
import { SallyportError } from '../../../src/base/errors.js';

/** The table error that `promise` rejects with; fails when it resolves, or rejects with anything else. */
async function rejection(promise: Promise<unknown>): Promise<SallyportError> {
  try {
    await promise;
  } catch (thrown) {
    assert.ok(thrown instanceof SallyportError, `a table error, not ${String(thrown)}`);
    return thrown;
  }
  return assert.fail('it resolved');
}

export async function assertRejects(promise: Promise<unknown>, code: string, detail: RegExp): Promise<void> {
  const error = await rejection(promise);
  assert.equal(error.code, code, error.message);
  assert.match(error.detail, detail);
}
