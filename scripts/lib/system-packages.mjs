/**
 * The programs of other people that the tests talk to: found by their command, installed with apt-get
 * where that is possible, else named.
 */
import { existsSync } from 'node:fs';
import { Failure, onPath, run, say } from './project.mjs';

/**
 * @typedef {object} SystemPackage
 * @property {string} name what the tests call it
 * @property {string} debian the Debian package
 * @property {string} [brew] the Homebrew formula, where it has another name
 * @property {() => boolean | Promise<boolean>} found
 */

/** @param {...string} names any of them will do */
const command =
  (...names) =>
  () =>
    names.some(onPath);

/** Debian's Python has Debian's modules, whichever Python comes first on PATH. @param {string} module */
const pythonModule = (module) => async () => {
  for (const python of ['/usr/bin/python3', 'python3']) {
    if (!(python.startsWith('/') ? existsSync(python) : onPath(python))) continue;
    const { code } = await run(python, ['-c', `import ${module}`], { quiet: true });
    if (code === 0) return true;
  }
  return false;
};

/** @type {readonly SystemPackage[]} */
const needed = [
  { name: 'chromium', debian: 'chromium', found: command('chromium', 'chromium-browser', 'google-chrome') },
  { name: 'curl', debian: 'curl', found: command('curl') },
  { name: 'wget', debian: 'wget', found: command('wget') },
  { name: 'git', debian: 'git', found: command('git') },
  { name: 'openssl', debian: 'openssl', found: command('openssl') },
  { name: 'certtool', debian: 'gnutls-bin', brew: 'gnutls', found: command('certtool', 'gnutls-certtool') },
  { name: 'go', debian: 'golang-go', brew: 'go', found: command('go') },
  { name: 'ps', debian: 'procps', found: command('ps') },
  { name: 'python3', debian: 'python3', found: command('python3') },
  { name: 'redis-server', debian: 'redis-server', brew: 'redis', found: command('redis-server') },
  { name: 'h11', debian: 'python3-h11', found: pythonModule('h11') },
];

/**
 * Finds or installs what the tests need.
 *
 * @returns {Promise<readonly string[]>} the names of what stays missing, which only
 *   `SALLYPORT_TEST_SKIP_MISSING=1` outside CI allows; otherwise a `Failure` names them and the command
 */
export async function ensureSystemPackages() {
  let missing = await lacking(needed);
  if (missing.length === 0) return [];
  const debian = missing.map((entry) => entry.debian);
  const apt = await aptGet();
  if (apt !== undefined) {
    say(`sallyport: installing what the tests need: ${debian.join(' ')}`);
    const reason = await install(apt, debian);
    missing = await lacking(missing);
    if (missing.length > 0 && reason !== undefined) say(reason);
  }
  if (missing.length === 0) return [];

  const names = missing.map((entry) => entry.name);
  const line = `the tests need ${names.join(', ')}, not found on this machine; install with: ${advice(missing)}`;
  const skip = process.env['SALLYPORT_TEST_SKIP_MISSING'] === '1' && process.env['CI'] !== 'true';
  if (!skip) {
    throw new Failure(`${line} (or leave their tests out, outside CI, with SALLYPORT_TEST_SKIP_MISSING=1)`);
  }
  say(`sallyport: ${line}`);
  return names;
}

/** @param {readonly SystemPackage[]} packages */
async function lacking(packages) {
  const found = await Promise.all(packages.map(async (entry) => await entry.found()));
  return packages.filter((_, index) => !found[index]);
}

/** How apt-get can be run without a question being asked, if it can. */
async function aptGet() {
  if (!onPath('apt-get')) return undefined;
  if (process.getuid?.() === 0) return ['apt-get'];
  if (!onPath('sudo')) return undefined;
  const { code } = await run('sudo', ['-n', 'true'], { quiet: true });
  return code === 0 ? ['sudo', '-n', 'DEBIAN_FRONTEND=noninteractive', 'apt-get'] : undefined;
}

/**
 * @param {readonly string[]} apt @param {readonly string[]} packages
 * @returns {Promise<string | undefined>} what apt-get complained about
 */
async function install([program = '', ...prefix], packages) {
  const options = { quiet: true, env: { DEBIAN_FRONTEND: 'noninteractive' } };
  // A failing update is not the end: the lists that are there may do.
  await run(program, [...prefix, 'update'], options);
  const args = [...prefix, 'install', '-y', '--no-install-recommends', ...packages];
  const { code, output } = await run(program, args, options);
  return code === 0 ? undefined : output.trim().split('\n').slice(-5).join('\n');
}

/** @param {readonly SystemPackage[]} packages */
function advice(packages) {
  if (process.platform === 'darwin') {
    return `brew install ${packages.map((entry) => entry.brew ?? entry.name).join(' ')}`;
  }
  return `sudo apt-get update && sudo apt-get install -y ${packages.map((entry) => entry.debian).join(' ')}`;
}
