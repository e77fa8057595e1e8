/** curl through the command, as the first-start message tells people to use it. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { sallyport } from '../cli/support.js';
import { Pki } from '../support/pki.js';
import { type Outcome, program, run } from '../support/programs.js';
import { Sallyport } from '../support/sallyport.js';
import { temporaryDirectory } from '../support/stage.js';
import { cutShort, cutShortInChunks, type Echo, EchoOrigin, sample } from './echo.js';
import { exchangeLines, parse } from './exchange-log.js';

const megabyte = 1_000_000;

/** The command on a free port, an HTTPS origin that it trusts, and curl. */
class Curl {
  readonly t: TestContext;
  readonly proxy: Sallyport;
  readonly origin: EchoOrigin;
  readonly path = program('curl');

  private constructor(t: TestContext, proxy: Sallyport, origin: EchoOrigin) {
    this.t = t;
    this.proxy = proxy;
    this.origin = origin;
  }

  static async open(t: TestContext): Promise<Curl> {
    const proxy = await Sallyport.start(t, { args: ['--host', '127.0.0.1', '--log-format', 'json'] });
    const pages = { '/cut': cutShort, '/cut-in-chunks': cutShortInChunks };
    return new Curl(t, proxy, await EchoOrigin.open(t, await proxy.pki.anyHost(), pages));
  }

  get url(): string {
    return `https://localhost:${this.origin.port}`;
  }

  /** `-q` keeps the settings of whoever runs the tests out of them. */
  run(...args: readonly string[]): Promise<Outcome> {
    const flags = ['-q', '-sS', '--proxy', this.proxy.url, '--cacert', this.proxy.caFile];
    return run(this.path, [...flags, ...args]);
  }

  /** A file that curl can upload. */
  async file(bytes: Uint8Array): Promise<string> {
    const path = join(await temporaryDirectory(this.t), 'upload');
    await writeFile(path, bytes);
    return path;
  }
}

/** What curl printed: the echo of a request that the origin had in full, from a curl that was content. */
function echoOf({ status, stdout, stderr }: Outcome): Echo {
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Echo;
}

describe('curl --proxy … --cacert …/ca.pem', () => {
  test('GET https://', async (t) => {
    const curl = await Curl.open(t);
    const echo = echoOf(await curl.run(`${curl.url}/path?query=1`));
    assert.equal(`${echo.method} ${echo.url}`, 'GET /path?query=1');
    assert.match(echo.headers.via ?? '', /sallyport/);
    const [line] = await exchangeLines(curl.proxy, 1);
    assert.equal(line?.url, `${curl.url}/path?query=1`);
    assert.equal(line.status, 200);
    assert.equal(line.responseBytes, JSON.stringify(echo).length);
  });

  test('GET https:// with an address for a name', async (t) => {
    const curl = await Curl.open(t);
    assert.equal(echoOf(await curl.run(`https://127.0.0.1:${curl.origin.port}/`)).url, '/');
  });

  test('refuses the proxy when it is not told of the CA', async (t) => {
    const curl = await Curl.open(t);
    const { status, stdout } = await curl.run('--cacert', curl.proxy.pki.caFile, `${curl.url}/`);
    assert.deepEqual([status, stdout], [60, ''], 'peer certificate cannot be authenticated');
    assert.equal(curl.origin.seen.length, 0);
  });

  test('POST of 2 MB, with Content-Length', async (t) => {
    const curl = await Curl.open(t);
    const { bytes, sha256 } = sample(2 * megabyte);
    const file = await curl.file(bytes);
    const echo = echoOf(await curl.run('--data-binary', `@${file}`, '-H', 'Expect:', `${curl.url}/upload`));
    assert.equal(echo.method, 'POST');
    assert.equal(echo.headers['content-length'], String(2 * megabyte));
    assert.deepEqual([echo.length, echo.sha256], [2 * megabyte, sha256]);
    const [line] = await exchangeLines(curl.proxy, 1);
    assert.equal(line?.requestBytes, 2 * megabyte);
  });

  test('PUT of 2 MB, in chunks', async (t) => {
    const curl = await Curl.open(t);
    const { bytes, sha256 } = sample(2 * megabyte);
    const file = await curl.file(bytes);
    const chunked = ['-H', 'Transfer-Encoding: chunked', '-H', 'Expect:'];
    const echo = echoOf(await curl.run('-T', file, ...chunked, `${curl.url}/upload`));
    assert.equal(echo.method, 'PUT');
    assert.equal(echo.headers['transfer-encoding'], 'chunked');
    assert.deepEqual([echo.length, echo.sha256], [2 * megabyte, sha256]);
  });

  test('HEAD', async (t) => {
    const curl = await Curl.open(t);
    const { status, stdout } = await curl.run('--head', '-w', '%{size_download}', `${curl.url}/`);
    assert.equal(status, 0);
    const [, head = '', rest] = stdout.split(/^(HTTP\/1\.1 200 OK\r\n.*?\r\n\r\n)/ms);
    assert.match(head, /\r\ncontent-type: application\/json\r\n/);
    assert.equal(rest, '0');
    assert.equal(curl.origin.seen[0]?.method, 'HEAD');
  });

  test('two URLs in one command over one connection, on either leg', async (t) => {
    const curl = await Curl.open(t);
    const format = ' %{num_connects} %{http_code}\n';
    const { status, stdout } = await curl.run('-w', format, `${curl.url}/1`, `${curl.url}/2`);
    assert.equal(status, 0);
    assert.match(stdout, /^\{"method":"GET","url":"\/1".* 1 200\n\{"method":"GET","url":"\/2".* 0 200\n$/);
    const [first, second] = await exchangeLines(curl.proxy, 2);
    assert.equal(first?.client.connection, second?.client.connection);
    assert.equal(second?.server?.reused, true);
    assert.equal(curl.origin.connections, 1);
  });

  test('two URLs at the same time', async (t) => {
    const curl = await Curl.open(t);
    const { status } = await curl.run('--parallel', '--parallel-immediate', `${curl.url}/1`, `${curl.url}/2`);
    assert.equal(status, 0);
    assert.deepEqual(curl.origin.seen.map(({ url }) => url).toSorted(), ['/1', '/2']);
  });

  test('Expect: 100-continue: the body waits for the origin to ask for it', async (t) => {
    const curl = await Curl.open(t);
    const { bytes, sha256 } = sample(megabyte);
    const file = await curl.file(bytes);
    const asked: string[] = [];
    curl.origin.server.on('checkContinue', (request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.writeContinue();
      curl.origin.server.emit('request', request, response);
    });
    // Longer than the test has patience for: curl goes on when the 100 comes, or never.
    const expect = ['-H', 'Expect: 100-continue', '--expect100-timeout', '120', '-v'];
    const outcome = await curl.run(...expect, '--data-binary', `@${file}`, `${curl.url}/asked`);
    const echo = echoOf(outcome);
    assert.deepEqual([echo.length, echo.sha256], [megabyte, sha256]);
    assert.deepEqual(asked, ['POST /asked']);
    assert.match(outcome.stderr, /^< HTTP\/1\.1 100 Continue/m);
  });

  test('Expect: 100-continue: the body of which the origin wants nothing is not sent', async (t) => {
    const curl = await Curl.open(t);
    const file = await curl.file(sample(megabyte).bytes);
    curl.origin.server.on('checkContinue', (_request, response) => {
      response.writeHead(413, { 'content-length': '3' }).end('no\n');
    });
    const expect = ['-H', 'Expect: 100-continue', '--expect100-timeout', '120'];
    const format = '%{http_code} %{size_upload}';
    const outcome = await curl.run(...expect, '-w', format, '--data-binary', `@${file}`, `${curl.url}/`);
    assert.equal(outcome.stdout, 'no\n413 0');
    const [line] = await exchangeLines(curl.proxy, 1);
    assert.deepEqual([line?.status, line?.requestBytes], [413, 0]);
  });

  test('--http2 falls back to HTTP/1.1', async (t) => {
    const curl = await Curl.open(t);
    const outcome = await curl.run('--http2', '-v', '-w', '\n%{http_version}', '-o', '/dev/null', curl.url);
    assert.equal(outcome.status, 0, outcome.stderr);
    assert.equal(outcome.stdout, '\n1.1');
    assert.match(outcome.stderr, /ALPN.*\bh2,http\/1\.1\b/, 'it was offered');
    const [line] = await exchangeLines(curl.proxy, 1);
    assert.equal(line?.client.tls?.alpn, 'http/1.1');
  });

  test('http://', async (t) => {
    const curl = await Curl.open(t);
    const plain = await EchoOrigin.open(t, undefined);
    const echo = echoOf(await curl.run(`http://localhost:${plain.port}/plain`));
    assert.equal(echo.url, '/plain');
    assert.equal(echo.headers.host, `localhost:${plain.port}`);
    assert.equal(echo.headers['proxy-connection'], undefined);
    assert.match(echo.headers.via ?? '', /sallyport/);
    const [line] = await exchangeLines(curl.proxy, 1);
    assert.equal(line?.client.tls, null);
  });

  test('an origin whose certificate nobody trusts: 502, with the code in the body', async (t) => {
    const curl = await Curl.open(t);
    const stranger = await EchoOrigin.open(t, await (await Pki.make(t)).anyHost());
    const url = `https://localhost:${stranger.port}/`;
    const { status, stdout } = await curl.run('-w', '%{http_code}', url);
    assert.equal(status, 0);
    assert.match(stdout, /\nERR_UPSTREAM_CERT_\w+ \(sallyport\)\n502$/);
    assert.equal(stranger.seen.length, 0);
    const [line] = await exchangeLines(curl.proxy, 1);
    assert.equal(line?.answeredBy, 'proxy');
    assert.ok(stdout.includes(line.error?.code ?? 'no code'));
    assert.equal((await curl.run('--fail', url)).status, 22);
  });

  for (const path of ['/cut', '/cut-in-chunks']) {
    test(`a body cut short is no success (${path})`, async (t) => {
      const curl = await Curl.open(t);
      const { status, stdout } = await curl.run(curl.url + path);
      assert.ok(status === 18 || status === 56, `a partial transfer, or a failed receive, not ${status}`);
      assert.equal(stdout, 'the beginning');
      const [line] = await exchangeLines(curl.proxy, 1);
      assert.equal(line?.error?.code, 'ERR_RESPONSE_TRUNCATED');
    });
  }
});

describe('sallyport exec -- curl', () => {
  /** curl without a flag about the proxy or its CA, and what was logged. */
  async function exec(t: TestContext, upstreamCa: string, ...args: readonly string[]) {
    const directory = await temporaryDirectory(t);
    const log = join(directory, 'log');
    const ca = ['--ca-dir', join(directory, 'ca'), '--upstream-ca', upstreamCa];
    const logging = ['--log', log, '--log-format', 'json'];
    const curl = [program('curl'), '-sS', ...args];
    const outcome = await sallyport(t, ['exec', ...ca, ...logging, '--', ...curl]);
    return { outcome, lines: parse(await readFile(log, 'utf8')) };
  }

  test('GET and POST', async (t) => {
    const pki = await Pki.make(t);
    const origin = await EchoOrigin.open(t, await pki.anyHost());
    const { bytes, sha256 } = sample(2 * megabyte);
    const file = join(await temporaryDirectory(t), 'upload');
    await writeFile(file, bytes);
    const url = `https://localhost:${origin.port}`;
    const requests = [`${url}/1`, '--next', '-sS', '--data-binary', `@${file}`, `${url}/2`];
    const { outcome, lines } = await exec(t, pki.caFile, ...requests);
    assert.deepEqual([outcome.status, outcome.stderr], [0, '']);
    assert.deepEqual(
      origin.seen.map((echo) => [echo.method, echo.url, echo.length]),
      [
        ['GET', '/1', 0],
        ['POST', '/2', 2 * megabyte],
      ],
    );
    assert.equal(origin.seen[1]?.sha256, sha256);
    assert.deepEqual(
      lines.map((line) => [line.url, line.status]),
      [
        [`${url}/1`, 200],
        [`${url}/2`, 200],
      ],
    );
  });

  test('http://', async (t) => {
    const origin = await EchoOrigin.open(t, undefined);
    const { outcome, lines } = await exec(
      t,
      (await Pki.make(t)).caFile,
      `http://localhost:${origin.port}/plain`,
    );
    assert.equal((JSON.parse(outcome.stdout) as Echo).url, '/plain');
    assert.equal(lines[0]?.status, 200);
  });

  test('an origin whose certificate nobody trusts: 502, with the code in the body', async (t) => {
    const stranger = await EchoOrigin.open(t, await (await Pki.make(t)).anyHost());
    const url = `https://localhost:${stranger.port}/`;
    const { outcome, lines } = await exec(t, (await Pki.make(t)).caFile, '-w', '%{http_code}', url);
    assert.match(outcome.stdout, /\nERR_UPSTREAM_CERT_\w+ \(sallyport\)\n502$/);
    assert.equal(lines[0]?.answeredBy, 'proxy');
    assert.equal(stranger.seen.length, 0);
  });
});
