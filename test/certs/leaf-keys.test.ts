import assert from 'node:assert/strict';
import { createECDH, createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { expectTag, readConstructed } from '../../src/certs/der-reader.js';
import { readPublicKeyBits } from '../../src/certs/certificate-fields.js';
import { leafKeys } from '../../src/certs/leaf-keys.js';
import { environment, run } from '../support/programs.js';

const hour = 60 * 60 * 1000;

test('the private half belongs to the public half, short scalars included', async () => {
  let now = 0;
  const source = leafKeys('p256', () => now);
  const ecdh = createECDH('prime256v1');
  const seen = new Set<string>();
  // One scalar in 256 has a leading zero that OpenSSL leaves out; among so many there are some.
  for (let count = 0; count < 1500; count += 1) {
    now += hour;
    const { publicKey, privateKeyPem } = await source.take();
    seen.add(privateKeyPem);
    const [, , key] = readConstructed(
      Buffer.from(privateKeyPem.replace(/-----.*-----/g, ''), 'base64'),
      0x30,
    );
    const [, scalar] = readConstructed(expectTag(key, 0x04).contents, 0x30);
    ecdh.setPrivateKey(expectTag(scalar, 0x04).contents);
    assert.ok(ecdh.getPublicKey().equals(readPublicKeyBits(publicKey)), privateKeyPem);
    assert.equal(scalar?.contents.length, 32);
  }
  assert.equal(seen.size, 1500, 'each hour has its own');
});

test('keys are written as Node writes them', async () => {
  for (const profile of ['p256', 'rsa-2048'] as const) {
    const source = leafKeys(profile);
    const { publicKey, identifier, privateKeyPem } = await source.take();
    source.close();
    const key = createPrivateKey(privateKeyPem);
    assert.equal(key.export({ type: 'pkcs8', format: 'pem' }), privateKeyPem);
    const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
    assert.deepEqual(Buffer.from(publicKey), spki);
    const digest = createHash('sha1').update(readPublicKeyBits(spki)).digest();
    assert.deepEqual(identifier, digest);
  }
});

test('P-256 keys last an hour, RSA keys a day', async () => {
  for (const [profile, hours] of [
    ['p256', 1],
    ['rsa-2048', 24],
  ] as const) {
    let now = 0;
    const source = leafKeys(profile, () => now);
    const first = await source.take();
    now = hours * hour - 1;
    assert.equal(await source.take(), first, profile);
    now += 1;
    const second = await source.take();
    if (profile === 'p256') assert.notEqual(second.privateKeyPem, first.privateKeyPem);
    else assert.equal(second, first, 'the next one takes a while');
    source.close();
  }
});

test('RSA keys are made off the event loop', async () => {
  const source = leafKeys('rsa-2048');
  let turns = 0;
  let spinning = true;
  const spin = (): void => {
    turns += 1;
    if (spinning) setImmediate(spin);
  };
  spin();
  await source.take();
  spinning = false;
  source.close();
  assert.ok(turns > 20, `the event loop turned ${turns} times meanwhile`);
});

test('a key source that nobody closes keeps no process alive', async () => {
  const module = new URL('../../src/certs/leaf-keys.js', import.meta.url).href;
  const program = `
    import { leafKeys } from ${JSON.stringify(module)};
    await leafKeys('rsa-2048').take();
    process.once('exit', () => console.log('ended'));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], {
    env: { ...environment(), NODE_OPTIONS: '' },
    timeout: 20_000,
  });
  assert.equal(stdout, 'ended\n');
});
