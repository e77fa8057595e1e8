import assert from 'node:assert/strict';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Context } from '../../src/base/context.js';
import { type Authority, importAuthority } from '../../src/certs/authority.js';
import { readCertificateFields } from '../../src/certs/certificate-fields.js';
import { Minter } from '../../src/certs/mint.js';
import { certificateName } from '../../src/certs/names.js';
import type { Signer } from '../../src/certs/signer.js';
import type { LeafMaterial } from '../../src/certs/store.js';
import {
  leafFile,
  openssl,
  opensslAuthority,
  run,
  temporaryAuthority,
  temporaryDirectory,
  withCode,
} from './support.js';

const label63 = 'a'.repeat(63);
const hosts = [
  'example.com',
  'localhost',
  '_underscore.example',
  'bücher.example',
  `${'a'.repeat(55)}.example`,
  `${'a'.repeat(56)}.example`,
  `${'a'.repeat(57)}.example`,
  [label63, label63, label63, 'b'.repeat(61)].join('.'),
  '127.0.0.1',
  '::1',
  '2001:db8::1:0:0:1',
] as const;

async function mint(minter: Minter, host: string): Promise<LeafMaterial> {
  return minter.mint(certificateName(host));
}

/** `openssl verify` for a TLS server of this name, as strictly as it can. */
async function opensslVerify(authority: Authority, leaf: string, host: string): Promise<string> {
  const name = certificateName(host);
  const check = name.kind === 'ip' ? '-verify_ip' : '-verify_hostname';
  return openssl(
    ...['verify', '-x509_strict', '-purpose', 'sslserver', '-check_ss_sig', check, name.host],
    ...['-CAfile', authority.paths.certificate, leaf],
  );
}

test('openssl and GnuTLS accept a leaf for every kind of host', async (t) => {
  const authority = await temporaryAuthority(t);
  const minter = new Minter({ issuer: authority });
  for (const host of hosts) {
    const leaf = await leafFile(t, await mint(minter, host));
    assert.match(await opensslVerify(authority, leaf, host), /OK/, host);
    const chain = `${leaf}.chain`;
    await writeFile(chain, (await readFile(leaf, 'utf8')) + authority.pem);
    const verdict = await run('certtool', '--verify-chain', '--infile', chain);
    assert.match(verdict, /Chain verification output: Verified\. The certificate is trusted\./, host);
    const trust = ['--load-ca-certificate', authority.paths.certificate];
    await run('certtool', '--verify', '--verify-purpose', '1.3.6.1.5.5.7.3.1', ...trust, '--infile', leaf);
  }
});

test('the judges do say no: another host, another CA, a changed octet', async (t) => {
  const authority = await temporaryAuthority(t);
  const other = await temporaryAuthority(t);
  const material = await mint(new Minter({ issuer: authority }), 'example.com');
  const leaf = await leafFile(t, material);
  await assert.rejects(opensslVerify(authority, leaf, 'example.org'), /hostname mismatch/i);
  await assert.rejects(opensslVerify(authority, leaf, '127.0.0.1'), /IP address mismatch/i);
  await assert.rejects(opensslVerify(other, leaf, 'example.com'), /unable to get|signature failure/i);
  const { raw } = new X509Certificate(material.certificatePem);
  const last = raw.length - 1;
  raw[last] = (raw[last] ?? 0) ^ 1;
  await writeFile(leaf, new X509Certificate(raw).toString());
  await assert.rejects(opensslVerify(authority, leaf, 'example.com'), /signature failure/i);
});

test('a leaf says what it must, and openssl reads it', async (t) => {
  const authority = await temporaryAuthority(t);
  const now = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  const issuer = { ...authority, notBefore: 0, notAfter: Date.UTC(2060, 0, 1) };
  const material = await mint(new Minter({ issuer, now: () => now }), 'Example.COM.');
  const text = await openssl('x509', '-noout', '-text', '-in', await leafFile(t, material));
  const expectations = [
    /Version: 3 \(0x2\)/,
    /Signature Algorithm: ecdsa-with-SHA256/,
    /Issuer: O ?= ?sallyport, CN ?= ?Test CA/,
    /Not Before: Jan {2}2 02:04:05 2026 GMT/,
    /Not After : Jul 20 02:04:04 2026 GMT/,
    /Subject: CN ?= ?example\.com\n/,
    /ASN1 OID: prime256v1/,
    /X509v3 Basic Constraints: critical\s+CA:FALSE/,
    /X509v3 Key Usage: critical\s+Digital Signature\n/,
    /X509v3 Extended Key Usage: \n\s+TLS Web Server Authentication\n/,
    /X509v3 Subject Alternative Name: \n\s+DNS:example\.com\n/,
  ];
  for (const expected of expectations) assert.match(text, expected);
  const colons = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex').toUpperCase();
  const identifiers = text.replaceAll(':', '');
  assert.match(
    identifiers,
    new RegExp(`Authority Key Identifier \\s+(keyid)?${colons(authority.subjectKeyIdentifier)}`),
  );
  // The validity counts both ends.
  assert.equal(material.notAfter - material.notBefore + 1000, 199 * 24 * 3600 * 1000);
  const certificate = new X509Certificate(material.certificatePem);
  assert.equal(certificate.serialNumber.toLowerCase(), material.serial);
  assert.ok(certificate.checkPrivateKey(createPrivateKey(material.privateKeyPem)));
  const fields = readCertificateFields(certificate.raw);
  assert.deepEqual(
    [fields.notBefore, fields.notAfter, fields.subjectKeyIdentifier?.length],
    [material.notBefore, material.notAfter, 20],
  );
});

test('the subject is the host while it fits, and empty with a critical SAN when not', async (t) => {
  const minter = new Minter({ issuer: await temporaryAuthority(t) });
  for (const host of hosts) {
    const { certificatePem } = await mint(minter, host);
    const text = await openssl('x509', '-noout', '-text', '-in', await leafFile(t, await mint(minter, host)));
    const { host: name } = certificateName(host);
    const { subject } = new X509Certificate(certificatePem);
    if (name.length <= 64) {
      assert.equal(subject, `CN=${name}`);
      assert.match(text, /Subject Alternative Name: \n/);
    } else {
      assert.ok(!subject, `no subject for ${name.length} characters`);
      assert.match(text, /Subject Alternative Name: critical\n/);
    }
  }
});

test('key usage has no zero bits at its end, as DER asks of named bits', async (t) => {
  const authority = await temporaryAuthority(t);
  const keyUsageOf = (pem: string): string | undefined =>
    /0603551d0f0101ff0404(.{8})/.exec(new X509Certificate(pem).raw.toString('hex'))?.[1];
  assert.equal(keyUsageOf(authority.pem), '03020106');
  for (const [profile, expected] of [
    ['p256', '03020780'],
    ['rsa-2048', '030205a0'],
  ] as const) {
    const { certificatePem } = await mint(new Minter({ issuer: authority, profile }), 'example.com');
    assert.equal(keyUsageOf(certificatePem), expected);
  }
});

test('each leaf has its own serial, those of a minter have one key, and none has the key of the CA', async (t) => {
  const authority = await temporaryAuthority(t);
  const minter = new Minter({ issuer: authority });
  const leaves = await Promise.all(Array.from({ length: 300 }, () => mint(minter, 'example.com')));
  const serials = new Set(leaves.map(({ serial }) => serial));
  const keys = new Set(leaves.map(({ privateKeyPem }) => privateKeyPem));
  assert.equal(serials.size, leaves.length);
  assert.equal(keys.size, 1);
  const elsewhere = await mint(new Minter({ issuer: authority }), 'example.com');
  assert.ok(!keys.has(elsewhere.privateKeyPem));
  for (const { serial, certificatePem, privateKeyPem } of leaves) {
    assert.match(serial, /^01[0-9a-f]{32}$/);
    const certificate = new X509Certificate(certificatePem);
    assert.ok(certificate.checkPrivateKey(createPrivateKey(privateKeyPem)));
    assert.ok(!certificate.publicKey.equals(authority.certificate.publicKey));
  }
  // 300 × 128 random bits: a bit that is always the same would show.
  for (let bit = 0; bit < 128; bit += 1) {
    const ones = leaves.filter(({ serial }) => (BigInt(`0x${serial.slice(2)}`) >> BigInt(bit)) & 1n).length;
    assert.ok(ones > 90 && ones < 210, `bit ${bit} is set ${ones} times in ${leaves.length}`);
  }
});

test('the signature follows the key of the CA, for both kinds of leaf', async (t) => {
  const directory = await temporaryDirectory(t);
  const kinds: readonly [string, readonly string[], RegExp][] = [
    ['rsa', ['-newkey', 'rsa:2048'], /sha256WithRSAEncryption/],
    ['p256', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], /ecdsa-with-SHA256/],
    ['p384', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'], /ecdsa-with-SHA384/],
    ['ed25519', ['-newkey', 'ed25519'], /ED25519/],
  ];
  for (const [name, newKey, algorithm] of kinds) {
    const files = await opensslAuthority(directory, name, newKey);
    const authority = await importAuthority({
      dir: join(directory, `${name}-dir`),
      certificatePem: await readFile(files.certificate, 'utf8'),
      keyPem: await readFile(files.key, 'utf8'),
    });
    for (const profile of ['p256', 'rsa-2048'] as const) {
      const minter = new Minter({ issuer: authority, profile });
      const material = await mint(minter, 'example.com');
      minter.close();
      const leaf = await leafFile(t, material);
      assert.match(await opensslVerify(authority, leaf, 'example.com'), /OK/, `${name} ${profile}`);
      const text = await openssl('x509', '-noout', '-text', '-in', leaf);
      assert.match(text, algorithm);
      assert.match(
        text,
        profile === 'p256'
          ? /Key Usage: critical\s+Digital Signature\n/
          : /Public-Key: \(2048 bit\)[^]*Key Usage: critical\s+Digital Signature, Key Encipherment\n/,
      );
      const certificate = new X509Certificate(material.certificatePem);
      assert.ok(certificate.checkPrivateKey(createPrivateKey(material.privateKeyPem)));
    }
  }
});

test('a leaf stays within the validity of its CA, and none is made after it', async (t) => {
  const authority = await temporaryAuthority(t);
  const start = Date.UTC(2026, 5, 1);
  const end = Date.UTC(2026, 5, 20);
  let now = start + 60_000;
  const minter = new Minter({ issuer: { ...authority, notBefore: start, notAfter: end }, now: () => now });
  const young = await mint(minter, 'example.com');
  assert.deepEqual([young.notBefore, young.notAfter], [start, end]);
  now = end - 5000;
  assert.equal((await mint(minter, 'example.com')).notAfter, end);
  now = end;
  await assert.rejects(mint(minter, 'example.com'), withCode('ERR_CA_BROKEN', /ended at 2026-06-20/));
});

test('P-256 with the key at hand needs no promise', async (t) => {
  const minter = new Minter({ issuer: await temporaryAuthority(t) });
  assert.ok(!(minter.mint(certificateName('example.com')) instanceof Promise));
});

test('a signer elsewhere may take its time, fail, or be given up', async (t) => {
  const authority = await temporaryAuthority(t);
  const calls: (AbortSignal | undefined)[] = [];
  let answer: (tbs: Uint8Array) => Promise<Uint8Array> = async (tbs) => authority.signer.sign(tbs);
  const signer: Signer = {
    algorithm: authority.signer.algorithm,
    sign: (tbs, options) => {
      calls.push(options?.signal);
      return answer(tbs);
    },
  };
  const minter = new Minter({ issuer: { ...authority, signer } });
  const name = certificateName('example.com');

  const leaf = await leafFile(t, await minter.mint(name));
  assert.match(await opensslVerify(authority, leaf, 'example.com'), /OK/);

  answer = async () => {
    throw new Error('the device is gone');
  };
  await assert.rejects(async () => minter.mint(name), /the device is gone/);

  answer = () => new Promise(() => undefined);
  const context = Context.background.withCancel();
  const abandoned = minter.mint(name, context);
  assert.ok(abandoned instanceof Promise);
  context.close();
  await assert.rejects(abandoned, withCode('ERR_CANCELLED'));
  assert.equal(calls.at(-1)?.aborted, true);
  minter.close();
});

test('a key that is forgotten while a leaf is signed with it is not handed out', async (t) => {
  const authority = await temporaryAuthority(t);
  const waiting: (() => void)[] = [];
  const signer: Signer = {
    algorithm: authority.signer.algorithm,
    sign: async (bytes) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return await authority.signer.sign(bytes);
    },
  };
  const minter = new Minter({ issuer: { ...authority, signer } });
  const minted = async (meanwhile: () => void): Promise<string> => {
    const material = mint(minter, 'a.example');
    while (waiting.length === 0) await new Promise((resolve) => void setImmediate(resolve));
    meanwhile();
    let done = false;
    const finished = material.then(({ privateKeyPem, certificatePem }) => {
      done = true;
      assert.ok(new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(privateKeyPem)));
      return privateKeyPem;
    });
    while (!done) {
      waiting.shift()?.();
      await new Promise((resolve) => void setImmediate(resolve));
    }
    return await finished;
  };
  const first = await minted(() => undefined);
  assert.equal(await minted(() => undefined), first);
  const second = await minted(() => {
    minter.forgetKey();
  });
  assert.notEqual(second, first);
  assert.equal(await minted(() => undefined), second);
  minter.close();
});
