import assert from 'node:assert/strict';
import { createDecipheriv, createHmac, createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { openAuthority } from '../../src/certs/authority.js';
import { makeSealer } from '../../src/certs/sealing.js';
import { temporaryAuthority, temporaryDirectory } from './support.js';

const secret = Buffer.from('a private key');

test('what the authority seals, the same authority opens in another process, and no other', async (t) => {
  const dir = await temporaryDirectory(t);
  const one = await openAuthority({ dir, name: 'Test CA' });
  const again = await openAuthority({ dir });
  const other = await temporaryAuthority(t);
  const sealed = one.sealer.seal(secret, 'context');
  assert.equal(sealed.length, 12 + secret.length + 16);
  assert.equal(sealed.includes(secret), false);
  assert.deepEqual(again.sealer.open(sealed, 'context'), secret);
  assert.equal(again.sealer.open(sealed, 'contexT'), undefined);
  assert.equal(other.sealer.open(sealed, 'context'), undefined);
  assert.notDeepEqual(one.sealer.seal(secret, 'context'), sealed, 'a new nonce each time');
});

test('the key is the one that RFC 5869 derives, the cipher AES-256-GCM', async (t) => {
  const authority = await temporaryAuthority(t);
  const key = createPrivateKey(await readFile(authority.paths.key));
  const hmac = (secretKey: string | Buffer, data: Buffer): Buffer =>
    createHmac('sha256', secretKey).update(data).digest();
  const extracted = hmac(authority.fingerprint256, key.export({ type: 'pkcs8', format: 'der' }));
  const info = Buffer.from('sallyport: private keys of leaf certificates, version 1');
  const expanded = hmac(extracted, Buffer.concat([info, Buffer.from([1])]));

  const sealed = authority.sealer.seal(secret, 'context');
  const opening = createDecipheriv('aes-256-gcm', expanded, sealed.subarray(0, 12));
  opening.setAAD(Buffer.from('context'));
  opening.setAuthTag(sealed.subarray(-16));
  const plain = opening.update(sealed.subarray(12, -16));
  assert.deepEqual(Buffer.concat([plain, opening.final()]), secret);
});

test('the fingerprint keeps two certificates with one key apart', () => {
  const seal = makeSealer({ privateKey: secret, authority: 'AA' });
  assert.equal(
    makeSealer({ privateKey: secret, authority: 'BB' }).open(seal.seal(secret, ''), ''),
    undefined,
  );
});

test('any bytes but those that were sealed open to nothing, and never throw', () => {
  const sealer = makeSealer({ privateKey: secret, authority: 'AA' });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.string(), (bytes, context) => {
      assert.equal(sealer.open(bytes, context), undefined);
    }),
  );
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      fc.string(),
      fc.nat(),
      fc.nat(7),
      (plain, context, at, bit) => {
        const sealed = sealer.seal(plain, context);
        assert.deepEqual(sealer.open(sealed, context), Buffer.from(plain));
        const index = at % sealed.length;
        sealed[index] = (sealed[index] ?? 0) ^ (1 << bit);
        assert.equal(sealer.open(sealed, context), undefined);
        assert.equal(sealer.open(sealed.subarray(0, index), context), undefined);
      },
    ),
  );
});
