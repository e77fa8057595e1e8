import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openAuthority } from '../../src/certs/index.js';
import {
  checkAuthority,
  checkNode,
  checkNodeTrust,
  checkNoProxy,
  checkOpenFiles,
  checkPort,
  checkProxyVariables,
  checkVerification,
} from '../../src/cli/doctor-checks.js';
import { renderChecks } from '../../src/cli/doctor.js';
import { listeningSockets, portOwner } from '../../src/cli/port-owner.js';
import {
  bundle,
  certificateBlocks,
  difference,
  holds,
  isCertificate,
  systemRoots,
} from '../../src/cli/roots.js';
import { temporaryDirectory } from './support.js';

test('Node: from 20.19 on', () => {
  for (const version of ['20.19.0', '20.20.2', '24.1.0', '26.0.0']) {
    assert.equal(checkNode(version, '3').status, 'ok', version);
  }
  for (const version of ['20.18.9', '18.20.0', '16.0.0'])
    assert.equal(checkNode(version, '3').status, 'failed');
});

describe('the CA', () => {
  test('none yet is nothing broken, and is not made', async (t) => {
    const dir = join(await temporaryDirectory(t), 'ca');
    const { checks, authority } = await checkAuthority(dir, Date.now());
    assert.deepEqual(
      checks.map(({ status }) => status),
      ['warning'],
    );
    assert.match(checks[0]?.found ?? '', /none yet/);
    assert.equal(authority, undefined);
    assert.match((await checkAuthority(dir, Date.now())).checks[0]?.found ?? '', /none yet/);
  });

  test('a good one, and one that ends soon', async (t) => {
    const dir = join(await temporaryDirectory(t), 'ca');
    const { notAfter } = await openAuthority({ dir });
    const good = await checkAuthority(dir, Date.now());
    assert.deepEqual(
      good.checks.map(({ status }) => status),
      ['ok', 'ok'],
    );
    assert.ok(good.authority);
    const soon = await checkAuthority(dir, notAfter - 1000);
    assert.equal(soon.checks.at(-1)?.status, 'warning');
  });

  test('a key that others can read, a directory that others can write, files that are broken', async (t) => {
    const dir = join(await temporaryDirectory(t), 'ca');
    const { paths } = await openAuthority({ dir });
    await chmod(paths.key, 0o644);
    const readable = (await checkAuthority(dir, Date.now())).checks.at(-1);
    assert.equal(readable?.status, 'failed');
    assert.match(readable.found, /^ERR_CA_PERMISSIONS: .*0644/);

    await chmod(paths.key, 0o600);
    await chmod(dir, 0o777);
    const writable = (await checkAuthority(dir, Date.now())).checks[0];
    assert.equal(writable?.status, 'failed');
    assert.match(writable.advice ?? '', /chmod 700/);

    await writeFile(paths.certificate, 'nothing');
    assert.match((await checkAuthority(dir, Date.now())).checks.at(-1)?.found ?? '', /^ERR_CA_BROKEN/);
  });
});

describe('the port', () => {
  test('free, then taken, by us', async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const taken = await checkPort('127.0.0.1', port);
    assert.equal(taken.status, 'warning');
    assert.match(taken.found, new RegExp(`^127\\.0\\.0\\.1:${port} is in use`));
    if (process.platform === 'linux') {
      assert.match((await portOwner(port)) ?? '', new RegExp(`\\(process ${process.pid}\\)$`));
      assert.ok(taken.found.includes(`process ${process.pid}`));
    }
    server.close();
    await once(server, 'close');
    assert.equal((await checkPort('127.0.0.1', port)).status, 'ok');
  });

  test('an address that is not ours', async () => {
    const check = await checkPort('192.0.2.1', 0);
    assert.equal(check.status, 'failed');
    assert.match(check.advice ?? '', /--host/);
  });

  test("the kernel's table", () => {
    const table = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0',
      '   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 99999 1 0',
      '   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 54321 1 0',
    ].join('\n');
    assert.deepEqual(listeningSockets(table, 8080), ['socket:[12345]']);
    assert.deepEqual(listeningSockets('', 8080), []);
  });
});

describe('the environment', () => {
  test('proxy variables: none, ours, and others, whose passwords are not shown', () => {
    const check = (value: string): ReturnType<typeof checkProxyVariables> =>
      checkProxyVariables({ HTTPS_PROXY: value }, '127.0.0.1', 8080);
    assert.equal(checkProxyVariables({}, '127.0.0.1', 8080).status, 'ok');
    assert.equal(check('http://127.0.0.1:8080').status, 'ok');
    assert.equal(check('localhost:8080').status, 'ok');
    for (const other of [
      'http://127.0.0.1:8081',
      'https://127.0.0.1:8080',
      'socks5://127.0.0.1:8080',
      '%%',
    ]) {
      assert.equal(check(other).status, 'warning', other);
    }
    assert.equal(check('http://user:secret@corp:3128').found, 'HTTPS_PROXY is http://corp:3128');
  });

  test('what NO_PROXY keeps away, and what tools read differently', () => {
    const check = (value: string): string => checkNoProxy({ NO_PROXY: value }).found;
    assert.equal(checkNoProxy({}).status, 'ok');
    assert.equal(checkNoProxy({ NO_PROXY: 'internal.example,.corp' }).status, 'ok');
    assert.match(check('*'), /keeps everything away/);
    assert.match(check('a, localhost'), /origins on this machine are not intercepted/);
    assert.match(check('127.0.0.1'), /origins on this machine/);
    assert.match(check('*.corp'), /do not understand \*\./);
    assert.match(check('10.0.0.0/8'), /ranges/);
    assert.match(checkNoProxy({ NO_PROXY: 'a', no_proxy: 'b' }).found, /differ/);
  });

  test('verification that is switched off', () => {
    assert.deepEqual(checkVerification({}), []);
    assert.equal(checkVerification({ NODE_TLS_REJECT_UNAUTHORIZED: '0' })[0]?.status, 'warning');
  });

  test('NODE_EXTRA_CA_CERTS', async (t) => {
    const dir = await temporaryDirectory(t);
    const authority = await openAuthority({ dir: join(dir, 'ca') });
    const other = await openAuthority({ dir: join(dir, 'other') });
    const check = async (path?: string): Promise<string> => {
      const environment = path === undefined ? {} : { NODE_EXTRA_CA_CERTS: path };
      const { status, found } = await checkNodeTrust(authority, environment);
      return `${status}: ${found}`;
    };
    assert.match(await check(), /^warning: is not set/);
    assert.match(await check(authority.paths.certificate), /^ok: .* holds the CA/);
    assert.match(await check(other.paths.certificate), /^warning: .* does not hold/);
    assert.match(await check(join(dir, 'missing.pem')), /^warning: .* there is no such file/);
  });

  test('open files', () => {
    const limits = (soft: string): string =>
      `Limit                     Soft Limit           Hard Limit           Units\nMax open files            ${soft}                 1048576              files\n`;
    assert.deepEqual(checkOpenFiles(undefined), []);
    assert.deepEqual(checkOpenFiles('nonsense'), []);
    assert.equal(checkOpenFiles(limits('1048576'))[0]?.status, 'ok');
    assert.equal(checkOpenFiles(limits('unlimited'))[0]?.status, 'ok');
    const few = checkOpenFiles(limits('1024'))[0];
    assert.equal(few?.status, 'warning');
    assert.match(few.advice ?? '', /--max-connections 262/);
  });
});

test('checks as text: a mark, what was found, what to do, and no escapes from elsewhere', () => {
  const checks = [
    { name: 'a', status: 'ok', found: 'fine' },
    { name: 'b', status: 'failed', found: 'bad \x1b[2J', advice: 'do this' },
    { name: 'c', status: 'warning', found: 'hm' },
  ] as const;
  assert.equal(renderChecks(checks, false), '✓ a: fine\n✗ b: bad \\x1b[2J\n  → do this\n! c: hm');
  assert.match(renderChecks(checks, true), /^\x1b\[32m✓/);
});

describe('bundles', () => {
  test('each certificate once, whatever its line ends', async (t) => {
    const dir = await temporaryDirectory(t);
    const one = await openAuthority({ dir: join(dir, 'one') });
    const two = await openAuthority({ dir: join(dir, 'two') });
    const windows = one.pem.replaceAll('\n', '\r\n');
    const text = bundle([one.pem, windows, two.pem]);
    assert.equal(certificateBlocks(text).length, 2);
    assert.ok(text.endsWith('-----END CERTIFICATE-----\n'));
    assert.ok(holds(certificateBlocks(`# comment\n${windows}`), one.certificate));
    assert.ok(!holds([two.pem], one.certificate));
    assert.deepEqual(difference([one.pem, two.pem], [windows]), [two.pem]);
  });

  test('what is no certificate is left out', () => {
    const fake = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
    assert.equal(isCertificate(fake), false);
    assert.deepEqual(certificateBlocks(fake.replaceAll('CERTIFICATE', 'PRIVATE KEY')), []);
    assert.deepEqual(certificateBlocks('-----BEGIN CERTIFICATE-----\nAAAA'), []);
  });

  test("the system's file, else the roots of Node", async (t) => {
    const dir = await temporaryDirectory(t);
    const { pem, paths } = await openAuthority({ dir: join(dir, 'ca') });
    await mkdir(join(dir, 'empty'));
    const found = await systemRoots([join(dir, 'missing'), join(dir, 'empty'), paths.certificate]);
    assert.equal(found.source, paths.certificate);
    assert.equal(found.certificates[0], pem.trim());
    const none = await systemRoots([join(dir, 'missing')]);
    assert.ok(none.certificates.length > 50);
  });
});
