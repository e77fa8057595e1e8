/** A directory as a backend: what is read, what wakes who waits, what gives way. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, describe, test } from 'node:test';
import fc from 'fast-check';
import { FileBackend } from '../../src/certs/file-backend.js';
import { FileLeases } from '../../src/certs/file-lease.js';
import { entryPaths } from '../../src/certs/file-paths.js';
import { currentProcess } from '../../src/certs/file-process.js';
import type { ListedEntry } from '../../src/certs/store-backend.js';
import type { CertificateKey } from '../../src/certs/store.js';
import { eventually, within } from '../support/patience.js';
import { temporaryDirectory, withCode } from './support.js';

const authority = 'AB:CD:EF:01'.repeat(8).match(/../g)?.join(':') ?? '';
const lease = 60_000;
const end = Math.ceil(Date.now() / 1000) * 1000 + 1e9;

function keyOf(host: string): CertificateKey {
  return { host, authority, profile: 'p256' };
}
const key = keyOf('example.com');

async function open(
  t: TestContext,
  { root, capacity = 1e9, now = Date.now }: { root?: string; capacity?: number; now?: () => number } = {},
): Promise<{ readonly root: string; readonly backend: FileBackend }> {
  const directory = root ?? (await temporaryDirectory(t));
  const backend = new FileBackend({ root: directory, capacity, now });
  t.after(() => backend.close());
  return { root: directory, backend };
}

async function listOf(backend: FileBackend): Promise<ListedEntry[]> {
  const listed: ListedEntry[] = [];
  for await (const entry of backend.list()) listed.push(entry);
  return listed;
}

async function put(backend: FileBackend, host: string, bytes: number, notAfter = end): Promise<void> {
  const held = await backend.acquire(keyOf(host), lease);
  assert.ok(held);
  assert.equal(await held.commit(Buffer.alloc(bytes, host), { notAfter, replaced: undefined }), true);
}

/** Waits from `attempt` on as `SharedStore` does, until the state is another. */
async function isThere(backend: FileBackend, signal: AbortSignal): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    const { entry, failure } = await backend.read(key);
    if (entry || failure) return attempt;
    await backend.changed(key, { signal, attempt });
  }
}

describe('names of entries', () => {
  test('are safe, short and one for each key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 }), (host) => {
        const { name, directory } = entryPaths('/root', keyOf(host));
        assert.match(name, /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}-[0-9a-f]{32}$/);
        assert.match(directory, /^\/root\/[0-9a-f]{32}\/p256\/[0-9a-f]{2}$/);
      }),
    );
    const long = 'a'.repeat(200);
    const names = [`${long}.com`, `${long}.org`, '*.a', '_.a'].map(
      (host) => entryPaths('/', keyOf(host)).name,
    );
    assert.equal(new Set(names).size, 4);
  });
});

describe('a directory as a backend', () => {
  test('has nothing at first, then the entry, then nothing', async (t) => {
    const { backend } = await open(t);
    assert.deepEqual(await backend.read(key), { entry: undefined, failure: undefined });
    await put(backend, 'example.com', 100);
    assert.equal((await backend.read(key)).entry?.length, 100);
    assert.equal((await backend.read(keyOf('example.org'))).entry, undefined);
    const listed = await listOf(backend);
    assert.deepEqual(
      listed.map(({ entry, bytes }) => [entry.length, bytes]),
      [[100, 100]],
    );
    assert.equal(await backend.delete(key), true);
    assert.equal(await backend.delete(key), false);
  });

  test('tells a failure until there is an entry', async (t) => {
    const { backend, root } = await open(t);
    const failure = { code: 'ERR_LEAF_CERTIFICATE', detail: 'no', count: 2, until: 5 };
    await (await backend.acquire(key, lease))?.fail(failure);
    assert.deepEqual((await backend.read(key)).failure, failure);
    await put(backend, 'example.com', 10);
    assert.equal((await backend.read(key)).failure, undefined);
    for (const rubbish of ['', '{', 'null', '{"code":1}']) {
      await writeFile(entryPaths(root, key).failure, rubbish);
      assert.equal((await backend.read(key)).failure, undefined);
    }
  });

  test('reads what is no entry as an empty one, and a commit replaces it', async (t) => {
    const { backend, root } = await open(t);
    await put(backend, 'example.com', 10);
    const { entry } = entryPaths(root, key);
    const elsewhere = join(root, 'elsewhere');
    await writeFile(elsewhere, 'elsewhere');
    for (const place of [
      () => mkdir(entry),
      () => symlink(elsewhere, entry),
      () => symlink('nowhere', entry),
      // Whoever opens a pipe to read it waits for a writer.
      async () => execFileSync('mkfifo', [entry]),
      async () => {
        await writeFile(entry, '');
        await truncate(entry, 1e9);
      },
    ]) {
      await rm(entry, { recursive: true });
      await place();
      assert.equal((await within(backend.read(key), 'a read')).entry?.length, 0);
      assert.equal((await within(listOf(backend), 'a list'))[0]?.entry.length, 0);
      await put(backend, 'example.com', 10);
      assert.equal((await backend.read(key)).entry?.length, 10);
    }
  });

  test('wakes who waits when the lease is given back, soon', async (t) => {
    const { backend, root } = await open(t);
    const { backend: other } = await open(t, { root });
    const { signal } = new AbortController();
    for (const act of ['commit', 'fail'] as const) {
      const held = await backend.acquire(key, lease);
      assert.ok(held);
      const waiting = Promise.all([isThere(other, signal), isThere(backend, signal)]);
      for (let turn = 0; turn < 200; turn++) await readdir(root);
      if (act === 'commit') await held.commit(Buffer.from('x'), { notAfter: end, replaced: undefined });
      else await held.fail({ code: 'ERR_INTERNAL', detail: '', count: 1, until: 0 });
      const attempts = await within(waiting, 'both waiters', 2000);
      assert.ok(Math.max(...attempts) < 20, `${attempts.join()}: does not spin`);
      await backend.delete(key);
    }
  });

  test('ends a wait that is cancelled, or when it closes', async (t) => {
    const { backend } = await open(t);
    await backend.acquire(key, lease);
    const controller = new AbortController();
    const cancelled = backend.changed(key, { signal: controller.signal, attempt: 50 });
    controller.abort();
    await assert.rejects(cancelled, withCode('ERR_CANCELLED'));
    const again = backend.changed(key, { signal: controller.signal, attempt: 50 });
    await assert.rejects(again, withCode('ERR_CANCELLED'));
    const { signal } = new AbortController();
    const closed = backend.changed(key, { signal, attempt: 50 });
    await backend.close();
    await assert.rejects(closed, withCode('ERR_CANCELLED'));
  });

  test('says what cannot be done, without the path', async (t) => {
    const parent = await temporaryDirectory(t);
    const root = join(parent, 'not-a-directory');
    await writeFile(root, '');
    const { backend } = await open(t, { root });
    const { signal } = new AbortController();
    for (const act of [
      () => backend.read(key),
      () => backend.acquire(key, lease),
      () => backend.changed(key, { signal, attempt: 0 }),
      () => backend.delete(key),
      () => listOf(backend),
    ]) {
      await assert.rejects(act(), (error: Error) => {
        assert.ok(!error.message.includes(parent));
        return withCode('ERR_STORE_UNAVAILABLE', /: ENOTDIR$/)(error);
      });
    }
    await backend.sweep();
  });
});

describe('the bytes of a directory', () => {
  const size = 4096;

  async function hosts(t: TestContext, root: string): Promise<string[]> {
    const { backend } = await open(t, { root });
    const listed = await listOf(backend);
    return listed.map(({ entry }) => entry.toString().slice(0, 1)).toSorted();
  }

  test('are bounded: what was not used for longest goes', async (t) => {
    const { root, backend } = await open(t);
    const names = [...'abcdefghij'];
    for (const [index, name] of names.entries()) {
      await put(backend, name, size);
      await utimes(entryPaths(root, keyOf(name)).entry, 1000 + index, end / 1000);
    }
    assert.ok((await backend.read(keyOf('a'))).entry, 'used now');
    const { backend: small } = await open(t, { root, capacity: 5 * size });
    await small.sweep();
    assert.deepEqual(await hosts(t, root), ['a', 'h', 'i', 'j']);
    assert.equal(small.evicted, 6);
  });

  test('are looked at again as this process writes', async (t) => {
    const { root, backend } = await open(t, { capacity: 32 * size });
    for (let index = 0; index < 100; index++) await put(backend, `host-${index}`, size);
    await eventually('entries gave way', async () => (await hosts(t, root)).length <= 35);
    assert.ok(backend.evicted > 0);
  });

  /** Empty directories that a sweep has to look into, 256 a profile. */
  async function slowDown(root: string, profiles: number): Promise<void> {
    for (let profile = 0; profile < profiles; profile += 1) {
      const buckets = Array.from({ length: 256 }, (_, index) => index.toString(16).padStart(2, '0'));
      const directory = join(root, '0'.repeat(32), `p${profile}`);
      await Promise.all(buckets.map((bucket) => mkdir(join(directory, bucket), { recursive: true })));
    }
  }

  test('are looked at once more when a sweep ends, where it was too slow for what was written meanwhile', async (t) => {
    for (let profiles = 2; profiles <= 32; profiles *= 2) {
      const { root, backend } = await open(t, { capacity: 2 * size });
      await slowDown(root, profiles);
      let goesOn = true;
      const sweeping = backend.sweep().finally(() => (goesOn = false));
      // By now it knows which authorities there are: that of the entries is not among them.
      for (let turn = 0; turn < 3; turn += 1) await readdir(root);
      await Promise.all([...'abc'].map((host) => put(backend, host, size)));
      const late = goesOn;
      await sweeping;
      await eventually('it caught up', async () => (await hosts(t, root)).length <= 2);
      if (late) return;
    }
    assert.fail('no sweep was slower than the writers');
  });

  test('are not taken by what ended, and what was copied there is left alone', async (t) => {
    const { root, backend } = await open(t);
    await put(backend, 'ended', size, end - 1000);
    await put(backend, 'valid', size, end + 1000);
    await put(backend, 'copied', size, end - 1000);
    await utimes(entryPaths(root, keyOf('copied')).entry, 1, 1.5);
    const { backend: later } = await open(t, { root, now: () => end });
    await later.sweep();
    assert.deepEqual(await hosts(t, root), ['c', 'v']);
    assert.equal(later.evicted, 0);
  });

  test('are not taken by what dead processes left, but leases of living ones stay', async (t) => {
    const { root, backend } = await open(t);
    const paths = entryPaths(root, key);
    const old = [`${paths.name}.0123.tmp`, `${paths.name}.failed`];
    const dead = new FileLeases({
      self: { ...currentProcess(), pid: 4_194_305 },
      clock: () => 0,
      written: () => undefined,
    });
    assert.ok(await dead.acquire(paths, lease));
    for (const name of old) {
      await writeFile(join(paths.directory, name), '');
      await utimes(join(paths.directory, name), 1, 1);
    }
    await writeFile(join(paths.directory, `${paths.name}.4567.tmp`), '');
    await writeFile(join(paths.directory, 'of-somebody'), '');
    const living = keyOf('example.org');
    const held = await backend.acquire(living, lease);
    await backend.sweep();
    assert.deepEqual((await readdir(paths.directory)).toSorted(), [
      `${paths.name}.4567.tmp`,
      `${paths.name}.lock`,
      'of-somebody',
    ]);
    assert.deepEqual(await readdir(paths.lock), []);
    assert.equal(await held?.renew(), true);
  });
});
