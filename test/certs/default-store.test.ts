/** The store that a proxy makes when it is given none. */
import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { test } from 'node:test';
import { type EventMessage, Events } from '../../src/base/events.js';
import type { LeafMaterial } from '../../src/certs/store.js';
import { openStore } from '../../src/proxy/certificates.js';
import { createProxy } from '../../src/index.js';
import { temporaryAuthority } from './support.js';

test('it counts', async (t) => {
  const authority = await temporaryAuthority(t);
  await using proxy = createProxy({ authority });
  await proxy.listen();
  assert.deepEqual(proxy.counters().store?.generated, 0);
});

test('it reports, and is closed', async (t) => {
  const authority = await temporaryAuthority(t);
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 });
  const events = new Events('test');
  const told: EventMessage<'store.report'>[] = [];
  events.on('store.report', (message) => void told.push(message));
  const { store, close } = await openStore(undefined, authority, events);
  const key = { host: 'a.example', authority: authority.fingerprint256, profile: 'p256' } as const;
  const material: LeafMaterial = {
    certificatePem: 'c',
    privateKeyPem: 'k',
    notBefore: 0,
    notAfter: 2_000_000,
    serial: '1',
  };
  await store.fetch(key, () => material);
  t.mock.timers.setTime(1_950_000);
  const fails = (): never => {
    throw new Error('no signer');
  };
  await store.fetch(key, fails);
  for (let turn = 0; turn < 5; turn += 1) await setImmediate();
  assert.deepEqual(
    told.map(({ kind, store: name, host }) => [kind, name, host]),
    [['renewal-failed', 'memory', 'a.example']],
  );
  await close();
  assert.throws(() => store.fetch(key, () => material));
});
