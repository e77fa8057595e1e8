/**
 * Origins that stall, reset, trickle and lie; clients that vanish in every phase. What was opened is given back, and
 * no lie is believed. `npm run chaos` runs it for long.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { expectNothingOutstanding } from '../../src/testing/index.js';
import { Random } from '../fuzz/random.js';
import { answerNames } from './answers.js';
import { chaos } from './chaos.js';
import { faults } from './faults.js';
import { phases, planRound } from './plan.js';

const rounds = 10;
const exchanges = 150;

test('ten rounds of chaos leave nothing behind', async (t) => {
  const seed = Number(process.env['CHAOS_SEED'] ?? randomInt(2 ** 32));
  t.diagnostic(`CHAOS_SEED=${seed}`);
  // Creation stacks of all would be a part of the heap.
  await using _nothing = expectNothingOutstanding({ stacks: false, within: 15_000 });
  const result = await chaos({ seed, rounds, exchanges });
  for (const { number, heap, rss, seconds, exchanges: done } of result.rounds) {
    const [heapMiB, rssMiB] = [heap, rss].map((bytes) => (bytes / 1024 / 1024).toFixed(1));
    t.diagnostic(
      `round ${number}: ${done} in ${seconds.toFixed(1)} s, heap ${heapMiB} MiB, RSS ${rssMiB} MiB`,
    );
  }
  assert.deepEqual(
    faults(result),
    [],
    `again: CHAOS_SEED=${seed} npm test -- chaos/chaos, or npm run chaos -- --exchanges ${rounds * exchanges} --seed ${seed}`,
  );
  // Neither all refused nor all alike.
  const outcomes = new Set(result.rounds.flatMap((round) => [...round.outcomes.keys()]));
  assert.ok(outcomes.has('complete') && outcomes.size > 10, [...outcomes].join(', '));
});

test('the same seed plans the same run', () => {
  const plan = (seed: number): unknown => planRound(new Random(seed), 200, 1);
  assert.deepEqual(plan(7), plan(7));
  assert.notDeepEqual(plan(7), plan(8));
});

test('a run has clients that vanish in every phase, and every answer', () => {
  const visits = planRound(new Random(randomInt(2 ** 32)), rounds * exchanges, 1);
  const left = new Set(visits.map(({ leaving }) => leaving?.phase));
  for (const phase of phases) assert.ok(left.has(phase), phase);
  const asked = new Set(visits.flatMap(({ requests }) => requests.map(({ answer }) => answer)));
  for (const name of answerNames) assert.ok(asked.has(name), name);
});
