/** What curl shows that a body must be: trailers to the byte, and an end that cannot be mistaken. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { httpOrigin } from '../../support/origins.js';
import { type Outcome, program, run } from '../../support/programs.js';
import { Scene } from '../../support/scene.js';

const curl = (scene: Scene, ...args: readonly string[]): Promise<Outcome> => {
  const { url, ca } = scene.proxy;
  return run(program('curl'), ['-sS', '--proxy', url, '--cacert', ca.paths.certificate, ...args]);
};

describe('curl', () => {
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

  for (const scheme of ['http', 'https']) {
    test(`with HTTP/1.0, where the close is the end of a body, is told that it broke off (${scheme})`, async (t) => {
      const scene = await Scene.open(t);
      const origin = await httpOrigin(
        t,
        (request, response) => {
          response.write('hello', () => {
            request.socket.destroy();
          });
        },
        scheme === 'https' ? await scene.pki.anyHost() : undefined,
      );
      const { status } = await curl(scene, '--http1.0', `${scheme}://shop.test:${origin.port}/`);
      assert.equal(status, 56, 'failure in receiving network data');
    });
  }
});
