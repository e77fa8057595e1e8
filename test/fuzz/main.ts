/**
 * `npm run fuzz`: fuzzes the codec for five minutes, or `FUZZ_SECONDS`. The seed is printed; `FUZZ_SEED` runs
 * it again. Exits with 1 where something was found.
 */
import { randomInt } from 'node:crypto';
import { type FuzzResult, fuzz } from './codec-fuzz.js';

const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 32));
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 300);

console.log(`fuzzing the HTTP/1.1 codec for ${seconds} s, FUZZ_SEED=${seed}`);
let lastLine = 0;
const result = await fuzz({
  seed,
  seconds,
  progress(soFar) {
    if (performance.now() - lastLine < 30_000) return;
    lastLine = performance.now();
    console.log(summary(soFar));
  },
});
for (const { what, ...input } of result.failures) console.log(`${what}\n  ${JSON.stringify(input)}`);
console.log(`${summary(result)}; FUZZ_SEED=${seed}`);
process.exitCode = result.failures.length === 0 ? 0 : 1;

function summary({ inputs, executions, agreed, outcomes, failures }: FuzzResult): string {
  return `${inputs} inputs, ${executions} parses, ${agreed} framed alike by Node, ${outcomes} outcomes, ${failures.length} failures`;
}
