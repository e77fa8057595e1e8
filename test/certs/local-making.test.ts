/** What a process makes for a place that is shared, and remembers of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalMaking } from '../../src/certs/local-making.js';
import { type CertificateKey, type Generate, identify, type LeafMaterial } from '../../src/certs/store.js';
import type { Task } from '../../src/certs/store-task.js';

const key: CertificateKey = { host: 'a.example', authority: 'AA:BB', profile: 'p256' };
const leaf: LeafMaterial = {
  certificatePem: 'c',
  privateKeyPem: 'k',
  notBefore: 0,
  notAfter: 1e9,
  serial: '1',
};

function setUp(): { readonly local: LocalMaking; readonly task: (generate: Generate) => Task } {
  const counts = { hits: 0, generated: 0, failed: 0, waited: 0, renewed: 0, broken: 0 };
  const { signal } = new AbortController();
  return {
    local: new LocalMaking({ now: () => 0, capacity: 10_000, counts }),
    task: (generate) => ({
      key,
      id: identify(key),
      generate,
      work: { signal },
      left: () => false,
      renews: false,
      forgotten: 0,
    }),
  };
}

test('forget clears a remembered failure: the next generation is not held up, and a failure begins a new row', async () => {
  const { local, task } = setUp();
  let times = 0;
  const failing = task(() => {
    times += 1;
    throw new Error(`failure ${times}`);
  });
  await assert.rejects(local.makeHere(failing), /failure 1/);
  await assert.rejects(local.makeHere(task(() => leaf)), /failure 1/, 'it is remembered');
  assert.equal(await local.forget(key), false, 'there was no entry');
  assert.equal(
    local.seen(failing, { code: 'ERR_INTERNAL', detail: 'failure 1', count: 1, until: 100 }),
    undefined,
  );
  await assert.rejects(local.makeHere(failing), /failure 2/);
  await local.forget(key);
  assert.deepEqual(await local.makeHere(task(() => leaf)), { material: leaf, from: 'here' });
  assert.equal(await local.forget(key), true);
  assert.equal(local.leftOver(failing), undefined);
  local.close();
});
