/** wget through the proxy. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { httpOrigin } from '../../support/origins.js';
import { program, run } from '../../support/programs.js';
import { Scene } from '../../support/scene.js';
import { temporaryDirectory } from '../../support/stage.js';

describe('wget', () => {
  test('reads https and http', async (t) => {
    const scene = await Scene.open(t);
    const secure = await httpOrigin(
      ...([t, (request, response) => response.end(`s${request.url}`), await scene.pki.anyHost()] as const),
    );
    const plain = await httpOrigin(t, (request, response) => response.end(`p${request.url}`));
    const { url, ca } = scene.proxy;
    const home = await temporaryDirectory(t);
    const { status, stdout, stderr } = await run(
      program('wget'),
      [
        ...['--quiet', '--no-hsts', '--output-document', '-', '--ca-certificate', ca.paths.certificate],
        ...[`https://shop.test:${secure.port}/1`, `https://shop.test:${secure.port}/2`],
        `http://shop.test:${plain.port}/3`,
      ],
      { env: { http_proxy: url, https_proxy: url, HOME: home } },
    );
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: 's/1s/2p/3', stderr: '' });
    assert.equal(scene.exchanges.length, 3);
  });
});
