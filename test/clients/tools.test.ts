/** wget, Python, git and OpenSSL through the command: with their own options, and under `sallyport exec`. */
import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { sallyport } from '../cli/support.js';
import { httpOrigin } from '../support/origins.js';
import { Pki } from '../support/pki.js';
import { type Outcome, program, run } from '../support/programs.js';
import { Sallyport } from '../support/sallyport.js';
import { temporaryDirectory } from '../support/stage.js';
import { cutShort, type Echo, EchoOrigin, sample } from './echo.js';
import { exchangeLines, parse } from './exchange-log.js';

interface Setting {
  readonly proxy: Sallyport;
  readonly origin: EchoOrigin;
  /** `https://localhost:port` */
  readonly url: string;
  /** An empty HOME: no settings of whoever runs the tests. */
  readonly env: Readonly<Record<string, string>>;
}

async function open(t: TestContext): Promise<Setting> {
  const proxy = await Sallyport.start(t, { args: ['--host', '127.0.0.1', '--log-format', 'json'] });
  const origin = await EchoOrigin.open(t, await proxy.pki.anyHost(), { '/cut': cutShort });
  const url = `https://localhost:${origin.port}`;
  return { proxy, origin, url, env: { HOME: await temporaryDirectory(t) } };
}

/** A command that is told nothing about the proxy, under `sallyport exec`; and the URLs that were logged. */
async function exec(t: TestContext, pki: Pki, command: readonly string[]) {
  const directory = await temporaryDirectory(t);
  const log = join(directory, 'log');
  const options = ['--ca-dir', join(directory, 'ca'), '--upstream-ca', pki.caFile];
  const logging = ['--log', log, '--log-format', 'json'];
  const env = pyenv();
  const outcome = await sallyport(t, ['exec', ...options, ...logging, '--', ...command], { env });
  assert.equal(outcome.status, 0, outcome.stderr);
  const urls = parse(await readFile(log, 'utf8')).map(({ url, status }) => `${status} ${url}`);
  return { stdout: outcome.stdout, urls };
}

/** A Python that a version manager starts asks the environment which one. */
function pyenv(): Readonly<Record<string, string>> {
  const names = ['PYENV_ROOT', 'PYENV_VERSION'];
  const found = names.map((name) => [name, process.env[name]] as const);
  return Object.fromEntries(found.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

describe('wget', () => {
  function wget(
    { proxy, env }: Setting,
    args: readonly string[],
    ca: string = proxy.caFile,
  ): Promise<Outcome> {
    const through = [
      '-e',
      'use_proxy=yes',
      '-e',
      `https_proxy=${proxy.url}`,
      '-e',
      `http_proxy=${proxy.url}`,
    ];
    const flags = ['--no-config', '--no-verbose', '--tries=1', '--output-document=-'];
    return run(program('wget'), [...flags, ...through, `--ca-certificate=${ca}`, ...args], { env });
  }

  test('GET https://, two URLs over one connection', async (t) => {
    const setting = await open(t);
    const { status, stdout, stderr } = await wget(setting, [`${setting.url}/1`, `${setting.url}/2`]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^\{"method":"GET","url":"\/1".*\}\{"method":"GET","url":"\/2".*\}$/);
    const [first, second] = await exchangeLines(setting.proxy, 2);
    assert.deepEqual([first?.status, second?.status], [200, 200]);
    assert.equal(first?.client.connection, second?.client.connection);
    assert.match(setting.origin.seen[0]?.headers.via ?? '', /sallyport/);
  });

  test('POST of a file', async (t) => {
    const setting = await open(t);
    const { bytes, sha256 } = sample(300_000);
    const file = join(await temporaryDirectory(t), 'upload');
    await writeFile(file, bytes);
    const { status, stdout, stderr } = await wget(setting, [`--post-file=${file}`, `${setting.url}/`]);
    assert.equal(status, 0, stderr);
    assert.equal((JSON.parse(stdout) as Echo).sha256, sha256);
  });

  test('http://', async (t) => {
    const setting = await open(t);
    const plain = await EchoOrigin.open(t, undefined);
    const { status, stdout, stderr } = await wget(setting, [`http://localhost:${plain.port}/plain`]);
    assert.equal(status, 0, stderr);
    const { url, headers } = JSON.parse(stdout) as Echo;
    assert.equal(url, '/plain');
    assert.match(headers.via ?? '', /sallyport/);
  });

  test('fails when a body is cut short', async (t) => {
    const setting = await open(t);
    const { status, stdout } = await wget(setting, [`${setting.url}/cut`]);
    assert.deepEqual([status, stdout], [4, 'the beginning'], 'network failure');
  });

  test('fails when it is not told of the CA', async (t) => {
    const setting = await open(t);
    const { status, stdout } = await wget(setting, [`${setting.url}/`], setting.proxy.pki.caFile);
    assert.deepEqual([status, stdout], [5, ''], 'verification failure');
    assert.equal(setting.origin.seen.length, 0);
  });

  test('under sallyport exec', async (t) => {
    const pki = await Pki.make(t);
    const origin = await EchoOrigin.open(t, await pki.anyHost());
    const url = `https://localhost:${origin.port}/exec`;
    const { stdout, urls } = await exec(t, pki, [program('wget'), '-q', '-O', '-', url]);
    assert.equal((JSON.parse(stdout) as Echo).url, '/exec');
    assert.deepEqual(urls, [`200 ${url}`]);
  });
});

describe("Python's urllib.request", () => {
  /** Arguments: proxy, CA file, URL. As strict as Python 3.13 is by itself. */
  const script = `
import json, ssl, sys, urllib.error, urllib.request
proxy, ca, url = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.verify_flags |= ssl.VERIFY_X509_STRICT
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({'http': proxy, 'https': proxy}),
    urllib.request.HTTPSHandler(context=context))
def told(request):
    try:
        with opener.open(request, timeout=15) as response:
            return json.load(response)
    except urllib.error.URLError as error:
        return str(error.reason)
answers = [told(url + '/get?a=b'), told(urllib.request.Request(url + '/post', data=b'x' * 300000))]
print(json.dumps(answers))
`;

  async function answers({ proxy, env }: Setting, ca: string, url: string): Promise<unknown> {
    const args = ['-c', script, proxy.url, ca, url];
    const { status, stdout, stderr } = await run(program('python3'), args, { env: { ...env, ...pyenv() } });
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout);
  }

  for (const host of ['localhost', '127.0.0.1']) {
    test(`GET and POST, https://${host}`, async (t) => {
      const setting = await open(t);
      const url = `https://${host}:${setting.origin.port}`;
      const [got, posted] = (await answers(setting, setting.proxy.caFile, url)) as Echo[];
      assert.equal(`${got?.method} ${got?.url}`, 'GET /get?a=b');
      assert.match(got?.headers.via ?? '', /sallyport/);
      assert.equal(`${posted?.method} ${posted?.url} ${posted?.length}`, 'POST /post 300000');
      const lines = await exchangeLines(setting.proxy, 2);
      assert.deepEqual(
        lines.map(({ url: seen }) => seen),
        [`${url}/get?a=b`, `${url}/post`],
      );
    });
  }

  test('http://', async (t) => {
    const setting = await open(t);
    const plain = await EchoOrigin.open(t, undefined);
    const url = `http://localhost:${plain.port}`;
    const [got, posted] = (await answers(setting, setting.proxy.caFile, url)) as Echo[];
    assert.equal(got?.url, '/get?a=b');
    assert.match(got.headers.via ?? '', /sallyport/);
    assert.equal(posted?.length, 300_000);
  });

  test('fails when it is not told of the CA', async (t) => {
    const setting = await open(t);
    const [got] = (await answers(setting, setting.proxy.pki.caFile, setting.url)) as string[];
    assert.match(got ?? '', /CERTIFICATE_VERIFY_FAILED/);
    assert.equal(setting.origin.seen.length, 0);
  });

  test('under sallyport exec', async (t) => {
    const pki = await Pki.make(t);
    const origin = await EchoOrigin.open(t, await pki.anyHost());
    const url = `https://localhost:${origin.port}/exec`;
    const script = 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())';
    const { stdout, urls } = await exec(t, pki, [program('python3'), '-c', script, url]);
    assert.equal((JSON.parse(stdout) as Echo).url, '/exec');
    assert.deepEqual(urls, [`200 ${url}`]);
  });
});

describe('git over HTTPS', () => {
  /** No settings but these, whoever runs the tests; never a question. */
  const settings = {
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'A',
    GIT_AUTHOR_EMAIL: 'a@example.com',
    GIT_COMMITTER_NAME: 'A',
    GIT_COMMITTER_EMAIL: 'a@example.com',
  };

  /** Variables that outweigh the configuration, or name another repository (a hook that runs tests has them). */
  const withoutVariables = ['GIT_SSL_CAINFO', 'GIT_SSL_CAPATH', 'GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE'];

  interface Repository {
    readonly bare: string;
    readonly head: string;
    readonly blob: Buffer;
  }

  async function git(home: string, ...args: readonly string[]): Promise<Outcome> {
    const unset = withoutVariables.flatMap((name) => ['-u', name]);
    return run('env', [...unset, program('git'), ...args], { env: { ...settings, HOME: home } });
  }

  async function done(outcome: Promise<Outcome>): Promise<string> {
    const { status, stdout, stderr } = await outcome;
    assert.equal(status, 0, stderr);
    return stdout.trim();
  }

  /** A bare repository of two commits that a server of static files can serve. */
  async function repository(t: TestContext, home: string): Promise<Repository> {
    const directory = await temporaryDirectory(t);
    const work = join(directory, 'work');
    const bare = join(directory, 'repo.git');
    const blob = sample(400_000).bytes;
    await done(git(home, 'init', '--quiet', '--initial-branch=main', work));
    await writeFile(join(work, 'README'), 'read me\n');
    await done(git(home, '-C', work, 'add', '.'));
    await done(git(home, '-C', work, 'commit', '--quiet', '-m', 'one'));
    await writeFile(join(work, 'blob'), blob);
    await done(git(home, '-C', work, 'add', '.'));
    await done(git(home, '-C', work, 'commit', '--quiet', '-m', 'two'));
    await done(git(home, 'clone', '--quiet', '--bare', work, bare));
    await done(git(home, '-C', bare, 'update-server-info'));
    return { bare, head: await done(git(home, '-C', bare, 'rev-parse', 'HEAD')), blob };
  }

  /** The files of `directory` under `/repo.git/`, without any knowledge of git. */
  function files(directory: string): RequestListener {
    return (request, response) => {
      const path = new URL(request.url ?? '', 'https://origin').pathname.replace(/^\/repo\.git\//, '');
      const file = join(directory, path);
      void stat(file)
        .then((found) => (found.isFile() ? readFile(file) : Promise.reject(new Error('no file'))))
        .then(
          (bytes) => response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(bytes),
          () => response.writeHead(404).end(),
        );
    };
  }

  async function assertCloned(home: string, clone: string, { head, blob }: Repository): Promise<void> {
    assert.equal(await done(git(home, '-C', clone, 'rev-parse', 'HEAD')), head);
    await done(git(home, '-C', clone, 'fsck', '--full', '--strict'));
    assert.equal(await readFile(join(clone, 'README'), 'utf8'), 'read me\n');
    assert.ok((await readFile(join(clone, 'blob'))).equals(blob));
  }

  test('clone', async (t) => {
    const { proxy, env } = await open(t);
    const home = env['HOME'] ?? '';
    const made = await repository(t, home);
    const { port } = await httpOrigin(t, files(made.bare), await proxy.pki.anyHost());
    const clone = join(await temporaryDirectory(t), 'clone');
    const url = `https://localhost:${port}/repo.git`;
    const config = ['-c', `http.proxy=${proxy.url}`, '-c', `http.sslCAInfo=${proxy.caFile}`];
    await done(git(home, ...config, 'clone', '--quiet', url, clone));
    await assertCloned(home, clone, made);
    const lines = await exchangeLines(proxy, 3);
    assert.equal(lines[0]?.url, `${url}/info/refs?service=git-upload-pack`);
    for (const line of lines) assert.ok(line.url.startsWith(url) && line.answeredBy === 'origin', line.url);
  });

  test('clone fails when it is not told of the CA', async (t) => {
    const { proxy, url, origin, env } = await open(t);
    const clone = join(await temporaryDirectory(t), 'clone');
    const config = ['-c', `http.proxy=${proxy.url}`, '-c', `http.sslCAInfo=${proxy.pki.caFile}`];
    const home = env['HOME'] ?? '';
    const { status, stderr } = await git(home, ...config, 'clone', `${url}/repo.git`, clone);
    assert.equal(status, 128);
    assert.match(stderr, /certificate/);
    assert.doesNotMatch(stderr, /error setting certificate/);
    assert.equal(origin.seen.length, 0);
  });

  test('clone under sallyport exec', async (t) => {
    const pki = await Pki.make(t);
    const home = await temporaryDirectory(t);
    const made = await repository(t, home);
    const { port } = await httpOrigin(t, files(made.bare), await pki.anyHost());
    const clone = join(await temporaryDirectory(t), 'clone');
    const url = `https://localhost:${port}/repo.git`;
    const { urls } = await exec(t, pki, [program('git'), 'clone', '--quiet', url, clone]);
    await assertCloned(home, clone, made);
    assert.equal(urls[0], `200 ${url}/info/refs?service=git-upload-pack`);
  });
});

describe('openssl s_client -proxy', () => {
  function client(
    { proxy, origin, env }: Setting,
    args: readonly string[],
    ca: string = proxy.caFile,
  ): Promise<Outcome> {
    const where = ['-proxy', `127.0.0.1:${proxy.port}`, '-connect', `localhost:${origin.port}`];
    const trust = ['-no-CApath', '-no-CAstore', '-CAfile', ca, '-verify_return_error'];
    const name = ['-servername', 'localhost', '-verify_hostname', 'localhost'];
    const input = 'GET /s_client HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    const flags = [...where, ...trust, ...name, '-ign_eof', ...args];
    return run(program('openssl'), ['s_client', ...flags], { env, input });
  }

  for (const version of ['-tls1_2', '-tls1_3']) {
    test(`verifies the certificate and gets an answer (${version})`, async (t) => {
      const setting = await open(t);
      const { status, stdout, stderr } = await client(setting, [version]);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^ *Verify return code: 0 \(ok\)$/m);
      assert.match(stdout, /^issuer=.*CN ?= ?sallyport CA/m);
      assert.match(stdout, /^HTTP\/1\.1 200 OK\r\n/m);
      assert.equal(setting.origin.seen[0]?.url, '/s_client');
      const [line] = await exchangeLines(setting.proxy, 1);
      assert.equal(line?.url, `${setting.url}/s_client`);
    });
  }

  test('fails when it is not told of the CA', async (t) => {
    const setting = await open(t);
    const { status, stdout, stderr } = await client(setting, [], setting.proxy.pki.caFile);
    assert.equal(status, 1, 'the handshake was given up');
    assert.match(stdout + stderr, /verify error:num=(?:19|20):/);
    assert.equal(setting.origin.seen.length, 0);
  });
});
