import assert from 'node:assert/strict';
import { createECDH, createPrivateKey, createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { expectTag, readConstructed } from '../../src/certs/der-reader.js';
import { leafKeySource } from '../../src/certs/leaf-keys.js';

test('the private half belongs to the public half, short scalars included', async () => {
  const source = leafKeySource('p256');
  const ecdh = createECDH('prime256v1');
  // One scalar in 256 has a leading zero that OpenSSL leaves out; among so many there are some.
  for (let count = 0; count < 1500; count += 1) {
    const { publicKeyBits, privateKeyPem } = await source.take();
    const [, , key] = readConstructed(
      Buffer.from(privateKeyPem.replace(/-----.*-----/g, ''), 'base64'),
      0x30,
    );
    const [, scalar] = readConstructed(expectTag(key, 0x04).contents, 0x30);
    ecdh.setPrivateKey(expectTag(scalar, 0x04).contents);
    assert.ok(ecdh.getPublicKey().equals(publicKeyBits), privateKeyPem);
    assert.equal(scalar?.contents.length, 32);
  }
});

test('keys are written as Node writes them', async () => {
  for (const profile of ['p256', 'rsa-2048'] as const) {
    const source = leafKeySource(profile);
    const { publicKey, privateKeyPem } = await source.take();
    source.close();
    const key = createPrivateKey(privateKeyPem);
    assert.equal(key.export({ type: 'pkcs8', format: 'pem' }), privateKeyPem);
    const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
    assert.deepEqual(Buffer.from(publicKey), spki);
  }
});
