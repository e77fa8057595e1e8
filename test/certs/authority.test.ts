import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate, createHash, createPrivateKey } from 'node:crypto';
import fs from 'node:fs';
import {
  chmod,
  copyFile,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { type Authority, importAuthority, openAuthority } from '../../src/certs/authority.js';
import { openssl, opensslAuthority, run, temporaryDirectory, withCode } from './support.js';

const mode = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

test('the first opening makes a CA, with the modes it needs, and the second finds it', async (t) => {
  const dir = join(await temporaryDirectory(t), 'deep', 'down');
  const first = await openAuthority({ dir });
  assert.equal(first.created, true);
  assert.deepEqual(
    [await mode(dir), await mode(first.paths.key), await mode(first.paths.certificate)],
    ['700', '600', '644'],
  );
  assert.deepEqual((await readdir(dir)).toSorted(), ['ca-key.pem', 'ca.pem']);

  const second = await openAuthority({ dir });
  assert.equal(second.created, false);
  assert.equal(second.fingerprint256, first.fingerprint256);
  assert.deepEqual(second.subject, first.subject);
  const key = createPrivateKey(await readFile(second.paths.key, 'utf8'));
  assert.ok(second.certificate.checkPrivateKey(key));
});

test('a CA that was made is what openssl and GnuTLS call one, and says whose it is', async (t) => {
  const authority = await openAuthority({ dir: await temporaryDirectory(t) });
  const path = authority.paths.certificate;
  assert.match(await openssl('verify', '-x509_strict', '-check_ss_sig', '-CAfile', path, path), /OK/);
  const text = await openssl('x509', '-noout', '-text', '-in', path);
  const expectations = [
    /Basic Constraints: critical\s+CA:TRUE, pathlen:0\n/,
    /Key Usage: critical\s+Certificate Sign, CRL Sign\n/,
    /Subject Key Identifier: /,
    /Authority Key Identifier: /,
    /ASN1 OID: prime256v1/,
  ];
  for (const expected of expectations) assert.match(text, expected);
  assert.match(await run('certtool', '-i', '--infile', path), /Certificate Authority \(CA\): TRUE/);
  assert.match(
    await run('certtool', '--verify-chain', '--infile', path),
    /Chain verification output: Verified\. The certificate is trusted\./,
  );
  const name = /CN=(.*)/.exec(authority.certificate.subject)?.[1] ?? '';
  assert.match(name, /^sallyport CA \S+@\S+ \d{4}-\d{2}-\d{2}$/);
  assert.ok(name.length <= 64);
  assert.ok(name.includes(hostname().slice(0, 8)));
  const years = (authority.notAfter - Date.now()) / (365 * 24 * 3600 * 1000);
  assert.ok(years > 9.9 && years < 10);
  assert.ok(authority.notBefore < Date.now());

  const fingerprint = await openssl('x509', '-noout', '-fingerprint', '-sha256', '-in', path);
  assert.equal(fingerprint.trim().split('=')[1], authority.fingerprint256);
  const spki = authority.certificate.publicKey.export({ type: 'spki', format: 'der' });
  assert.equal(authority.publicKeySha256, createHash('sha256').update(spki).digest('base64'));
});

test('a name can be given, in any script, of up to 64 characters', async (t) => {
  const dir = await temporaryDirectory(t);
  const name = '株'.repeat(63) + '𝄞';
  const { certificate } = await openAuthority({ dir, name });
  assert.ok(certificate.subject.endsWith(`CN=${name}`));
  for (const bad of ['', 'x'.repeat(65), 'two\nlines']) {
    await assert.rejects(openAuthority({ dir: join(dir, 'x'), name: bad }), withCode('ERR_OPTION_VALUE'));
  }
});

test('nothing is made where that was not asked for', async (t) => {
  const dir = join(await temporaryDirectory(t), 'none');
  await assert.rejects(openAuthority({ dir, create: false }), withCode('ERR_CA_DIR', /holds no CA/));
  await assert.rejects(stat(dir), { code: 'ENOENT' });
});

/**
 * A process that opens the authority when it is told to. `opened` is its line: the fingerprint, whether it made
 * the CA, and whether its key belongs to its certificate.
 */
async function openElsewhere(dir: string): Promise<{ go(): void; readonly opened: Promise<string[]> }> {
  const module = new URL('../../src/certs/authority.js', import.meta.url).href;
  const script = `
    const { openAuthority } = await import(${JSON.stringify(module)});
    const { verify } = await import('node:crypto');
    console.log('ready');
    await new Promise((resolve) => process.stdin.once('data', resolve));
    const { fingerprint256, created, certificate, signer } = await openAuthority({ dir: process.argv[1] });
    const bytes = Buffer.from('whose key is this?');
    console.log(fingerprint256, created, verify('sha256', bytes, certificate.publicKey, signer.sign(bytes)));
    process.stdin.destroy();
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script, dir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'ready');
  const opened = lines.next().then(({ value }) => String(value).split(' '));
  return { go: () => child.stdin.end('go\n'), opened };
}

test('eight processes in one empty directory end up with one CA, made by one of them', async (t) => {
  const root = await temporaryDirectory(t);
  for (let round = 0; round < 3; round += 1) {
    const dir = join(root, `round-${round}`, 'ca');
    const processes = await Promise.all(Array.from({ length: 8 }, () => openElsewhere(dir)));
    for (const { go } of processes) go();
    const lines = await Promise.all(processes.map(({ opened }) => opened));
    assert.equal(new Set(lines.map(([fingerprint]) => fingerprint)).size, 1);
    assert.equal(lines.filter(([, created]) => created === 'true').length, 1);
    assert.ok(lines.every(([, , matches]) => matches === 'true'));
    assert.deepEqual((await readdir(dir)).toSorted(), ['ca-key.pem', 'ca.pem']);
  }
});

test('many openings in one process end up with one CA', async (t) => {
  const dir = join(await temporaryDirectory(t), 'ca');
  const authorities = await Promise.all(Array.from({ length: 20 }, () => openAuthority({ dir })));
  assert.equal(new Set(authorities.map(({ fingerprint256 }) => fingerprint256)).size, 1);
  assert.equal(authorities.filter(({ created }) => created).length, 1);
});

test('what a process left unfinished when it died, the next one finishes', async (t) => {
  const root = await temporaryDirectory(t);
  const model = await openAuthority({ dir: join(root, 'model') });
  const pair = (await readFile(model.paths.key, 'utf8')) + (await readFile(model.paths.certificate, 'utf8'));
  for (const already of [[], ['ca-key.pem'], ['ca-key.pem', 'ca.pem']]) {
    const dir = join(root, `after-${already.length}`);
    await mkdir(dir);
    await writeFile(join(dir, '.ca-pending.pem'), pair, { mode: 0o600 });
    for (const file of already) await copyFile(join(root, 'model', file), join(dir, file));
    const { fingerprint256 } = await openAuthority({ dir });
    assert.equal(fingerprint256, model.fingerprint256);
  }
});

test('a pair that somebody puts in place between two looks is no broken one', async (t) => {
  const root = await temporaryDirectory(t);
  const model = await openAuthority({ dir: join(root, 'model') });
  const key = await readFile(model.paths.key, 'utf8');
  const pair = key + (await readFile(model.paths.certificate, 'utf8'));
  const dir = join(root, 'ca');
  await mkdir(dir);
  // The other process has made its key's name, and not yet its certificate's, when we have just seen that
  // no pair is pending.
  const { open } = fs.promises;
  let looks = 0;
  t.after(() => {
    fs.promises.open = open;
    syncBuiltinESMExports();
  });
  fs.promises.open = async (path, ...rest) => {
    try {
      return await open(path, ...rest);
    } finally {
      if (String(path) === join(dir, '.ca-pending.pem') && (looks += 1) === 1) {
        await writeFile(join(dir, '.ca-pending.pem'), pair, { mode: 0o600 });
        await writeFile(join(dir, 'ca-key.pem'), key, { mode: 0o600 });
      }
    }
  };
  syncBuiltinESMExports();
  const { fingerprint256 } = await openAuthority({ dir, create: false });
  assert.equal(looks, 2);
  assert.equal(fingerprint256, model.fingerprint256);
});

/** A fresh CA whose files a test may spoil. */
async function spoilable(root: string, name: string): Promise<Authority> {
  return openAuthority({ dir: join(root, name) });
}

test('a key that others can read is refused, with the command that helps', async (t) => {
  const root = await temporaryDirectory(t);
  for (const bits of [0o640, 0o604, 0o660, 0o644]) {
    const { paths } = await spoilable(root, `it's ${bits}`);
    await chmod(paths.key, bits);
    const command = new RegExp(
      `mode 0${bits.toString(8)}; run: chmod 600 '.*/it'\\\\''s ${bits}/ca-key\\.pem'`,
    );
    await assert.rejects(openAuthority({ dir: paths.directory }), withCode('ERR_CA_PERMISSIONS', command));
    await chmod(paths.key, 0o400);
    await openAuthority({ dir: paths.directory });
  }
});

test('a directory that cannot be used is refused', async (t) => {
  const root = await temporaryDirectory(t);
  const file = join(root, 'file');
  await writeFile(file, '');
  await assert.rejects(openAuthority({ dir: file }), withCode('ERR_CA_DIR', /ENOTDIR/));
  await assert.rejects(openAuthority({ dir: join(file, 'below') }), withCode('ERR_CA_DIR', /ENOTDIR/));
  const dangling = join(root, 'dangling');
  await symlink(join(root, 'nowhere'), dangling);
  await assert.rejects(openAuthority({ dir: dangling }), withCode('ERR_CA_DIR', /dangling/));
  const missing = join('/proc/self', 'sallyport');
  await assert.rejects(openAuthority({ dir: missing }), withCode('ERR_CA_DIR', /cannot make the directory/));
});

test('broken files are refused, and the error names the file and what was found', async (t) => {
  const root = await temporaryDirectory(t);
  const other = await spoilable(root, 'other');
  const otherKey = await readFile(other.paths.key, 'utf8');
  const leaf = await opensslAuthority(root, 'leaf', ['-newkey', 'rsa:2048']);
  await openssl(
    ...['req', '-x509', '-nodes', '-key', leaf.key, '-out', leaf.certificate, '-subj', '/CN=leaf'],
    ...['-addext', 'basicConstraints=critical,CA:FALSE'],
  );
  const small = await opensslAuthority(root, 'small', ['-newkey', 'rsa:1024']);
  const curve = await opensslAuthority(root, 'curve', [
    ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'],
  ]);
  const encrypted = join(root, 'encrypted.pem');
  await openssl('pkcs8', '-topk8', '-in', other.paths.key, '-out', encrypted, '-passout', 'pass:secret');

  // Text only: `copyFile` would bring the other file's mode along.
  const copy = async (from: string, to: string): Promise<void> => writeFile(to, await readFile(from));
  const replace =
    (certificate: string, key: string) =>
    async ({ paths }: Authority): Promise<void> => {
      await copy(certificate, paths.certificate);
      await copy(key, paths.key);
    };
  const cases: readonly [string, (authority: Authority) => Promise<void>, RegExp][] = [
    ['no key', ({ paths }) => rm(paths.key), /ca\.pem is there, but .*ca-key\.pem is missing/],
    [
      'no certificate',
      ({ paths }) => rm(paths.certificate),
      /ca-key\.pem is there, but .*ca\.pem is missing/,
    ],
    ['empty key', ({ paths }) => writeFile(paths.key, ''), /ca-key\.pem holds no private key.*an empty file/],
    ['empty certificate', ({ paths }) => writeFile(paths.certificate, '\n'), /ca\.pem .*an empty file/],
    [
      'noise',
      ({ paths }) => writeFile(paths.certificate, 'hello'),
      /ca\.pem holds no certificate; found no PEM/,
    ],
    [
      'swapped',
      ({ paths }) => copy(paths.key, paths.certificate),
      /ca\.pem holds no certificate; found a PRIVATE KEY/,
    ],
    [
      'certificate as key',
      ({ paths }) => copy(paths.certificate, paths.key),
      /ca-key\.pem holds no private key.*found a CERTIFICATE/,
    ],
    [
      'damaged',
      ({ paths, pem }) => writeFile(paths.certificate, pem.replace('MII', 'MIJ')),
      /ca\.pem cannot be parsed \(certificate 1\)/,
    ],
    ['cut', ({ paths, pem }) => writeFile(paths.certificate, pem.slice(0, 300)), /ca\.pem .*found no PEM/],
    ['other key', ({ paths }) => writeFile(paths.key, otherKey), /ca-key\.pem does not belong to .*ca\.pem/],
    ['encrypted', ({ paths }) => copy(encrypted, paths.key), /ca-key\.pem is encrypted/],
    ['too large', ({ paths }) => writeFile(paths.certificate, Buffer.alloc(2 ** 20 + 1)), /1048577 bytes/],
    [
      'no file',
      async ({ paths }) => {
        await rm(paths.certificate);
        await mkdir(paths.certificate);
      },
      /ca\.pem is not a file/,
    ],
    ['no CA', replace(leaf.certificate, leaf.key), /ca\.pem \(CN=leaf\) is not a CA/],
    ['small key', replace(small.certificate, small.key), /RSA key of 1024 bits/],
    ['odd curve', replace(curve.certificate, curve.key), /curve is secp256k1/],
    [
      'pending damaged',
      async ({ paths }) => {
        await rm(paths.certificate);
        await writeFile(join(paths.directory, '.ca-pending.pem'), 'x', { mode: 0o600 });
      },
      /\.ca-pending\.pem is damaged/,
    ],
  ];
  for (const [name, spoil, detail] of cases) {
    const authority = await spoilable(root, name);
    await spoil(authority);
    await assert.rejects(
      openAuthority({ dir: authority.paths.directory }),
      withCode('ERR_CA_BROKEN', detail),
      name,
    );
  }
});

test('a CA out of its time is refused', async (t) => {
  const dir = await temporaryDirectory(t);
  const { notBefore, notAfter } = await openAuthority({ dir });
  const at = (now: number): Promise<Authority> => openAuthority({ dir, now: () => now });
  await assert.rejects(at(notAfter + 1000), withCode('ERR_CA_BROKEN', /ca\.pem expired at 20/));
  await assert.rejects(at(notBefore - 1000), withCode('ERR_CA_BROKEN', /not valid before .* clock/));
  await at(notAfter - 1000);
});

test('a CA without key identifier gets the one of RFC 5280', async (t) => {
  const root = await temporaryDirectory(t);
  const files = await opensslAuthority(
    root,
    'bare',
    ['-newkey', 'rsa:2048'],
    [...['-addext', 'subjectKeyIdentifier=none', '-addext', 'authorityKeyIdentifier=none']],
  );
  const withIdentifier = await opensslAuthority(root, 'usual', ['-key', files.key]);
  const [bare, usual] = await Promise.all(
    [files, withIdentifier].map(async ({ certificate }) =>
      importAuthority({
        dir: join(root, `dir-${certificate.length}`),
        certificatePem: await readFile(certificate, 'utf8'),
        keyPem: await readFile(files.key, 'utf8'),
      }),
    ),
  );
  assert.ok(bare && usual);
  const text = await openssl('x509', '-noout', '-text', '-in', files.certificate);
  assert.doesNotMatch(text, /Subject Key Identifier/);
  assert.deepEqual(Buffer.from(bare.subjectKeyIdentifier), Buffer.from(usual.subjectKeyIdentifier));
});

/** An intermediate CA below a root, both made by openssl, and one file with both. */
async function intermediate(root: string): Promise<{
  readonly key: string;
  readonly certificates: readonly string[];
}> {
  const top = await opensslAuthority(root, 'top', ['-newkey', 'rsa:2048']);
  const path = (name: string): string => join(root, name);
  await openssl(
    ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes'],
    ...['-keyout', path('sub-key.pem'), '-out', path('sub.csr'), '-subj', '/CN=sub'],
  );
  await writeFile(
    path('sub.ext'),
    'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n' +
      'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n',
  );
  await openssl(
    ...['x509', '-req', '-in', path('sub.csr'), '-CA', top.certificate, '-CAkey', top.key],
    ...['-CAcreateserial', '-days', '20', '-extfile', path('sub.ext'), '-out', path('sub.pem')],
  );
  return {
    key: await readFile(path('sub-key.pem'), 'utf8'),
    certificates: [await readFile(path('sub.pem'), 'utf8'), await readFile(top.certificate, 'utf8')],
  };
}

test('an intermediate CA is imported with its chain, in order', async (t) => {
  const root = await temporaryDirectory(t);
  const { key, certificates } = await intermediate(root);
  const [sub = '', top = ''] = certificates;
  const dir = join(root, 'ca');
  const imported = await importAuthority({
    dir,
    certificatePem: `Bag Attributes\r\n${`${sub}\n${top}`.replaceAll('\n', '\r\n')}`,
    keyPem: key,
  });
  assert.equal(imported.created, true);
  assert.equal(await mode(imported.paths.key), '600');
  const opened = await openAuthority({ dir });
  assert.equal(opened.certificates.length, 2);
  assert.equal(opened.pem, new X509Certificate(sub).toString());
  // The root is not sent: clients have it.
  assert.equal(opened.chainPem, opened.pem);
  assert.equal(opened.signer.algorithm, 'ecdsa-p384-sha384');

  const again = importAuthority({ dir, certificatePem: sub, keyPem: key });
  await assert.rejects(again, withCode('ERR_CA_EXISTS'));

  const alone = await importAuthority({ dir: join(root, 'alone'), certificatePem: sub, keyPem: key });
  assert.equal(alone.chainPem, alone.pem);

  const reversed = importAuthority({ dir: join(root, 'r'), certificatePem: top + sub, keyPem: key });
  await assert.rejects(reversed, withCode('ERR_CA_BROKEN', /belongs to certificate 2 there/));
  const stranger = await opensslAuthority(root, 'stranger', ['-newkey', 'rsa:2048']);
  const mixed = importAuthority({
    dir: join(root, 'm'),
    certificatePem: sub + (await readFile(stranger.certificate, 'utf8')),
    keyPem: key,
  });
  await assert.rejects(mixed, withCode('ERR_CA_BROKEN', /certificate 2 did not issue certificate 1/));
});

test('an import takes an encrypted key with its passphrase, and stores it without', async (t) => {
  const root = await temporaryDirectory(t);
  const files = await opensslAuthority(root, 'source', ['-newkey', 'ed25519']);
  const encrypted = join(root, 'encrypted.pem');
  await openssl('pkcs8', '-topk8', '-in', files.key, '-out', encrypted, '-passout', 'pass:secret');
  const options = {
    certificatePem: await readFile(files.certificate, 'utf8'),
    keyPem: await readFile(encrypted, 'utf8'),
    sources: files,
  };
  const dir = join(root, 'ca');
  await assert.rejects(
    importAuthority({ ...options, dir }),
    withCode('ERR_CA_BROKEN', /-key\.pem is encrypted/),
  );
  await assert.rejects(
    importAuthority({ ...options, dir, passphrase: 'wrong' }),
    withCode('ERR_CA_BROKEN', /cannot be decrypted with this passphrase/),
  );
  await assert.rejects(stat(dir), { code: 'ENOENT' });
  const { paths } = await importAuthority({ ...options, dir, passphrase: 'secret' });
  assert.match(await readFile(paths.key, 'utf8'), /^-----BEGIN PRIVATE KEY-----/);
  assert.equal(paths.directory, dir);
});

test('an import never writes over anything', async (t) => {
  const root = await temporaryDirectory(t);
  const files = await opensslAuthority(root, 'source', ['-newkey', 'ed25519']);
  const certificatePem = await readFile(files.certificate, 'utf8');
  const keyPem = await readFile(files.key, 'utf8');
  for (const [name, spoil] of [
    ['half', ({ paths }) => rm(paths.key)],
    ['loose', ({ paths }) => chmod(paths.key, 0o644)],
    ['moved', ({ paths }) => rename(paths.certificate, `${paths.certificate}.old`)],
  ] satisfies [string, (authority: Authority) => Promise<void>][]) {
    const { paths } = await spoilable(root, name);
    await spoil(await openAuthority({ dir: paths.directory }));
    const before = await readdir(paths.directory);
    await assert.rejects(
      importAuthority({ dir: paths.directory, certificatePem, keyPem }),
      withCode('ERR_CA_EXISTS'),
      name,
    );
    assert.deepEqual(await readdir(paths.directory), before);
  }
});
