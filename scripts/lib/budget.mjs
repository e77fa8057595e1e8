/** What `npm run test:budget` measures, and how it is judged. */
import { readFile, writeFile } from 'node:fs/promises';
import { Rig } from './budget-rig.mjs';
import { at } from './project.mjs';

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {'bytes' | 'objects'} unit of one connection
 * @property {string} about
 * @property {number} [slack] what a number may be over its budget beside the tolerance
 */

/** @type {readonly Row[]} */
export const rows = [
  { name: 'idle', unit: 'bytes', about: 'client leg, after one answer' },
  { name: 'held', unit: 'bytes', about: 'both legs, a response that has begun' },
  // A number near nothing: what one burst of connections leaves more than the burst before it.
  { name: 'burst', unit: 'bytes', about: 'left by a connection that is closed', slack: 1500 },
  { name: 'bulk', unit: 'bytes', about: 'a download whose client has stopped to read' },
  { name: 'idle-objects', unit: 'objects', about: 'client leg, after one answer' },
  { name: 'held-objects', unit: 'objects', about: 'both legs, a response that has begun' },
];

/** @typedef {Record<string, number>} Numbers by the name of a row */
/** @typedef {{ tolerance: number, nodes: Record<string, Numbers> }} Budget by the major version of Node */

const file = at('test', 'budget', 'budget.json');

/** @returns {Promise<Budget>} */
export const readBudget = async () => JSON.parse(await readFile(file, 'utf8'));

/** @param {Budget} budget */
export const writeBudget = (budget) => writeFile(file, `${JSON.stringify(budget, undefined, 2)}\n`);

/** @typedef {{ numbers: Numbers, rss: Numbers }} Measured */

/**
 * Measures everything once: bytes in one proxy, objects in another, because counting them takes bytes.
 *
 * @param {import('./budget-rig.mjs').Setting} setting @param {number} [scale] of the numbers of connections
 * @returns {Promise<Measured>} `rss` says more without jemalloc, and then `numbers` has no bytes
 */
export async function measure(setting, scale = 1) {
  const { numbers, rss } = await within(setting, (rig) => bytes(rig, scale));
  const objects = await within(setting, countObjects);
  return { numbers: { ...numbers, ...objects }, rss };
}

/** @param {Rig} rig @param {number} scale @returns {Promise<Measured>} */
async function bytes(rig, scale) {
  const idle = Math.round(240 * scale);
  const held = Math.round(100 * scale);
  const bulk = Math.round(30 * scale);
  // What is made once, and code that is compiled when it is hot.
  await rig.open(idle, '/small');
  await rig.closeAll();

  const first = await rig.alive();
  await rig.open(40, '/small');
  const before = await rig.alive();
  await rig.open(idle, '/small');
  const during = await rig.alive();
  await rig.closeAll();
  const after = await rig.alive();
  await rig.open(idle, '/small');
  await rig.closeAll();
  const again = await rig.alive();

  await rig.open(20, '/hold');
  const holding = await rig.alive();
  await rig.open(held, '/hold');
  const holdingMore = await rig.alive();
  await rig.closeAll();

  await rig.open(5, '/bulk');
  const loading = await rig.alive();
  await rig.open(bulk, '/bulk');
  const loadingMore = await rig.alive();

  /** @param {'bytes' | 'rss'} what @returns {Numbers} */
  const grown = (what) => ({
    idle: Math.round((during[what] - before[what]) / idle),
    held: Math.round((holdingMore[what] - holding[what]) / held),
    burst: Math.round((again[what] - after[what]) / idle),
    bulk: Math.round((loadingMore[what] - loading[what]) / bulk),
  });
  // Of RSS, what the first connections of all leave behind is what people see.
  const burst = Math.round((again.rss - first.rss) / idle);
  return { numbers: grown('bytes'), rss: { ...grown('rss'), burst } };
}

/** @param {Rig} rig @returns {Promise<Numbers>} */
async function countObjects(rig) {
  const more = 60;
  await rig.open(20, '/small');
  const before = await rig.objects();
  await rig.open(more, '/small');
  const during = await rig.objects();
  await rig.closeAll();
  await rig.open(20, '/hold');
  const holding = await rig.objects();
  await rig.open(more, '/hold');
  const holdingMore = await rig.objects();
  return {
    'idle-objects': Math.round((during - before) / more),
    'held-objects': Math.round((holdingMore - holding) / more),
  };
}

/**
 * @template T
 * @param {import('./budget-rig.mjs').Setting} setting @param {(rig: Rig) => Promise<T>} work
 */
async function within(setting, work) {
  const rig = new Rig();
  try {
    await rig.start(setting);
    return await work(rig);
  } finally {
    await rig.stop();
  }
}

/**
 * What a number may be at most; `undefined` where the budget has none for it.
 *
 * @param {Row} row @param {Numbers | undefined} budget @param {number} tolerance
 */
export function limitOf({ name, slack = 0 }, budget, tolerance) {
  const number = budget?.[name];
  return number === undefined ? undefined : Math.round(Math.max(number * (1 + tolerance), number + slack));
}

/**
 * The smaller of each: noise only adds, so a number that is over its limit once and not again is not over it.
 *
 * @param {Numbers} one @param {Numbers} other @returns {Numbers}
 */
export const least = (one, other) =>
  Object.fromEntries(
    Object.entries(one).map(([name, number]) => [name, Math.min(number, other[name] ?? number)]),
  );

/**
 * @param {Numbers} numbers @param {Numbers | undefined} budget @param {number} tolerance
 * @returns {readonly Row[]} those over their limits, or without one
 */
export const over = (numbers, budget, tolerance) =>
  rows.filter((row) => {
    const limit = limitOf(row, budget, tolerance);
    // NaN is over every limit too.
    return limit === undefined || !((numbers[row.name] ?? Number.NaN) <= limit);
  });
