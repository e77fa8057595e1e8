/** What users' tests are told of what they left open. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { Context } from '../../src/context.js';
import { joinLedgers, Ledger, type LedgerLines } from '../../src/diagnostics/index.js';
import { createProxy } from '../../src/index.js';
import { expectNothingLeft } from '../../src/testing/expect-nothing.js';
import {
  expectNothingOutstanding,
  expectNothingOutstandingInEach,
  type NothingOutstanding,
  withProxy,
} from '../../src/testing/index.js';
import { temporaryDirectory } from '../support/stage.js';
import { Wire } from '../support/wire.js';

/** What `check` says of what is open. */
async function complaint(check: NothingOutstanding): Promise<string> {
  const error: unknown = await check.verify().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof assert.AssertionError, 'it found something');
  return error.message;
}

const soon = { within: 100 };

describe('expectNothingOutstanding()', () => {
  test('has nothing to say when all is given back, be it a little late', async () => {
    await using check = expectNothingOutstanding();
    const context = Context.background.withTimeout(60_000);
    const ended = Context.run(Context.background, {}, (child) => child.sleep(60));
    context.close();
    void check;
    void ended;
  });

  test('what was open before is not held against the test', async () => {
    using context = Context.background.withTimeout(60_000);
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    await expectNothingOutstanding(soon).verify();
    server.close();
    await once(server, 'close');
    assert.equal(context.closed, false);
  });

  test('tells of contexts that stay open: label, deadline, and where they were made', async () => {
    const check = expectNothingOutstanding(soon);
    const forget = (): Context => Context.background.child({ timeout: 60_000_000, label: 'lookup' });
    const forgotten = [forget(), forget()];
    const message = await complaint(check);
    assert.match(message, /^outstanding, and not before:\n {2}contexts: 2 outstanding\n/);
    assert.match(
      message,
      /^ {4}context lookup, \d+ ms old, its deadline in 5999\d{4} ms, made\n {6}at forget /m,
    );
    assert.match(message, /^ {2}deadlines: [23] outstanding$/m);
    for (const context of forgotten) context.close();
  });

  test('tells of contexts that were dropped: leaked, and where they were made', async () => {
    const check = expectNothingOutstanding({ within: 4000 });
    const leaks = Context.background.ledger.counts().leaked;
    const dropOne = (): void => void Context.background.withTimeout(60_000_000);
    dropOne();
    // Until it has been collected it is outstanding: a look before that is no failure, as time is left.
    const message = await complaint(check);
    assert.match(
      message,
      /contexts: 1 leaked \(collected without being closed\)\n {4}0 open, 1 leaked made\n/,
    );
    assert.match(message, /^ {6}at dropOne /m);
    assert.equal(Context.background.ledger.counts().leaked, leaks + 1);
  });

  test('tells of sockets, servers and timers that keep the process alive', async () => {
    const check = expectNothingOutstanding(soon);
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const timer = setTimeout(() => undefined, 60_000);
    const message = await complaint(check);
    assert.match(message, /active TCPServerWrap: 1 outstanding/);
    assert.match(message, /active Timeout: 1 outstanding/);
    clearTimeout(timer);
    server.close();
    await once(server, 'close');
    await expectNothingOutstanding(soon).verify();
  });

  test('tells what a proxy has open that came later, and where it was opened', async (t) => {
    const check = expectNothingOutstanding({ ...soon, ignoreResources: ['TCPSocketWrap', 'TCPServerWrap'] });
    const caDir = await temporaryDirectory(t);
    const proxy = await createProxy({ caDir }).listen();
    const wire = await Wire.connect(proxy.port);
    wire.send('GET ');
    const message = await complaint(check);
    assert.match(message, /^ {2}connections: 1 outstanding\n {4}1 made\n {6}at .*accept/m);
    assert.match(message, /^ {2}contexts: \d outstanding$/m);
    wire.destroy();
    await proxy.close();
    await expectNothingOutstanding(soon).verify();
  });

  test('kinds and resources may be left out', async () => {
    const check = expectNothingOutstanding({
      ...soon,
      ignoreKinds: ['contexts', 'deadlines'],
      ignoreResources: ['Timeout'],
    });
    using context = Context.background.withTimeout(60_000);
    await check.verify();
    assert.equal(context.closed, false);
  });

  test('finds a proxy that was closed and gave not all back', async () => {
    const check = expectNothingOutstanding(soon);
    const ledger = new Ledger();
    const leave = joinLedgers(ledger);
    ledger.sampleStacks(1);
    const forgetOne = (): unknown => ledger.open('exchanges');
    forgetOne();
    assert.match(await complaint(check), /exchanges: 1 outstanding\n {4}1 made\n {6}at forgetOne /);
    leave();
  });

  test('as hooks of a test runner, one check for each test', async () => {
    const hooks: { before?: () => void; after?: () => Promise<void> } = {};
    const runner = {
      beforeEach: (hook: () => void) => (hooks.before = hook),
      afterEach: (hook: () => Promise<void>) => (hooks.after = hook),
    };
    expectNothingOutstandingInEach(runner, soon);
    hooks.before?.();
    const left = Context.background.withCancel();
    await assert.rejects(async () => hooks.after?.(), { name: 'AssertionError', message: /contexts: 1/ });
    hooks.before?.();
    await hooks.after?.();
    left.close();
  });
});

describe('withProxy()', () => {
  test('gives what the work gave, and rejects with what it rejected with', async (t) => {
    const caDir = await temporaryDirectory(t);
    assert.equal(await withProxy({ caDir }, ({ port }) => port > 0), true);
    const work = withProxy({ caDir }, () => {
      throw new Error('the test itself');
    });
    await assert.rejects(work, /the test itself/);
  });

  test('rejects when something is left, and says what', async () => {
    const ledger = new Ledger();
    const proxy = { ledger: (): LedgerLines => ledger.lines() };
    await expectNothingLeft(proxy);
    ledger.open('tunnels');
    await assert.rejects(expectNothingLeft(proxy), {
      name: 'AssertionError',
      message: /tunnels: 1 outstanding/,
    });
  });
});
