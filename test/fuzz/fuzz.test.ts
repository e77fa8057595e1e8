/** The fuzzer for a few seconds with a new seed, and that it sees what it is for. `npm run fuzz` runs it for long. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { fuzz } from './codec-fuzz.js';
import { Random } from './random.js';

test('a few seconds of fuzzing find nothing', async (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 32));
  const seconds = Number(process.env['FUZZ_SECONDS'] ?? 4);
  t.diagnostic(`FUZZ_SEED=${seed}`);
  const result = await fuzz({ seed, seconds });
  t.diagnostic(`${result.inputs} inputs, ${result.executions} parses, ${result.outcomes} outcomes`);
  assert.deepEqual(result.failures, [], `run again with FUZZ_SEED=${seed}`);
  // Neither all refused nor all alike.
  assert.ok(result.agreed > 0 && result.outcomes > 1);
});

test('the generator repeats itself with its seed', () => {
  const draw = (seed: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 50 }, () => random.below(1000));
  };
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
  assert.ok(new Set(draw(7)).size > 30);
});
