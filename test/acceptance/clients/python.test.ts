/** Python's urllib through the proxy. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { httpOrigin } from '../../support/origins.js';
import { program, run } from '../../support/programs.js';
import { Scene } from '../../support/scene.js';

const script = `
import sys
from urllib.request import Request, urlopen
for url in sys.argv[1:]:
    with urlopen(Request(url, data=b'question', headers={'X-Test': '1'})) as response:
        print(response.status, response.headers['X-Answer'], response.read().decode())
`;

describe('urllib of Python', () => {
  test('posts over https and http, set up by environment variables alone', async (t) => {
    const scene = await Scene.open(t);
    const answer: Parameters<typeof httpOrigin>[1] = (request, response) => {
      response.setHeader('X-Answer', String(request.headers['x-test']));
      request.pipe(response);
    };
    const secure = await httpOrigin(t, answer, await scene.pki.anyHost());
    const plain = await httpOrigin(t, answer);
    const { url, ca } = scene.proxy;
    const urls = [`https://shop.test:${secure.port}/`, `http://shop.test:${plain.port}/`];
    const { status, stdout, stderr } = await run(program('python3'), ['-c', script, ...urls], {
      env: { http_proxy: url, https_proxy: url, SSL_CERT_FILE: ca.paths.certificate },
    });
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
    assert.equal(stdout, '200 1 question\n200 1 question\n');
    assert.equal(scene.exchanges.length, 2);
  });
});
