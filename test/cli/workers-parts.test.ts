/** The parts of `--workers` that are pure, and the store that is in the primary's memory. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import { SallyportError } from '../../src/base/errors.js';
import { ledgerKinds } from '../../src/base/ledger.js';
import { MemoryStore } from '../../src/certs/memory-store.js';
import type { CertificateKey, LeafMaterial, Sealer } from '../../src/certs/store.js';
import { addCounters } from '../../src/cli/workers-counters.js';
import { StoreNotices } from '../../src/cli/store-notices.js';
import { forEachLine } from '../../src/cli/workers-lines.js';
import type { ToPrimary } from '../../src/cli/workers-messages.js';
import { RestartDelays } from '../../src/cli/workers-restart.js';
import { Tally } from '../../src/cli/workers-tally.js';
import type { Context } from '../../src/base/context.js';
import { LegCounters } from '../../src/base/leg-counters.js';
import type { ProxyCounters } from '../../src/proxy/certificates.js';
import { WorkerFetches, WorkerStore } from '../../src/cli/workers-store.js';
import { virtualRoot } from '../base/virtual-clock.js';
import { eventually } from '../support/patience.js';

test('restarts: 100 ms, doubled up to 10 s, and from the start after a healthy minute', () => {
  const delays = new RestartDelays();
  const short = Array.from({ length: 9 }, () => delays.next(59_999));
  assert.deepEqual(short, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  assert.deepEqual([delays.next(60_000), delays.next(0)], [100, 200]);
});

test('counters: numbers are added, however deep', () => {
  const one = { a: 1, deep: { b: 2 }, name: 'x' };
  assert.deepEqual([one, one, { a: 5, c: 1 }].reduce(addCounters, undefined as unknown), {
    a: 7,
    deep: { b: 4 },
    name: 'x',
    c: 1,
  });
});

test('counters: of ages the larger stays', () => {
  const sum = [{ created: 1, oldestMs: 5 }, { created: 2, oldestMs: 7 }, {}].reduce(
    addCounters,
    undefined as unknown,
  );
  assert.deepEqual(sum, { created: 3, oldestMs: 7 });
});

test('tally: what was counted stays, what was held goes; many restarts cost nothing', () => {
  const counted = (made: number): ProxyCounters => {
    const line = { created: made, closed: made - 1, leaked: 0, outstanding: 1, oldestMs: made, highWater: 1 };
    return {
      identities: { hits: made, made, renewed: 0, minted: made, size: 5 },
      contexts: { made, loads: 0, hits: 0, secondChances: 0, evicted: 0, size: 5, bytes: 99 },
      store: { hits: made, generated: 0, failed: 0, waited: 0, renewed: 0, evicted: 0, broken: 0 },
      ledger: Object.fromEntries(ledgerKinds.map((kind) => [kind, line])) as ProxyCounters['ledger'],
      legs: { client: new LegCounters().counts, upstream: new LegCounters().counts },
    };
  };
  const tally = new Tally();
  tally.take(0, counted(1));
  tally.take(0, counted(10));
  for (let id = 1; id <= 100; id += 1) {
    if (id % 2 === 0) tally.take(id, counted(10));
    tally.end(id);
    // What was on its way when it died.
    if (id % 2 === 0) tally.take(id, counted(11));
  }
  assert.ok(tally.all.length < 20);
  const sum = tally.all.reduce(addCounters, undefined as unknown) as ProxyCounters;
  assert.deepEqual([sum.identities.made, sum.store?.hits, sum.identities.size], [560, 560, 5]);
  assert.deepEqual([sum.contexts.size, sum.contexts.bytes], [5, 99]);
  assert.equal(sum.ledger.connections.created, 560);
  assert.equal(sum.ledger.connections.outstanding, 1);
  assert.equal(sum.ledger.connections.closed, 559);
  // Of the one that still runs: an age is none that could be added.
  assert.equal(sum.ledger.connections.oldestMs, 10);
});

test('lines: whole, whatever the pieces; the last one without an end too', async () => {
  const lines: string[] = [];
  const stream = new PassThrough();
  forEachLine(stream, (line) => lines.push(line));
  for (const byte of Buffer.from('one\nz\u00fcrich\n\nlast')) stream.write(Buffer.of(byte));
  stream.end();
  await new Promise((resolve) => stream.on('close', resolve));
  assert.deepEqual(lines, ['one', 'z\u00fcrich', '', 'last']);
});

test('notices: a change is told once, by whoever; a broken entry once', () => {
  const told: string[] = [];
  const notices = new StoreNotices((line) => told.push(line));
  const error = { code: 'ERR_STORE_UNAVAILABLE', detail: 'refused' };
  notices.take({ kind: 'degraded', store: 'redis://h:1', error }, '1');
  notices.take({ kind: 'degraded', store: 'redis://h:1', error }, '2');
  notices.take({ kind: 'restored', store: 'redis://h:1' }, '1');
  assert.equal(told.length, 1);
  notices.take({ kind: 'restored', store: 'redis://h:1' }, '2');
  assert.equal(told.length, 2);
  const broken = { kind: 'broken', store: 'file:/x', host: 'a.example', error } as const;
  for (let time = 0; time < 3; time += 1) notices.take(broken, '1');
  assert.equal(told.length, 3);
  for (let index = 0; index < 200; index += 1) notices.take({ ...broken, host: `h${index}` }, '1');
  assert.equal(told.length, 53);
});

const key: CertificateKey = { host: 'a.example', authority: 'AA', profile: 'p256' };

function leaf(serial: string): LeafMaterial {
  const now = Date.now();
  return {
    certificatePem: 'C',
    privateKeyPem: `KEY ${serial}`,
    notBefore: now - 3_600_000,
    notAfter: now + 1e9,
    serial,
  };
}

/** Not a cipher: that is tested elsewhere. It tells whether what was opened is what was sealed, and for whom. */
const sealer: Sealer = {
  seal: (secret, context) =>
    Buffer.concat([Buffer.from(`${context}\n`), Uint8Array.from(secret).toReversed()]),
  open: (sealed, context) => {
    const text = Buffer.from(sealed);
    const prefix = Buffer.from(`${context}\n`);
    return text.subarray(0, prefix.length).equals(prefix)
      ? Buffer.from(Uint8Array.from(text.subarray(prefix.length)).toReversed())
      : undefined;
  },
};

/** A worker and its end in the primary; messages go through JSON, one turn later. */
function connect(
  store: MemoryStore,
  context?: Context,
): {
  readonly worker: WorkerStore;
  readonly fetches: WorkerFetches;
  readonly wire: string[];
} {
  const wire: string[] = [];
  let deliver: (message: ToPrimary) => void = () => undefined;
  const pass = <T>(message: T, take: (message: T) => void): void => {
    const text = JSON.stringify(message);
    wire.push(text);
    setImmediate(() => {
      take(JSON.parse(text) as T);
    });
  };
  const worker = new WorkerStore(sealer, (message) => {
    pass(message, (one) => {
      deliver(one);
    });
  });
  const fetches = new WorkerFetches(
    store,
    (message) => {
      pass(message, (one) => {
        worker.take(one);
      });
    },
    context,
  );
  deliver = (message) => {
    fetches.take(message);
  };
  return { worker, fetches, wire };
}

describe('the store in the primary', () => {
  test('many of several workers: one generation, its key sealed on the way', async () => {
    const store = new MemoryStore();
    const ends = [connect(store), connect(store), connect(store)];
    let generations = 0;
    const secret = randomBytes(8).toString('hex');
    const all = await Promise.all(
      ends.flatMap(({ worker }) =>
        Array.from({ length: 5 }, async () =>
          worker.fetch(key, async () => {
            generations += 1;
            await new Promise((resolve) => setImmediate(resolve));
            return leaf(secret);
          }),
        ),
      ),
    );
    assert.equal(generations, 1);
    assert.deepEqual(new Set(all.map(({ privateKeyPem }) => privateKeyPem)), new Set([`KEY ${secret}`]));
    assert.ok(!ends.some(({ wire }) => wire.some((text) => text.includes(`KEY ${secret}`))));
  });

  test('what a worker was asked for before a purge it is asked for again, for all who wait', async () => {
    const store = new MemoryStore();
    const [first, second] = [connect(store), connect(store)];
    const serials = ['01', '02'];
    const purges = first.worker.fetch(key, () => {
      // On its way to the primary when that forgets.
      if (serials.length === 2) {
        setImmediate(() => {
          store.forget(({ host }) => host === key.host);
        });
      }
      return leaf(serials.shift() ?? assert.fail('asked too often'));
    });
    const waits = second.worker.fetch(key, () => assert.fail('asked, too'));
    assert.deepEqual(
      (await Promise.all([purges, waits])).map(({ serial }) => serial),
      ['02', '02'],
    );
    assert.equal(store.peek(key)?.serial, '02');
    store.close();
  });

  test('the worker that generates dies: the next who waits takes its place, and hears of nothing', async () => {
    const store = new MemoryStore();
    const first = connect(store);
    const second = connect(store);
    const begun = new Promise<void>((resolve) => {
      void first.worker.fetch(key, () => {
        resolve();
        return new Promise(() => undefined);
      });
    });
    await begun;
    const waiting = second.worker.fetch(key, () => leaf('02'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    first.fetches.end();
    assert.equal((await waiting).serial, '02');
    assert.equal(store.counters.failed, 0);
  });

  test('a worker that says nothing more: another takes its place, for all that it was asked for', async () => {
    const { clock, root } = virtualRoot();
    const store = new MemoryStore();
    const sent: string[] = [];
    const silent = new WorkerFetches(store, ({ kind }) => sent.push(kind), root);
    const other = { ...key, host: 'b.example' };
    // It is the first, and the second too, as its clients come in numbers.
    silent.take({ kind: 'fetch', id: 1, key });
    silent.take({ kind: 'fetch', id: 2, key });
    silent.take({ kind: 'fetch', id: 3, key: other });
    assert.deepEqual(sent, ['generate', 'generate']);
    const second = connect(store, root);
    let served = 0;
    const waiting = [
      second.worker.fetch(key, () => leaf('02')),
      second.worker.fetch(other, () => leaf('03')),
    ].map(async (fetched) => {
      const { serial } = await fetched;
      served += 1;
      return serial;
    });
    await eventually('both wait', () => store.counters.waited === 3);
    clock.advance(4000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(served, 0);
    clock.advance(2000);
    assert.deepEqual(await Promise.all(waiting), ['02', '03']);
    assert.equal(store.counters.failed, 0);
    assert.deepEqual(sent.toSorted(), ['fetched', 'fetched', 'fetched', 'generate', 'generate']);
    // What it says when it wakes is of no use, and does no harm.
    silent.take({
      kind: 'generated',
      id: 1,
      outcome: { ok: false, error: { code: 'ERR_SIGNER', detail: '' } },
    });
    assert.equal((await second.worker.fetch(key, () => leaf('04'))).serial, '02');
    silent.end();
    assert.equal(clock.armed, 0);
  });

  test('a worker that is slow with one, and well: it loses that one alone', async () => {
    const { clock, root } = virtualRoot();
    const store = new MemoryStore();
    const slow = connect(store, root);
    const other = { ...key, host: 'b.example' };
    let finish: (material: LeafMaterial) => void = () => undefined;
    const begun: string[] = [];
    const stuck = slow.worker.fetch(key, () => {
      begun.push('stuck');
      return new Promise(() => undefined);
    });
    await eventually('it has begun', () => begun.length === 1);
    clock.advance(3000);
    const late = slow.worker.fetch(other, () => {
      begun.push('late');
      return new Promise<LeafMaterial>((resolve) => (finish = resolve));
    });
    await eventually('it has begun', () => begun.length === 2);
    clock.advance(3000);
    await assert.rejects(async () => stuck, { code: 'ERR_CANCELLED' });
    finish(leaf('05'));
    assert.equal((await late).serial, '05');
    assert.equal((await connect(store, root).worker.fetch(key, () => leaf('06'))).serial, '06');
    assert.equal(store.counters.failed, 0);
    assert.equal(clock.armed, 0);
  });

  test('a failure has its code, and is the same for all; a caller that leaves leaves alone', async () => {
    const store = new MemoryStore();
    const { worker } = connect(store);
    const failing = worker.fetch(key, () => {
      throw new SallyportError('ERR_CA_BROKEN', 'it ended');
    });
    await assert.rejects(async () => failing, { code: 'ERR_CA_BROKEN', detail: 'it ended' });
    const other = { ...key, host: 'b.example' };
    const leaving = new AbortController();
    const made = { finish: (): void => undefined };
    const gone = worker.fetch(
      other,
      () =>
        new Promise((resolve) => {
          made.finish = () => {
            resolve(leaf('03'));
          };
        }),
      leaving,
    );
    const staying = connect(store).worker.fetch(other, () => leaf('04'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    leaving.abort();
    await assert.rejects(async () => gone, { code: 'ERR_CANCELLED' });
    made.finish();
    assert.match((await staying).serial, /03|04/);
  });

  test('a renewal in the background is generated by the worker that was answered', async () => {
    let now = Date.now();
    const store = new MemoryStore({ now: () => now });
    const { worker } = connect(store);
    await worker.fetch(key, () => ({ ...leaf('01'), notAfter: now + 1000 }));
    now += 950;
    let renewed: () => void = () => undefined;
    const renewal = new Promise<void>((resolve) => (renewed = resolve));
    const again = await worker.fetch(key, () => {
      renewed();
      return { ...leaf('02'), notAfter: now + 100_000 };
    });
    assert.equal(again.serial, '01');
    await renewal;
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal((await worker.fetch(key, () => leaf('03'))).serial, '02');
  });
});
