/**
 * `npm run test:budget`: what a connection costs, in bytes that are alive and in objects, against the numbers of
 * test/budget/budget.json. More than the tolerance over one of them, and it fails.
 *
 *   --node PATH     measure on another Node (its major version's numbers are used)
 *   --main PATH     another build's dist/cli/main.js
 *   --json          one JSON object instead of the table
 *   --update        write what was measured to the file, for this major version
 *   --rss           also RSS, with the system's allocator and ten times the connections: for docs, judged by nobody
 *   --scale N       that many times the connections
 *
 * How the measure was chosen. RSS is what people see, but it moves in pages, arenas and kept heap: 20 % from run to
 * run with hundreds of connections. What is alive is V8's heap after a collection that has no stack to
 * mistake for pointers, and what malloc has handed out and not had back. jemalloc counts the latter to the byte and
 * prints it when asked by its `stats_interval` (LD_PRELOAD; without caches, in one arena). The difference
 * between a small and a large population, by the number of connections between them, varies by less than 1 %
 * (idle: 28,890 and 29,056 bytes on a machine with five times as much work as cores; held: 142,508 and 142,458); a
 * stopped download by 4 %, because its last reads are of any size. Bytes that are handed out count even where their
 * pages are not touched, so these numbers are above RSS. Objects are the nodes of a heap snapshot: the same count
 * each time. A number that is over its limit is measured once more before it fails.
 */
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { least, limitOf, measure, over, readBudget, rows, writeBudget } from './lib/budget.mjs';
import { prepare } from './lib/prepare.mjs';
import { at, Failure, run, say, script } from './lib/project.mjs';

/** How many times the connections RSS needs: it moves in steps that are large beside one of them. */
const RSS_SCALE = 10;

await script(async () => {
  const { values } = parseArgs({
    options: {
      node: { type: 'string', default: process.execPath },
      main: { type: 'string' },
      json: { type: 'boolean', default: false },
      update: { type: 'boolean', default: false },
      rss: { type: 'boolean', default: false },
      scale: { type: 'string', default: '1' },
    },
  });
  if (values.main === undefined) await prepare({ showAll: true });
  const main = values.main === undefined ? at('dist', 'cli', 'main.js') : resolve(values.main);
  const node = isAbsolute(values.node) ? values.node : resolve(values.node);
  const version = (await run(node, ['--version'], { quiet: true })).output.trim();
  const major = /^v(\d+)\./.exec(version)?.[1] ?? '';
  const jemalloc = await library(main);
  const scale = Number(values.scale);
  if (!(scale > 0)) throw new Failure(`--scale takes a number over 0, not '${values.scale}'`);

  const budget = await readBudget();
  const allowed = budget.nodes[major];
  let { numbers } = await measure({ node, main, jemalloc }, scale);
  if (!values.update && allowed !== undefined && over(numbers, allowed, budget.tolerance).length > 0) {
    say('sallyport: over the budget; measuring once more');
    numbers = least(numbers, (await measure({ node, main, jemalloc }, scale)).numbers);
  }
  const rss = values.rss ? (await measure({ node, main }, RSS_SCALE * scale)).rss : undefined;

  if (values.update) {
    budget.nodes[major] = numbers;
    await writeBudget(budget);
  }
  const failed = over(numbers, budget.nodes[major], budget.tolerance);
  const { tolerance } = budget;
  if (values.json) {
    const limits = Object.fromEntries(rows.map((row) => [row.name, limitOf(row, allowed, tolerance)]));
    const report = { node: version, numbers, budget: allowed, limits, rss, ok: failed.length === 0 };
    process.stdout.write(`${JSON.stringify(report)}\n`);
  } else {
    process.stdout.write(`${table(version, numbers, budget.nodes[major], tolerance, rss)}\n`);
  }
  if (failed.length === 0) return 0;
  const names = failed.map(({ name }) => name).join(', ');
  say(`sallyport: over the budget of Node ${major}: ${names} (test/budget/budget.json)`);
  return 1;
});

/** @param {string} main @returns {Promise<string>} */
async function library(main) {
  /** @type {typeof import('../src/cli/allocator.js')} */
  const { findJemalloc, thisMachine } = await import(pathToFileURL(resolve(main, '..', 'allocator.js')).href);
  const found = await findJemalloc(thisMachine());
  if ('path' in found) return found.path;
  throw new Failure(
    `the budget is counted by jemalloc: ${found.missing}; ${found.advice ?? 'run it on Linux'}`,
  );
}

/**
 * @param {string} version
 * @param {Record<string, number>} numbers
 * @param {Record<string, number> | undefined} budget
 * @param {number} tolerance
 * @param {Record<string, number> | undefined} rss
 */
function table(version, numbers, budget, tolerance, rss) {
  const head = ['a connection, Node ' + version, 'now', 'budget', 'limit', '', ...(rss ? ['RSS'] : [])];
  const lines = rows.map((row) => {
    const now = numbers[row.name] ?? Number.NaN;
    const limit = limitOf(row, budget, tolerance);
    const old = budget?.[row.name];
    const verdict =
      limit === undefined || old === undefined
        ? 'NO BUDGET'
        : !(now <= limit)
          ? 'OVER'
          : now < old * (1 - tolerance) && old > 100
            ? 'ok, lower it: --update'
            : 'ok';
    const shown = [now, old, limit].map((number) => spell(number));
    const label = `${row.name.replace('-objects', '')}: ${row.about} (${row.unit})`;
    return [label, ...shown, verdict, ...(rss ? [spell(rss[row.name])] : [])];
  });
  const all = [head, ...lines];
  const widths = head.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  return all
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 || column === 4
            ? cell.padEnd(widths[column] ?? 0)
            : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** @param {number | undefined} number */
function spell(number) {
  return number === undefined ? '' : number.toLocaleString('en-US');
}
