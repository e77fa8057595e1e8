/** The lease on one entry: holders that die, stall and come back at any step never write over each other. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, describe, test } from 'node:test';
import fc from 'fast-check';
import { FileLeases } from '../../src/certs/file-lease.js';
import { type EntryPaths, entryPaths } from '../../src/certs/file-paths.js';
import { type ProcessIdentity, currentProcess } from '../../src/certs/file-process.js';
import type { Lease } from '../../src/certs/store-backend.js';
import { temporaryDirectory } from './support.js';

const lease = 1000;
const notAfter = Date.now() + 1e9;
const self = currentProcess();
/** Above the largest number that Linux gives out. */
const nobody: ProcessIdentity = { ...self, pid: 4_194_305 };

interface Clock {
  now: number;
}

function leases(clock: Clock, identity = self): FileLeases {
  return new FileLeases({ self: identity, clock: () => clock.now, written: () => undefined });
}

async function place(t: TestContext): Promise<EntryPaths> {
  const root = await temporaryDirectory(t);
  return entryPaths(root, { host: 'example.com', authority: 'AB:CD'.repeat(16), profile: 'p256' });
}

async function take(from: FileLeases, paths: EntryPaths): Promise<Lease> {
  const taken = await from.acquire(paths, lease);
  assert.ok(taken, 'the lease was free');
  return taken;
}

function commit(held: Lease, text: string): Promise<boolean> {
  return held.commit(Buffer.from(text), { notAfter, replaced: undefined });
}

describe('a lease', () => {
  test('is held by one, and is free after each way of giving it back', async (t) => {
    const paths = await place(t);
    const [one, other] = [leases({ now: 0 }), leases({ now: 0 })];
    for (const giveBack of [
      (held: Lease) => held.release(),
      (held: Lease) => commit(held, 'entry'),
      (held: Lease) => held.fail({ code: 'ERR_INTERNAL', detail: 'no', count: 1, until: 0 }),
    ]) {
      const held = await take(one, paths);
      assert.equal(await other.acquire(paths, lease), undefined);
      assert.equal(await one.acquire(paths, lease), undefined);
      await giveBack(held);
      await (await take(other, paths)).release();
    }
    assert.equal(await readFile(paths.entry, 'utf8'), 'entry');
    const left = await readdir(paths.directory);
    assert.deepEqual(left.toSorted(), [`${paths.name}.failed`, `${paths.name}.json`]);
  });

  test('is taken by one of many at once, at first and from a dead holder', async (t) => {
    const paths = await place(t);
    for (let round = 0; round < 20; round++) {
      await take(leases({ now: 0 }, nobody), paths);
      const all = await Promise.all(
        Array.from({ length: 30 }, () => leases({ now: 0 }).acquire(paths, lease)),
      );
      const held = all.filter((taken) => taken !== undefined);
      assert.equal(held.length, 1);
      await held[0]?.release();
    }
  });

  test('of a process that has ended passes on at once', async (t) => {
    const paths = await place(t);
    await take(leases({ now: 0 }, nobody), paths);
    await (await take(leases({ now: 0 }), paths)).release();
  });

  test('of a process whose number another has now passes on at once', async (t) => {
    const paths = await place(t);
    await take(leases({ now: 0 }, { ...self, start: '1' }), paths);
    await (await take(leases({ now: 0 }), paths)).release();
  });

  test('of a process that nobody has waited for passes on at once', async (t) => {
    const paths = await place(t);
    // The parent becomes `sleep`, which never asks how its child ended; the child ends after that, as the shell
    // itself might ask.
    const parent = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    t.after(() => parent.kill('SIGKILL'));
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    let state = '';
    let start = '';
    while (state !== 'Z') {
      const fields = (await readFile(`/proc/${pid}/stat`, 'latin1')).split(') ')[1]?.split(' ') ?? [];
      [state, start] = [fields[0] ?? '', fields[19] ?? ''];
      await new Promise(setImmediate);
    }
    await take(leases({ now: 0 }, { ...self, pid, start }), paths);
    await (await take(leases({ now: 0 }), paths)).release();
  });

  for (const [who, identity] of [
    ['of another machine or container', { ...nobody, place: '0'.repeat(16) }],
    ['where there is no /proc', { ...nobody, place: 'none' }],
  ] as const) {
    test(`${who} passes on when nothing changed for its time`, async (t) => {
      const paths = await place(t);
      const held = await take(leases({ now: 0 }, identity), paths);
      const clock = { now: 50_000 };
      const waiter = leases(clock);
      assert.equal(await waiter.acquire(paths, lease), undefined);
      clock.now += lease - 1;
      assert.equal(await waiter.acquire(paths, lease), undefined);
      assert.equal(await held.renew(), true);
      clock.now += 1;
      assert.equal(await waiter.acquire(paths, lease), undefined, 'it was renewed');
      clock.now += lease - 1;
      assert.equal(await waiter.acquire(paths, lease), undefined, 'counted from when that was seen');
      clock.now += 1;
      const taken = await take(waiter, paths);
      assert.equal(await held.renew(), false);
      assert.equal(await taken.renew(), true);
    });
  }

  test('that was lost writes nothing and takes nothing away', async (t) => {
    const paths = await place(t);
    for (const act of [
      async (held: Lease) => {
        assert.equal(await commit(held, 'of the first'), false);
      },
      (held: Lease) => held.fail({ code: 'ERR_INTERNAL', detail: 'of the first', count: 1, until: 0 }),
      (held: Lease) => held.release(),
    ]) {
      const lost = await take(leases({ now: 0 }, nobody), paths);
      const held = await take(leases({ now: 0 }), paths);
      await act(lost);
      assert.equal(await leases({ now: 0 }).acquire(paths, lease), undefined, 'still held');
      assert.equal(await commit(held, 'of the second'), true);
      await act(lost);
      assert.equal(await readFile(paths.entry, 'utf8'), 'of the second');
      await assert.rejects(readFile(paths.failure), { code: 'ENOENT' });
    }
  });

  test('replaces whatever is in the place of the entry, and follows no link', async (t) => {
    const paths = await place(t);
    const elsewhere = join(await temporaryDirectory(t), 'precious');
    await writeFile(elsewhere, 'precious');
    const held = leases({ now: 0 });
    await commit(await take(held, paths), 'first');
    for (const put of [
      () => mkdir(join(paths.entry, 'deep'), { recursive: true }),
      () => symlink(elsewhere, paths.entry),
      () => writeFile(paths.entry, Buffer.alloc(100_000)),
    ]) {
      await rm(paths.entry, { recursive: true });
      await put();
      assert.equal(await commit(await take(held, paths), 'anew'), true);
      assert.equal(await readFile(paths.entry, 'utf8'), 'anew');
    }
    assert.equal(await readFile(elsewhere, 'utf8'), 'precious');
    assert.deepEqual(await readdir(paths.directory), [`${paths.name}.json`]);
  });

  test('is found where others put things in its place', async (t) => {
    const paths = await place(t);
    const clock = { now: 0 };
    const waiter = leases(clock);
    await (await take(waiter, paths)).release();
    await writeFile(paths.lock, 'a file');
    await (await take(waiter, paths)).release();
    await mkdir(paths.lock);
    await (await take(waiter, paths)).release();
    await mkdir(join(paths.lock, 'not-a-holder'), { recursive: true });
    assert.equal(await waiter.acquire(paths, lease), undefined);
    clock.now += 10 * 60 * 1000;
    await (await take(waiter, paths)).release();
  });

  /**
   * Each holder reads a number and writes the next one. However holders stall, die, lose their leases and go on
   * nevertheless, the number at the end is how many were told that they wrote: no write was lost.
   */
  test('loses no write, whoever stalls or dies at any step', async (t) => {
    const step = fc.record({
      dies: fc.boolean(),
      stalls: fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 2, maxLength: 2 }),
      jump: fc.integer({ min: 0, max: 2 }),
    });
    const plan = fc.array(fc.array(step, { minLength: 1, maxLength: 8 }), { minLength: 2, maxLength: 6 });
    let takenOver = 0;
    await fc.assert(
      fc.asyncProperty(plan, async (contenders) => {
        const paths = await place(t);
        let written = 0;
        await Promise.all(
          contenders.map(async (steps) => {
            const clock = { now: 0 };
            const [alive, dead] = [leases(clock), leases(clock, nobody)];
            for (const { dies, stalls, jump } of steps) {
              clock.now += jump * lease;
              const held = await (dies ? dead : alive).acquire(paths, lease);
              if (!held) continue;
              await turns(stalls[0] ?? 0);
              const before = Number(await readFile(paths.entry, 'utf8').catch(() => '0'));
              await turns(stalls[1] ?? 0);
              if (await commit(held, String(before + 1))) written += 1;
              else takenOver += 1;
            }
          }),
        );
        assert.equal(Number(await readFile(paths.entry, 'utf8').catch(() => '0')), written);
      }),
      { numRuns: 60 },
    );
    assert.ok(takenOver > 10, `leases were taken over (${takenOver})`);
  });
});

/** Lets the others make about as many calls to the system. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await readFile('/dev/null');
}
