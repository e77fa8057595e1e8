/** `--store`: processes that share certificates, and stores that cannot be opened. */
import assert from 'node:assert/strict';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { handshake, hostNames, patient, serials } from './certs-support.js';
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
