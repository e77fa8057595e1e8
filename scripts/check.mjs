/** `npm run check`: the inner loop. Types, lint, format, the rules of the house, unit tests. */
import { quickChecks, runSteps } from './lib/checks.mjs';
import { isQuick, listTests, runTests } from './lib/node-test.mjs';
import { prepare } from './lib/prepare.mjs';
import { script } from './lib/project.mjs';

await script(async () => {
  await prepare({ showAll: true });
  await runSteps(quickChecks);
  return runTests(await listTests(isQuick));
});
