/** The program that holds the key of the CA: it signs what its parent sends, and does nothing else. */
import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

const [, , file = ''] = process.argv;
const key = createPrivateKey(readFileSync(file));
const digest =
  key.asymmetricKeyType === 'ed25519'
    ? undefined
    : key.asymmetricKeyDetails?.namedCurve === 'secp384r1'
      ? 'sha384'
      : 'sha256';

process.on('message', (/** @type {{ id: number, tbs: string }} */ { id, tbs }) => {
  try {
    process.send?.({ id, signature: sign(digest, Buffer.from(tbs, 'base64'), key).toString('base64') });
  } catch (error) {
    process.send?.({ id, error: String(error) });
  }
});
// The key does not outlive the proxy.
process.once('disconnect', () => process.exit());
