/**
 * Loaded into the proxy's process by `node --expose-gc --import`, so that the product needs no hook: tells over
 * IPC what is alive. See scripts/budget.mjs for what is measured and why.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapSnapshot } from 'node:v8';

/** Over jemalloc's `stats_interval`, so that it prints its statistics; the pages are never touched. */
const PRINTS_STATISTICS = 2 ** 30;
/** What is still being closed or collected moves more than this between two looks. */
const QUIET_BYTES = 16_384;

process.on('message', (/** @type {{ measure?: number, count?: number }} */ { measure, count }) => {
  if (measure !== undefined) void tell(measure);
  if (count !== undefined) void countObjects().then((objects) => process.send?.({ objects }));
});

/** @param {number} id */
async function tell(id) {
  await settle();
  const heap = process.memoryUsage().heapUsed;
  Buffer.allocUnsafeSlow(PRINTS_STATISTICS);
  const status = readFileSync('/proc/self/status', 'utf8');
  const rss = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  // The pipe keeps the order: what jemalloc has printed comes first.
  process.stderr.write(`\nbudget ${id}\n`);
  process.send?.({ heap, rss });
}

/** Collects garbage until nothing goes away any more. */
async function settle() {
  let before = Number.POSITIVE_INFINITY;
  for (let look = 0; look < 20; look += 1) {
    await sleep(70);
    // The first run calls finalizers, the second frees what they let go.
    await collect();
    await sleep(30);
    await collect();
    const { heapUsed, external } = process.memoryUsage();
    const now = heapUsed + external;
    if (Math.abs(before - now) < QUIET_BYTES) return;
    before = now;
  }
}

/**
 * Everything that can be collected: a task of its own has no stack in which something could look like a pointer,
 * and the last resort is what lets go of what is held weakly (V8 of Node 20 does not know it).
 */
async function collect() {
  const gc = /** @type {((options: object) => Promise<void>) | undefined} */ (globalThis.gc);
  await gc?.({ type: 'major', execution: 'async', flavor: 'last-resort' });
}

/**
 * The nodes of a heap snapshot: its head says how many, the rest is thrown away. V8 remembers each object that it
 * has numbered, in bytes of malloc: what is alive cannot be measured any more after it.
 */
async function countObjects() {
  await settle();
  let head = '';
  for await (const chunk of getHeapSnapshot()) if (head.length < 4096) head += String(chunk);
  return Number(/"node_count":(\d+)/.exec(head)?.[1]);
}
