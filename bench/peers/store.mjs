/** Who takes part in the store experiment (`--modes store`): each with RSA-2048 leaves, with a store and without. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { goproxy, goproxyEnvironment } from './goproxy.mjs';
import { LISTENING } from './programs.mjs';
import { sallyport } from './sallyport.mjs';

/** @type {readonly import('./index.mjs').Peer[]} */
export const STORE_PEERS = [
  { ...sallyport, name: 'sallyport', about: 'this project, rsa-2048', start: startSallyport },
  plainPeer('none', 'plain, no store'),
  plainPeer('store', "plain + sallyport's MemoryStore"),
  goproxyPeer('none', 'goproxy, no store'),
  goproxyPeer('store', 'goproxy + a store'),
];

/** The last of them where hosts are new: what RSA costs a proxy that makes one key a host. */
export const goproxyRsa = { ...goproxyPeer('store', 'goproxy-rsa'), modes: ['cold'] };

/** @param {import('./index.mjs').Setup} setup */
async function startSallyport(setup) {
  const launch = /** @type {typeof setup.launch} */ (
    (command, args, rest) => setup.launch(command, [...args, '--leaf-profile', 'rsa-2048'], rest)
  );
  return await sallyport.start({ ...setup, launch });
}

/** @param {string} store @param {string} name @returns {import('./index.mjs').Peer} */
function plainPeer(store, name) {
  return {
    name,
    about: `a plain node:http proxy, an RSA-2048 key a leaf, store: ${store}`,
    available: ({ root }) =>
      existsSync(join(root, 'dist/certs/index.js')) ? undefined : 'dist/ is missing: npm run build',
    version: () => '',
    async start({ host, caCert, caKey, upstreamCa, launch }) {
      const program = fileURLToPath(new URL('plain/proxy.mjs', import.meta.url));
      const { pid, ready, stop } = await launch(host.node, [program, caCert, caKey, upstreamCa, store], {
        ready: LISTENING,
      });
      return { pid, proxyUrl: ready, caPem: readFileSync(caCert, 'utf8'), stop };
    },
  };
}

/** @param {string} store @param {string} name @returns {import('./index.mjs').Peer} */
function goproxyPeer(store, name) {
  return {
    name,
    about: `goproxy's own signer, RSA CA and leaves, store: ${store}`,
    available: (host) =>
      goproxy.available({ ...host }) === undefined && existsSync(GOPROXY_SOURCES)
        ? undefined
        : 'goproxy is not installed (Debian: apt-get install golang-go golang-github-elazarl-goproxy-dev)',
    version: goproxy.version,
    async start({ dir, upstreamCa, launch }) {
      const binary = join(dir, 'goproxy-store');
      const source = fileURLToPath(new URL('goproxy-store/main.go', import.meta.url));
      execFileSync('go', ['build', '-o', binary, source], { env: goproxyEnvironment(), stdio: 'pipe' });
      const ca = join(dir, 'ca.pem');
      const program = await launch(binary, [store, ca, upstreamCa], { ready: LISTENING });
      return {
        pid: program.pid,
        proxyUrl: program.ready,
        caPem: readFileSync(ca, 'utf8'),
        stop: program.stop,
      };
    },
  };
}

const GOPROXY_SOURCES = '/usr/share/gocode/src/github.com/elazarl/goproxy';
