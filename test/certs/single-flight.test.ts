import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import fc from 'fast-check';
import { Context } from '../../src/base/context.js';
import { SingleFlight } from '../../src/certs/single-flight.js';
import { withCode } from './support.js';

interface Job {
  readonly signal: AbortSignal;
  readonly resolve: (value: number) => void;
  readonly reject: (error: unknown) => void;
}

/** Work that ends when the test says so. */
function controlled(): { readonly jobs: Job[]; work(options: { signal: AbortSignal }): Promise<number> } {
  const jobs: Job[] = [];
  return {
    jobs,
    work: ({ signal }) =>
      new Promise((resolve, reject) => {
        jobs.push({ signal, resolve, reject });
      }),
  };
}

/** Lets everything that is ready to happen happen. */
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test('all who ask at the same time get the result of one piece of work', async () => {
  const flights = new SingleFlight<number>();
  const { jobs, work } = controlled();
  const results = Array.from({ length: 100 }, () => flights.run('key', work));
  const other = flights.run('other', work);
  assert.equal(jobs.length, 2);
  assert.equal(flights.size, 2);
  jobs[0]?.resolve(1);
  jobs[1]?.resolve(2);
  assert.deepEqual(await Promise.all(results), Array(100).fill(1));
  assert.equal(await other, 2);
  assert.equal(flights.size, 0);
  void flights.run('key', work);
  assert.equal(jobs.length, 3);
});

test('work that ends at once makes no promise', () => {
  const flights = new SingleFlight<number>();
  assert.equal(
    flights.run('key', () => 7),
    7,
  );
  assert.throws(
    () =>
      flights.run('key', () => {
        throw new Error('no');
      }),
    /no/,
  );
  assert.equal(flights.size, 0);
});

test('a signal is not even looked at when there is nothing to wait for', () => {
  const flights = new SingleFlight<number>();
  const options = {
    get signal(): AbortSignal {
      throw new Error('looked at');
    },
  };
  assert.equal(
    flights.run('key', () => 7, options),
    7,
  );
});

test('a failure reaches all who wait, and the next one tries again', async () => {
  const flights = new SingleFlight<number>();
  const { jobs, work } = controlled();
  const results = [flights.run('key', work), flights.run('key', work)];
  jobs[0]?.reject(new Error('broken'));
  for (const outcome of await Promise.allSettled(results)) {
    assert.ok(outcome.status === 'rejected' && /broken/.test(String(outcome.reason)));
  }
  const retry = flights.run('key', work);
  assert.equal(jobs.length, 2);
  jobs[1]?.resolve(3);
  assert.equal(await retry, 3);
});

test('one who leaves hurts nobody, first or later, and leaves no listener', async () => {
  const flights = new SingleFlight<number>();
  const { jobs, work } = controlled();
  const leaders = new AbortController();
  const others = new AbortController();
  const stays = new AbortController();
  const leader = flights.run('key', work, leaders);
  const leaving = flights.run('key', work, others);
  const staying = flights.run('key', work, stays);
  const reason = new Error('deadline');
  leaders.abort(reason);
  others.abort(reason);
  for (const outcome of await Promise.allSettled([leader, leaving])) {
    assert.ok(outcome.status === 'rejected');
    withCode('ERR_CANCELLED')(outcome.reason);
    assert.equal((outcome.reason as Error).cause, reason);
  }
  assert.equal(jobs.length, 1);
  assert.equal(jobs[0]?.signal.aborted, false);
  jobs[0]?.resolve(4);
  assert.equal(await staying, 4);
  assert.deepEqual(
    [leaders, others, stays].map(({ signal }) => getEventListeners(signal, 'abort').length),
    [0, 0, 0],
  );
});

test('a leader that takes its work down with it is replaced by one who waits', async () => {
  const flights = new SingleFlight<number>();
  const first = controlled();
  const second = controlled();
  const leaders = new AbortController();
  const leader = flights.run('key', first.work, leaders);
  const waiting = flights.run('key', second.work);
  leaders.abort();
  await assert.rejects(async () => leader, withCode('ERR_CANCELLED'));
  first.jobs[0]?.reject(new Error('my caller went away'));
  await settled();
  assert.equal(second.jobs.length, 1);
  second.jobs[0]?.resolve(5);
  assert.equal(await waiting, 5);
  assert.equal(flights.size, 0);
});

test('the failure of a leader that is still there is no reason to try again', async () => {
  const flights = new SingleFlight<number>();
  const { jobs, work } = controlled();
  const leaves = new AbortController();
  const leader = flights.run('key', work);
  const leaving = flights.run('key', work, leaves);
  const waiting = flights.run('key', work);
  leaves.abort();
  jobs[0]?.reject(new Error('broken'));
  const outcomes = await Promise.allSettled([leader, leaving, waiting]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  );
  assert.equal(jobs.length, 1);
});

test('work that nobody wants is told so, and does not run beside its successor', async () => {
  const flights = new SingleFlight<number>();
  const { jobs, work } = controlled();
  const context = Context.background.withCancel();
  const abandoned = flights.run('key', work, context);
  context.close();
  await assert.rejects(async () => abandoned, withCode('ERR_CANCELLED'));
  assert.equal(jobs[0]?.signal.aborted, true);

  const late = flights.run('key', work);
  assert.equal(jobs.length, 1);
  jobs[0]?.reject(jobs[0].signal.reason);
  await settled();
  assert.equal(jobs.length, 2);
  assert.equal(jobs[1]?.signal.aborted, false);
  jobs[1]?.resolve(6);
  assert.equal(await late, 6);
});

test('abandoned work that succeeds all the same serves who came meanwhile', async () => {
  const flights = new SingleFlight<number>();
  const { jobs, work } = controlled();
  const abandoned = flights.run('key', work, { signal: AbortSignal.abort() });
  await assert.rejects(async () => abandoned, withCode('ERR_CANCELLED'));
  const late = flights.run('key', work);
  jobs[0]?.resolve(7);
  assert.equal(await late, 7);
  assert.equal(jobs.length, 1);
});

test('closing rejects who waits, aborts what runs, and refuses what comes', async () => {
  const flights = new SingleFlight<number>();
  const { jobs, work } = controlled();
  const waiting = flights.run('key', work);
  flights.close();
  flights.close();
  await assert.rejects(async () => waiting, withCode('ERR_CANCELLED', /closed/));
  assert.equal(jobs[0]?.signal.aborted, true);
  jobs[0]?.reject(new Error('late'));
  await settled();
  assert.throws(() => flights.run('key', work), withCode('ERR_CANCELLED', /closed/));
});

test('whatever the order of events: one piece of work at a time, and each caller hears once', async () => {
  const event = fc.oneof(
    fc.constant({ kind: 'join' } as const),
    fc.record({ kind: fc.constant('leave' as const), who: fc.nat(20) }),
    fc.record({ kind: fc.constant('end' as const), well: fc.boolean() }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 30 }), async (events) => {
      const flights = new SingleFlight<number>();
      const callers: { readonly controller: AbortController; outcome: string; left: boolean }[] = [];
      let running: Job | undefined;
      let started = 0;
      const work = ({ signal }: { readonly signal: AbortSignal }): Promise<number> => {
        assert.equal(running, undefined, 'two at a time');
        started += 1;
        return new Promise((resolve, reject) => {
          running = { signal, resolve, reject };
        });
      };
      const end = async (well: boolean): Promise<void> => {
        const job = running;
        running = undefined;
        if (well) job?.resolve(started);
        else job?.reject(new Error('failed'));
        await settled();
      };
      for (const step of events) {
        if (step.kind === 'join') {
          const caller = { controller: new AbortController(), outcome: 'waits', left: false };
          callers.push(caller);
          Promise.resolve(flights.run('key', work, caller.controller)).then(
            () => {
              caller.outcome = `${caller.outcome} served`;
            },
            (error: unknown) => {
              caller.outcome = `${caller.outcome} ${(error as { code?: string }).code ?? 'failed'}`;
            },
          );
        } else if (step.kind === 'leave') {
          const caller = callers[step.who % Math.max(1, callers.length)];
          if (caller?.outcome === 'waits') caller.left = true;
          caller?.controller.abort();
        } else {
          await end(step.well);
        }
        await settled();
      }
      // Work that nobody waits for ends by itself; whoever waits is served in the end.
      for (let round = 0; running && round < 50; round += 1) await end(true);
      assert.equal(flights.size, 0);
      for (const { outcome, left } of callers) {
        assert.match(outcome, left ? /^waits ERR_CANCELLED$/ : /^waits (served|failed)$/);
      }
    }),
    { numRuns: 300 },
  );
});
