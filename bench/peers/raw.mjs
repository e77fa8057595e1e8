/** A relay of decrypted bytes without HTTP: what Node's TLS alone costs. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LISTENING, nodeVersion } from './programs.mjs';

/** @type {import('./index.mjs').Peer} */
export const raw = {
  name: 'raw',
  onNode: true,
  about: 'TLS to TLS relay without HTTP or pooling (raw/relay.mjs)',
  available: () => undefined,
  version: ({ node }) => nodeVersion(node),
  async start({ host, caCert, caKey, upstreamCa, nodeArgs, launch }) {
    const script = fileURLToPath(new URL('raw/relay.mjs', import.meta.url));
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
