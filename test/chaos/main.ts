/**
 * `npm run chaos -- --exchanges 100000 --seed N`: ten rounds of exchanges between origins and clients that behave
 * badly. The seed is printed; the same seed plans the same run. Exits with 1 where something was wrong.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { chaos, type Round } from './chaos.js';
import { faults } from './faults.js';

const { values } = parseArgs({
  options: {
    exchanges: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '10' },
    seed: { type: 'string', default: process.env['CHAOS_SEED'] ?? String(randomInt(2 ** 32)) },
  },
});
const [exchanges, rounds, seed] = [Number(values.exchanges), Number(values.rounds), Number(values.seed)];
const again = `npm run chaos -- --exchanges ${exchanges} --rounds ${rounds} --seed ${seed}`;

console.log(`${exchanges} exchanges in ${rounds} rounds; the same again: ${again}`);
const started = performance.now();
const result = await chaos({ seed, rounds, exchanges: Math.ceil(exchanges / rounds), progress: print });
const found = faults(result);
for (const fault of found) console.log(fault);
const [second, last] = [result.rounds[1], result.rounds.at(-1)];
if (second && last) {
  const mib = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
  console.log(
    `from round 2 to ${rounds}: heap ${mib(second.heap)} → ${mib(last.heap)} MiB, RSS ${mib(second.rss)} → ${mib(last.rss)} MiB`,
  );
}
const total = result.rounds.reduce((sum, round) => sum + round.exchanges, 0);
const seconds = ((performance.now() - started) / 1000).toFixed(0);
console.log(
  `${total} exchanges in ${seconds} s, ${found.length} faults${found.length > 0 ? `; ${again}` : ''}`,
);
process.exitCode = found.length === 0 ? 0 : 1;

function print({ number, exchanges, outcomes, outstanding, heap, rss, seconds }: Round): void {
  const rate = (exchanges / seconds).toFixed(0);
  const memory = `heap ${(heap / 1024 / 1024).toFixed(1)} MiB, RSS ${(rss / 1024 / 1024).toFixed(1)} MiB`;
  console.log(
    `round ${number}: ${exchanges} exchanges, ${rate}/s, ${outstanding.length} kinds outstanding, ${memory}`,
  );
  const kinds = [...outcomes].toSorted(([, one], [, other]) => other - one);
  console.log(`  ${kinds.map(([kind, count]) => `${kind} ${count}`).join(', ')}`);
}
