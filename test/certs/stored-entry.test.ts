import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Authority } from '../../src/certs/authority.js';
import { Minter } from '../../src/certs/mint.js';
import { certificateName } from '../../src/certs/names.js';
import type { CertificateKey, LeafMaterial } from '../../src/certs/store.js';
import { decodeEntry, describeEntry, encodeEntry } from '../../src/certs/stored-entry.js';
import { temporaryAuthority, withCode } from './support.js';

interface Sample {
  readonly authority: Authority;
  readonly key: CertificateKey;
  readonly material: LeafMaterial;
  readonly other: LeafMaterial;
  readonly bytes: Buffer;
}

async function sample(t: TestContext): Promise<Sample> {
  const authority = await temporaryAuthority(t);
  const minter = new Minter({ issuer: authority });
  const material = await minter.mint(certificateName('example.com'));
  // With a key of its own, which the leaves of one minter do not have.
  const other = await new Minter({ issuer: authority }).mint(certificateName('example.com'));
  const key: CertificateKey = { host: 'example.com', authority: authority.fingerprint256, profile: 'p256' };
  const bytes = encodeEntry(key, material, authority.sealer, material.notBefore + 5);
  return { authority, key, material, other, bytes };
}

/** Why `bytes` are not taken. */
function problem(key: CertificateKey, bytes: Uint8Array, { sealer }: Authority): string {
  const decoded = decodeEntry(key, bytes, sealer);
  assert.ok(!decoded.ok);
  return decoded.problem;
}

test('an entry comes back as it was, and the key is nowhere in its bytes', async (t) => {
  const { authority, key, material, bytes } = await sample(t);
  const { sealer } = authority;
  assert.deepEqual(decodeEntry(key, bytes, sealer), { ok: true, material, obtained: material.notBefore + 5 });
  const plain = decodeEntry(key, encodeEntry(key, material, sealer), sealer);
  assert.equal(plain.ok && plain.obtained, material.notBefore);
  for (const line of material.privateKeyPem.split('\n').filter((text) => text !== '')) {
    assert.ok(!bytes.includes(line.slice(0, 20)));
  }
  const { privateKeyPem: _secret, ...open } = material;
  assert.deepEqual(describeEntry(bytes), { ok: true, key, ...open });
});

test('an entry of another host, authority, profile or sealer is not taken', async (t) => {
  const { authority, key, material, bytes } = await sample(t);
  const stranger = await temporaryAuthority(t);
  const foreign = [
    { ...key, host: 'example.org' },
    { ...key, profile: 'rsa-2048' as const },
    { ...key, authority: stranger.fingerprint256 },
  ];
  for (const wrong of foreign) assert.match(problem(wrong, bytes, authority), /belongs to example\.com/);
  assert.match(problem(key, bytes, stranger), /sealed under another key/);
  assert.match(problem(key, encodeEntry(key, material, stranger.sealer), authority), /another key/);
});

test('an entry whose parts do not belong together is not taken, even if it is well sealed', async (t) => {
  const { authority, key, material, other } = await sample(t);
  const mixed: readonly [Partial<LeafMaterial>, RegExp][] = [
    [{ privateKeyPem: other.privateKeyPem }, /key does not belong/],
    [{ privateKeyPem: 'nothing' }, /key does not belong/],
    [{ certificatePem: other.certificatePem }, /serial/],
    [{ serial: other.serial }, /serial/],
    [{ notAfter: material.notAfter + 1000 }, /times/],
    [{ notBefore: material.notBefore - 1000 }, /times/],
    [{ certificatePem: 'nothing' }, /cannot be parsed/],
  ];
  for (const [part, reason] of mixed) {
    const bytes = encodeEntry(key, { ...material, ...part }, authority.sealer);
    assert.match(problem(key, bytes, authority), reason);
  }
});

test('each part is sealed with the others', async (t) => {
  const { authority, key, bytes } = await sample(t);
  const fields = JSON.parse(bytes.toString()) as Record<string, unknown>;
  const changed = {
    serial: `0${String(fields['serial'])}`,
    certificate: `${String(fields['certificate'])}\n`,
    notAfter: Number(fields['notAfter']) + 1,
    notBefore: Number(fields['notBefore']) + 1,
    obtained: Number(fields['obtained']) + 1,
  };
  for (const [name, value] of Object.entries(changed)) {
    const forged = Buffer.from(JSON.stringify({ ...fields, [name]: value }));
    assert.ok(describeEntry(forged).ok, `${name} is harmless to read`);
    assert.match(problem(key, forged, authority), /was changed/);
  }
  for (const profile of ['rsa-2048', 'p384']) {
    const forged = Buffer.from(JSON.stringify({ ...fields, profile }));
    assert.ok(!decodeEntry({ ...key, profile: profile as 'rsa-2048' }, forged, authority.sealer).ok);
  }
});

test('what is no entry at all says why', async (t) => {
  const { authority, key, material, bytes } = await sample(t);
  const text = bytes.toString();
  const cases: readonly [string, RegExp][] = [
    ['', /empty/],
    ['\0'.repeat(bytes.length), /not JSON/],
    ['null', /not a JSON object/],
    ['[]', /version/],
    [text.replace('"version":1', '"version":2'), /version/],
    [`${text} `, /members/],
    [text.replace('"host"', '"hosts"'), /members/],
    [`${text.slice(0, -1)},"more":1}`, /members/],
    [text.replace('example', '\\u0065xample'), /members/],
    [text.replace('"sealedKey":"', '"sealedKey":"*'), /base64/],
    [' '.repeat(64 * 1024) + text, /bytes/],
  ];
  for (const [content, reason] of cases) {
    assert.match(problem(key, Buffer.from(content), authority), reason);
    const described = describeEntry(Buffer.from(content));
    assert.ok(!described.ok);
    assert.match(described.problem, reason);
  }
  assert.throws(
    () => encodeEntry(key, { ...material, certificatePem: 'x'.repeat(65_536) }, authority.sealer),
    withCode('ERR_LEAF_CERTIFICATE', /at most 65536/),
  );
});

test('no flipped bit, no truncation and no random bytes are ever taken', async (t) => {
  const { authority, key, bytes } = await sample(t);
  const refused = (changed: Uint8Array): void => {
    assert.ok(!decodeEntry(key, changed, authority.sealer).ok);
    describeEntry(changed);
  };
  for (let index = 0; index < bytes.length; index += 1) {
    const changed = Buffer.from(bytes);
    changed[index] = (changed[index] ?? 0) ^ (1 << (index % 8));
    refused(changed);
  }
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ mask;
      refused(changed);
      refused(bytes.subarray(0, at));
      refused(Buffer.concat([bytes, bytes.subarray(0, at + 1)]));
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), (random) => {
      refused(random);
    }),
  );
  fc.assert(
    fc.property(fc.json(), (random) => {
      refused(Buffer.from(random));
    }),
  );
});
