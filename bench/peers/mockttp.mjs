/** mockttp, passing everything through. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LISTENING, nodeVersion } from './programs.mjs';

const MANIFEST = fileURLToPath(new URL('../node_modules/mockttp/package.json', import.meta.url));

/** @type {import('./index.mjs').Peer} */
export const mockttp = {
  name: 'mockttp',
  onNode: true,
  about: 'forUnmatchedRequest().thenPassThrough(), traffic not recorded (mockttp/proxy.mjs)',
  available: () => (existsSync(MANIFEST) ? undefined : 'not installed: npm ci --prefix bench'),
  version: ({ node }) => `${JSON.parse(readFileSync(MANIFEST, 'utf8')).version}, ${nodeVersion(node)}`,
  async start({ host, dir, upstreamCa, nodeArgs, launch }) {
    const script = fileURLToPath(new URL('mockttp/proxy.mjs', import.meta.url));
    const ca = join(dir, 'ca.pem');
    const program = await launch(host.node, [...nodeArgs, script, ca], {
      ready: LISTENING,
      env: { NODE_EXTRA_CA_CERTS: upstreamCa },
    });
    return { pid: program.pid, proxyUrl: program.ready, caPem: readFileSync(ca, 'utf8'), stop: program.stop };
  },
};
