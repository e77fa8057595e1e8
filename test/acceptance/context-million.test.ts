/** Square's numbers: a million contexts with deadlines of 60,000 s, closed or dropped. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { MillionReport } from './context-million-process.js';

async function run(...args: readonly string[]): Promise<MillionReport> {
  const script = fileURLToPath(new URL('context-million-process.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, ...args]);
  return JSON.parse(stdout) as MillionReport;
}

/** Background and its watch; the prototype of a watch counts as what it inherits from. */
const roots = { Context: 1, Watch: 1, CodedDeadline: 1 };

test('1,000,000 contexts, opened and closed, leave no timer, no memory and no object', async () => {
  const report = await run('closed');
  assert.deepEqual(report.timers.slice(1), [0, 0]);
  assert.deepEqual([report.outstanding, report.leaked, report.deadlines], [0, 0, 0]);
  assert.ok(report.heapGrowth < 1e6, `the heap grew by ${report.heapGrowth} bytes`);
  assert.deepEqual(report.objects, roots);
});

test('a random tenth of 1,000,000, dropped: all counted with their stacks, all memory given back', async () => {
  const seed = randomInt(1, 2_147_483_646);
  const report = await run('dropped', String(seed));
  const about = `seed ${seed}: ${JSON.stringify(report)}`;
  assert.ok(report.dropped > 90_000 && report.dropped < 110_000, about);
  assert.equal(report.leaked, report.dropped, about);
  assert.deepEqual([report.outstanding, report.deadlines, report.timers.at(-1)], [0, 0, 0], about);
  assert.ok(report.heapGrowth < 1e6, about);
  assert.deepEqual(report.objects, roots, about);
  assert.equal(report.stacks.length, 1, about);
  const [{ stack, count } = { stack: undefined, count: 0 }] = report.stacks;
  assert.equal(count, report.dropped, about);
  assert.match(stack ?? '', /^at open \(.*context-million-process\.js.*\nat churn /, about);
});
