/** goproxy, built on the spot from Debian's packages, or as a program that was built from goproxy/main.go before. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LISTENING, output } from './programs.mjs';

/** Where Debian's golang-*-dev packages put their sources. */
const GOPATH = '/usr/share/gocode';
const LIBRARY = join(GOPATH, 'src/github.com/elazarl/goproxy');
/** The program, if it was built elsewhere. */
const built = process.env['GOPROXY_BIN'];

/** @type {import('./index.mjs').Peer} */
export const goproxy = {
  name: 'goproxy',
  about: 'P-256 CA and leaves, single-flight store, 1,024 idle upstream connections (goproxy/main.go)',
  available: () => {
    if (built !== undefined) return existsSync(built) ? undefined : `GOPROXY_BIN=${built} does not exist`;
    if (output('go', ['version']) === undefined)
      return 'go is not installed (Debian: apt-get install golang-go)';
    if (existsSync(LIBRARY)) return undefined;
    return 'goproxy is not installed (Debian: apt-get install golang-github-elazarl-goproxy-dev)';
  },
  version: () => {
    const said = output('go', built === undefined ? ['version'] : ['version', built]) ?? '';
    const go = /\bgo\d[\d.]*/.exec(said)?.[0] ?? 'Go unknown';
    if (built !== undefined) return `${basename(built)} (GOPROXY_BIN), ${go}`;
    const debian = output('dpkg-query', ['-W', '-f', '${Version}', 'golang-github-elazarl-goproxy-dev']);
    return `Debian ${debian ?? 'unknown'}, ${go}`;
  },
  async start({ dir, caCert, caKey, upstreamCa, launch }) {
    const program = await launch(built ?? build(dir), [caCert, caKey, upstreamCa], { ready: LISTENING });
    return {
      pid: program.pid,
      proxyUrl: program.ready,
      caPem: readFileSync(caCert, 'utf8'),
      stop: program.stop,
    };
  },
};

/** @param {string} dir */
function build(dir) {
  const binary = join(dir, 'goproxy');
  const source = fileURLToPath(new URL('goproxy/main.go', import.meta.url));
  execFileSync('go', ['build', '-o', binary, source], { env: goproxyEnvironment(), stdio: 'pipe' });
  return binary;
}

/** What `go build` needs to take the library from Debian's package and nothing from anywhere else. */
export function goproxyEnvironment() {
  return { ...process.env, GO111MODULE: 'off', GOPATH, GOFLAGS: '', GOPROXY: 'off' };
}
