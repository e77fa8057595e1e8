/**
 * `npm run test:matrix [-- MAJOR…]`: the memory budget and the compiled tests again, on other versions of
 * Node (24 and 26), which npm's own packages of Node provide. To be run after `npm test`, which compiles them.
 *
 * Environment: `SALLYPORT_TEST_LIMIT_MINUTES`, for each version.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { runSteps, compileOnly } from './lib/checks.mjs';
import { checkBudget } from './lib/budget-step.mjs';
import { leaveOut, listTests, runTests } from './lib/node-test.mjs';
import { prepare } from './lib/prepare.mjs';
import { Failure, npm, run, say, script } from './lib/project.mjs';
import { ensureSystemPackages } from './lib/system-packages.mjs';

await script(async () => {
  const given = process.argv.slice(2);
  const limitMinutes = Number(process.env['SALLYPORT_TEST_LIMIT_MINUTES'] ?? 60);
  await prepare({ showAll: true });
  const missing = await ensureSystemPackages();
  await runSteps(compileOnly);
  const files = await leaveOut(await listTests(), missing);
  for (const major of given.length > 0 ? given : ['24', '26']) {
    const folder = await mkdtemp(join(tmpdir(), `sallyport-node-${major}-`));
    try {
      const node = await obtain(major, folder);
      const version = (await run(node, ['--version'], { quiet: true })).output.trim();
      await checkBudget(missing, node);
      const env = { PATH: `${dirname(node)}${delimiter}${process.env['PATH'] ?? ''}` };
      const code = await runTests(files, { node, version, env, limitMinutes });
      if (code !== 0) {
        say(`sallyport: the tests failed on Node ${major}`);
        return code;
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  return 0;
});

/**
 * Installs a version of Node into a folder of its own.
 *
 * @param {string} major @param {string} folder @returns {Promise<string>} its executable
 */
async function obtain(major, folder) {
  const name = `node-${process.platform}-${process.arch}`;
  const args = ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', `${name}@${major}`];
  // --no-save and a folder of its own: neither package.json nor the lock file of the project is touched.
  const { code, output } = await npm(args, { quiet: true, cwd: folder });
  if (code !== 0) throw new Failure(`Node ${major} could not be installed (${name}):\n${output.trim()}`);
  return join(folder, 'node_modules', name, 'bin', 'node');
}
