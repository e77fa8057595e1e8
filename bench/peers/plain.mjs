/** An afternoon's intercepting proxy on node:http: the baseline. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LISTENING, nodeVersion } from './programs.mjs';

/** @type {import('./index.mjs').Peer} */
export const plain = {
  name: 'plain',
  onNode: true,
  about: 'an intercepting proxy on node:http and https.Agent (plain/proxy.mjs)',
  available: () => undefined,
  version: ({ node }) => nodeVersion(node),
  async start({ host, caCert, caKey, upstreamCa, nodeArgs, launch }) {
    const script = fileURLToPath(new URL('plain/proxy.mjs', import.meta.url));
    const program = await launch(host.node, [...nodeArgs, script, caCert, caKey, upstreamCa], {
      ready: LISTENING,
    });
    return {
      pid: program.pid,
      proxyUrl: program.ready,
      caPem: readFileSync(caCert, 'utf8'),
      stop: program.stop,
    };
  },
};
