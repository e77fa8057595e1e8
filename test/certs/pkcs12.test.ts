import assert from 'node:assert/strict';
import { access, constants, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { deriveMacKey, encodeTrustStore } from '../../src/certs/pkcs12.js';
import { openssl, run, temporaryAuthority, temporaryDirectory } from './support.js';

test('the MAC key is that of RFC 7292, as openssl derives it', async () => {
  const derive = (password: string, salt: string): Promise<string> => {
    const utf16 = Buffer.from(`${password}\0`, 'utf16le').swap16().toString('hex');
    return openssl(
      ...['kdf', '-keylen', '32', '-kdfopt', 'digest:SHA256', '-kdfopt', `hexpass:${utf16}`],
      ...['-kdfopt', `hexsalt:${salt}`, '-kdfopt', 'iter:1000', '-kdfopt', 'id:3', 'PKCS12KDF'],
    );
  };
  for (const [password, salt] of [
    ['changeit', '0011223344556677'],
    ['pässwörd ✓', 'ab'.repeat(16)],
    ['x'.repeat(100), 'cd'.repeat(70)],
  ] as const) {
    const expected = (await derive(password, salt)).trim().replaceAll(':', '').toLowerCase();
    assert.equal(deriveMacKey(password, Buffer.from(salt, 'hex'), 1000).toString('hex'), expected);
  }
});

test('openssl reads the trust store, checks its MAC, and finds the CA and no key', async (t) => {
  const authority = await temporaryAuthority(t);
  const path = join(await temporaryDirectory(t), 'ca.p12');
  for (const password of ['changeit', 'ß日本', '']) {
    const options = { certificates: [authority.certificate.raw], friendlyName: 'Our CA', password };
    await writeFile(path, encodeTrustStore(options));
    const read = (given: string): Promise<string> =>
      openssl('pkcs12', '-in', path, '-nodes', '-passin', `pass:${given}`);
    const text = await read(password);
    assert.ok(text.includes(authority.pem), 'the certificate, octet for octet');
    assert.match(text, /friendlyName: Our CA\n/);
    assert.match(text, /2\.16\.840\.1\.113894\.746875\.1\.1|Trusted key usage/i);
    assert.doesNotMatch(text, /PRIVATE KEY/);
    await assert.rejects(read(`${password}x`), /mac verify (error|failure)/i);
  }
});

test('a changed octet breaks the MAC', async (t) => {
  const authority = await temporaryAuthority(t);
  const path = join(await temporaryDirectory(t), 'ca.p12');
  const options = { certificates: [authority.certificate.raw], friendlyName: 'CA', password: 'changeit' };
  const file = encodeTrustStore(options);
  const middle = file.indexOf(authority.certificate.raw.subarray(-20));
  file[middle] = (file[middle] ?? 0) ^ 1;
  await writeFile(path, file);
  await assert.rejects(openssl('pkcs12', '-in', path, '-nodes', '-passin', 'pass:changeit'), /mac verify/i);
});

test('GnuTLS reads it, and so does Java, where it is installed, as something to trust', async (t) => {
  const authority = await temporaryAuthority(t);
  const path = join(await temporaryDirectory(t), 'ca.p12');
  const certificates = [authority.certificate.raw, authority.certificate.raw];
  const options = { certificates, friendlyName: 'sallyport', password: 'changeit' };
  await writeFile(path, encodeTrustStore(options));
  const gnutls = await run('certtool', '--p12-info', '--inder', '--infile', path, '--password', 'changeit');
  assert.match(gnutls, /Type: Certificate\s+Friendly name: sallyport\n/);
  if (!(await isInstalled('keytool'))) return;
  const list = ['-J-Duser.language=en', '-list', '-keystore', path, '-storetype', 'PKCS12'];
  const java = await run('keytool', ...list, '-storepass', 'changeit');
  assert.match(java, /Your keystore contains 2 entries/);
  assert.match(java, /sallyport, .*trustedCertEntry/);
  assert.match(java, /sallyport 2, .*trustedCertEntry/);
  assert.ok(java.includes(authority.fingerprint256));
});

test('any password gives a key of its own', () => {
  const salt = Buffer.from('salt');
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      const [one, other] = [deriveMacKey(a, salt, 2), deriveMacKey(b, salt, 2)];
      assert.equal(one.equals(other), a === b);
    }),
  );
});

async function isInstalled(program: string): Promise<boolean> {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  const found = await Promise.allSettled(
    directories.map((directory) => access(join(directory, program), constants.X_OK)),
  );
  return found.some(({ status }) => status === 'fulfilled');
}
