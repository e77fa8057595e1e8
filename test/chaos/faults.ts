/** What may not be, in the result of a run. Pure. */
import type { ChaosResult } from './chaos.js';

/** How much more heap may be in use after the last round than after the second. */
const heapGrowth = 2 * 1024 * 1024;

export function faults({ rounds, outstanding }: ChaosResult): string[] {
  const [second, last] = [rounds[1], rounds.at(-1)];
  const growth = second && last ? last.heap - second.heap : 0;
  return [
    ...rounds.flatMap(({ mistakes }) => mistakes),
    ...rounds.flatMap((round) => round.outstanding.map((line) => `after round ${round.number}: ${line}`)),
    ...outstanding.map((line) => `after close(): ${line}`),
    ...(growth > heapGrowth ? [`the heap grew by ${growth} bytes from round 2 to ${rounds.length}`] : []),
  ];
}
