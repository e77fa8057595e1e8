/** Where and with what a run was made; without it a number means nothing. */
import { execFileSync } from 'node:child_process';
import { arch, cpus, loadavg, release, totalmem, type } from 'node:os';

/**
 * @typedef {object} Environment
 * @property {string} command
 * @property {string} date ISO 8601
 * @property {string} commit of the project, with `+` if the work tree differs
 * @property {string} cpu
 * @property {string} system
 * @property {string} memory
 * @property {string} node that runs the origin and the load generator
 * @property {number[]} load averages over 1, 5 and 15 minutes at the start
 */

/** @param {readonly string[]} args of run.mjs @param {string} root @returns {Environment} */
export function environment(args, root) {
  const processors = cpus();
  return {
    command: ['npm run bench --', ...args].join(' '),
    date: new Date().toISOString(),
    commit: commit(root),
    cpu: `${processors.length} × ${processors[0]?.model ?? 'unknown'}`,
    system: `${type()} ${release()} ${arch()}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: `${process.version} (OpenSSL ${process.versions.openssl})`,
    load: loadavg().map((value) => Number(value.toFixed(2))),
  };
}

/** @param {string} root */
function commit(root) {
  try {
    const git = (/** @type {string[]} */ ...args) =>
      execFileSync('git', ['-C', root, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim();
    return git('rev-parse', '--short=12', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+');
  } catch {
    return 'unknown'; // Not a checkout, or one without a commit.
  }
}
