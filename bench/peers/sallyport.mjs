/** This project, as it is built in dist/. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LISTENING, nodeVersion } from './programs.mjs';

/** @type {import('./index.mjs').Peer} */
export const sallyport = {
  name: 'sallyport',
  onNode: true,
  about: 'this project',
  available: ({ root }) => (existsSync(join(root, MAIN)) ? undefined : `${MAIN} is missing: npm run build`),
  version: ({ root, node }) => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    return `${version}, ${nodeVersion(node)}`;
  },
  async start({ host, dir, upstreamCa, nodeArgs, launch }) {
    const address = ['--host', '127.0.0.1', '--port', '0', '--ui-port', 'off'];
    const trust = ['--ca-dir', join(dir, 'ca'), '--upstream-ca', upstreamCa];
    const command = [...nodeArgs, join(host.root, MAIN), 'run', ...address, ...trust, '--quiet'];
    const program = await launch(host.node, command, { ready: LISTENING });
    const caPem = readFileSync(join(dir, 'ca', 'ca.pem'), 'utf8');
    return { pid: program.pid, proxyUrl: program.ready, caPem, stop: program.stop };
  },
};

const MAIN = 'dist/cli/main.js';
