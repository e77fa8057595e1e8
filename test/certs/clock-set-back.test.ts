/** A clock that was ahead for a while: what was made then is not valid yet, and no client takes it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openFileStore } from '../../src/certs/file-store.js';
import { Identities } from '../../src/certs/identity.js';
import { MemoryStore } from '../../src/certs/memory-store.js';
import { openRedisStore } from '../../src/certs/redis-store.js';
import type { CertificateStore, StoreContext } from '../../src/certs/store.js';
import { TieredStore } from '../../src/certs/tiered-store.js';
import { redisServer } from '../support/redis.js';
import { temporaryAuthority, temporaryDirectory, withCode } from './support.js';

const ahead = 20 * 24 * 3600 * 1000;

type Open = (context: StoreContext & { readonly now: () => number }) => Promise<CertificateStore>;
const tiered =
  (open: Open): Open =>
  async (context) =>
    new TieredStore({ front: new MemoryStore(context), back: await open(context) });

for (const kind of ['memory', 'file', 'redis', 'memory in front of file'] as const) {
  test(`what was made when the clock was ahead is not served once it is right: ${kind}`, async (t) => {
    const authority = await temporaryAuthority(t);
    const { fingerprint256, sealer } = authority;
    let now = Date.now() + ahead;
    const context = { authority: fingerprint256, sealer, report: () => undefined, now: () => now };
    const dir = join(await temporaryDirectory(t), 'store');
    const url = kind === 'redis' ? (await redisServer(t)).url : '';
    const file: Open = (world) => openFileStore({ ...world, dir });
    const memory = new MemoryStore({ now: () => now });
    const openings: Readonly<Record<typeof kind, Open>> = {
      memory: () => Promise.resolve(memory),
      file,
      redis: (world) => openRedisStore({ ...world, url }),
      'memory in front of file': tiered(file),
    };
    const store = await openings[kind](context);
    const running = new Identities({ authority, store, now: () => now });
    const early = await running.get('step.example');
    now -= ahead;
    assert.ok(early.notBefore > now);
    const corrected = await running.get('step.example');
    assert.notEqual(corrected.serial, early.serial, 'the identity at hand');
    assert.ok(corrected.notBefore <= now && now < corrected.notAfter);
    assert.equal((await running.get('step.example')).serial, corrected.serial, 'and it is kept');
    await running.close();

    // Of another host, that nobody asked for since: after a restart.
    now += ahead;
    const second = new Identities({ authority, store, now: () => now });
    const left = await second.get('left.example');
    now -= ahead;
    await second.close();
    if (kind !== 'memory') await store.close();
    const reopened = await openings[kind](context);
    const restarted = new Identities({ authority, store: reopened, now: () => now });
    const found = await restarted.get('left.example');
    assert.notEqual(found.serial, left.serial, 'the entry in the store');
    assert.ok(found.notBefore <= now);
    await restarted.close();
    await reopened.close();
  });
}

test('a store that gives what is not valid yet is not believed, and a generation that does fails', async (t) => {
  const authority = await temporaryAuthority(t);
  let now = Date.now() + ahead;
  const minted = await new Identities({ authority, now: () => now }).get('early.example');
  now -= ahead;
  const store: CertificateStore = { fetch: () => minted, close: () => undefined };
  const identities = new Identities({ authority, store, now: () => now });
  const early = withCode('ERR_LEAF_CERTIFICATE', /not valid before .*; is the clock right\?$/);
  await assert.rejects(async () => identities.get('early.example'), early);
  const key = { host: 'early.example', authority: authority.fingerprint256, profile: 'p256' } as const;
  assert.throws(() => new MemoryStore({ now: () => now }).fetch(key, () => minted), early);
});
