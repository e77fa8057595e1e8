/** devDependencies, installed when they are missing or older than the lock file. */
import { stat } from 'node:fs/promises';
import { at, Failure, npm, say } from './project.mjs';

/** The oldest Node that `engines` in package.json allows. */
const floor = [20, 19];

/**
 * Whether node_modules agrees with package-lock.json. npm writes node_modules/.package-lock.json last,
 * so an install that was interrupted is done again.
 */
export async function isInstalled() {
  const [lock, installed] = await Promise.all([
    modified('package-lock.json'),
    modified('node_modules', '.package-lock.json'),
  ]);
  if (lock === undefined) throw new Failure('package-lock.json is missing: this checkout is incomplete');
  return installed !== undefined && installed >= lock;
}

/** Installs where needed. To be called while holding the lock. */
export async function ensureInstalled() {
  if (await isInstalled()) return;
  say('sallyport: installing the tools of the project (npm ci); this is needed once');
  // Without --include=dev an inherited NODE_ENV=production would leave out the compiler.
  const { code, output } = await npm(['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], {
    quiet: true,
  });
  if (code === 0) return;
  throw new Failure(
    `npm ci failed: ${reason(output) ?? `exit code ${code}`}. Run \`npm ci\` to see all of it.`,
  );
}

/** A sentence for a Node that is too old; without it the first sign would be a syntax error. */
export function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [needMajor = 0, needMinor = 0] = floor;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return;
  throw new Failure(`Node ${floor.join('.')} or newer is needed; this is Node ${process.versions.node}`);
}

/** The first line of npm's complaint that says something. @param {string} output */
function reason(output) {
  const lines = output.split('\n').filter((line) => /^npm (error|ERR!) /.test(line));
  const said = lines.map((line) =>
    line
      .replace(/^npm (error|ERR!) /, '')
      .trim()
      .replace(/\.$/, ''),
  );
  return said.find((line) => line !== '' && !/^(code|errno|syscall|path) /.test(line));
}

/** @param {...string} parts @returns {Promise<number | undefined>} */
async function modified(...parts) {
  try {
    return (await stat(at(...parts))).mtimeMs;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
