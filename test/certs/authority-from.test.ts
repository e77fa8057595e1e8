/** A CA whose key is in another place: what has to fit together, and what happens when it does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/base/errors.js';
import { type Authority, type AuthorityFromOptions, authorityFrom } from '../../src/certs/authority.js';
import { openFileStore } from '../../src/certs/file-store.js';
import { Minter } from '../../src/certs/mint.js';
import { certificateName } from '../../src/certs/names.js';
import type { StoreReport } from '../../src/certs/store.js';
import { temporaryAuthority, temporaryDirectory, withCode } from './support.js';

test('a key elsewhere: what does not fit together is refused, before or at the first signature', async (t) => {
  const authority = await temporaryAuthority(t);
  const other = await temporaryAuthority(t);
  const { pem: certificatePem, signer } = authority;
  const dir = 'nowhere';
  const whole = { certificatePem, signer, dir };
  const refused = (options: Partial<AuthorityFromOptions>, code: ErrorCode, detail: RegExp): void => {
    assert.throws(() => authorityFrom({ ...whole, ...options }), withCode(code, detail));
  };
  refused({ sealingSecret: Buffer.alloc(31, 1) }, 'ERR_OPTION_VALUE', /sealingSecret has 31 bytes/);
  refused({ certificatePem: '' }, 'ERR_CA_BROKEN', /an empty file/);
  const algorithm = 'rsa-pkcs1-sha256';
  refused({ signer: { ...signer, algorithm } }, 'ERR_CA_BROKEN', /the signer has one for rsa-pkcs1-sha256/);
  const leaf = await new Minter({ issuer: authority }).mint(certificateName('a.example'));
  refused({ certificatePem: leaf.certificatePem }, 'ERR_CA_BROKEN', /is not a CA certificate/);
  const late = (): number => authority.notAfter + 1;
  refused({ now: late }, 'ERR_CA_BROKEN', /expired/);

  const wrongKey = authorityFrom({ ...whole, signer: other.signer });
  const minting = async (): Promise<unknown> =>
    await new Minter({ issuer: wrongKey }).mint(certificateName('a.example'));
  await assert.rejects(minting, withCode('ERR_SIGNER', /not made with the key of the CA certificate/));
  assert.throws(() => wrongKey.sealer, withCode('ERR_STORE', /needs a sealingSecret/));
  assert.ok({ ...wrongKey }.pem, 'it can be copied');
});

test('a key elsewhere: what is sealed opens with the same secret and certificate alone', async (t) => {
  const [{ pem, signer }, other] = [await temporaryAuthority(t), await temporaryAuthority(t)];
  const from = (secret: number, certificatePem = pem, by = signer): Authority =>
    authorityFrom({ certificatePem, signer: by, dir: 'nowhere', sealingSecret: Buffer.alloc(32, secret) });
  const sealed = from(1).sealer.seal(Buffer.from('a key'), 'a.example');
  assert.equal(from(1).sealer.open(sealed, 'a.example')?.toString(), 'a key');
  for (const wrong of [from(2), from(1, other.pem, other.signer)]) {
    assert.equal(wrong.sealer.open(sealed, 'a.example'), undefined);
  }

  const dir = await temporaryDirectory(t);
  const reports: StoreReport[] = [];
  const fetchWith = async ({ fingerprint256, sealer, ...authority }: Authority): Promise<string> => {
    const report = (one: StoreReport): void => void reports.push(one);
    const store = await openFileStore({ dir, authority: fingerprint256, sealer, report });
    const minter = new Minter({ issuer: authority });
    const key = { host: 'a.example', authority: fingerprint256, profile: 'p256' } as const;
    const { serial } = await store.fetch(key, () => minter.mint(certificateName('a.example')));
    await store.close();
    return serial;
  };
  const opened = (secret: number): Authority =>
    Object.assign({ ...from(secret) }, { sealer: from(secret).sealer });
  const first = await fetchWith(opened(1));
  assert.equal(await fetchWith(opened(1)), first);
  assert.deepEqual(reports, []);
  assert.notEqual(await fetchWith(opened(2)), first);
  assert.deepEqual(
    reports.map(({ kind }) => kind),
    ['broken'],
  );
});
