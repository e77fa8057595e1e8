/** What lies in a `file:` store that serves nobody: failures, entries that cannot be read, and looking at all of it. */
import assert from 'node:assert/strict';
import { readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Authority } from '../../src/certs/authority.js';
import { FileBackend } from '../../src/certs/file-backend.js';
import { openFileStore } from '../../src/certs/file-store.js';
import { Identities } from '../../src/certs/identity.js';
import type { CertificateKey, InspectableStore } from '../../src/certs/store.js';
import { StoreDesk } from '../../src/cli/certs-desk.js';
import { eventually } from '../support/patience.js';
import { temporaryAuthority, temporaryDirectory } from './support.js';

const keyOf = (host: string): CertificateKey => ({
  host,
  authority: 'AB:'.repeat(31) + 'AB',
  profile: 'p256',
});

/** The paths of all files whose names end so. */
async function filesOf(root: string, suffix: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true });
  return names.filter((name) => name.endsWith(suffix)).map((name) => join(root, name));
}

async function fail(backend: FileBackend, host: string): Promise<void> {
  const lease = await backend.acquire(keyOf(host), 60_000);
  assert.ok(lease);
  await lease.fail({ code: 'ERR_SIGNER', detail: 'gone', count: 1, until: Date.now() + 100 });
}

test('failures are bounded with the entries, give way before them, and are no evictions', async (t) => {
  const root = await temporaryDirectory(t);
  const capacity = 256 * 1024;
  const backend = new FileBackend({ root, capacity, now: Date.now });
  t.after(() => backend.close());
  const lease = await backend.acquire(keyOf('kept.example'), 60_000);
  const notAfter = Math.ceil(Date.now() / 1000) * 1000 + 1e9;
  assert.ok(await lease?.commit(Buffer.alloc(2000), { notAfter, replaced: undefined }));
  const [kept = ''] = await filesOf(root, '.json');
  await utimes(kept, 0, notAfter / 1000);
  for (let n = 0; n < 400; n += 1) await fail(backend, `h${n}.example`);
  await eventually(
    'the failures are within the capacity',
    async () => (await filesOf(root, '.failed')).length * 4096 <= capacity * (1 + 1 / 16),
  );
  assert.ok((await filesOf(root, '.failed')).length > 30, 'the newest are kept');
  assert.deepEqual(await filesOf(root, '.json'), [kept], 'the entry is kept, however long ago it was used');
  assert.equal(backend.evicted, 0);
});

test('many failures at once: the sweep keeps up, or catches up', async (t) => {
  const root = await temporaryDirectory(t);
  const backend = new FileBackend({ root, capacity: 128 * 1024, now: Date.now });
  t.after(() => backend.close());
  await Promise.all(Array.from({ length: 300 }, (_, n) => fail(backend, `h${n}.example`)));
  await eventually('it caught up', async () => (await filesOf(root, '.failed')).length <= 34);
});

interface Opened {
  readonly root: string;
  readonly store: InspectableStore;
  readonly authority: Authority;
}

async function opened(t: TestContext, hosts: number): Promise<Opened> {
  const root = join(await temporaryDirectory(t), 'store');
  const authority = await temporaryAuthority(t);
  const { fingerprint256, sealer } = authority;
  const store = await openFileStore({
    dir: root,
    authority: fingerprint256,
    sealer,
    report: () => undefined,
  });
  t.after(() => store.close());
  const identities = new Identities({ authority, store });
  for (let n = 0; n < hosts; n += 1) await identities.get(`h${n}.example`);
  await identities.close();
  return { root, store, authority };
}

test('a purge removes each entry that cannot be read, and says how many', async (t) => {
  const { root, store, authority } = await opened(t, 5);
  const files = await filesOf(root, '.json');
  for (const path of files.slice(0, 3)) await writeFile(path, 'garbage');
  const desk = new StoreDesk({ store, authority });
  assert.equal((await desk.purge({ kind: 'expired' })).removed, 3);
  assert.deepEqual((await filesOf(root, '.json')).toSorted(), files.slice(3).toSorted());
});

test('to look at the entries is no use of them', { skip: process.platform !== 'linux' }, async (t) => {
  const { root, store, authority } = await opened(t, 2);
  const files = await filesOf(root, '.json');
  const before = Math.floor(Date.now() / 1000) - 7 * 24 * 3600;
  for (const path of files) await utimes(path, before, (await stat(path)).mtimeMs / 1000);
  const desk = new StoreDesk({ store, authority });
  assert.equal((await desk.stats()).entries, 2);
  for await (const { state } of store.entries()) assert.equal(state, 'valid');
  for (const path of files) assert.equal((await stat(path)).atimeMs, before * 1000);
  const identities = new Identities({ authority, store });
  for (const host of ['h0.example', 'h1.example']) await identities.get(host);
  await identities.close();
  for (const path of files) assert.ok((await stat(path)).atimeMs > before * 1000, 'to serve them is');
});
