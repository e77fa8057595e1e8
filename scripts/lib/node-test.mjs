/** The compiled tests: which there are, and how node:test runs them. */
import { readdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { posix, relative } from 'node:path';
import { at, Failure, root, run, say } from './project.mjs';

/**
 * Tests that start browsers, many processes or big transfers; `npm run check` leaves them out. Every
 * other folder of test/ is a unit test of the folder of src/ with its name, or house/.
 */
const slow =
  /^\.build\/test\/(acceptance|clients|bench|blackbox|browser|chaos|cli|examples|fuzz|proxy)\/|\/(package|eslint\/command)\.test\.js$/;

/** The tests of the inner loop. @param {string} file */
export const isQuick = (file) => !slow.test(file);

/**
 * @param {(file: string) => boolean} [wanted]
 * @returns {Promise<readonly string[]>} paths from the root, sorted
 */
export async function listTests(wanted = () => true) {
  const entries = await readdir(at('.build', 'test'), { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.js'))
    .map((entry) => relative(root, `${entry.parentPath}/${entry.name}`))
    .filter(wanted);
  if (files.length === 0) throw new Failure('no test file matches');
  return files.toSorted();
}

/**
 * Test files that can run without the named programs: those that name none of them in quotes, nor import a file
 * of test/ that does. The rest is left out, and said to be.
 *
 * @param {readonly string[]} files @param {readonly string[]} missing names of commands or Python modules
 */
export async function leaveOut(files, missing) {
  if (missing.length === 0) return files;
  const named = new RegExp(`['"\`/](${missing.join('|')})['"\`]|\\bimport (${missing.join('|')})\\b`);
  const kept = [];
  for (const file of files) {
    if (await mentions(file, named, new Set())) say(`sallyport: LEFT OUT: ${file}`);
    else kept.push(file);
  }
  say(`sallyport: ${files.length - kept.length} TEST FILES NEED ${missing.join(', ')} AND ARE LEFT OUT`);
  return kept;
}

/** @param {string} file @param {RegExp} named @param {Set<string>} seen @returns {Promise<boolean>} */
async function mentions(file, named, seen) {
  if (seen.has(file) || !file.startsWith('.build/test/')) return false;
  seen.add(file);
  const text = await readFile(at(file), 'utf8');
  if (named.test(text)) return true;
  for (const [, specifier = ''] of text.matchAll(/^(?:import|export) .* from '(\.[^']*)';$/gm)) {
    if (await mentions(posix.join(posix.dirname(file), specifier), named, seen)) return true;
  }
  return false;
}

/**
 * How long one test may take; on Node 20 also one file, so that one which does not end by itself is stopped and
 * fails by name. Newer versions name it when the limit of the whole run stops them.
 */
const testLimitMinutes = 10;

/**
 * @typedef {object} TestRun
 * @property {string} [node] the Node to run them with, where not this one
 * @property {string} [version] of that Node
 * @property {Record<string, string>} [env]
 * @property {number} [limitMinutes] end the run after so long; none where absent
 */

/**
 * Runs test files; the runner's own summary is the last thing printed.
 *
 * As many files at once as there are cores: node:test's own choice would be one less, and leave half
 * of a two-core machine idle. More than four would only make the tests compete.
 *
 * @param {readonly string[]} files @param {TestRun} [options]
 * @returns {Promise<number>} the exit code
 */
export async function runTests(
  files,
  { node = process.execPath, version = process.version, env = {}, limitMinutes } = {},
) {
  process.stdout.write(`▶ tests (node --test, ${files.length} files, Node ${version})\n`);
  const concurrency = Math.max(1, Math.min(4, availableParallelism()));
  const options = [`--test-concurrency=${concurrency}`, `--test-timeout=${testLimitMinutes * 60_000}`];
  const args = ['--test', '--test-reporter=spec', ...options, ...files];
  const limit = limitMinutes === undefined ? {} : { limitMs: limitMinutes * 60_000 };
  const { code, overran } = await run(node, args, { env, ...limit });
  if (!overran) return code;
  throw new Failure(
    `the tests on Node ${version} did not end within ${limitMinutes} minutes and were stopped`,
  );
}
