/** HAProxy as a floor: TLS ended with a given certificate, TLS begun to the origin, kept alive on both sides. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../lib/launch.mjs';
import { DIRECT_MODES, missing, output } from './programs.mjs';

/** @type {import('./index.mjs').Peer} */
export const haproxy = {
  name: 'haproxy',
  about: 'TLS to TLS, one certificate, no CONNECT: intercepts nothing',
  modes: DIRECT_MODES,
  available: () => missing('haproxy', ['-v'], 'haproxy'),
  version: () => /version (\S+)/.exec(output('haproxy', ['-v']) ?? '')?.[1] ?? 'unknown',
  async start({ dir, upstreamCa, caCert, leafCert, leafKey, originPort, launch }) {
    const port = await freePort();
    const pem = join(dir, 'leaf.pem');
    const config = join(dir, 'haproxy.cfg');
    writeFileSync(pem, readFileSync(leafCert, 'utf8') + readFileSync(leafKey, 'utf8'), { mode: 0o600 });
    writeFileSync(
      config,
      `global
  maxconn 9000
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
  http-reuse always
listen bench
  bind 127.0.0.1:${port} ssl crt ${pem}
  server origin 127.0.0.1:${originPort} ssl verify required ca-file ${upstreamCa} sni str(localhost) verifyhost localhost
`,
    );
    const program = await launch('haproxy', ['-db', '-q', '-f', config], { ready: port });
    const caPem = readFileSync(caCert, 'utf8');
    return { pid: program.pid, targetUrl: `https://127.0.0.1:${port}`, caPem, stop: program.stop };
  },
};
