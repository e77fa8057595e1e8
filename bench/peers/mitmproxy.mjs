/** mitmproxy's mitmdump, with bodies streamed and nothing printed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../lib/launch.mjs';
import { missing, output } from './programs.mjs';

/** @type {import('./index.mjs').Peer} */
export const mitmproxy = {
  name: 'mitmproxy',
  about: 'mitmdump --quiet, stream_large_bodies=1',
  available: () => missing('mitmdump', ['--version'], 'mitmproxy'),
  version: () => {
    const said = output('mitmdump', ['--version']) ?? '';
    return /Mitmproxy: (\S+)/.exec(said)?.[1] ?? 'unknown';
  },
  async start({ dir, upstreamCa, launch }) {
    const port = await freePort();
    const settings = [
      `confdir=${dir}`,
      `ssl_verify_upstream_trusted_ca=${upstreamCa}`,
      'stream_large_bodies=1',
      'connection_strategy=lazy',
      'http2=false',
    ].flatMap((setting) => ['--set', setting]);
    const args = ['--quiet', '--listen-host', '127.0.0.1', '--listen-port', String(port), ...settings];
    const program = await launch('mitmdump', args, { ready: port });
    const caPem = readFileSync(join(dir, 'mitmproxy-ca-cert.pem'), 'utf8');
    return { pid: program.pid, proxyUrl: `http://127.0.0.1:${port}`, caPem, stop: program.stop };
  },
};
