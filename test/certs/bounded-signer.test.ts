import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Context } from '../../src/base/context.js';
import { DeadlineWheel } from '../../src/base/deadlines.js';
import { boundedSigner } from '../../src/certs/bounded-signer.js';
import type { Signer } from '../../src/certs/signer.js';
import { VirtualClock } from '../base/virtual-clock.js';
import { withCode } from './support.js';

interface Call {
  readonly tbs: number;
  readonly options: { readonly signal?: AbortSignal | undefined } | undefined;
  readonly answer: (byte: number) => void;
  readonly fail: (error: Error) => void;
}

/** A signer that answers when the test says so; what is signed and the signatures are single bytes. */
function slowSigner(): { readonly signer: Signer; readonly calls: Call[] } {
  const calls: Call[] = [];
  const signer: Signer = {
    algorithm: 'ed25519',
    sign: (tbs, options) =>
      new Promise((resolve, reject) => {
        const answer = (byte: number): void => {
          resolve(Uint8Array.of(byte));
        };
        calls.push({ tbs: tbs[0] ?? -1, options, answer, fail: reject });
      }),
  };
  return { signer, calls };
}

const byte = (value: number): Uint8Array => Uint8Array.of(value);

async function turn(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe('a bounded signer', () => {
  test('asks for so many at a time, in order, and gives each its own answer', async () => {
    const { signer, calls } = slowSigner();
    const bounded = boundedSigner(signer, { concurrency: 3 });
    const answers = Array.from({ length: 10 }, async (_, index) => bounded.sign(byte(index)));
    let most = 0;
    for (let count = 0; count < 10; count += 1) {
      most = Math.max(most, calls.length - count);
      const call = calls[count];
      assert.ok(call);
      call.answer(100 + call.tbs);
      await turn();
    }
    assert.equal(most, 3);
    assert.deepEqual(
      (await Promise.all(answers)).map(([first]) => first),
      Array.from({ length: 10 }, (_, index) => 100 + index),
    );
  });

  test('says so when too many wait', async () => {
    const { signer, calls } = slowSigner();
    const bounded = boundedSigner(signer, { concurrency: 1, queue: 2 });
    const answers = [0, 1, 2].map(async (value) => bounded.sign(byte(value)));
    assert.throws(() => bounded.sign(byte(3)), withCode('ERR_SIGNER', /1 signatures .* 2 wait already/));
    for (let count = 0; count < 3; count += 1) {
      calls[count]?.answer(count);
      await turn();
    }
    await Promise.all(answers);
    assert.deepEqual(
      calls.map(({ tbs }) => tbs),
      [0, 1, 2],
    );
  });

  test('who is cancelled in the queue leaves it, without being signed for', async () => {
    const { signer, calls } = slowSigner();
    const bounded = boundedSigner(signer, { concurrency: 1, queue: 1 });
    const first = bounded.sign(byte(0));
    const context = Context.background.withCancel();
    const left = Promise.resolve(bounded.sign(byte(1), context));
    context.close();
    await assert.rejects(left, withCode('ERR_CANCELLED'));
    const next = bounded.sign(byte(2));
    calls[0]?.answer(0);
    await first;
    await turn();
    calls[1]?.answer(2);
    assert.deepEqual(await next, byte(2));
    assert.deepEqual(
      calls.map(({ tbs }) => tbs),
      [0, 2],
    );
  });

  test('who is cancelled later is let go at once; its place is free when the signer has settled', async () => {
    const { signer, calls } = slowSigner();
    const bounded = boundedSigner(signer, { concurrency: 1 });
    const context = Context.background.withCancel();
    const first = Promise.resolve(bounded.sign(byte(0), context));
    const second = Promise.resolve(bounded.sign(byte(1)));
    const told = calls[0]?.options?.signal;
    assert.equal(told?.aborted, false);
    context.close();
    await assert.rejects(first, withCode('ERR_CANCELLED'));
    assert.equal(told.aborted, true);
    await turn();
    assert.equal(calls.length, 1);
    calls[0]?.fail(new Error('dropped'));
    await turn();
    assert.equal(calls.length, 2);
    calls[1]?.answer(7);
    assert.deepEqual(await second, byte(7));
  });

  test('errors pass unchanged and free the place, thrown or rejected', async () => {
    const { signer, calls } = slowSigner();
    let broken = true;
    const failing: Signer = {
      ...signer,
      sign: (tbs, options) => {
        if (broken) throw new Error('the device is locked');
        return signer.sign(tbs, options);
      },
    };
    const bounded = boundedSigner(failing, { concurrency: 1, queue: 0 });
    assert.throws(() => bounded.sign(byte(0)), /the device is locked/);
    broken = false;
    const rejected = Promise.resolve(bounded.sign(byte(1)));
    const error = new Error('the device is gone');
    calls[0]?.fail(error);
    await assert.rejects(rejected, (found) => found === error);
    const last = bounded.sign(byte(2));
    calls[1]?.answer(2);
    await last;
  });

  test('one that stays silent is given up, and does not block the others for ever', async () => {
    const clock = new VirtualClock();
    const context = Context.root(new DeadlineWheel(clock));
    const { signer, calls } = slowSigner();
    const bounded = boundedSigner(signer, { concurrency: 1, timeout: 5000, context });
    const silent = Promise.resolve(bounded.sign(byte(0)));
    const second = Promise.resolve(bounded.sign(byte(1)));
    clock.advance(6000);
    await assert.rejects(silent, withCode('ERR_SIGNER', /within 5 s/));
    assert.equal(calls[0]?.options?.signal?.aborted, true);
    await turn();
    calls[1]?.answer(1);
    await second;
    // The answer that comes too late reaches nobody, and gives no place back twice.
    calls[0]?.answer(0);
    await turn();
    const third = bounded.sign(byte(2));
    const fourth = bounded.sign(byte(3));
    await turn();
    assert.equal(calls.length, 3);
    calls[2]?.answer(2);
    await third;
    await turn();
    calls[3]?.answer(3);
    await fourth;
    assert.equal(clock.armed, 0);
  });

  test('ends with its context', async () => {
    const context = Context.background.withCancel();
    const { signer, calls } = slowSigner();
    const bounded = boundedSigner(signer, { concurrency: 1, context });
    const running = Promise.resolve(bounded.sign(byte(0)));
    const queued = Promise.resolve(bounded.sign(byte(1)));
    context.close();
    await assert.rejects(running, withCode('ERR_CANCELLED'));
    await assert.rejects(queued, withCode('ERR_CANCELLED'));
    assert.throws(() => bounded.sign(byte(2)), withCode('ERR_CANCELLED'));
    assert.equal(calls.length, 1);
  });

  test('a signer that answers at once is not made to wait', () => {
    const signer: Signer = { algorithm: 'ed25519', sign: (tbs) => tbs };
    const bounded = boundedSigner(signer, { concurrency: 1, queue: 0 });
    for (let count = 0; count < 100; count += 1) assert.deepEqual(bounded.sign(byte(count)), byte(count));
  });
});
