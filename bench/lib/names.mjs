/**
 * Host names for the benchmark that lead to this machine. The known host is `localhost`. New hosts are
 * `hN.bench.localhost`; few resolvers answer for those, so a proxy gets, if need be, a mount namespace of its own
 * in which /etc/hosts lists them. The machine's own file is not touched.
 */
import { execFileSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const KNOWN_HOST = 'localhost';
export const WILDCARD = '*.bench.localhost';

/** @param {number} index */
export function newHost(index) {
  return `h${index}.bench.localhost`;
}

/**
 * @typedef {object} Names
 * @property {string | undefined} unavailable why new host names cannot be resolved here
 * @property {(command: string, args: readonly string[]) => [string, string[]]} wrap a command line that sees the names
 */

/**
 * @param {string} dir
 * @param {number} count how many new hosts there will be
 * @returns {Promise<Names>}
 */
export async function prepareNames(dir, count) {
  if (await resolvesToLoopback(newHost(0))) {
    return { unavailable: undefined, wrap: (command, args) => [command, [...args]] };
  }
  const hosts = join(dir, 'hosts');
  const lines = Array.from({ length: count }, (_, index) => `127.0.0.1 ${newHost(index)}\n`);
  writeFileSync(hosts, `${readFileSync('/etc/hosts', 'utf8')}\n${lines.join('')}`);
  for (const flags of [['-m'], ['-r', '-m']]) {
    const wrap = wrapper(flags, hosts);
    try {
      const [command, args] = wrap('getent', ['hosts', newHost(0)]);
      execFileSync(command, args, { stdio: 'ignore' });
      return { unavailable: undefined, wrap };
    } catch {
      continue; // Not allowed in this way here: try the next.
    }
  }
  return {
    unavailable: `${WILDCARD} does not resolve here, and unshare(1) may not give the proxies an /etc/hosts of their own`,
    wrap: (command, args) => [command, [...args]],
  };
}

/**
 * @param {readonly string[]} flags
 * @param {string} hosts
 * @returns {Names['wrap']}
 */
function wrapper(flags, hosts) {
  // exec at each step: the process that was started becomes the program, and its id stays the one we measure.
  const script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"';
  return (command, args) => ['unshare', [...flags, '--', 'sh', '-c', script, 'sh', hosts, command, ...args]];
}

/** @param {string} host */
async function resolvesToLoopback(host) {
  try {
    const addresses = await lookup(host, { all: true });
    return addresses.every(({ address }) => address === '::1' || address.startsWith('127.'));
  } catch {
    return false; // It does not resolve: that is the answer.
  }
}
