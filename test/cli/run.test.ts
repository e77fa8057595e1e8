/** `sallyport run` as a user has it: a process with signals, two streams, and a port. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { getThrough, sallyport, start, startOrigin, startProxy, temporaryDirectory } from './support.js';

describe('start', () => {
  test('the contract line, a CA in its place, and a message that says how to go on', async (t) => {
    const proxy = await startProxy(t);
    assert.match(proxy.url, /^http:\/\/127\.0\.0\.1:\d+$/);
    const caFile = join(proxy.caDir, 'ca.pem');
    assert.ok((await stat(caFile)).isFile());
    await proxy.sees(/ try .*\n/, 'stderr');
    assert.match(proxy.stderr, /SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}/);
    assert.match(proxy.stderr, /new: made just now/);
    assert.ok(proxy.stderr.includes(`curl --proxy ${proxy.url} --cacert '${caFile}' https://example.com/\n`));
    assert.ok(proxy.stderr.includes(`ca trust --print --ca-dir '${proxy.caDir}'`));
    assert.equal(proxy.stdout, `listening on ${proxy.url}\n`);
  });

  test('without a command it runs, with the CA in the home directory', async (t) => {
    const home = await temporaryDirectory(t);
    const running = await start(t, ['--port', '0'], { env: { HOME: home } });
    await running.sees(/^listening on http:\/\/127\.0\.0\.1:\d+\n/m);
    assert.ok((await stat(join(home, '.sallyport', 'ca.pem'))).isFile());
  });

  test('--quiet: the contract line and nothing else', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('ok'));
    const proxy = await startProxy(t, ['--quiet', '--upstream-ca', origin.caFile]);
    assert.equal((await getThrough(t, proxy, origin.url)).status, 200);
    proxy.child.kill('SIGTERM');
    const { status, stdout, stderr } = await proxy.ended;
    assert.deepEqual([status, stdout, stderr], [0, `listening on ${proxy.url}\n`, '']);
  });

  test('a port in use: one line, status 1', async (t) => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const { status, stdout, stderr } = await sallyport(t, ['--port', String(port)]);
    assert.equal(status, 1);
    assert.equal(stdout, '');
    assert.match(
      stderr,
      new RegExp(`^sallyport: ERR_PORT_IN_USE: .*127\\.0\\.0\\.1:${port}.*--port 0 for a free one\\.\\n$`),
    );
  });

  test('what is dangerous is said loudly', async (t) => {
    const proxy = await startProxy(t, ['--quiet', '--host', '0.0.0.0', '--insecure-upstream']);
    await proxy.sees(/WARNING: --insecure-upstream/, 'stderr');
    assert.match(proxy.stderr, /WARNING: listening on 0\.0\.0\.0/);
  });
});

describe('exchange lines', () => {
  test('pretty: what was asked, what came back, both TLS legs', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const proxy = await startProxy(t, ['--upstream-ca', origin.caFile]);
    assert.deepEqual(await getThrough(t, proxy, `${origin.url}/a?b=c`), { status: 200, body: 'hello' });
    const [line] = await proxy.sees(/^.* GET .*\n/m);
    const url = `https://127\\.0\\.0\\.1:${origin.port}/a\\?b=c`;
    assert.match(line, new RegExp(`^[\\d:.]{12} GET ${url} 200 5 B [\\d.]+ m?s TLS 1\\.3/1\\.3 new\\n$`));
  });

  test('colours are for terminals, and for those who ask', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const args = ['--upstream-ca', origin.caFile];
    const forced = await startProxy(t, args, { env: { FORCE_COLOR: '1' } });
    await getThrough(t, forced, origin.url);
    await forced.sees(/\x1b\[32m200\x1b\[39m/);
    const refused = await startProxy(t, [...args, '--no-color'], { env: { FORCE_COLOR: '1' } });
    await getThrough(t, refused, origin.url);
    const [line] = await refused.sees(/.* GET .*\n/);
    assert.ok(!line.includes('\x1b'));
  });

  test('JSON: one object a line, beside the contract line', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const proxy = await startProxy(t, ['--log-format', 'json', '--upstream-ca', origin.caFile]);
    await getThrough(t, proxy, origin.url);
    await proxy.sees(/"event":"exchange".*\n/);
    const [contract, ...records] = proxy.stdout.trimEnd().split('\n');
    assert.equal(contract, `listening on ${proxy.url}`);
    const [listening, exchange] = records.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(listening?.['event'], 'listening');
    assert.equal(exchange?.['status'], 200);
    assert.equal(exchange['responseBytes'], 5);
    assert.equal(exchange['error'], null);
  });

  test('an origin that cannot be trusted: the code is in the line', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const proxy = await startProxy(t);
    assert.equal((await getThrough(t, proxy, origin.url)).status, 502);
    await proxy.sees(/ 502 .*ERR_UPSTREAM_CERT_/);
  });

  test('a tunnel has a line when it opens and one when it closes', async (t) => {
    const server = createServer((socket) => socket.end('SSH-2.0-test\r\n'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const proxy = await startProxy(t, ['--timeout', 'server-first=50ms']);
    const client = connect(Number(new URL(proxy.url).port), '127.0.0.1');
    t.after(() => client.destroy());
    client.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    client.resume();
    await once(client, 'end');
    client.end();
    await proxy.sees(new RegExp(` TUNNEL 127\\.0\\.0\\.1:${port} open \\(server-first\\)\\n`));
    await proxy.sees(new RegExp(` TUNNEL 127\\.0\\.0\\.1:${port} closed 14 B .*\\n`));
  });

  test('a reader that goes away does not end the proxy', async (t) => {
    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const proxy = await startProxy(t, ['--upstream-ca', origin.caFile]);
    proxy.child.stdout?.destroy();
    for (let count = 0; count < 5; count += 1) {
      assert.equal((await getThrough(t, proxy, origin.url)).status, 200);
    }
    await proxy.sees(/goes on without exchange lines/, 'stderr');
    proxy.child.kill('SIGTERM');
    assert.equal((await proxy.ended).status, 0);
  });
});

describe('end', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal}: status 0`, async (t) => {
      const proxy = await startProxy(t);
      proxy.child.kill(signal);
      const { status, signal: killedBy } = await proxy.ended;
      assert.deepEqual([status, killedBy], [0, null]);
    });
  }

  test('a running download ends first; the port is closed meanwhile', async (t) => {
    const held: ServerResponse[] = [];
    const origin = await startOrigin(t, (_request, response) => {
      response.write('first ');
      held.push(response);
    });
    const proxy = await startProxy(t, ['--upstream-ca', origin.caFile]);
    const download = getThrough(t, proxy, origin.url);
    while (held.length === 0) await new Promise(setImmediate);
    proxy.child.kill('SIGTERM');
    await proxy.sees(/SIGTERM: waiting up to 10\.00 s for 1 exchange to end/, 'stderr');
    const refused = connect(Number(new URL(proxy.url).port), '127.0.0.1');
    await assert.rejects(once(refused, 'connect'), { code: 'ECONNREFUSED' });
    held[0]?.end('last');
    assert.deepEqual(await download, { status: 200, body: 'first last' });
    const { status, stdout } = await proxy.ended;
    assert.equal(status, 0);
    assert.match(stdout, / 200 10 B /);
  });

  test('what does not end in time is cut', async (t) => {
    const held: ServerResponse[] = [];
    const origin = await startOrigin(t, (_request, response) => {
      response.write('first ');
      held.push(response);
    });
    const proxy = await startProxy(t, ['--upstream-ca', origin.caFile, '--drain-timeout', '200ms']);
    const cut = assert.rejects(getThrough(t, proxy, origin.url));
    while (held.length === 0) await new Promise(setImmediate);
    proxy.child.kill('SIGTERM');
    await cut;
    assert.equal((await proxy.ended).status, 0);
  });

  test('a second signal cuts at once', async (t) => {
    const held: ServerResponse[] = [];
    const origin = await startOrigin(t, (_request, response) => {
      response.write('first ');
      held.push(response);
    });
    const proxy = await startProxy(t, ['--upstream-ca', origin.caFile]);
    const download = getThrough(t, proxy, origin.url);
    const cut = assert.rejects(download);
    while (held.length === 0) await new Promise(setImmediate);
    proxy.child.kill('SIGTERM');
    await proxy.sees(/waiting up to/, 'stderr');
    proxy.child.kill('SIGTERM');
    assert.equal((await proxy.ended).status, 143);
    await cut;
  });
});

test('a mistake of the program ends it: ERR_INTERNAL, the stack, status 1', async (t) => {
  const mistake = `process.on('SIGUSR2',()=>{throw(new(Error)('boom'))})`;
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(mistake)}` };
  const proxy = await startProxy(t, [], { env });
  proxy.child.kill('SIGUSR2');
  const { status, stderr } = await proxy.ended;
  assert.equal(status, 1);
  assert.match(stderr, /^sallyport: ERR_INTERNAL: boom\. .*\nError: boom\n {4}at /m);
});
