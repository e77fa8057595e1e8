/** `sallyport ca`, judged by OpenSSL. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { getThrough, sallyport, startOrigin, start, temporaryDirectory } from './support.js';

function openssl(...args: readonly string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

async function freshCa(t: TestContext): Promise<string> {
  const dir = join(await temporaryDirectory(t), 'ca');
  const { status, stderr } = await sallyport(t, ['ca', 'show', '--create', '--ca-dir', dir]);
  assert.equal(status, 0, stderr);
  return dir;
}

describe('ca show', () => {
  test('none yet: says so, makes none', async (t) => {
    const dir = join(await temporaryDirectory(t), 'ca');
    for (const args of [['show'], ['export'], ['trust', '--print']]) {
      const { status, stdout, stderr } = await sallyport(t, ['ca', ...args, '--ca-dir', dir]);
      assert.deepEqual([status, stdout], [1, '']);
      assert.match(stderr, /^sallyport: ERR_CA_MISSING: \S+ holds no CA\. [^\n]*--create[^\n]*\n$/);
    }
    assert.ok(!existsSync(dir));
  });

  test('text and JSON tell what OpenSSL tells', async (t) => {
    const dir = await freshCa(t);
    const file = join(dir, 'ca.pem');
    const text = await sallyport(t, ['ca', 'show', '--ca-dir', dir]);
    const fingerprint = openssl('x509', '-in', file, '-noout', '-fingerprint', '-sha256')
      .trim()
      .split('=')[1];
    assert.ok(text.stdout.includes(`SHA-256       ${fingerprint}\n`), text.stdout);
    const json = await sallyport(t, ['ca', 'show', '--json', '--ca-dir', dir]);
    const record = JSON.parse(json.stdout) as Record<string, unknown>;
    assert.equal(record['fingerprint256'], fingerprint);
    assert.equal(record['certificate'], file);
    assert.equal(record['created'], false);
    assert.equal(record['keyType'], 'EC prime256v1');
    assert.doesNotMatch(json.stdout + text.stdout, /PRIVATE/);
  });

  test('a key that others can read is refused', async (t) => {
    const dir = await freshCa(t);
    execFileSync('chmod', ['644', join(dir, 'ca-key.pem')]);
    const { status, stderr } = await sallyport(t, ['ca', 'show', '--ca-dir', dir]);
    assert.equal(status, 1);
    assert.match(stderr, /^sallyport: ERR_CA_PERMISSIONS: [^\n]*chmod 600[^\n]*\n$/);
  });
});

describe('ca export', () => {
  test('pem, der and p12 are the same certificate, and none has the key', async (t) => {
    const dir = await freshCa(t);
    const certificate = new X509Certificate(await readFile(join(dir, 'ca.pem')));
    const out = join(dir, '..');
    for (const format of ['pem', 'der', 'p12']) {
      const args = ['ca', 'export', '--ca-dir', dir, '--format', format, '--out', join(out, `ca.${format}`)];
      assert.deepEqual(await sallyport(t, args), { status: 0, signal: null, stdout: '', stderr: '' });
    }
    assert.deepEqual(await readFile(join(out, 'ca.der')), certificate.raw);
    assert.equal(openssl('x509', '-in', join(out, 'ca.pem')), certificate.toString());
    const p12 = openssl('pkcs12', '-in', join(out, 'ca.p12'), '-nodes', '-passin', 'pass:changeit');
    assert.ok(p12.includes(certificate.toString()));
    assert.doesNotMatch(p12, /PRIVATE KEY/);
    assert.throws(() => openssl('pkcs12', '-in', join(out, 'ca.p12'), '-nodes', '-passin', 'pass:other'));
  });

  test('to stdout, and with a password', async (t) => {
    const dir = await freshCa(t);
    const { stdout } = await sallyport(t, ['ca', 'export', '--ca-dir', dir]);
    assert.equal(stdout, await readFile(join(dir, 'ca.pem'), 'utf8'));
    const out = join(dir, '..', 'store.p12');
    await sallyport(t, [
      'ca',
      'export',
      '--ca-dir',
      dir,
      '--format=p12',
      '--out',
      out,
      '--password',
      'geheim',
    ]);
    assert.match(openssl('pkcs12', '-in', out, '-nodes', '-passin', 'pass:geheim'), /sallyport/);
  });

  test('a file that cannot be written', async (t) => {
    const dir = await freshCa(t);
    const { status, stderr } = await sallyport(t, [
      'ca',
      'export',
      '--ca-dir',
      dir,
      '--out',
      '/no/such/dir/x',
    ]);
    assert.equal(status, 2);
    assert.match(stderr, /ERR_OPTION_VALUE: --out cannot write \/no\/such\/dir\/x/);
  });

  test('binary is not written to a terminal', async (t) => {
    const dir = await freshCa(t);
    const { mainScript } = await import('./support.js');
    // script(1) gives the command a terminal.
    const line = `'${process.execPath}' '${mainScript}' ca export --format der --ca-dir '${dir}'`;
    const output = execFileSync('script', ['-qec', `${line}; echo status $?`, '/dev/null'], {
      encoding: 'latin1',
    });
    assert.match(output, /ERR_OPTION_VALUE: --format der is binary/);
    assert.match(output, /status 2/);
  });
});

describe('ca import', () => {
  test('an RSA CA of OpenSSL is taken, used, and not written over', async (t) => {
    const home = await temporaryDirectory(t);
    const [cert, key, dir] = [join(home, 'c.pem'), join(home, 'k.pem'), join(home, 'ca')];
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '30',
      '-subj', '/CN=Imported CA', '-addext', 'basicConstraints=critical,CA:TRUE'); // prettier-ignore
    const args = ['ca', 'import', '--cert', cert, '--key', key, '--ca-dir', dir];
    const imported = await sallyport(t, args);
    assert.equal(imported.status, 0, imported.stderr);
    assert.match(imported.stdout, /Imported CA[\s\S]*RSA 2048 bit/);
    assert.equal((await stat(join(dir, 'ca-key.pem'))).mode & 0o777, 0o600);

    const again = await sallyport(t, args);
    assert.equal(again.status, 1);
    assert.match(again.stderr, /^sallyport: ERR_CA_EXISTS: [^\n]*\n$/);

    const origin = await startOrigin(t, (_request, response) => response.end('hello'));
    const running = await start(t, ['--port', '0', '--ca-dir', dir, '--upstream-ca', origin.caFile]);
    const [, url = ''] = await running.sees(/^listening on (\S+)\n/m);
    assert.equal((await getThrough(t, { url, caDir: dir }, origin.url)).body, 'hello');
  });

  test('an encrypted key, with its passphrase in a file', async (t) => {
    const home = await temporaryDirectory(t);
    const [cert, key, pass] = [join(home, 'c.pem'), join(home, 'k.pem'), join(home, 'pass')];
    execFileSync('sh', ['-c', 'printf "geheim\\n" > "$0"', pass]);
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-passout', `file:${pass}`,
      '-keyout', key, '-out', cert, '-days', '30', '-subj', '/CN=Locked CA'); // prettier-ignore
    const args = ['ca', 'import', '--cert', cert, '--key', key, '--ca-dir', join(home, 'ca')];
    const locked = await sallyport(t, args);
    assert.equal(locked.status, 1);
    assert.match(locked.stderr, /ERR_CA_BROKEN: .*k\.pem is encrypted/);
    const opened = await sallyport(t, [...args, '--passphrase-file', pass]);
    assert.equal(opened.status, 0, opened.stderr);
  });

  test('files that are missing or do not fit', async (t) => {
    const dir = await freshCa(t);
    const other = await freshCa(t);
    const key = join(other, 'ca-key.pem');
    const target = join(dir, '..', 'new');
    const import_ = (cert: string): ReturnType<typeof sallyport> =>
      sallyport(t, ['ca', 'import', '--cert', cert, '--key', key, '--ca-dir', target]);
    assert.match(
      (await import_('/no/such.pem')).stderr,
      /ERR_OPTION_VALUE: --cert cannot read \/no\/such\.pem/,
    );
    assert.match((await import_(join(dir, 'ca.pem'))).stderr, /ERR_CA_BROKEN: .*does not belong/);
    assert.ok(!existsSync(target));
  });
});

describe('ca trust', () => {
  test('prints what to run, for everything or for what was asked', async (t) => {
    const dir = await freshCa(t);
    const all = await sallyport(t, ['ca', 'trust', '--print', '--ca-dir', dir]);
    assert.equal(all.status, 0);
    for (const part of [
      'update-ca-certificates',
      'add-trusted-cert',
      'Firefox',
      'NODE_EXTRA_CA_CERTS',
      'keytool',
    ]) {
      assert.ok(all.stdout.includes(part), part);
    }
    const some = await sallyport(t, ['ca', 'trust', '--print', '--for', 'node', '--ca-dir', dir]);
    assert.ok(some.stdout.includes(`export NODE_EXTRA_CA_CERTS='${join(dir, 'ca.pem')}'`));
    assert.doesNotMatch(some.stdout, /keytool/);
    const wrong = await sallyport(t, ['ca', 'trust', '--print', '--for', 'fierfox', '--ca-dir', dir]);
    assert.equal(wrong.status, 2);
    assert.match(wrong.stderr, /did you mean firefox\?/);
  });
});
