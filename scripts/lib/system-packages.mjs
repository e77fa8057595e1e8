/**
 * The programs of other people that the tests talk to: found by their command, installed with apt-get
 * where that is possible, else named.
 */
import { existsSync } from 'node:fs';
import { installFromRelease } from './debian-release.mjs';
import { Failure, onPath, run, say } from './project.mjs';

/**
 * @typedef {object} SystemPackage
 * @property {string} name what the tests call it
 * @property {string} debian the Debian package
 * @property {string} [release] the first release of Debian that has it, where that may be newer than the machine's
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

/** A library, which no PATH has; only Linux uses it. */
const hasJemalloc = async () => {
  if (process.platform !== 'linux') return true;
  const ldconfig = ['/sbin/ldconfig', '/usr/sbin/ldconfig'].find((path) => existsSync(path));
  if (ldconfig === undefined) return false;
  return /\blibjemalloc\.so\.2\b/.test((await run(ldconfig, ['-p'], { quiet: true })).output);
};

/** @type {readonly SystemPackage[]} */
const needed = [
  { name: 'chromium', debian: 'chromium', found: command('chromium', 'chromium-browser', 'google-chrome') },
  { name: 'curl', debian: 'curl', found: command('curl') },
  { name: 'wget', debian: 'wget', found: command('wget') },
  { name: 'git', debian: 'git', found: command('git') },
  { name: 'openssl', debian: 'openssl', found: command('openssl') },
  { name: 'certtool', debian: 'gnutls-bin', brew: 'gnutls', found: command('certtool', 'gnutls-certtool') },
  { name: 'certutil', debian: 'libnss3-tools', brew: 'nss', found: command('certutil') },
  { name: 'zlint', debian: 'zlint', release: 'trixie', found: command('zlint') },
  { name: 'go', debian: 'golang-go', brew: 'go', found: command('go') },
  { name: 'ps', debian: 'procps', found: command('ps') },
  { name: 'python3', debian: 'python3', found: command('python3') },
  { name: 'redis-server', debian: 'redis-server', brew: 'redis', found: command('redis-server') },
  { name: 'jemalloc', debian: 'libjemalloc2', found: hasJemalloc },
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
  const apt = await aptGet();
  if (apt !== undefined) {
    const names = missing.map((entry) => entry.debian);
    say(`sallyport: installing what the tests need: ${names.join(' ')}`);
    const reason = await installAll(apt, missing);
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
 * @param {readonly string[]} apt @param {readonly SystemPackage[]} packages
 * @returns {Promise<string | undefined>} what apt-get complained about
 */
async function installAll(apt, packages) {
  // A failing update is not the end: the lists that are there may do.
  await aptRun(apt, ['update']);
  const names = packages.filter((entry) => entry.release === undefined).map((entry) => entry.debian);
  const complaints = [await install(apt, names)];
  for (const { debian, release } of packages) {
    if (release === undefined || (await install(apt, [debian])) === undefined) continue;
    complaints.push(await installFromRelease(debian, release, (file) => install(apt, [file])));
  }
  const said = complaints.filter((complaint) => complaint !== undefined);
  return said.length > 0 ? said.join('\n') : undefined;
}

/**
 * @param {readonly string[]} apt @param {readonly string[]} packages names, or files by their paths
 * @returns {Promise<string | undefined>} what apt-get complained about
 */
async function install(apt, packages) {
  if (packages.length === 0) return undefined;
  const { code, output } = await aptRun(apt, ['install', '-y', '--no-install-recommends', ...packages]);
  return code === 0 ? undefined : output.trim().split('\n').slice(-5).join('\n');
}

/** @param {readonly string[]} apt @param {readonly string[]} args */
async function aptRun([program = '', ...prefix], args) {
  return run(program, [...prefix, ...args], { quiet: true, env: { DEBIAN_FRONTEND: 'noninteractive' } });
}

/** @param {readonly SystemPackage[]} packages */
function advice(packages) {
  if (process.platform === 'darwin') {
    return `brew install ${packages.map((entry) => entry.brew ?? entry.name).join(' ')}`;
  }
  const newer = packages.filter((entry) => entry.release !== undefined);
  const note = newer.map(({ debian, release }) => ` (${debian} is in Debian from ${release} on)`).join('');
  return `sudo apt-get update && sudo apt-get install -y ${packages.map((entry) => entry.debian).join(' ')}${note}`;
}
