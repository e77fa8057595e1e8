/** `--workers N` as a user has it: several processes that look like one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { LedgerLine } from '../../src/base/ledger-book.js';
import { eventually, within } from '../support/patience.js';
import { childrenOf, handshake, hostNames, patient, serials } from './certs-support.js';
import {
  getThrough,
  type RunningProxy,
  sallyport,
  startOrigin,
  startProxy,
  temporaryDirectory,
} from './support.js';

interface Counted {
  readonly identities: { readonly made: number; readonly size: number };
  readonly ledger: { readonly connections: LedgerLine };
}

interface Stats {
  readonly entries: number;
  readonly proxy: {
    readonly workers: number;
    readonly store: Readonly<Record<string, number>>;
    readonly proxy: Counted;
  };
}

async function stats(t: Parameters<typeof sallyport>[0], proxy: RunningProxy): Promise<Stats> {
  const { status, stdout, stderr } = await sallyport(t, [
    'certs',
    'stats',
    '--json',
    '--ca-dir',
    proxy.caDir,
  ]);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Stats;
}

function workersOf(proxy: RunningProxy): readonly number[] {
  return childrenOf(proxy.child.pid ?? 0);
}

describe('one proxy', () => {
  test('one line that it listens, one port, one CA; gone with SIGTERM, status 0', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const proxy = await startProxy(t, ['--workers', '3', '--upstream-ca', origin.caFile]);
    assert.equal(workersOf(proxy).length, 3);
    const answers = await Promise.all(
      Array.from({ length: 9 }, () => getThrough(t, proxy, `${origin.url}/a`)),
    );
    assert.deepEqual(new Set(answers.map(({ status, body }) => `${status} ${body}`)), new Set(['200 hello']));
    proxy.child.kill('SIGTERM');
    const { status, stdout, stderr } = await proxy.ended;
    assert.equal(status, 0, stderr);
    const lines = stdout.trimEnd().split('\n');
    assert.equal(lines[0], `listening on ${proxy.url}`);
    assert.equal(lines.length, 10, stdout);
    for (const line of lines.slice(1))
      assert.match(line, /^[\d:.]{12} GET https:\/\/\S+\/a 200 5 B .* (?:new|reused)$/);
    assert.equal(stderr.split('\n').filter((line) => line.startsWith('  proxy ')).length, 1);
  });

  test('200 connections to 20 hosts at once: 20 generations, one serial for each host', async (t) => {
    const proxy = await startProxy(t, ['--workers', '4', '--quiet', ...patient]);
    const hosts = hostNames(t, 20);
    const seen = await serials([proxy], hosts, 200, 9);
    assert.deepEqual(
      [...seen.values()].map((set) => set.size),
      hosts.map(() => 1),
    );
    const { entries, proxy: counted } = await stats(t, proxy);
    assert.equal(entries, 20);
    assert.equal(counted.workers, 4);
    assert.equal(counted.store['generated'], 20);
  });

  test('a CA that is broken, or cannot be read: one line, status 1, and no worker is started', async (t) => {
    for (const damage of [
      (path: string) => {
        writeFileSync(path, 'what is this');
      },
      (path: string) => {
        writeFileSync(path, readFileSync(path).subarray(0, 200));
      },
      (path: string) => {
        rmSync(path);
        mkdirSync(path);
      },
    ]) {
      const caDir = join(await temporaryDirectory(t), 'ca');
      await sallyport(t, ['ca', 'show', '--create', '--ca-dir', caDir]);
      damage(join(caDir, 'ca.pem'));
      const { status, stdout, stderr } = await sallyport(t, [
        '--workers',
        '2',
        '--port',
        '0',
        '--ca-dir',
        caDir,
      ]);
      assert.deepEqual([status, stdout], [1, '']);
      assert.match(stderr, /^sallyport: ERR_CA_(?:BROKEN|DIR): [^\n]*ca\.pem[^\n]*\n$/);
    }
  });

  test('a port in use and a broken store: the one line of a single process, status 1', async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const taken = await sallyport(t, ['--workers', '2', '--port', String(port)]);
    assert.equal(taken.status, 1);
    assert.match(taken.stderr, /^sallyport: ERR_PORT_IN_USE: [^\n]*\n$/);
    const store = join(await temporaryDirectory(t), 'file');
    const bad = await sallyport(t, [
      '--workers',
      '2',
      '--port',
      '0',
      '--store',
      `file:${process.execPath}/${store}`,
    ]);
    assert.equal(bad.status, 1);
    assert.match(bad.stderr, /^sallyport: ERR_STORE: [^\n]*\n$/);
  });
});

describe('a worker that hangs', () => {
  test('SIGTERM: it is killed when its time is over, which is said; status 0', async (t) => {
    const proxy = await startProxy(t, ['--workers', '2', '--quiet', '--drain-timeout', '100ms']);
    const [hung = 0] = workersOf(proxy);
    process.kill(hung, 'SIGSTOP');
    t.after(() => {
      try {
        process.kill(hung, 'SIGKILL');
      } catch {
        // As it should be, it has gone.
      }
    });
    proxy.child.kill('SIGTERM');
    const { status, stderr } = await within(proxy.ended, 'the end of the proxy');
    assert.equal(status, 0, stderr);
    assert.match(
      stderr,
      new RegExp(`^sallyport: WARNING: worker ${hung} did not end in [^\\n]*: killed$`, 'm'),
    );
    assert.throws(() => process.kill(hung, 0), { code: 'ESRCH' });
  });
});

describe('session tickets', () => {
  test('a ticket of one worker resumes on every other, even on one that is younger', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const proxy = await startProxy(t, ['--workers', '2', '--quiet', '--upstream-ca', origin.caFile]);
    const where = { host: 'localhost', port: origin.port };
    const { session } = await handshake(proxy, { ...where, ticket: true });
    assert.ok(session);
    const resumed = async (): Promise<readonly boolean[]> =>
      await Promise.all(
        Array.from({ length: 20 }, async () => (await handshake(proxy, { ...where, session })).reused),
      );
    assert.deepEqual(new Set(await resumed()), new Set([true]));
    // None is left of those that can have issued it.
    for (const pid of workersOf(proxy)) process.kill(pid, 'SIGKILL');
    await eventually('it serves again', () => getThrough(t, proxy, origin.url).then(() => true, never));
    assert.deepEqual(new Set(await resumed()), new Set([true]));
  });
});

describe('workers that die', () => {
  test('kill -9 under load: another starts, and clients are served', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const proxy = await startProxy(t, ['--workers', '3', '--upstream-ca', origin.caFile]);
    const before = workersOf(proxy);
    const load = Array.from({ length: 60 }, (_, index) => {
      if (index === 20) process.kill(before[0] ?? 0, 'SIGKILL');
      return handshake(proxy, { host: `h${index % 6}.example.com`, port: origin.port }).catch(
        () => undefined,
      );
    });
    await Promise.all(load);
    await proxy.sees(/WARNING: worker \d+ was ended by SIGKILL; another starts in 100 ms/, 'stderr');
    await eventually('there are three again', () => {
      const now = workersOf(proxy);
      return now.length === 3 && !now.includes(before[0] ?? 0);
    });
    await eventually('all three serve', async () => (await stats(t, proxy)).proxy.workers === 3);
    for (let index = 0; index < 12; index += 1) {
      assert.equal((await getThrough(t, proxy, origin.url)).status, 200);
    }
    // What was made before is still one certificate for each host.
    const seen = await serials([proxy], ['h0.example.com', 'h1.example.com'], 24, origin.port);
    assert.deepEqual(
      [...seen.values()].map((set) => set.size),
      [1, 1],
    );
  });

  test('what a dead worker has counted stays counted; what it held is held no more', async (t) => {
    const proxy = await startProxy(t, ['--workers', '2', '--quiet']);
    const visit = async (count: number): Promise<void> => {
      for (let index = 0; index < count; index += 1) {
        await handshake(proxy, { host: `h${index}.example.com`, port: 9 });
      }
    };
    const [first, second] = workersOf(proxy);
    await visit(6);
    // The connections end a moment after their clients.
    const counted = async (): Promise<Counted> => (await stats(t, proxy)).proxy.proxy;
    await eventually('all have ended', async () => (await counted()).ledger.connections.closed === 6);
    const { identities, ledger } = await counted();
    assert.ok(identities.made >= 6 && ledger.connections.created === 6);
    process.kill(first ?? 0, 'SIGKILL');
    await proxy.sees(/was ended by SIGKILL/, 'stderr');
    // One that ends by itself says what it has counted since.
    await visit(3);
    process.kill(second ?? 0, 'SIGTERM');
    await proxy.sees(/ended with status 0/, 'stderr');
    await eventually('both serve again', async () => (await stats(t, proxy)).proxy.workers === 2);
    const after = await counted();
    assert.equal(after.ledger.connections.created, 9);
    assert.deepEqual([after.ledger.connections.outstanding, after.identities.size], [0, 0]);
    assert.ok(after.identities.made >= identities.made, 'it never goes down');
  });

  test('workers accept by themselves: clients are served while the primary stands still', async (t) => {
    const proxy = await startProxy(t, ['--workers', '2', '--quiet']);
    proxy.child.kill('SIGSTOP');
    try {
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          const client = connect(Number(new URL(proxy.url).port), '127.0.0.1');
          client.write('GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: 127.0.0.1:9\r\nConnection: close\r\n\r\n');
          const [answer] = (await within(once(client, 'data'), 'an answer of a worker')) as [Buffer];
          assert.match(answer.toString(), /^HTTP\/1\.1 502 /);
          client.destroy();
        }),
      );
    } finally {
      proxy.child.kill('SIGCONT');
    }
  });

  test('all killed at once: the port stays the same', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const proxy = await startProxy(t, ['--workers', '2', '--upstream-ca', origin.caFile]);
    const before = workersOf(proxy);
    for (const pid of before) process.kill(pid, 'SIGKILL');
    await eventually('it serves again', () =>
      getThrough(t, proxy, origin.url).then(({ status }) => status === 200, never),
    );
  });

  test('no client is left hanging by a worker that is killed', async (t) => {
    const proxy = await startProxy(t, ['--workers', '2', '--quiet']);
    const port = Number(new URL(proxy.url).port);
    const workers = workersOf(proxy);
    // The clients are there before the primary can hear of the deaths.
    proxy.child.kill('SIGSTOP');
    for (const pid of workers) process.kill(pid, 'SIGKILL');
    const clients = Array.from({ length: 20 }, () => connect(port, '127.0.0.1'));
    const ends = clients.map(async (client) => {
      client.write('GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: 127.0.0.1:9\r\nConnection: close\r\n\r\n');
      client.resume().on('error', () => undefined);
      // A reset is an end too, and `once` would take its error for a failure.
      const closed = new Promise((resolve) => client.on('close', resolve));
      await within(closed, 'the answer, or the end', 8000);
    });
    await Promise.all(clients.map((client) => once(client, 'connect')));
    proxy.child.kill('SIGCONT');
    await Promise.all(ends);
  });

  test('the primary is killed: its workers end too', async (t) => {
    const proxy = await startProxy(t, ['--workers', '2']);
    const workers = workersOf(proxy);
    proxy.child.kill('SIGKILL');
    await proxy.ended;
    await eventually('the workers are gone', () => workers.every((pid) => !alive(pid)));
  });
});

describe('the end', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal} to all of them lets downloads end`, async (t) => {
      const pending: (() => void)[] = [];
      const origin = await startOrigin(t, (_request, response) => {
        response.write('first ');
        pending.push(() => response.end('last'));
      });
      const proxy = await startProxy(t, ['--workers', '2', '--upstream-ca', origin.caFile]);
      const downloads = Array.from({ length: 4 }, () => getThrough(t, proxy, origin.url));
      await eventually('four downloads run', () => pending.length === 4);
      for (const pid of [proxy.child.pid ?? 0, ...workersOf(proxy)]) process.kill(pid, signal);
      await proxy.sees(/waiting up to 10\.00 s for 4 exchanges/, 'stderr');
      for (const end of pending) end();
      const bodies = (await Promise.all(downloads)).map(({ body }) => body);
      assert.deepEqual(bodies, Array(4).fill('first last'));
      const { status, stdout, stderr } = await proxy.ended;
      assert.equal(status, 0, stderr);
      assert.equal(stdout.match(/ GET /g)?.length, 4);
      assert.ok(!stderr.includes('another starts'), stderr);
      assert.deepEqual(readdirSync(join(proxy.caDir, 'run')), []);
    });
  }

  test('a second signal ends it at once, workers too', async (t) => {
    let running = false;
    const origin = await startOrigin(t, (_request, response) => {
      response.write('first ');
      running = true;
    });
    const proxy = await startProxy(t, ['--workers', '2', '--upstream-ca', origin.caFile]);
    getThrough(t, proxy, origin.url).catch(() => undefined);
    await eventually('the download runs', () => running);
    const workers = workersOf(proxy);
    proxy.child.kill('SIGTERM');
    await proxy.sees(/waiting up to/, 'stderr');
    proxy.child.kill('SIGTERM');
    assert.equal((await proxy.ended).status, 143);
    await eventually('the workers are gone', () => workers.every((pid) => !alive(pid)));
  });
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function never(): boolean {
  return false;
}
