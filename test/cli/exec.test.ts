/** `sallyport exec` as a user has it: the command's traffic, its status, its signals, and nothing left behind. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { certificateBlocks } from '../../src/cli/roots.js';
import { sallyport, start, startOrigin, temporaryDirectory } from './support.js';

describe('status', () => {
  for (const status of [0, 1, 7, 255]) {
    test(`exit ${status}`, async (t) => {
      assert.equal((await sallyport(t, ['exec', '--', 'sh', '-c', `exit ${status}`])).status, status);
    });
  }

  test('a command that a signal ended', async (t) => {
    for (const [signal, status] of [
      ['TERM', 143],
      ['KILL', 137],
    ] as const) {
      assert.equal((await sallyport(t, ['exec', '--', 'sh', '-c', `kill -${signal} $$`])).status, status);
    }
  });

  test('a command that is not there, and one that is no program', async (t) => {
    const missing = await sallyport(t, ['exec', '--', 'no-such-command-here']);
    assert.equal(missing.status, 127);
    assert.match(
      missing.stderr,
      /sallyport: ERR_EXEC_NOT_FOUND: no-such-command-here: not found\. [^\n]*\n$/,
    );
    const directory = await temporaryDirectory(t);
    const file = join(directory, 'plain');
    await writeFile(file, 'not a program', { mode: 0o644 });
    const plain = await sallyport(t, ['exec', '--', file]);
    assert.equal(plain.status, 126);
    assert.match(plain.stderr, /ERR_EXEC_NOT_FOUND: .*plain: cannot be executed: permission denied/);
  });

  test('the output of the command is its own', async (t) => {
    const { stdout, stderr } = await sallyport(t, ['exec', '--', 'sh', '-c', 'echo out; echo err >&2']);
    assert.deepEqual([stdout, stderr], ['out\n', 'err\n']);
  });
});

describe('signals', () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    test(`${signal} is the command's to answer`, async (t) => {
      const name = signal.slice(3);
      const script = `trap 'echo got ${name}; exit 9' ${name}; echo ready; i=0; while [ $i -lt 200 ]; do sleep 0.05; i=$((i+1)); done`;
      const running = await start(t, ['exec', '--', 'sh', '-c', script]);
      await running.sees(/ready/);
      running.child.kill(signal);
      const { status, stdout } = await running.ended;
      assert.deepEqual([status, stdout], [9, `ready\ngot ${name}\n`]);
    });
  }

  test('the files are gone when a signal has ended the command', async (t) => {
    const script = 'echo "$SSL_CERT_FILE"; exec sleep 20';
    const running = await start(t, ['exec', '--', 'sh', '-c', script]);
    const [, file = ''] = await running.sees(/^(\/\S+)\n/);
    assert.ok(existsSync(file));
    running.child.kill('SIGTERM');
    assert.equal((await running.ended).status, 143);
    assert.ok(!existsSync(file));
    assert.ok(!existsSync(join(file, '..')));
  });
});

describe('traffic', () => {
  test('curl goes through the proxy and trusts it; the lines are in the log', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const log = join(await temporaryDirectory(t), 'traffic.log');
    const args = ['exec', '--upstream-ca', origin.caFile, '--log', log, '--log-format', 'json'];
    const { status, stdout, stderr } = await sallyport(t, [...args, '--', 'curl', '-sS', `${origin.url}/a`]);
    assert.deepEqual([status, stdout, stderr], [0, 'hello', '']);
    const record: unknown = JSON.parse(await readFile(log, 'utf8'));
    const { url, status: answer } = record as { url: string; status: number };
    assert.deepEqual([url, answer], [`${origin.url}/a`, 200]);
    assert.equal((await stat(log)).mode & 0o777, 0o600);
  });

  test('--store, or SALLYPORT_STORE: what was made is there for the next proxy', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const directory = await temporaryDirectory(t);
    const caDir = join(directory, 'ca');
    const store = `file:${join(directory, 'store')}`;
    const exec = ['exec', '--upstream-ca', origin.caFile, '--ca-dir', caDir];
    const get = ['--', 'curl', '-sS', origin.url];
    const serials = async (): Promise<unknown[]> => {
      const { stdout } = await sallyport(t, ['certs', 'list', '--store', store, '--ca-dir', caDir, '--json']);
      const { certificates } = JSON.parse(stdout) as {
        readonly certificates: { serial: string; host: string }[];
      };
      return certificates.map(({ host, serial }) => `${host} ${serial}`);
    };
    const ways = [
      [['--store', store], {}],
      [[], { SALLYPORT_STORE: store }],
    ] as const;
    const seen: unknown[] = [];
    for (const [args, env] of ways) {
      const { status, stdout, stderr } = await sallyport(t, [...exec, ...args, ...get], { env });
      assert.deepEqual([status, stdout, stderr], [0, 'hello', '']);
      seen.push(...(await serials()));
    }
    assert.match(String(seen[0]), /^127\.0\.0\.1 /);
    assert.deepEqual(seen, [seen[0], seen[0]], 'made once, by the first');
    const other = `file:${join(directory, 'other')}`;
    const typed = await sallyport(t, [...exec, '--store', other, ...get], {
      env: { SALLYPORT_STORE: 'no store' },
    });
    assert.equal(typed.status, 0, typed.stderr);
    assert.ok(existsSync(join(directory, 'other')), 'what is typed counts');
    const refused = await sallyport(t, [...exec, ...get], { env: { SALLYPORT_STORE: 'no store' } });
    assert.equal(refused.status, 2);
    assert.match(
      refused.stderr,
      /^sallyport: ERR_OPTION_VALUE: SALLYPORT_STORE takes memory, file:DIR or redis:/,
    );
  });

  test('a store that cannot be used is said: the command has not run', async (t) => {
    const directory = await temporaryDirectory(t);
    await chmod(directory, 0o777);
    const args = ['exec', '--store', `file:${directory}`, '--', 'echo', 'ran'];
    const { status, stdout, stderr } = await sallyport(t, args);
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /^sallyport: ERR_STORE: [^\n]*\n$/);
  });

  test('an entry that is broken is told on stderr', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const directory = await temporaryDirectory(t);
    const args = ['--ca-dir', join(directory, 'ca'), '--store', `file:${join(directory, 'store')}`];
    const get = [...args, '--upstream-ca', origin.caFile, '--', 'curl', '-sS', origin.url];
    await sallyport(t, ['exec', ...get]);
    const names = await readdir(join(directory, 'store'), { recursive: true });
    const entry = names.find((name) => name.endsWith('.json')) ?? '';
    await writeFile(join(directory, 'store', entry), 'nonsense');
    const { status, stdout, stderr } = await sallyport(t, ['exec', '--quiet', ...get]);
    assert.deepEqual([status, stdout], [0, 'hello']);
    assert.match(stderr, /^sallyport: WARNING: .*127\.0\.0\.1: a broken entry was discarded [^\n]*\n$/);
  });

  test('wget, with the settings of its user', async (t) => {
    const origin = await startOrigin(t, (request, response) => response.end(request.headers['user-agent']));
    const wgetrc = join(await temporaryDirectory(t), 'wgetrc');
    await writeFile(wgetrc, 'user_agent = from-wgetrc');
    const args = ['exec', '--upstream-ca', origin.caFile, '--', 'wget', '-nv', '-O', '-', origin.url];
    const { status, stdout, stderr } = await sallyport(t, args, { env: { WGETRC: wgetrc } });
    assert.deepEqual([status, stdout], [0, 'from-wgetrc'], stderr);
  });

  test('python and node, each in its own way', async (t) => {
    const origin = await startOrigin(t, (request, response) => response.end(request.headers.via ?? ''));
    const python = `import urllib.request as u; print(u.urlopen("${origin.url}").read().decode())`;
    const args = ['exec', '--verbose', '--upstream-ca', origin.caFile, '--'];
    const byPython = await sallyport(t, [...args, 'python3', '-c', python]);
    assert.equal(byPython.status, 0, byPython.stderr);
    assert.match(byPython.stdout, /^1\.1 \S+/);
    assert.match(byPython.stderr, / GET https:\/\/127\.0\.0\.1:\d+\/? 200 /);

    const script = `require('node:tls').createSecureContext();
      const { X509Certificate } = require('node:crypto');
      const text = require('node:fs').readFileSync(process.env.NODE_EXTRA_CA_CERTS, 'utf8');
      console.log(new X509Certificate(text).subject.includes('sallyport'));`;
    const byNode = await sallyport(t, [...args, process.execPath, '-e', script]);
    assert.equal(byNode.stdout, 'true\n');
  });

  test('--verbose shows exchanges on stderr, and an origin that nobody trusts is not trusted', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const { stdout, stderr } = await sallyport(t, ['exec', '--verbose', '--', 'curl', '-s', origin.url]);
    assert.match(stdout, /ERR_UPSTREAM_CERT_/);
    assert.match(stderr, / 502 .*ERR_UPSTREAM_CERT_/);
  });

  test('what the environment trusted stays trusted, by the command and by the proxy', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const env = { SSL_CERT_FILE: origin.caFile };
    const fetched = await sallyport(t, ['exec', '--', 'curl', '-sS', origin.url], { env });
    assert.deepEqual([fetched.status, fetched.stdout], [0, 'hello']);

    const cat = ['exec', '--', 'sh', '-c', 'cat "$SSL_CERT_FILE"; echo @; cat "$NODE_EXTRA_CA_CERTS"'];
    const { stdout } = await sallyport(t, cat, { env: { NODE_EXTRA_CA_CERTS: origin.caFile } });
    const [complete = '', extra = ''] = stdout.split('@\n');
    const originCa = (await readFile(origin.caFile, 'utf8')).trim();
    assert.ok(certificateBlocks(complete).includes(originCa));
    assert.ok(certificateBlocks(complete).length > 10, 'the roots of the system are missing');
    assert.equal(certificateBlocks(extra).length, 2);
    assert.ok(certificateBlocks(extra).includes(originCa));
  });
});

describe('the environment', () => {
  test('the files are private', async (t) => {
    const script = 'stat -c %a "$SSL_CERT_FILE" "$(dirname "$SSL_CERT_FILE")"';
    const { stdout } = await sallyport(t, ['exec', '--', 'sh', '-c', script]);
    assert.equal(stdout, '600\n700\n');
  });

  test('proxies of the outside are replaced with a notice, NO_PROXY stays with one; --quiet says nothing', async (t) => {
    const env = { HTTPS_PROXY: 'http://me:secret@corp:3128', NO_PROXY: 'localhost' };
    const print = ['--', 'sh', '-c', 'echo "$https_proxy $HTTPS_PROXY $NO_PROXY"'];
    const told = await sallyport(t, ['exec', ...print], { env });
    assert.match(told.stdout, /^(http:\/\/127\.0\.0\.1:\d+) \1 localhost\n$/);
    assert.match(
      told.stderr,
      /^sallyport: HTTPS_PROXY of your environment is not used.*\nsallyport: NO_PROXY=localhost .*\n$/,
    );
    assert.doesNotMatch(told.stderr, /secret/);
    const quiet = await sallyport(t, ['exec', '--quiet', '--no-proxy', '', ...print], { env });
    assert.match(quiet.stdout, / \n$/);
    assert.equal(quiet.stderr, '');
  });

  test('a file that cannot be read is left out with a notice', async (t) => {
    const env = { SSL_CERT_FILE: '/no/such/roots.pem' };
    const { status, stderr } = await sallyport(t, ['exec', '--', 'true'], { env });
    assert.equal(status, 0);
    assert.match(stderr, /SSL_CERT_FILE of your environment is left out: \/no\/such\/roots\.pem/);
  });
});
