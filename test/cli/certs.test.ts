/** `sallyport certs …` on a store in a directory, and on the memory of a running proxy. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Identities, openAuthority, openFileStore } from '../../src/certs/index.js';
import { redisServer } from '../support/redis.js';
import { handshake } from './certs-support.js';
import { sallyport, start, startProxy, temporaryDirectory } from './support.js';

interface Place {
  readonly certs: (...args: readonly string[]) => ReturnType<typeof sallyport>;
  readonly json: (...args: readonly string[]) => Promise<Readonly<Record<string, unknown>>>;
}

function place(t: TestContext, where: readonly string[]): Place {
  const certs = (...args: readonly string[]): ReturnType<typeof sallyport> =>
    sallyport(t, ['certs', ...args, ...where]);
  const json = async (...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> => {
    const { status, stdout, stderr } = await certs(...args, '--json');
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout) as Readonly<Record<string, unknown>>;
  };
  return { certs, json };
}

async function filePlace(t: TestContext): Promise<Place & { readonly store: string }> {
  const directory = await temporaryDirectory(t);
  const caDir = join(directory, 'ca');
  await sallyport(t, ['ca', 'show', '--create', '--ca-dir', caDir]);
  const store = join(directory, 'store');
  return { ...place(t, ['--ca-dir', caDir, '--store', `file:${store}`]), store };
}

/** The whole life of two certificates, in a place that has none. */
async function life({ certs, json }: Place): Promise<void> {
  assert.equal((await certs('list')).stdout, 'no certificates\n');
  const warmed = await certs('warm', 'b.example.com', 'A.example.com.', '127.0.0.1');
  assert.equal(warmed.status, 0, warmed.stderr);
  assert.match(warmed.stdout, /^b\.example\.com +made +[0-9a-f]+ +in 19\d days\na\.example\.com +made/);
  assert.match((await certs('warm', 'a.example.com')).stdout, /^a\.example\.com +found/);

  const list = (await certs('list')).stdout.trimEnd().split('\n');
  assert.match(list[0] ?? '', /^HOST +PROFILE +EXPIRES +SERIAL +STATE +SIZE$/);
  assert.deepEqual(
    list.slice(1).map((line) => line.split(' ')[0]),
    ['127.0.0.1', 'a.example.com', 'b.example.com'],
  );
  assert.match(list[2] ?? '', / p256 +\d{4}-\S+Z \(in 19\d days\) +[0-9a-f]{30,} +valid +[\d.]+ (KiB|B)$/);

  const shown = await certs('show', 'a.example.com');
  for (const part of [
    /^host +a\.example\.com$/m,
    /^names +a\.example\.com$/m,
    /^SHA-256 +([0-9A-F]{2}:){31}/m,
  ]) {
    assert.match(shown.stdout, part);
  }
  const pem = await certs('show', 'a.example.com', '--pem');
  assert.equal(new X509Certificate(pem.stdout).checkHost('a.example.com'), 'a.example.com');
  const [record] = (await json('show', 'a.example.com'))['certificates'] as Readonly<
    Record<string, unknown>
  >[];
  assert.deepEqual(record?.['names'], ['a.example.com']);
  for (const { stdout } of [shown, pem]) assert.doesNotMatch(stdout, /PRIVATE KEY/);
  assert.doesNotMatch(JSON.stringify(record), /PRIVATE KEY|privateKey/);

  assert.equal((await json('stats'))['entries'], 3);
  assert.equal((await certs('purge', '--expired')).stdout, '0 certificates removed\n');
  assert.equal((await certs('purge', '--host', 'A.example.com')).stdout, '1 certificate removed\n');
  const missing = await certs('show', 'a.example.com');
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /^sallyport: ERR_CERTIFICATE_MISSING: [^\n]*\n$/);
  assert.deepEqual(await json('purge', '--all'), { removed: 2, groups: [] });
  assert.equal((await json('stats'))['entries'], 0);
}

describe('a store in a directory', () => {
  test('warm, list, show, stats, purge', async (t) => {
    await life(await filePlace(t));
  });

  test('warmed with the leaf profile and the wildcards of a proxy, it is what that serves', async (t) => {
    const { certs, json, store } = await filePlace(t);
    const args = ['--leaf-profile', 'rsa-2048', '--wildcard-leaves'];
    const [warmed] = (await json('warm', 'www.a.example.com', ...args))['hosts'] as {
      readonly serial: string;
    }[];
    assert.match((await certs('list')).stdout, /^\*\.a\.example\.com +rsa-2048 /m);
    const caDir = join(store, '..', 'ca');
    const running = await start(t, [
      'run',
      '--port',
      '0',
      '--ca-dir',
      caDir,
      '--store',
      `file:${store}`,
      ...args,
    ]);
    const [, url = ''] = await running.sees(/^listening on (http:\/\/\S+)\n/m);
    const { serial } = await handshake({ url, caDir }, { host: 'mail.a.example.com', port: 9 });
    assert.equal(serial.toLowerCase(), warmed?.serial);
    const refused = await certs('warm', 'a.example.com', '--leaf-profile', 'rsa-1024');
    assert.equal(refused.status, 2);
    const shown = await certs('show', 'mail.a.example.com');
    assert.match(shown.stdout, /^host +\*\.a\.example\.com\ngroup +mail\.a\.example\.com and others$/m);
    const purged = await certs('purge', '--host', 'mail.a.example.com');
    assert.match(purged.stdout, /^1 certificate removed\n\*\.a\.example\.com is that of a group: /);
  });

  test('a host that is none fails alone, with status 1', async (t) => {
    const { certs } = await filePlace(t);
    const { status, stdout } = await certs('warm', 'good.example.com', 'bad host');
    assert.equal(status, 1);
    assert.match(stdout, /^good\.example\.com +made .*\nbad host +failed +ERR_LEAF_CERTIFICATE: /);
  });

  test('what is broken is listed as such, and goes with what has expired', async (t) => {
    const { certs, store } = await filePlace(t);
    await certs('warm', 'a.example.com');
    const files = (await readdir(store, { recursive: true, withFileTypes: true })).filter((file) =>
      file.isFile(),
    );
    const entry = files
      .map((file) => join(file.parentPath, file.name))
      .find((path) => statSync(path).size > 500);
    assert.ok(entry !== undefined, 'there is an entry');
    writeFileSync(entry, 'nonsense');
    assert.match((await certs('list')).stdout, / broken /);
    assert.equal((await certs('purge', '--expired')).stdout, '1 certificate removed\n');
  });

  test('what was made while a clock was ahead is not valid yet, and has not expired', async (t) => {
    const { certs, store } = await filePlace(t);
    await certs('warm', 'now.example.com');
    const authority = await openAuthority({ dir: join(store, '..', 'ca') });
    const { fingerprint256, sealer } = authority;
    const report = (): void => undefined;
    const ahead = (): number => Date.now() + 100 * 24 * 3600 * 1000;
    const opened = await openFileStore({ dir: store, authority: fingerprint256, sealer, report, now: ahead });
    const identities = new Identities({ authority, store: opened, now: ahead });
    await identities.get('ahead.example.com');
    await identities.close();
    await opened.close();
    assert.match(
      (await certs('list')).stdout,
      /^ahead\.example\.com .* not-yet-valid +\S+ \S+\nnow\.[^\n]* valid /m,
    );
    assert.match((await certs('show', 'ahead.example.com')).stdout, /^state +not-yet-valid$/m);
    const { stdout } = await certs('list', '--json');
    const { certificates } = JSON.parse(stdout) as { readonly certificates: { readonly state: string }[] };
    assert.deepEqual(
      certificates.map(({ state }) => state),
      ['not-yet-valid', 'valid'],
    );
    assert.equal((await certs('purge', '--expired')).stdout, '0 certificates removed\n');
    assert.equal((await certs('purge', '--host', 'ahead.example.com')).stdout, '1 certificate removed\n');
  });

  test('one selector, one host, a CA: what is missing is said', async (t) => {
    const { certs } = await filePlace(t);
    for (const args of [['purge'], ['purge', '--all', '--expired'], ['show'], ['warm'], ['show', 'a', 'b']]) {
      const { status, stderr } = await certs(...args);
      assert.equal(status, 2, args.join(' '));
      assert.match(stderr, /^sallyport: ERR_OPTION_VALUE: [^\n]*\n$/);
    }
    const directory = await temporaryDirectory(t);
    const { status, stderr } = await sallyport(t, ['certs', 'list', '--store', `file:${directory}`]);
    assert.equal(status, 1);
    assert.match(stderr, /^sallyport: ERR_CA_MISSING: /);
  });
});

test('a store in Redis: warm, list, show, stats, purge', async (t) => {
  const caDir = join(await temporaryDirectory(t), 'ca');
  await sallyport(t, ['ca', 'show', '--create', '--ca-dir', caDir]);
  const { url } = await redisServer(t);
  await life(place(t, ['--ca-dir', caDir, '--store', url]));
});

describe('the memory of a running proxy', () => {
  for (const workers of ['1', '2']) {
    test(`warm, list, show, stats, purge: ${workers} processes`, async (t) => {
      const proxy = await startProxy(t, ['--workers', workers]);
      await life(place(t, ['--ca-dir', proxy.caDir]));
    });

    test(`what was warmed is served: ${workers} processes`, async (t) => {
      const proxy = await startProxy(t, ['--workers', workers, '--quiet']);
      const { json } = place(t, ['--ca-dir', proxy.caDir]);
      const [warmed] = (await json('warm', 'warm.example.com'))['hosts'] as { readonly serial: string }[];
      for (let index = 0; index < 4; index += 1) {
        const { serial } = await handshake(proxy, { host: 'warm.example.com', port: 9 });
        assert.equal(serial.toLowerCase(), warmed?.serial);
      }
    });
  }

  for (const workers of ['1', '2']) {
    test(`what was purged is not served any more, whatever the store: ${workers} processes`, async (t) => {
      const store = `file:${join(await temporaryDirectory(t), 'store')}`;
      for (const where of [[], ['--store', store]]) {
        const proxy = await startProxy(t, ['--workers', workers, '--quiet', ...where]);
        const { certs } = place(t, ['--ca-dir', proxy.caDir, ...where]);
        // Each connection may come to another process; after so many all have both hosts at hand.
        const serials = async (host: string): Promise<ReadonlySet<string>> => {
          const all = new Set<string>();
          for (let index = 0; index < 8; index += 1) {
            all.add((await handshake(proxy, { host, port: 9 })).serial);
          }
          return all;
        };
        const before = [await serials('a.example.com'), await serials('b.example.com')];
        assert.equal((await certs('purge', '--host', 'a.example.com')).stdout, '1 certificate removed\n');
        const between = [await serials('a.example.com'), await serials('b.example.com')];
        assert.deepEqual(between[1], before[1]);
        assert.equal((await certs('purge', '--all')).stdout, '2 certificates removed\n');
        const after = [await serials('a.example.com'), await serials('b.example.com')];
        for (const [old, now] of [
          [before[0], between[0]],
          [between[0], after[0]],
          [between[1], after[1]],
        ]) {
          assert.equal(now?.size, 1);
          assert.ok(![...(now ?? [])].some((serial) => old?.has(serial)), 'another one');
        }
      }
    });
  }

  test('the leaf profile of the running proxy is the one that is warmed, and another where it is told', async (t) => {
    const proxy = await startProxy(t, ['--leaf-profile', 'rsa-2048', '--quiet']);
    const { certs, json } = place(t, ['--ca-dir', proxy.caDir]);
    const [warmed] = (await json('warm', 'a.example.com'))['hosts'] as { readonly serial: string }[];
    const { serial } = await handshake(proxy, { host: 'a.example.com', port: 9 });
    assert.equal(serial.toLowerCase(), warmed?.serial);
    assert.match((await certs('warm', 'a.example.com', '--leaf-profile', 'p256')).stdout, / made /);
    const { stdout } = await certs('list');
    assert.match(stdout, /^a\.example\.com +p256 .*\na\.example\.com +rsa-2048 /m);
  });

  test('the socket is its owner’s alone, and is removed; one left behind by the dead too', async (t) => {
    const proxy = await startProxy(t);
    const run = join(proxy.caDir, 'run');
    assert.equal(statSync(run).mode & 0o777, 0o700);
    assert.equal(statSync(join(run, `${proxy.child.pid}.sock`)).mode & 0o777, 0o600);
    proxy.child.kill('SIGKILL');
    await proxy.ended;
    assert.equal(readdirSync(run).length, 1);
    const { certs } = place(t, ['--ca-dir', proxy.caDir]);
    const { status, stderr } = await certs('list');
    assert.equal(status, 1);
    assert.match(stderr, /^sallyport: ERR_CONTROL: no proxy runs with the CA in [^\n]*\n$/);
    const next = await start(t, ['run', '--port', '0', '--ca-dir', proxy.caDir]);
    await next.sees(/^listening on /m);
    assert.deepEqual(readdirSync(run), [`${next.child.pid}.sock`]);
    next.child.kill('SIGTERM');
    await next.ended;
    assert.deepEqual(readdirSync(run), []);
  });

  test('two proxies with one CA: --pid says which', async (t) => {
    const first = await startProxy(t);
    const second = await start(t, ['run', '--port', '0', '--ca-dir', first.caDir]);
    await second.sees(/^listening on /m);
    const { certs } = place(t, ['--ca-dir', first.caDir]);
    const { status, stderr } = await certs('list');
    assert.equal(status, 1);
    assert.match(stderr, /ERR_CONTROL: several proxies run with this CA: give --pid, one of \d+, \d+\./);
    assert.equal((await certs('warm', 'a.example.com', '--pid', String(second.child.pid))).status, 0);
    assert.match((await certs('list', '--pid', String(second.child.pid))).stdout, /a\.example\.com/);
    assert.equal((await certs('list', '--pid', String(first.child.pid))).stdout, 'no certificates\n');
  });

  test('a path that is too long for a socket: said once, and the proxy runs', async (t) => {
    const long = join(await temporaryDirectory(t), 'd'.repeat(90));
    const proxy = await start(t, ['run', '--port', '0', '--ca-dir', long]);
    await proxy.sees(/^listening on /m);
    assert.match(proxy.stderr, /^sallyport: the path of the control socket would be too long: .*$/m);
    const { status, stderr } = await sallyport(t, ['certs', 'list', '--ca-dir', long]);
    assert.equal(status, 1);
    assert.match(stderr, /^sallyport: ERR_CONTROL: /);
  });
});
