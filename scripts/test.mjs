/**
 * `npm test`: everything, from a fresh clone: tools, system packages, build, types, lint, format, unused
 * exports, package, the memory budget, and all tests. The test runner's summary is the last output.
 *
 * `npm test -- PATTERN…` builds, then runs only the test files whose path contains one of the patterns.
 *
 * Environment: `CI=true` (nothing may be missing), `SALLYPORT_TEST_SKIP_MISSING=1`,
 * `SALLYPORT_TEST_LIMIT_MINUTES` (how long the tests may take).
 */
import { allChecks, compileOnly, runSteps } from './lib/checks.mjs';
import { checkBudget } from './lib/budget-step.mjs';
import { leaveOut, listTests, runTests } from './lib/node-test.mjs';
import { prepare } from './lib/prepare.mjs';
import { script } from './lib/project.mjs';
import { ensureSystemPackages } from './lib/system-packages.mjs';

await script(async () => {
  const patterns = process.argv.slice(2);
  await prepare({ showAll: true });
  const missing = await ensureSystemPackages();
  await runSteps(patterns.length > 0 ? compileOnly : allChecks);

  const wanted =
    patterns.length > 0
      ? (/** @type {string} */ file) => patterns.some((pattern) => file.includes(pattern))
      : undefined;
  const files = await leaveOut(await listTests(wanted), missing);
  // While nothing else runs; the tests come last, and their summary.
  if (patterns.length === 0) await checkBudget(missing);
  const limitMinutes = Number(process.env['SALLYPORT_TEST_LIMIT_MINUTES'] ?? 60);
  return runTests(files, { limitMinutes });
});
