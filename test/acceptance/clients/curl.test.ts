/** curl through the proxy. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { httpOrigin } from '../../support/origins.js';
import { type Outcome, program, run } from '../../support/programs.js';
import { Scene } from '../../support/scene.js';
import { temporaryDirectory } from '../../support/stage.js';

const curl = (scene: Scene, ...args: readonly string[]): Promise<Outcome> => {
  const { url, ca } = scene.proxy;
  return run(program('curl'), ['-sS', '--proxy', url, '--cacert', ca.paths.certificate, ...args]);
};

describe('curl', () => {
  test('reads https and http, and trusts the CA file of the proxy', async (t) => {
    const scene = await Scene.open(t);
    const secure = await httpOrigin(t, (_request, response) => response.end('s'), await scene.pki.anyHost());
    const plain = await httpOrigin(t, (_request, response) => response.end('p'));
    assert.deepEqual(await curl(scene, `https://shop.test:${secure.port}/`), {
      status: 0,
      stdout: 's',
      stderr: '',
    });
    assert.deepEqual(await curl(scene, `http://shop.test:${plain.port}/`), {
      status: 0,
      stdout: 'p',
      stderr: '',
    });
    assert.equal((await curl(scene, '--proxytunnel', `http://shop.test:${plain.port}/`)).stdout, 'p');
    assert.deepEqual(
      scene.exchanges.map(({ url }) => url),
      [
        `https://shop.test:${secure.port}/`,
        `http://shop.test:${plain.port}/`,
        `http://shop.test:${plain.port}/`,
      ],
    );
  });

  test('without the CA refuses the certificate', async (t) => {
    const scene = await Scene.open(t);
    const { status } = await run(program('curl'), ['-sS', '--proxy', scene.proxy.url, 'https://shop.test/']);
    assert.equal(status, 60, 'peer certificate cannot be authenticated');
  });

  test('asks for HEAD', async (t) => {
    const scene = await Scene.open(t);
    const origin = await httpOrigin(
      t,
      (_request, response) => response.writeHead(200, { 'content-length': 12345 }).end(),
      await scene.pki.anyHost(),
    );
    const { status, stdout } = await curl(scene, '--head', `https://shop.test:${origin.port}/`);
    assert.equal(status, 0);
    assert.match(stdout, /\r\ncontent-length: 12345\r\n/);
  });

  test('uploads, and waits for 100 Continue where it wants to', async (t) => {
    const scene = await Scene.open(t);
    const expected: (string | undefined)[] = [];
    const origin = await httpOrigin(
      t,
      (request, response) => {
        expected.push(request.headers.expect);
        request.pipe(response);
      },
      await scene.pki.anyHost(),
    );
    const file = join(await temporaryDirectory(t), 'file');
    const body = randomBytes(3_000_000);
    await writeFile(file, body);
    const url = `https://shop.test:${origin.port}/`;
    origin.server.on('checkContinue', (request, response) => {
      expected.push(request.headers.expect);
      response.writeContinue();
      request.pipe(response);
    });
    const plain = await curl(scene, '--header', 'Expect:', '--upload-file', file, url);
    const polite = await curl(scene, '--header', 'Expect: 100-continue', '--upload-file', file, url);
    const chunked = await curl(
      ...([scene, '--header', 'Transfer-Encoding: chunked', '--upload-file', file, url] as const),
    );
    for (const { status, stdout } of [plain, polite, chunked]) {
      assert.equal(status, 0);
      assert.ok(Buffer.from(stdout, 'latin1').equals(body));
    }
    assert.deepEqual(expected.slice(0, 2), [undefined, '100-continue']);
  });

  test('uses one connection for several requests', async (t) => {
    const scene = await Scene.open(t);
    const origin = await httpOrigin(
      t,
      (request, response) => response.end(request.url),
      await scene.pki.anyHost(),
    );
    const url = `https://shop.test:${origin.port}`;
    const { stdout } = await curl(scene, '-w', ' %{num_connects} ', `${url}/1`, `${url}/2`, `${url}/3`);
    assert.equal(stdout, '/1 1 /2 0 /3 0 ');
    assert.equal(scene.proxy.ledger().connections.created, 1);
  });

  test('sees the trailers of a chunked body', async (t) => {
    const scene = await Scene.open(t);
    const origin = await httpOrigin(
      t,
      (_request, response) => {
        response.writeHead(200, { trailer: 'X-Sum' });
        response.write('hello');
        response.addTrailers({ 'X-Sum': '42' });
        response.end();
      },
      await scene.pki.anyHost(),
    );
    const { stdout } = await curl(scene, '--raw', `https://shop.test:${origin.port}/`);
    assert.equal(stdout, '5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n');
  });

  test('is told of a body that was cut short, however it ends', async (t) => {
    const scene = await Scene.open(t);
    const origin = await httpOrigin(
      t,
      (request, response) => {
        if (request.url === '/length') response.setHeader('content-length', 10);
        response.write('hello', () => {
          request.socket.destroy();
        });
      },
      await scene.pki.anyHost(),
    );
    const url = `https://shop.test:${origin.port}`;
    assert.equal((await curl(scene, `${url}/length`)).status, 18, 'transfer closed with outstanding data');
    assert.notEqual((await curl(scene, `${url}/chunks`)).status, 0);
    // To HTTP/1.0 the body lasts until the close: only TLS can say that it broke off.
    const { status, stdout } = await curl(scene, '--http1.0', `${url}/chunks`);
    assert.equal(stdout, 'hello');
    assert.notEqual(status, 0);
  });
});
