/** The memory budget as a step of `npm test` and of the matrix: `npm run test:budget`, where it can be counted. */
import { runSteps } from './checks.mjs';
import { at, run, say } from './project.mjs';

/** Several times what it takes on a busy machine with two cores, in milliseconds. */
const LIMIT = 5 * 60_000;

/** @param {readonly string[]} missing what the machine does not have @param {string} [node] to measure on */
export async function checkBudget(missing, node = process.execPath) {
  if (process.platform !== 'linux' || missing.includes('jemalloc')) {
    say('sallyport: LEFT OUT: the memory budget, which jemalloc counts');
    return;
  }
  const args = [at('scripts', 'budget.mjs'), '--node', node];
  const check = async () => (await run(process.execPath, args, { limitMs: LIMIT })).code;
  await runSteps([{ name: 'memory budget (npm run test:budget)', run: check }]);
}
