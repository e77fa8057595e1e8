/** The store in a directory, as several processes use it, and as files in it go bad. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  chmod,
  copyFile,
  mkdir,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type TestContext, describe, test } from 'node:test';
import type { Authority } from '../../src/certs/authority.js';
import { openFileStore } from '../../src/certs/file-store.js';
import { Minter } from '../../src/certs/mint.js';
import { certificateName } from '../../src/certs/names.js';
import type { InspectableStore, LeafMaterial, StoreReport } from '../../src/certs/store.js';
import { eventually } from '../support/patience.js';
import { StoreProcess } from '../support/store-process.js';
import { temporaryAuthority, temporaryDirectory, withCode } from './support.js';

interface Scene {
  readonly dir: string;
  readonly authority: Authority;
  readonly reports: StoreReport[];
  readonly open: (more?: { capacity?: number; now?: () => number }) => Promise<InspectableStore>;
  readonly fetch: (store: InspectableStore, host: string) => Promise<LeafMaterial>;
  readonly generated: () => number;
}

async function scene(t: TestContext): Promise<Scene> {
  const dir = join(await temporaryDirectory(t), 'store');
  const authority = await temporaryAuthority(t);
  const minter = new Minter({ issuer: authority });
  const reports: StoreReport[] = [];
  let generated = 0;
  return {
    dir,
    authority,
    reports,
    generated: () => generated,
    open: async (more) => {
      const store = await openFileStore({
        dir,
        authority: authority.fingerprint256,
        sealer: authority.sealer,
        report: (report) => reports.push(report),
        ...more,
      });
      t.after(() => store.close());
      return store;
    },
    fetch: async (store, host) =>
      store.fetch({ host, authority: authority.fingerprint256, profile: 'p256' }, () => {
        generated += 1;
        return minter.mint(certificateName(host));
      }),
  };
}

/** All paths below `dir`. */
async function below(dir: string): Promise<string[]> {
  return (await readdir(dir, { recursive: true })).map((name) => join(dir, name));
}

async function entryOf(dir: string, host: string): Promise<string> {
  const paths = (await below(dir)).filter((path) => basename(path).startsWith(`${host}-`));
  const [entry = '', ...others] = paths;
  assert.ok(entry.endsWith('.json'), `an entry for ${host}`);
  assert.deepEqual(others, []);
  return entry;
}

describe('a directory that processes share', () => {
  test('8 processes, 200 waiters, 50 hosts: 50 generations, one serial each', async (t) => {
    const { dir, authority } = await scene(t);
    const setup = { store: `file:${dir}`, ca: authority.paths.directory };
    const processes = await Promise.all(Array.from({ length: 8 }, () => StoreProcess.start(t, setup)));
    const hosts = Array.from({ length: 50 }, (_, index) => `host-${index}.example.com`);
    const results = await Promise.all(processes.map((each) => each.fetch({ hosts, waiters: 200, pause: 5 })));
    assert.deepEqual(
      results.flatMap(({ errors, reports }) => [...errors, ...reports]),
      [],
    );
    assert.equal(
      results.reduce((sum, { generations }) => sum + generations, 0),
      50,
    );
    for (const host of hosts) {
      assert.equal(new Set(results.flatMap(({ serials }) => serials[host] ?? [])).size, 1, host);
    }
    assert.deepEqual(await Promise.all(processes.map((each) => each.end())), Array(8).fill(0));
    const left = (await below(dir)).filter((path) => !path.endsWith('.json') && /\.[a-z]+$/.test(path));
    assert.deepEqual(left, [], 'no locks or temporary files are left');
  });

  test('a leader that is killed is replaced within its lease and a second', async (t) => {
    const { dir, authority } = await scene(t);
    const setup = { store: `file:${dir}`, ca: authority.paths.directory, lease: 2000 };
    const [leader, ...others] = await Promise.all(
      Array.from({ length: 4 }, () => StoreProcess.start(t, setup)),
    );
    assert.ok(leader);
    const begun = leader.generating();
    leader.fetch({ hosts: ['example.com'], waiters: 5, pause: 'ever' }).catch(() => undefined);
    await begun;
    const waiting = others.map((each) => each.fetch({ hosts: ['example.com'], waiters: 50 }));
    const killed = Date.now();
    const gone = once(leader.child, 'exit');
    leader.child.kill('SIGKILL');
    await gone;
    const results = await Promise.all(waiting);
    assert.ok(Date.now() - killed < 3000, `${Date.now() - killed} ms`);
    assert.deepEqual(
      results.flatMap(({ errors }) => errors),
      [],
    );
    assert.equal(
      results.reduce((sum, { generations }) => sum + generations, 0),
      1,
    );
    assert.equal(new Set(results.flatMap(({ serials }) => serials['example.com'] ?? [])).size, 1);
  });

  test('a leader that is stopped past its lease finds what another made', async (t) => {
    const { dir, authority } = await scene(t);
    const setup = { store: `file:${dir}`, ca: authority.paths.directory, lease: 300 };
    const [leader, other] = await Promise.all([1, 2].map(() => StoreProcess.start(t, setup)));
    assert.ok(leader && other);
    const begun = leader.generating();
    const stalled = leader.fetch({ hosts: ['example.com'], waiters: 5, pause: 50 });
    await begun;
    leader.child.kill('SIGSTOP');
    const made = await other.fetch({ hosts: ['example.com'], waiters: 5 });
    leader.child.kill('SIGCONT');
    const found = await stalled;
    assert.deepEqual([...made.errors, ...found.errors], []);
    assert.equal(made.generations, 1);
    assert.deepEqual(found.serials, made.serials);
    const later = await leader.fetch({ hosts: ['example.com'], waiters: 1 });
    assert.deepEqual(later.serials, made.serials);
  });
});

describe('what is kept', () => {
  test('is readable by nobody else, and has no key in clear', async (t) => {
    const { dir, open, fetch } = await scene(t);
    const store = await open();
    const { privateKeyPem } = await fetch(store, 'example.com');
    await store.close();
    const secret = privateKeyPem.split('\n')[1] ?? '';
    assert.equal((await stat(dir)).mode & 0o777, 0o700);
    for (const path of await below(dir)) {
      const stats = await stat(path);
      assert.equal(stats.mode & 0o777, stats.isDirectory() ? 0o700 : 0o600, path);
      if (stats.isDirectory()) continue;
      const text = await readFile(path, 'latin1');
      assert.ok(!text.includes('PRIVATE KEY') && !text.includes(secret), path);
    }
  });

  test('is there for the next process', async (t) => {
    const { open, fetch, generated } = await scene(t);
    const first = await open();
    const { serial } = await fetch(first, 'example.com');
    await first.close();
    const second = await open();
    assert.equal((await fetch(second, 'example.com')).serial, serial);
    assert.equal(generated(), 1);
    assert.equal(second.counters.hits, 1);
  });

  const damages: Readonly<Record<string, (entry: string, other: string) => Promise<unknown>>> = {
    corrupted: async (entry) => {
      const bytes = await readFile(entry);
      const middle = bytes.indexOf('sealedKey') + 60;
      bytes[middle] = bytes[middle] === 65 ? 66 : 65;
      await writeFile(entry, bytes);
    },
    truncated: (entry) => truncate(entry, 500),
    'of another host': (entry, other) => copyFile(other, entry),
    empty: (entry) => truncate(entry, 0),
    huge: (entry) => writeFile(entry, Buffer.alloc(10_000_000, 'x')),
    'a directory': async (entry) => {
      await rm(entry);
      await mkdir(join(entry, 'deep'), { recursive: true });
    },
    'a link to a sound entry': async (entry, other) => {
      await copyFile(entry, `${other}.kept`);
      await rm(entry);
      await symlink(`${other}.kept`, entry);
    },
    // For root it stays readable, and then is sound.
    ...(process.getuid?.() === 0 ? {} : { unreadable: (entry: string) => chmod(entry, 0) }),
  };
  for (const [what, damage] of Object.entries(damages)) {
    test(`is made anew when it is ${what}`, async (t) => {
      const { dir, open, fetch, reports, authority } = await scene(t);
      const store = await open();
      const before = await fetch(store, 'example.com');
      const other = await fetch(store, 'other.example');
      await damage(await entryOf(dir, 'example.com'), await entryOf(dir, 'other.example'));
      // With a new process, the sweep at the start must not hide the damage.
      await store.close();
      const next = await open();
      const after = await fetch(next, 'example.com');
      assert.ok(![before.serial, other.serial].includes(after.serial));
      assert.deepEqual(
        reports.map((report) => report.kind),
        ['broken'],
      );
      assert.equal(next.counters.broken, 1);
      assert.equal((await fetch(next, 'example.com')).serial, after.serial);
      const key = { host: 'example.com', authority: authority.fingerprint256, profile: 'p256' } as const;
      assert.equal(await next.delete(key), true);
      assert.equal(await next.delete(key), false);
    });
  }

  test('is listed, removed and bounded', async (t) => {
    const { dir, open, fetch, authority } = await scene(t);
    const store = await open();
    for (let host = 0; host < 20; host++) await fetch(store, `host-${host}.example`);
    await writeFile(await entryOf(dir, 'host-3.example'), 'rubbish');
    const states: string[] = [];
    for await (const entry of store.entries()) states.push(entry.state);
    assert.deepEqual(states.toSorted(), ['broken', ...Array<string>(19).fill('valid')]);
    await store.close();

    const small = await open({ capacity: 40_000 });
    await fetch(small, 'one-more.example');
    await eventually('entries gave way', () => small.counters.evicted >= 10);
    await small.close();
    await open({ now: () => authority.notAfter });
    await eventually(
      'what ended is gone, but for the broken one',
      async () => (await below(dir)).filter((path) => path.endsWith('.json')).length <= 1,
    );
  });
});

describe('a directory that cannot be used', () => {
  test('is refused at the start', async (t) => {
    const { dir, open } = await scene(t);
    await mkdir(dir, { recursive: true });
    for (const mode of [0o777, 0o720]) {
      await chmod(dir, mode);
      await assert.rejects(open(), withCode('ERR_STORE', /others can write/));
    }
    await rm(dir, { recursive: true });
    await writeFile(dir, '');
    await assert.rejects(open(), withCode('ERR_STORE', /not a directory/));
    await assert.rejects(
      openFileStore({
        dir: '/proc/no/store',
        authority: '',
        sealer: { seal: () => Buffer.alloc(0), open: () => undefined },
        report: () => undefined,
      }),
      withCode('ERR_STORE', /\/proc\/no\/store/),
    );
  });

  test('as the disk is full, degrades, and keeps nobody else from writing', async (t) => {
    const { dir, authority } = await scene(t);
    const setup = { store: `file:${dir}`, ca: authority.paths.directory, lease: 30_000 };
    const full = await StoreProcess.start(t, setup, { full: true });
    const { errors, serials, reports } = await full.fetch({ hosts: ['example.com'], waiters: 5 });
    assert.deepEqual(errors, []);
    assert.equal(serials['example.com']?.length, 1);
    assert.match(reports.join(), /^degraded: cannot write example\.com-[0-9a-f]{32}\.json: EFBIG$/);
    const other = await StoreProcess.start(t, setup);
    const begun = Date.now();
    const made = await other.fetch({ hosts: ['example.com'], waiters: 5 });
    assert.ok(Date.now() - begun < 10_000, 'the lease was given back');
    assert.deepEqual([...made.errors, ...made.reports], []);
    assert.equal(made.generations, 1);
  });

  test('later on degrades to certificates of this process', async (t) => {
    const { dir, open, fetch, reports, generated } = await scene(t);
    const store = await open();
    await fetch(store, 'before.example');
    await rm(dir, { recursive: true });
    await writeFile(dir, 'a file');
    const { serial } = await fetch(store, 'example.com');
    assert.equal((await fetch(store, 'example.com')).serial, serial);
    assert.equal(generated(), 2);
    assert.deepEqual(
      reports.map((report) => report.kind),
      ['degraded'],
    );
    const [report] = reports;
    assert.ok(report && 'error' in report);
    assert.equal(report.error.code, 'ERR_STORE_UNAVAILABLE');
    assert.match(report.error.detail, /ENOTDIR/);
    assert.ok(!report.error.detail.includes(dir));
  });
});
