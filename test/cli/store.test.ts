/** `--store`: processes that share certificates, and stores that cannot be opened. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { redisServer } from '../support/redis.js';
import { childrenOf, handshake, hostNames, patient, serials } from './certs-support.js';
import { sallyport, start, startProxy, temporaryDirectory } from './support.js';

test('two proxies on one directory, 50 connections each: one serial for each host', async (t) => {
  const first = await startProxy(t, ['--quiet']);
  const store = `file:${join(await temporaryDirectory(t), 'store')}`;
  const args = ['run', '--port', '0', '--quiet', '--ca-dir', first.caDir, '--store', store, ...patient];
  const proxies = await Promise.all(
    [args, [...args, '--workers', '2']].map(async (one) => {
      const running = await start(t, one);
      const [, url = ''] = await running.sees(/^listening on (http:\/\/\S+)\n/m);
      return { url, caDir: first.caDir };
    }),
  );
  const hosts = hostNames(t, 5);
  const seen = await serials(proxies, hosts, 100, 9);
  assert.deepEqual(
    [...seen.values()].map((set) => set.size),
    hosts.map(() => 1),
  );
  const where = ['--store', store, '--ca-dir', first.caDir, '--json'];
  const { stdout } = await sallyport(t, ['certs', 'list', ...where]);
  assert.equal((JSON.parse(stdout) as { readonly certificates: unknown[] }).certificates.length, 5);
});

test('what was kept is served by the next proxy', async (t) => {
  const store = ['--store', `file:${join(await temporaryDirectory(t), 'store')}`];
  const first = await startProxy(t, store);
  const before = await handshake(first, { host: 'kept.example.com', port: 9 });
  first.child.kill('SIGTERM');
  assert.equal((await first.ended).status, 0);
  const next = await start(t, ['run', '--port', '0', '--ca-dir', first.caDir, ...store]);
  const [, url = ''] = await next.sees(/^listening on (http:\/\/\S+)\n/m);
  const after = await handshake({ url, caDir: first.caDir }, { host: 'kept.example.com', port: 9 });
  assert.equal(after.serial, before.serial);
});

test('a directory that cannot be used: one line, status 1', async (t) => {
  const directory = await temporaryDirectory(t);
  await chmod(directory, 0o777);
  for (const workers of ['1', '2']) {
    const { status, stdout, stderr } = await sallyport(t, [
      'run',
      ...['--port', '0', '--workers', workers, '--store', `file:${directory}`],
    ]);
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /^sallyport: ERR_STORE: [^\n]*\n$/);
  }
});

test('the store from the environment: no password in the arguments of any process, nor in what is printed', async (t) => {
  const password = 'not-to-be-seen';
  const server = await redisServer(t, '--requirepass', password);
  const url = `redis://:${password}@127.0.0.1:${server.port}`;
  const env = { SALLYPORT_STORE: url };
  const shown: string[] = [];
  const first = await startProxy(t, ['--workers', '2'], { env });
  const typed = await start(t, [
    'run',
    '--port',
    '0',
    '--workers',
    '2',
    '--ca-dir',
    first.caDir,
    '--store',
    url,
  ]);
  const [, typedUrl = ''] = await typed.sees(/^listening on (http:\/\/\S+)$/m);
  const alsoTyped = ['run', `--store=${url}`, '--port', '0', '--workers', '2', '--ca-dir', first.caDir];
  const attached = await start(t, alsoTyped);
  await attached.sees(/^listening on /m);
  const pids = [first, typed, attached].map(({ child }) => child.pid ?? 0);
  const processes = [pids[0] ?? 0, ...pids.flatMap(childrenOf)];
  assert.equal(processes.length, 7);
  for (const pid of processes) {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    assert.match(args, /run/);
    assert.ok(!args.includes(password), args);
  }
  for (let index = 0; index < 4; index += 1) await handshake(first, { host: 'env.example.com', port: 9 });
  await handshake({ url: typedUrl, caDir: first.caDir }, { host: 'typed.example.com', port: 9 });
  const list = await sallyport(t, ['certs', 'list', '--ca-dir', first.caDir], { env });
  assert.match(list.stdout, /^env\.example\.com [^]*^typed\.example\.com /m);
  const memory = await sallyport(t, ['certs', 'list', '--store', 'memory', '--ca-dir', first.caDir], { env });
  assert.match(memory.stderr, /ERR_CONTROL: several proxies run/);
  // What goes wrong is told without it, too.
  await server.stop();
  const broken = await sallyport(t, ['certs', 'list', '--ca-dir', first.caDir], { env });
  assert.equal(broken.status, 1);
  const odd = await sallyport(t, ['certs', 'list'], { env: { SALLYPORT_STORE: `redis//x:${password}@h` } });
  assert.equal(odd.status, 2);
  assert.match(odd.stderr, /^sallyport: ERR_OPTION_VALUE: SALLYPORT_STORE takes memory, file:DIR or redis:/);
  first.child.kill('SIGTERM');
  await first.ended;
  for (const one of [first, typed, attached, list, memory, broken, odd]) shown.push(one.stdout, one.stderr);
  assert.ok(!shown.join('').includes(password), shown.join(''));
});
