/** `openssl s_client` through the proxy: what the leaf certificate looks like to somebody else. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { program, run } from '../../support/programs.js';
import { Scene } from '../../support/scene.js';

describe('openssl s_client', () => {
  for (const version of ['-tls1_2', '-tls1_3']) {
    test(`verifies the leaf, and speaks through the tunnel (${version})`, async (t) => {
      const scene = await Scene.open(t);
      const origin = await scene.tlsOrigin();
      const answered = origin.next().then(async (server) => {
        await server.head();
        server.send('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello');
      });
      const { status, stdout, stderr } = await run(
        program('openssl'),
        [
          ...['s_client', version, '-proxy', `127.0.0.1:${scene.proxy.port}`],
          ...['-connect', `shop.test:${origin.port}`, '-servername', 'shop.test'],
          ...['-verify_hostname', 'shop.test', '-verify_return_error'],
          ...['-CAfile', scene.proxy.ca.paths.certificate, '-ign_eof'],
        ],
        { input: 'GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n' },
      );
      await answered;
      assert.equal(status, 0, stderr);
      assert.match(stdout, /Verify return code: 0 \(ok\)/);
      assert.match(stdout, /Verified peername: shop\.test/);
      assert.match(stdout, /\r\n\r\nhello/);
    });
  }
});
