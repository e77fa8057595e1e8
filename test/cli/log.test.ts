import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import { Context } from '../../src/base/context.js';
import { SallyportError } from '../../src/base/errors.js';
import { Events } from '../../src/base/events.js';
import { ExchangeLog } from '../../src/cli/exchange-log.js';
import { LineWriter } from '../../src/cli/log.js';

const dropped = (lines: number): string => `${lines} dropped`;

/** A stream whose reader takes a chunk when told to. */
class SlowStream extends Writable {
  readonly taken: string[] = [];
  #done: (() => void) | undefined;

  constructor() {
    super({ highWaterMark: 100 });
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.taken.push(chunk.toString());
    this.#done = callback;
  }

  /** Lets go of what is waiting, all of it. */
  async takeAll(): Promise<void> {
    while (this.#done) {
      const done = this.#done;
      this.#done = undefined;
      done();
      await Promise.resolve();
    }
  }

  get text(): string {
    return this.taken.join('');
  }
}

/** `once` would reject with the very error that the test is about. */
function closed(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    stream.once('close', resolve);
  });
}

test('a reader that stands still costs the limit and no more; what is dropped is counted', async () => {
  const stream = new SlowStream();
  const writer = new LineWriter(stream, { limit: 1000, dropped });
  const line = 'x'.repeat(99);
  for (let count = 0; count < 10_000; count += 1) writer.write(line);
  assert.ok(stream.writableLength <= 1100, `${stream.writableLength} bytes wait`);
  const drained = once(stream, 'drain');
  await Promise.all([drained, stream.takeAll()]);
  await stream.takeAll();
  const lines = stream.text.trimEnd().split('\n');
  assert.equal(lines.length, 12);
  assert.equal(lines.at(-1), `${10_000 - 11} dropped`);

  writer.write('again');
  await stream.takeAll();
  assert.ok(stream.text.endsWith('dropped\nagain\n'));
});

test('a stream that fails is left alone, and told of once', async () => {
  const failures: Error[] = [];
  const stream = new Writable({
    write: (_chunk, _encoding, callback) =>
      callback(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
  });
  const writer = new LineWriter(stream, { dropped, onFailure: (error) => failures.push(error) });
  writer.write('one');
  await closed(stream);
  assert.equal(writer.failed, true);
  writer.write('two');
  await writer.flush(Context.background);
  assert.deepEqual(
    failures.map(({ message }) => message),
    ['write EPIPE'],
  );
});

test('flush waits for what is on its way, with what was dropped', async () => {
  const stream = new SlowStream();
  const writer = new LineWriter(stream, { limit: 10, dropped });
  for (let count = 0; count < 5; count += 1) writer.write('0123456789'.repeat(4000));
  let flushed = false;
  const flushing = writer.flush(Context.background).then(() => (flushed = true));
  await Promise.resolve();
  assert.equal(flushed, false);
  const drained = once(stream, 'drain');
  await stream.takeAll();
  await drained;
  // The count of dropped lines is on its way now.
  await stream.takeAll();
  await stream.takeAll();
  await flushing;
  assert.ok(stream.text.endsWith('\n4 dropped\n'), stream.text.slice(-20));
});

test('flush gives up with its context', async () => {
  const stream = new SlowStream();
  const writer = new LineWriter(stream, { dropped });
  writer.write('never taken');
  using patience = Context.background.withCancel();
  const flushing = writer.flush(patience);
  patience.close();
  await flushing;
  assert.ok(stream.writableLength > 0);
  writer.close();
  assert.equal(stream.listenerCount('drain'), 0);
  assert.equal(stream.listenerCount('error'), 0);
});

const failure = (code: 'ERR_DNS' | 'ERR_LOOP'): { error: SallyportError; target: string } => ({
  error: new SallyportError(code, 'why'),
  target: 'a:443',
});

test('advice is given once for each code', () => {
  const events = new Events('log-test-1');
  const stream = new PassThrough({ encoding: 'utf8' });
  const options = { format: 'pretty', color: false, width: () => undefined, onFailure: assert.fail } as const;
  const log = new ExchangeLog(events, stream, options);
  for (const code of ['ERR_DNS', 'ERR_DNS', 'ERR_LOOP'] as const) events.emit('failure', failure(code));
  const lines = String(stream.read()).trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => line.endsWith(')')),
    [true, false, true],
  );
  log.stop();
  log.writer.close();
});

test('JSON lines are objects, one a line; a log that has ended listens no more', () => {
  const events = new Events('log-test-2');
  const stream = new PassThrough({ encoding: 'utf8' });
  const options = { format: 'json', color: false, width: () => undefined, onFailure: assert.fail } as const;
  const log = new ExchangeLog(events, stream, options);
  events.emit('failure', failure('ERR_DNS'));
  const tunnel = { id: '1', connection: 1, target: 'a:1', reason: 'not-http' } as const;
  events.emit('tunnel.open', tunnel);
  const records = String(stream.read())
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
  assert.deepEqual(
    records.map((record) => (record as { event: string }).event),
    ['failure', 'tunnel.open'],
  );
  log.stop();
  assert.equal(events.has('failure'), false);
  assert.equal(events.has('exchange.end'), false);
  log.writer.close();
});

test('a log whose stream fails stops listening', async () => {
  const events = new Events('log-test-3');
  const stream = new PassThrough();
  let told = 0;
  const log = new ExchangeLog(events, stream, {
    format: 'json',
    color: false,
    width: () => undefined,
    onFailure: () => (told += 1),
  });
  stream.destroy(new Error('gone'));
  await closed(stream);
  assert.equal(told, 1);
  assert.equal(events.has('failure'), false);
  log.writer.close();
});
