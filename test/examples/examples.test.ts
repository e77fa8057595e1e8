/** Every example does what its README says. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fetch, ProxyAgent } from 'undici';
import { authorityFrom, certificateName, Minter, openAuthority, type Signer } from '../../src/certs/index.js';
import { handshake } from '../cli/certs-support.js';
import { Example } from '../support/example.js';
import { httpOrigin } from '../support/origins.js';
import { eventually } from '../support/patience.js';
import { run } from '../support/programs.js';
import { Scene } from '../support/scene.js';
import { later, temporaryDirectory } from '../support/stage.js';

interface ChildSigner extends Signer {
  readonly pid: number | undefined;
  close(): void;
}

/** The proxy and the CA file in the `curl` line that an example printed. */
async function childSigner(t: TestContext, dir: string): Promise<ChildSigner> {
  const file = join(process.cwd(), 'examples/child-signer/child-signer.mjs');
  const { ChildSigner } = (await import(file)) as { ChildSigner: new (file: string) => ChildSigner };
  const signer = new ChildSigner(join(dir, 'ca-key.pem'));
  later(t, () => {
    signer.close();
  });
  return signer;
}

async function proxyOf(t: TestContext, example: Example): Promise<ProxyAgent> {
  const [, uri = '', caFile = ''] = await example.printed(/^curl --proxy (\S+) --cacert '([^']+)' /m);
  const agent = new ProxyAgent({ uri, requestTls: { ca: await readFile(caFile, 'utf8') } });
  later(t, () => agent.destroy());
  return agent;
}

describe('examples/', () => {
  const tested = new Set([
    'mock-an-api',
    'rewrite-headers',
    'record-log',
    'test-with-proxy',
    'child-signer',
    'seventeen-hours', // in seventeen-hours.test.ts
  ]);

  test('all of them are run here', async () => {
    const entries = await readdir(join(process.cwd(), 'examples'), { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    assert.deepEqual(new Set(folders), tested);
  });

  test('mock-an-api answers for an origin that does not exist', async (t) => {
    const example = await Example.start(t, 'mock-an-api/mock.mjs');
    const dispatcher = await proxyOf(t, example);
    const ask = async (path: string, init: { readonly method?: string; readonly body?: string } = {}) => {
      const response = await fetch(`https://api.example.com${path}`, { ...init, dispatcher });
      return { status: response.status, value: await response.json() };
    };
    assert.deepEqual(await ask('/users/1'), { status: 200, value: { id: 1, name: 'Ada' } });
    assert.equal((await ask('/users/7')).status, 404);
    const put = await ask('/users/7', { method: 'PUT', body: '{"name":"Edsger"}' });
    assert.deepEqual(put, { status: 200, value: { id: 7, name: 'Edsger' } });
    assert.deepEqual(await ask('/users/7'), put);
    await dispatcher.close();
    assert.equal(await example.interrupt(), 0, example.output);
  });

  test('rewrite-headers changes fields and leaves bodies alone', async (t) => {
    const ids: unknown[] = [];
    const { port } = await httpOrigin(t, (request, response) => {
      ids.push(request.headers['x-request-id']);
      response.setHeader('X-Frame-Options', 'DENY');
      response.setHeader('Content-Security-Policy', "default-src 'none'");
      response.setHeader('Set-Cookie', ['a=1; Secure; HttpOnly', 'b=2; HttpOnly; secure', 'c=3']);
      response.end('body');
    });
    const example = await Example.start(t, 'rewrite-headers/rewrite.mjs');
    const dispatcher = await proxyOf(t, example);
    for (let count = 0; count < 2; count += 1) {
      const response = await fetch(`http://127.0.0.1:${port}/`, { dispatcher });
      assert.equal(await response.text(), 'body');
      assert.equal(response.headers.get('x-frame-options'), null);
      assert.equal(response.headers.get('content-security-policy'), null);
      assert.deepEqual(response.headers.getSetCookie(), ['a=1; HttpOnly', 'b=2; HttpOnly', 'c=3']);
    }
    assert.equal(new Set(ids).size, 2);
    assert.match(String(ids[0]), /^sallyport-/);
    await dispatcher.close();
    assert.equal(await example.interrupt(), 0, example.output);
  });

  test('record-log writes a line for every exchange, and a summary', async (t) => {
    const { port } = await httpOrigin(t, (_request, response) => response.end('body'));
    const file = join(await temporaryDirectory(t), 'run.jsonl');
    const example = await Example.start(t, 'record-log/record.mjs', file);
    const [, uri = ''] = await example.printed(/^recording (\S+) to /m);
    const dispatcher = new ProxyAgent(uri);
    later(t, () => dispatcher.destroy());
    for (const path of ['/a', '/b']) {
      await (await fetch(`http://127.0.0.1:${port}${path}`, { dispatcher })).text();
    }
    await dispatcher.close();
    assert.equal(await example.interrupt(), 0, example.output);

    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      records.map(({ method, url, status, responseBytes, reused }) => [
        method,
        url,
        status,
        responseBytes,
        reused,
      ]),
      [
        ['GET', `http://127.0.0.1:${port}/a`, 200, 4, false],
        ['GET', `http://127.0.0.1:${port}/b`, 200, 4, true],
      ],
    );
    assert.match(example.output, new RegExp(`127\\.0\\.0\\.1:${port} *│ 2 +│ 0 +│ 8 `));
  });

  test('child-signer signs in another process, and starts it again', async (t) => {
    const dir = await temporaryDirectory(t);
    await openAuthority({ dir });
    const certificatePem = await readFile(join(dir, 'ca.pem'), 'utf8');
    const signer = await childSigner(t, dir);
    const minter = new Minter({ issuer: authorityFrom({ certificatePem, signer, dir }) });
    later(t, () => {
      minter.close();
    });
    const ca = new X509Certificate(certificatePem);
    const mint = async (): Promise<void> => {
      const { certificatePem: leaf } = await minter.mint(certificateName('a.example.com'));
      assert.ok(new X509Certificate(leaf).verify(ca.publicKey));
    };
    await Promise.all([mint(), mint()]);
    const first = signer.pid ?? 0;
    process.kill(first, 'SIGSTOP');
    const waiting = mint();
    process.kill(first, 'SIGKILL');
    await assert.rejects(waiting, /the signer ended \(SIGKILL\)/);
    await mint();
    assert.notEqual(signer.pid, first);

    const example = await Example.start(t, 'child-signer/proxy.mjs', dir);
    const [, url = ''] = await example.printed(/^curl --proxy (http:\S+)/m);
    const hosts = ['a.example.com', 'b.example.com'];
    // The client verifies the leaf with ca.pem.
    await Promise.all(hosts.map((host) => handshake({ url, caDir: dir }, { host, port: 9 })));
    assert.equal(await example.interrupt(), 0, example.output);
  });

  test('child-signer that hangs: who waited is told in time, and the next signature has another', async (t) => {
    const dir = await temporaryDirectory(t);
    const { paths } = await openAuthority({ dir });
    const file = join(process.cwd(), 'examples/child-signer/child-signer.mjs');
    const { ChildSigner } = (await import(file)) as {
      ChildSigner: new (file: string, options: { readonly timeout: number }) => ChildSigner;
    };
    const signer = new ChildSigner(paths.key, { timeout: 2000 });
    later(t, () => {
      signer.close();
    });
    await signer.sign(Buffer.from('one'));
    const hanging = signer.pid ?? 0;
    process.kill(hanging, 'SIGSTOP');
    const waiting = [signer.sign(Buffer.from('two')), signer.sign(Buffer.from('three'))];
    const next = assert
      .rejects(async () => waiting[0], /no answer within 2000 ms/)
      .then(() => {
        // At once, before anybody heard of the end of the first.
        return signer.sign(Buffer.from('four'));
      });
    await assert.rejects(async () => waiting[1], /no answer within 2000 ms|the signer ended \(SIGKILL\)/);
    assert.ok((await next).length > 60);
    assert.notEqual(signer.pid, hanging);
  });

  test('a proxy whose CA has its key in another process: a client sees no difference', async (t) => {
    const dir = await temporaryDirectory(t);
    await openAuthority({ dir });
    const certificatePem = await readFile(join(dir, 'ca.pem'), 'utf8');
    const signer = await childSigner(t, dir);
    const scene = await Scene.open(t, { authority: authorityFrom({ certificatePem, signer, dir }) });
    assert.equal(scene.proxy.ca.pem, certificatePem);
    const origin = await scene.tlsOrigin();
    const get = async (host: string): Promise<string> => {
      const client = await scene.secureClient(host, origin.port);
      const answering = origin.next();
      client.send(`GET / HTTP/1.1\r\nHost: ${host}:${origin.port}\r\n\r\n`);
      const upstream = await answering;
      await upstream.head();
      upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      return await client.head();
    };
    assert.match(await get('a.example'), /^HTTP\/1\.1 200 /);
    // Its death costs nobody who comes later anything.
    process.kill(signer.pid ?? 0, 'SIGKILL');
    await eventually('its end was noticed', () => signer.pid === undefined);
    assert.match(await get('b.example'), /^HTTP\/1\.1 200 /);
  });

  test('record-log says how it is used', async (t) => {
    const example = await Example.start(t, 'record-log/record.mjs');
    await example.printed(/^usage: record\.mjs FILE$/m);
  });

  test('test-with-proxy passes', async () => {
    const file = 'examples/test-with-proxy/forecast.test.mjs';
    const { status, stdout } = await run(process.execPath, ['--test', '--test-reporter=tap', file]);
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^# pass [1-9]/m);
    assert.match(stdout, /^# fail 0$/m);
  });
});
