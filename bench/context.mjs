/**
 * Opening and closing a context with a deadline and two values, beside what Node has for it.
 *
 *     npm run build && node --expose-gc bench/context.mjs [--dist DIR] [--json FILE]
 *
 * Time: mitata, one after another in one process, a deadline of 60,000 s each. `AbortSignal.timeout` cannot be closed
 * and is only dropped. Bytes: what 20,000 of each keep of the heap after closing (dropping) and collection, while
 * nobody holds them and while somebody does; each in a process of its own, as what `AbortSignal.timeout` keeps, it
 * keeps.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { do_not_optimize, measure } from 'mitata';

const { values: options } = parseArgs({
  options: { dist: { type: 'string' }, json: { type: 'string' }, bytes: { type: 'string' } },
});
const file = fileURLToPath(import.meta.url);
const dist = options.dist ? resolve(options.dist) : fileURLToPath(new URL('../dist', import.meta.url));
const sallyport = /** @type {typeof import('../dist/context.js')} */ (
  await import(pathToFileURL(`${dist}/context.js`).href)
);
const { Context, contextKey } = sallyport;

const patience = 60_000_000;
/** @type {import('../dist/context.js').ContextKey<number>} */
const first = contextKey('first');
/** @type {import('../dist/context.js').ContextKey<string>} */
const second = contextKey('second');

/** Each opens one, with two values, looks at both, closes it, and returns it. */
/** @type {Record<'Context.child' | 'Context.withTimeout.withValue.withValue' | 'AbortController, setTimeout, clearTimeout' | 'AbortSignal.timeout', () => unknown>} */
const ways = {
  'Context.child': () => {
    const context = Context.background.child({
      timeout: patience,
      values: [
        { key: first, value: 1 },
        { key: second, value: 'two' },
      ],
    });
    do_not_optimize([context.value(first), context.value(second)]);
    context.close();
    return context;
  },
  'Context.withTimeout.withValue.withValue': () => {
    const context = Context.background.withTimeout(patience);
    const inner = context.withValue(first, 1).withValue(second, 'two');
    do_not_optimize([inner.value(first), inner.value(second)]);
    context.close();
    return inner;
  },
  'AbortController, setTimeout, clearTimeout': () => {
    const controller = new AbortController();
    const timer = setTimeout(() => {
      controller.abort();
    }, patience);
    const values = { signal: controller.signal, first: 1, second: 'two' };
    do_not_optimize([values.first, values.second]);
    clearTimeout(timer);
    return values;
  },
  'AbortSignal.timeout': () => {
    const values = { signal: AbortSignal.timeout(patience), first: 1, second: 'two' };
    do_not_optimize([values.first, values.second]);
    return values;
  },
};
/** @typedef {keyof typeof ways} Way */
const names = /** @type {Way[]} */ (Object.keys(ways));

/** @param {Way} name */
async function bytesOf(name) {
  const count = 20_000;
  const make = ways[name];
  const gc = /** @type {{ gc?: () => void }} */ (globalThis).gc;
  if (!gc) throw new Error('run with --expose-gc');
  const heap = async () => {
    for (let round = 0; round < 3; round += 1) {
      await wait(10);
      gc();
    }
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  for (let index = 0; index < 2000; index += 1) make();
  /** @type {unknown[]} */
  const held = new Array(count).fill(undefined);
  const empty = await heap();
  for (let index = 0; index < count; index += 1) make();
  const dropped = await heap();
  for (let index = 0; index < count; index += 1) held[index] = make();
  const full = await heap();
  do_not_optimize(held);
  return { dropped: (dropped - empty) / count, held: (full - dropped) / count };
}

async function main() {
  const results = [];
  for (const name of names) {
    // A turn between the rounds, as a server has.
    const { p50, avg } = await measure(ways[name]);
    const args = ['--expose-gc', file, '--bytes', name, '--dist', dist];
    /** @type {{ dropped: number, held: number }} */
    const bytes = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
    results.push({ name, p50, avg, ...bytes });
  }
  const peer = results.find(({ name }) => name.startsWith('AbortController'))?.p50 ?? Number.NaN;
  console.log(`Node ${process.version}`);
  console.table(
    results.map(({ name, p50, avg, dropped, held }) => ({
      '': name,
      'ns (median)': Math.round(p50),
      'ns (mean)': Math.round(avg),
      'of AbortController': (p50 / peer).toFixed(2),
      'bytes kept, dropped': Math.round(dropped),
      'bytes kept, held': Math.round(held),
    })),
  );
  if (options.json)
    writeFileSync(options.json, JSON.stringify({ node: process.version, results }, undefined, 2));
}

if (options.bytes) {
  console.log(JSON.stringify(await bytesOf(/** @type {Way} */ (options.bytes))));
  process.exit();
}
await main();
process.exit();
