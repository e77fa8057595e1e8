/** Garbage collection on demand, finalizers included. */
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export async function collectGarbage(): Promise<void> {
  // References that a turn has looked at live until its end; a finalizer runs in a task of its own.
  for (let round = 0; round < 3; round += 1) {
    await turn();
    collect();
  }
  await turn();
  await turn();
}

/** Bytes of the heap for each of `count` objects that `make` makes. */
export async function bytesEach(count: number, make: (index: number) => unknown): Promise<number> {
  const kept = new Array<unknown>(count).fill(undefined);
  // Once over, so that code and tables are there.
  for (let index = 0; index < count; index += 1) kept[index] = make(index);
  kept.fill(undefined);
  await collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < count; index += 1) kept[index] = make(index);
  await collectGarbage();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  // Nothing was collected with the array.
  return kept.length === count ? bytes : Number.NaN;
}
