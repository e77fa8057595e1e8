/** `sallyport doctor` as a user has it. */
import assert from 'node:assert/strict';
import { chmod } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openAuthority } from '../../src/certs/index.js';
import { sallyport, temporaryDirectory } from './support.js';

interface Report {
  readonly ok: boolean;
  readonly checks: readonly { readonly name: string; readonly status: string; readonly found: string }[];
}

describe('doctor', () => {
  test('a fresh machine: nothing is broken, nothing is made, and a request went through', async (t) => {
    const home = await temporaryDirectory(t);
    const { status, stdout, stderr } = await sallyport(t, ['doctor', '--port', '0'], { env: { HOME: home } });
    assert.equal(status, 0, stdout + stderr);
    assert.equal(stderr, '');
    assert.match(stdout, /^✓ Node\.js: /m);
    assert.match(stdout, /^! CA: .* holds none yet\n {2}→ /m);
    assert.match(
      stdout,
      /^✓ intercepted request: client ⇄ proxy ⇄ origin over TLSv1\.3 .*CA made for this check$/m,
    );
    assert.ok(!existsSync(join(home, '.sallyport')));
  });

  test('with a CA, and with an imported one that is no root', async (t) => {
    const dir = join(await temporaryDirectory(t), 'ca');
    await openAuthority({ dir });
    const { status, stdout } = await sallyport(t, ['doctor', '--json', '--port', '0', '--ca-dir', dir]);
    assert.equal(status, 0, stdout);
    const { ok, checks } = JSON.parse(stdout) as Report;
    assert.equal(ok, true);
    const request = checks.find(({ name }) => name === 'intercepted request');
    assert.equal(request?.status, 'ok');
    assert.doesNotMatch(request.found, /made for this check/);
    assert.equal(checks.find(({ name }) => name === 'system trust')?.status, 'warning');
  });

  test('a failed check: ✗ with what to do, ERR_DOCTOR, status 1', async (t) => {
    const dir = join(await temporaryDirectory(t), 'ca');
    const { paths } = await openAuthority({ dir });
    await chmod(paths.key, 0o640);
    const { status, stdout, stderr } = await sallyport(t, ['doctor', '--port', '0', '--ca-dir', dir]);
    assert.equal(status, 1);
    assert.match(stdout, /^✗ CA: ERR_CA_PERMISSIONS: .*\n {2}→ Run `chmod 600`/m);
    assert.match(stdout, /^✓ intercepted request/m);
    assert.match(stderr, /^sallyport: ERR_DOCTOR: 1 of \d+ checks failed\. [^\n]*\n$/);
  });
});
