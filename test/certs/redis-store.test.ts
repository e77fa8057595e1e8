import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cp, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Authority } from '../../src/certs/authority.js';
import { Minter } from '../../src/certs/mint.js';
import { certificateName } from '../../src/certs/names.js';
import { openRedisStore, type RedisStoreOptions } from '../../src/certs/redis-store.js';
import {
  type CertificateKey,
  identify,
  type InspectableStore,
  type StoreReport,
} from '../../src/certs/store.js';
import { certificateStoreConformance } from '../../src/testing/index.js';
import { eventually } from '../support/patience.js';
import { run as runProgram } from '../support/programs.js';
import { freePort, type RedisServer, redisServer } from '../support/redis.js';
import { StoreProcess } from '../support/store-process.js';
import { temporaryAuthority, temporaryDirectory, withCode } from './support.js';

interface Subject {
  readonly store: InspectableStore;
  readonly reports: StoreReport[];
  readonly generations: () => number;
  /** The serial that a fetch of `host` gave. */
  fetch(host: string): Promise<string>;
  key(host: string): CertificateKey;
  /** What was reported, in words. */
  said(): string;
}

async function open(t: TestContext, authority: Authority, options: RedisStoreOptions): Promise<Subject> {
  const reports: StoreReport[] = [];
  const { fingerprint256, sealer } = authority;
  const store = await openRedisStore({
    ...options,
    authority: fingerprint256,
    sealer,
    report: (report) => reports.push(report),
  });
  t.after(() => store.close());
  const minter = new Minter({ issuer: authority });
  let generations = 0;
  const key = (host: string): CertificateKey => ({ host, authority: fingerprint256, profile: 'p256' });
  return {
    store,
    reports,
    key,
    generations: () => generations,
    fetch: async (host) => {
      const material = await store.fetch(key(host), () => {
        generations += 1;
        return minter.mint(certificateName(host));
      });
      return material.serial;
    },
    said: () => reports.map((report) => report.kind).join(' '),
  };
}

/** Everything that a server holds, as its keys and their serialized values. */
async function dump(server: RedisServer): Promise<string> {
  const values: string[] = [];
  for (const name of await server.keys()) {
    const value = await server.command('DUMP', name);
    assert.ok(Buffer.isBuffer(value) || value === null);
    values.push(name, value?.toString('latin1') ?? '');
  }
  // DUMP may compress; what a client reads is in clear.
  for (const name of await server.keys()) {
    if (name.includes(':entry:')) values.push(await server.text('GET', name));
  }
  return values.join('\n');
}

test('redis keeps the contract', { concurrency: 4 }, async (t) => {
  const { url } = await redisServer(t);
  const cases = certificateStoreConformance({
    open: ({ id, now, capacity, ...context }) =>
      openRedisStore({ url, prefix: id, now, ...(capacity === undefined ? {} : { capacity }), ...context }),
    shared: true,
    clock: true,
    bounded: true,
  });
  await Promise.all(cases.map(({ name, run }) => t.test(name, run)));
});

test('8 processes, 200 waiters, 50 hosts: 50 generations, one serial for each host everywhere', async (t) => {
  const server = await redisServer(t);
  const { paths } = await temporaryAuthority(t);
  const setup = { store: server.url, ca: join(paths.certificate, '..') };
  const processes = await Promise.all(Array.from({ length: 8 }, () => StoreProcess.start(t, setup)));
  const hosts = Array.from({ length: 50 }, (_, n) => `h${n}.example`);
  const results = await Promise.all(processes.map((one) => one.fetch({ hosts, waiters: 200, pause: 20 })));
  assert.deepEqual(
    results.flatMap(({ errors }) => errors),
    [],
  );
  assert.deepEqual(
    results.flatMap(({ reports }) => reports),
    [],
  );
  assert.equal(
    results.reduce((sum, { generations }) => sum + generations, 0),
    50,
  );
  for (const host of hosts) {
    assert.equal(new Set(results.flatMap(({ serials }) => serials[host] ?? ['none'])).size, 1, host);
  }
  assert.doesNotMatch(await dump(server), /PRIVATE KEY/);
  assert.match(await dump(server), /BEGIN CERTIFICATE/);
  assert.deepEqual(
    await Promise.all(processes.map((one) => one.end())),
    Array.from({ length: 8 }, () => 0),
  );
});

test('a leader that is killed in its generation is replaced within its lease and a second', async (t) => {
  const server = await redisServer(t);
  const { paths } = await temporaryAuthority(t);
  const lease = 1000;
  const setup = { store: server.url, ca: join(paths.certificate, '..'), lease };
  const [leader, ...others] = await Promise.all([1, 2, 3].map(() => StoreProcess.start(t, setup)));
  assert.ok(leader);
  const begun = leader.generating();
  const lost = leader.fetch({ hosts: ['a.example'], waiters: 5, pause: 'ever' });
  const ended = assert.rejects(lost);
  await begun;
  const waiting = others.map((one) => one.fetch({ hosts: ['a.example'], waiters: 20 }));
  leader.child.kill('SIGKILL');
  const start = performance.now();
  const results = await Promise.all(waiting);
  const took = performance.now() - start;
  assert.ok(took < lease + 1000, `${took} ms`);
  await ended;
  assert.deepEqual(
    results.flatMap(({ errors }) => errors),
    [],
  );
  assert.equal(
    results.reduce((sum, { generations }) => sum + generations, 0),
    1,
  );
  assert.equal(new Set(results.flatMap(({ serials }) => serials['a.example'])).size, 1);
});

test('a server that is stopped and started under load fails no fetch; entries are shared again after', async (t) => {
  const server = await redisServer(t);
  const authority = await temporaryAuthority(t);
  const both = [await open(t, authority, { url: server.url }), await open(t, authority, { url: server.url })];
  const hosts = Array.from({ length: 10 }, (_, n) => `h${n}.example`);
  let running = true;
  let fetched = 0;
  const load = both.map(async ({ fetch }) => {
    while (running) {
      await Promise.all(hosts.map((host) => fetch(host)));
      fetched += hosts.length;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  });
  const converged = async (): Promise<boolean> => {
    const [one, two] = await Promise.all(
      both.map(({ fetch }) => Promise.all(hosts.map((host) => fetch(host)))),
    );
    return one?.join() === two?.join();
  };
  for (let round = 1; round <= 2; round += 1) {
    await eventually('all have the same', converged);
    await server.stop();
    await eventually('both notice', () => both.every(({ said }) => said().split('degraded').length > round));
    const before = fetched;
    await eventually('fetches go on', () => fetched > before + 100);
    await server.start();
    await eventually('both are back', () =>
      both.every(({ said }) => said().split('restored').length > round),
    );
  }
  running = false;
  await Promise.all(load);
  for (const { said } of both) assert.equal(said(), 'degraded restored degraded restored');
  await eventually('all have the same', converged);
});

test('entries that are cut, changed, foreign, or no strings: reported, made anew, never served', async (t) => {
  const server = await redisServer(t);
  const authority = await temporaryAuthority(t);
  const first = await open(t, authority, { url: server.url });
  const entry = (host: string): string => `{sallyport}:entry:${identify(first.key(host))}`;
  const original = await first.fetch('a.example');
  await first.fetch('b.example');
  const good = (await server.command('GET', entry('a.example'))) as Buffer;
  const foreign = (await server.command('GET', entry('b.example'))) as Buffer;
  const flipped = Buffer.from(good);
  const middle = good.length - 40;
  flipped[middle] = (flipped[middle] ?? 0) ^ 1;
  const wrongs: (readonly [string, string | Buffer])[] = [
    ['SET', ''],
    ['SET', 'what is this'],
    ['SET', good.subarray(0, good.length / 2)],
    ['SET', flipped],
    ['SET', foreign],
    ['RPUSH', good],
    ['SADD', good],
  ];
  const serials = new Set([original]);
  for (const [command, value] of wrongs) {
    await server.command('DEL', entry('a.example'));
    await server.command(command, entry('a.example'), value);
    const subject = await open(t, authority, { url: server.url });
    serials.add(await subject.fetch('a.example'));
    assert.equal(subject.said(), 'broken', `${command} ${String(value).slice(0, 20)}`);
    assert.equal(subject.generations(), 1);
    assert.equal(await first.fetch('a.example'), [...serials].at(-1));
    await subject.store.close();
  }
  assert.equal(serials.size, wrongs.length + 1);
  assert.equal(first.said(), '');
});

test('what never answers: the first fetch takes about a second, those after it none', async (t) => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const address = silent.address();
  assert.ok(address !== null && typeof address === 'object');
  const authority = await temporaryAuthority(t);
  const opening = performance.now();
  const { fetch, said, store } = await open(t, authority, { url: `redis://127.0.0.1:${address.port}` });
  const opened = performance.now() - opening;
  assert.ok(opened < 2000, `${opened} ms until it was open`);
  const start = performance.now();
  const serial = await fetch('a.example');
  const first = performance.now() - start;
  assert.ok(first < 4000, `${first} ms`);
  assert.equal(await fetch('a.example'), serial);
  for (let n = 0; n < 20; n += 1) await fetch(`h${n}.example`);
  assert.ok(performance.now() - start - first < 5000);
  assert.equal(said(), 'degraded');
  const closing = performance.now();
  await store.close();
  assert.ok(performance.now() - closing < 4000);
});

test('a server that is not there at the start: leaves are made here until it is, then shared', async (t) => {
  const server = await redisServer(t, '--requirepass', 'sEcret');
  await server.stop();
  const authority = await temporaryAuthority(t);
  const url = `redis://:sEcret@127.0.0.1:${server.port}/2`;
  const one = await open(t, authority, { url });
  const serial = await one.fetch('a.example');
  const [report] = one.reports;
  assert.ok(report?.kind === 'degraded');
  assert.equal(report.store, `redis://127.0.0.1:${server.port}/2`);
  assert.match(report.error.detail, /ECONNREFUSED/);
  assert.doesNotMatch(`${JSON.stringify(one.reports)} ${report.error.stack}`, /sEcret/);
  await server.start();
  await eventually('it is back', () => one.said() === 'degraded restored');
  const two = await open(t, authority, { url });
  assert.equal(await one.fetch('a.example'), serial, 'what was made meanwhile is shared');
  assert.equal(await two.fetch('a.example'), serial);
  assert.equal(two.generations(), 0);
});

test('the capacity is that of all who share', async (t) => {
  const server = await redisServer(t);
  const authority = await temporaryAuthority(t);
  const capacity = 40_000;
  const { fetch, store } = await open(t, authority, { url: server.url, capacity });
  for (let n = 0; n < 60; n += 1) await fetch(`h${n}.example`);
  let bytes = 0;
  let count = 0;
  for await (const entry of store.entries()) {
    assert.equal(entry.state, 'valid');
    bytes += entry.bytes;
    count += 1;
  }
  assert.ok(bytes <= capacity && count > 5, `${bytes} B in ${count}`);
  assert.equal(store.counters.evicted, 60 - count);
});

test('a URL that is none is refused, without a word of it', async (t) => {
  const authority = await temporaryAuthority(t);
  const wrongs = [
    '',
    'redis://',
    'redis://:pa%zz@h:1',
    'redis://:s3cret@h:99999',
    'redis://:s3cret@h/x',
    'redis://:s3cret#@h',
    'http://:s3cret@h',
    'redis://:s3cret@h?x=1',
    '/s3cret',
  ];
  for (const url of wrongs) {
    await assert.rejects(open(t, authority, { url }), (error: Error) => {
      assert.doesNotMatch(`${error.stack} ${String(error.cause)}`, /s3cret|pa%zz/);
      return withCode('ERR_STORE')(error);
    });
  }
  await assert.rejects(
    open(t, authority, { url: 'redis://h', prefix: 'a}b' }),
    withCode('ERR_STORE', /prefix/),
  );
});

test('without the package redis: what to install', async (t) => {
  const directory = await temporaryDirectory(t);
  const built = fileURLToPath(new URL('../../src', import.meta.url));
  for (const folder of ['base', 'certs'])
    await cp(join(built, folder), join(directory, folder), { recursive: true });
  await writeFile(join(directory, 'package.json'), '{"type":"module"}');
  const code = `import { openRedisStore } from './certs/redis-store.js';
    await openRedisStore({ url: 'redis://h' }).catch((error) => console.log(error.code, error.message));`;
  const args = ['--input-type=module', '--eval', code];
  const { stdout, stderr } = await runProgram(process.execPath, args, { cwd: directory });
  assert.match(stdout, /^ERR_STORE .*npm install redis/, stderr);
});

test('an open store does not keep a process alive', async (t) => {
  const server = await redisServer(t);
  const directory = await temporaryDirectory(t);
  const built = fileURLToPath(new URL('../../src', import.meta.url));
  await symlink(built, join(directory, 'src'));
  const code = `import { RedisBackend } from './src/certs/redis-backend.js';
    import { redisClients } from './src/certs/redis-client.js';
    const make = await redisClients('${server.url}');
    const backend = new RedisBackend({ make, name: 'r', prefix: 'p', capacity: 1e6, now: Date.now });
    const key = { host: 'a', authority: 'A', profile: 'p256' };
    await backend.changed(key, { signal: new AbortController().signal, attempt: 9 });
    console.log((await backend.read(key)).entry);`;
  const args = ['--input-type=module', '--eval', code];
  const { stdout, status } = await runProgram(process.execPath, args, { cwd: directory, timeout: 5000 });
  assert.deepEqual([stdout.trim(), status], ['undefined', 0]);
});

test('a store whose server is gone does not keep a process alive', async (t) => {
  const { paths } = await temporaryAuthority(t);
  const port = await freePort();
  const directory = await temporaryDirectory(t);
  await symlink(fileURLToPath(new URL('../../src', import.meta.url)), join(directory, 'src'));
  const code = `import { Minter, certificateName, openAuthority, openRedisStore } from './src/certs/index.js';
    const ca = await openAuthority({ dir: ${JSON.stringify(join(paths.certificate, '..'))} });
    const { fingerprint256: authority, sealer } = ca;
    const report = ({ kind }) => console.log(kind);
    const store = await openRedisStore({ url: 'redis://127.0.0.1:${port}', authority, sealer, report });
    const minter = new Minter({ issuer: ca });
    const key = { host: 'a.example', authority, profile: 'p256' };
    await store.fetch(key, (work) => minter.mint(certificateName('a.example'), work));
    console.log('fetched');`;
  const args = ['--input-type=module', '--eval', code];
  const { stdout, status } = await runProgram(process.execPath, args, { cwd: directory, timeout: 5000 });
  assert.deepEqual([stdout.trim().split('\n'), status], [['degraded', 'fetched'], 0]);
});

test('over TLS: rediss://, with a CA that Node was told to trust; without it the server is not there', async (t) => {
  const directory = await temporaryDirectory(t);
  const port = await freePort();
  const authority = await temporaryAuthority(t);
  const { paths, pem } = authority;
  const leaf = await new Minter({ issuer: authority }).mint(certificateName('127.0.0.1'));
  const [certificate, key] = [join(directory, 'leaf.pem'), join(directory, 'leaf-key.pem')];
  await writeFile(certificate, leaf.certificatePem + pem);
  await writeFile(key, leaf.privateKeyPem);
  const tls = ['--tls-port', String(port), '--tls-cert-file', certificate, '--tls-key-file', key];
  const more = ['--tls-ca-cert-file', paths.certificate, '--tls-auth-clients', 'no'];
  const server = await redisServer(t, ...tls, ...more);
  const store = `rediss://127.0.0.1:${port}`;
  const setup = { store, ca: join(paths.certificate, '..') };
  const env = { NODE_EXTRA_CA_CERTS: paths.certificate };
  const both = await Promise.all([1, 2].map(() => StoreProcess.start(t, setup, { env })));
  const seen = await Promise.all(both.map((one) => one.fetch({ hosts: ['a.example'], waiters: 5 })));
  assert.deepEqual(
    seen.flatMap(({ errors, reports }) => [...errors, ...reports]),
    [],
  );
  assert.equal(new Set(seen.flatMap(({ serials }) => serials['a.example'])).size, 1);
  assert.equal((await server.keys()).filter((name) => name.includes(':entry:')).length, 1);
  const { reports, fetch } = await open(t, authority, { url: store });
  await fetch('a.example');
  const [report] = reports;
  assert.ok(report?.kind === 'degraded');
  assert.match(
    report.error.detail,
    /^rediss:\/\/127\.0\.0\.1:\d+: self-signed certificate in certificate chain/,
  );
});
