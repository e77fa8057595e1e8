/**
 * Opens 1,000,000 contexts with deadlines of 60,000 s, and closes all (`closed`) or all but a random tenth, which
 * it drops (`dropped SEED`). What is left then goes to standard output. Run with --expose-gc.
 */
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { getHeapSnapshot } from 'node:v8';
import { Context } from '../../src/base/context.js';
import { contextKey, contextValue } from '../../src/base/context-key.js';

const number = contextKey<number>('number');
const text = contextKey<string>('text');
const { ledger } = Context.background;
const collect = (globalThis as { gc?: () => void }).gc;
if (!collect) throw new Error('run with --expose-gc');

/** What the test reads. */
export interface MillionReport {
  /** Left open on purpose. */
  readonly dropped: number;
  /** Timers of the runtime at the end of the loop, a turn later, and in the end. */
  readonly timers: readonly number[];
  readonly heapGrowth: number;
  readonly outstanding: number;
  readonly leaked: number;
  readonly deadlines: number;
  readonly stacks: readonly { readonly stack: string | undefined; readonly count: number }[];
  /** Objects of a class in the heap. */
  readonly objects: Readonly<Record<string, number>>;
}

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

function open(index: number): Context {
  const values = [contextValue(number, index), contextValue(text, 'value')];
  return Context.background.child({ timeout: 60_000_000, values });
}

/** Returns how many it dropped. */
function churn(count: number, random: (() => number) | undefined): number {
  let dropped = 0;
  for (let index = 0; index < count; index += 1) {
    const context = open(index);
    if (random && random() < 0.1) dropped += 1;
    else context.close();
  }
  return dropped;
}

/** The generator of Park and Miller. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

async function heap(): Promise<number> {
  for (let round = 0; round < 4; round += 1) {
    collect?.();
    await wait(20);
  }
  return process.memoryUsage().heapUsed;
}

/** How many objects there are of each of `classes`, by a heap snapshot. */
async function objectsOf(classes: readonly string[]): Promise<Record<string, number>> {
  const chunks: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  await pipeline(getHeapSnapshot(), sink);
  const { snapshot, nodes, strings } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
    readonly snapshot: {
      readonly meta: {
        readonly node_fields: readonly string[];
        readonly node_types: readonly (readonly string[])[];
      };
    };
    readonly nodes: readonly number[];
    readonly strings: readonly string[];
  };
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const object = types[0]?.indexOf('object');
  const found: Record<string, number> = Object.fromEntries(classes.map((name) => [name, 0]));
  for (let at = 0; at < nodes.length; at += fields.length) {
    const name = strings[nodes[at + fields.indexOf('name')] ?? 0] ?? '';
    if (nodes[at + fields.indexOf('type')] === object && name in found) found[name] = (found[name] ?? 0) + 1;
  }
  return found;
}

const [mode, seed] = process.argv.slice(2);
ledger.sampleStacks(mode === 'dropped' ? 1 : 'adaptive');
const random = mode === 'dropped' ? seeded(Number(seed)) : undefined;
// What is made once is made before it is measured: code, tables, the registry's.
churn(20_000, undefined);
const before = await heap();
const dropped = churn(1_000_000, random);
const atOnce = timers();
await new Promise((resolve) => {
  setImmediate(resolve);
});
const turnLater = timers();
for (let round = 0; round < 300 && ledger.counts().leaked < dropped; round += 1) {
  await wait(100);
  if (round % 5 === 0) collect();
}
const after = await heap();
const report: MillionReport = {
  dropped,
  timers: [atOnce, turnLater, timers()],
  heapGrowth: after - before,
  outstanding: ledger.counts().outstanding,
  leaked: ledger.counts().leaked,
  deadlines: ledger.deadlines().outstanding,
  stacks: ledger.leaks(),
  objects: await objectsOf(['Context', 'Watch', 'CodedDeadline']),
};
process.stdout.write(JSON.stringify(report));
