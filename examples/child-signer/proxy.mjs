/** A proxy without the key of its CA: another process has it, and signs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createProxy } from 'sallyport';
import { authorityFrom } from 'sallyport/certs';
import { ChildSigner } from './child-signer.mjs';

const [, , dir] = process.argv;
if (dir === undefined) {
  console.error('usage: proxy.mjs CA-DIR (made with `sallyport ca --create`)');
  process.exit(1);
}

const signer = new ChildSigner(join(dir, 'ca-key.pem'));
const certificatePem = readFileSync(join(dir, 'ca.pem'), 'utf8');
const proxy = createProxy({ authority: authorityFrom({ certificatePem, signer, dir }) });
await proxy.listen();

async function end() {
  await proxy.close();
  signer.close();
}

process.once('SIGINT', () => void end());
process.once('SIGTERM', () => void end());
// After the handlers are there: whoever reads this may send a signal at once.
console.log(`curl --proxy ${proxy.url} --cacert '${join(dir, 'ca.pem')}' https://example.com/`);
