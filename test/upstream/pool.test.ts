import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Context } from '../../src/base/context.js';
import { SallyportError } from '../../src/base/errors.js';
import { Ledger } from '../../src/base/ledger.js';
import { Pool, type PoolOptions, poolKey } from '../../src/upstream/pool.js';
import { countListeners } from '../base/listeners.js';
import { virtualRoot } from '../base/virtual-clock.js';
import { FakeConnection, FakeDials, settled } from './fake-connections.js';

const gone = new SallyportError('ERR_CLIENT_GONE', 'test');

/** What became of a request for a connection. */
interface Request {
  readonly context: Context;
  readonly promise: Promise<FakeConnection>;
  connection: FakeConnection | undefined;
  error: SallyportError | undefined;
}

function setUp(limits: Partial<PoolOptions['limits']> = {}, idleTimeout = 30_000) {
  const { root, clock, wheel } = virtualRoot();
  const ledger = new Ledger();
  const context = root.withCancel();
  const pool = new Pool<FakeConnection>({
    context,
    ledger,
    limits: {
      upstreamPerOrigin: 10,
      upstreamTotal: 100,
      upstreamIdlePerOrigin: 10,
      upstreamWaiters: 100,
      ...limits,
    },
    idleTimeout,
    clock,
  });
  const dials = new FakeDials();
  const ask = (key = 'a'): Request => {
    const own = root.withCancel();
    const promise = pool.acquire(key, dials.opener(key), own);
    const request: Request = { context: own, promise, connection: undefined, error: undefined };
    promise.then(
      (connection) => (request.connection = connection),
      (error: unknown) => (request.error = error as SallyportError),
    );
    return request;
  };
  /** A connection that is in use. */
  const connected = async (key = 'a'): Promise<FakeConnection> => {
    const { promise } = ask(key);
    const dial = dials.open.find((one) => one.key === key);
    dial?.succeed();
    return promise;
  };
  return { root, clock, wheel, ledger, context, pool, dials, ask, connected };
}

suite('the pool', () => {
  test('makes the first connection, and hands it out again without a promise', async () => {
    const { pool, ask, dials } = setUp();
    assert.equal(pool.takeIdle('a'), undefined);
    const request = ask();
    assert.deepEqual(pool.counts, { busy: 0, idle: 0, dialing: 1, waiting: 1 });
    const connection = dials.at(0).succeed();
    assert.equal(await request.promise, connection);
    assert.deepEqual(pool.counts, { busy: 1, idle: 0, dialing: 0, waiting: 0 });
    assert.equal(pool.takeIdle('a'), undefined);
    pool.release(connection);
    assert.equal(connection.idled, 1);
    assert.deepEqual(pool.counts, { busy: 0, idle: 1, dialing: 0, waiting: 0 });
    assert.equal(pool.takeIdle('b'), undefined);
    assert.equal(pool.takeIdle('a'), connection);
    assert.equal(pool.takeIdle('a'), undefined);
    pool.release(connection);
    assert.equal(await ask().promise, connection);
    assert.equal(dials.begun, 1);
  });

  test('hands out the one used last', async () => {
    const { pool, connected } = setUp();
    const three = [await connected(), await connected(), await connected()];
    for (const connection of three) pool.release(connection);
    assert.deepEqual([pool.takeIdle('a'), pool.takeIdle('a'), pool.takeIdle('a')], three.toReversed());
  });

  test('drops idle ones that are not usable, and one that dies at once', async () => {
    const { pool, connected, ledger } = setUp();
    const [one, two, three] = [await connected(), await connected(), await connected()];
    for (const connection of [one, two, three]) pool.release(connection);
    two.die();
    assert.equal(pool.counts.idle, 2);
    three.usable = false;
    assert.equal(pool.takeIdle('a'), one);
    assert.ok(three.closed);
    await settled();
    assert.equal(ledger.outstanding('upstreamSockets'), 1);
  });

  test('a connection that is released unusable is closed; one that died is forgotten', async () => {
    const { pool, connected, ledger } = setUp();
    const [one, two] = [await connected(), await connected()];
    one.usable = false;
    pool.release(one);
    assert.ok(one.closed);
    two.die();
    pool.release(two);
    pool.release(new FakeConnection('stranger'));
    assert.deepEqual(pool.counts, { busy: 0, idle: 0, dialing: 0, waiting: 0 });
    await settled();
    assert.equal(ledger.outstanding('upstreamSockets'), 0);
  });

  test('releasing twice is a mistake that is told', async () => {
    const { pool, connected } = setUp();
    const connection = await connected();
    pool.release(connection);
    assert.throws(() => pool.release(connection), { code: 'ERR_INTERNAL' });
    assert.equal(pool.counts.idle, 1);
  });

  suite('the line', () => {
    test('is served in order, by whatever comes free', async () => {
      const { pool, ask, dials } = setUp({ upstreamPerOrigin: 2 });
      const requests = [ask(), ask(), ask(), ask()];
      assert.equal(dials.begun, 2);
      // The second dial ends first: the first in line has it.
      const second = dials.at(1).succeed();
      await settled();
      assert.equal(requests[0]?.connection, second);
      pool.release(second);
      await settled();
      assert.equal(requests[1]?.connection, second);
      const first = dials.at(0).succeed();
      await settled();
      assert.equal(requests[2]?.connection, first);
      pool.release(first);
      await settled();
      assert.equal(requests[3]?.connection, first);
      assert.equal(dials.begun, 2);
      assert.equal(first.idled + second.idled, 0);
    });

    test('a place that comes free is dialed for', async () => {
      const { ask, dials, connected } = setUp({ upstreamPerOrigin: 1 });
      const busy = await connected();
      const request = ask();
      assert.equal(dials.open.length, 0);
      busy.die();
      assert.equal(dials.open.length, 1);
      const connection = dials.at(0).succeed();
      assert.equal(await request.promise, connection);
    });

    test('a dial that nobody needs any more ends among the idle, and serves the next', async () => {
      const { pool, ask, dials, connected } = setUp();
      const busy = await connected();
      const first = ask();
      pool.release(busy);
      assert.equal(await first.promise, busy);
      assert.equal(pool.counts.dialing, 1);
      const second = ask();
      assert.equal(dials.begun, 2, 'the dial under way is enough');
      const connection = dials.at(0).succeed();
      assert.equal(await second.promise, connection);
    });

    test('a failed dial fails the head, and a new one is begun for the rest', async () => {
      const { ask, dials } = setUp({ upstreamPerOrigin: 1 });
      const [first, second] = [ask(), ask()];
      const refused = new SallyportError('ERR_UPSTREAM_REFUSED', 'test');
      dials.at(0).fail(refused);
      await settled();
      assert.equal(first.error, refused);
      assert.equal(second.error, undefined);
      assert.equal(dials.begun, 2);
      dials.at(0).succeed();
      await settled();
      assert.ok(second.connection);
    });

    test('nobody is failed by a dial that began before they came', async () => {
      const { pool, ask, dials, connected } = setUp();
      const busy = await connected();
      const first = ask();
      pool.release(busy);
      await first.promise;
      const late = ask();
      dials.at(0).fail(new SallyportError('ERR_CONNECT_TIMEOUT', 'of somebody else'));
      await settled();
      assert.equal(late.error, undefined);
      dials.at(0).succeed();
      await settled();
      assert.ok(late.connection);
    });

    test('what open throws, in whatever way, is what acquire rejects with', async () => {
      const { pool, root, ledger } = setUp();
      const thrown = new Error('thrown');
      const broken = pool.acquire(
        'a',
        () => {
          throw thrown;
        },
        root.withCancel(),
      );
      await assert.rejects(broken, thrown);
      assert.deepEqual(pool.counts, { busy: 0, idle: 0, dialing: 0, waiting: 0 });
      assert.equal(ledger.outstanding('upstreamSockets'), 0);
    });

    test('a connection that is closed as soon as it is made fails the head, not for ever', async () => {
      const { pool, ask, dials, ledger } = setUp();
      const request = ask();
      const dead = new FakeConnection('a');
      dead.usable = false;
      dials.at(0).succeed(dead);
      await settled();
      assert.equal(request.error?.code, 'ERR_UPSTREAM_RESET');
      assert.equal(dials.begun, 1);
      assert.equal(pool.counts.dialing, 0);
      assert.equal(ledger.outstanding('upstreamSockets'), 0);
    });

    test('is bounded', async () => {
      const { ask, dials, pool } = setUp({ upstreamPerOrigin: 1, upstreamWaiters: 2 });
      const requests = [ask(), ask(), ask(), ask(), ask('b')];
      await settled();
      assert.deepEqual(
        requests.map(({ error }) => error?.code),
        [undefined, undefined, undefined, 'ERR_UPSTREAM_LIMIT', undefined],
      );
      assert.equal(pool.counts.waiting, 4);
      dials.at(0).succeed();
      await settled();
      assert.ok(requests[0]?.connection && !requests[1]?.connection);
    });

    test('with no waiters allowed, those whom the limits let dial are not refused', async () => {
      const { ask } = setUp({ upstreamPerOrigin: 1, upstreamWaiters: 0 });
      const requests = [ask('a'), ask('b'), ask('a')];
      await settled();
      assert.deepEqual(
        requests.map(({ error }) => error?.code),
        [undefined, undefined, 'ERR_UPSTREAM_LIMIT'],
      );
    });
  });

  suite('a requester that leaves', () => {
    test('takes a dial along that nobody else waits for', async () => {
      const { ask, dials, pool, ledger } = setUp();
      const request = ask();
      const dial = dials.at(0);
      request.context.close(gone);
      await settled();
      assert.equal(request.error, gone);
      assert.ok(dial.cancelled);
      assert.deepEqual(pool.counts, { busy: 0, idle: 0, dialing: 0, waiting: 0 });
      assert.equal(ledger.outstanding('upstreamSockets') + ledger.outstanding('upstreamWaiters'), 0);
    });

    test('leaves the dial to the next in line', async () => {
      const { ask, dials } = setUp({ upstreamPerOrigin: 1 });
      const [first, second] = [ask(), ask()];
      first.context.close(gone);
      const dial = dials.at(0);
      assert.ok(!dial.cancelled);
      const connection = dial.succeed();
      assert.equal(await second.promise, connection);
      assert.equal(dials.begun, 1);
    });

    test('is told of the limits where they were what it waited for', async () => {
      const { ask, connected } = setUp({ upstreamPerOrigin: 2 });
      await connected();
      const [dialing, waiting, cancelled] = [ask(), ask(), ask()];
      const late = new SallyportError('ERR_CONNECT_TIMEOUT', 'its deadline passed');
      waiting.context.close(late);
      cancelled.context.close(gone);
      dialing.context.close(late);
      await settled();
      assert.equal(waiting.error?.code, 'ERR_UPSTREAM_LIMIT');
      assert.equal(waiting.error.cause, late);
      assert.equal(dialing.error, late);
      assert.equal(cancelled.error, gone);
    });

    test('a cancelled dial that succeeds nevertheless is closed', async () => {
      const { pool, root, ledger } = setUp();
      const stubborn = new FakeDials();
      const own = root.withCancel();
      const asked = pool.acquire('a', stubborn.opener('a', true), own);
      own.close(gone);
      await assert.rejects(asked, gone);
      assert.equal(pool.counts.dialing, 1, 'it holds its place until it ends');
      const connection = stubborn.at(0).succeed();
      await settled();
      assert.ok(connection.closed);
      assert.deepEqual(pool.counts, { busy: 0, idle: 0, dialing: 0, waiting: 0 });
      assert.equal(ledger.outstanding('upstreamSockets'), 0);
    });

    test('a closed context asks for nothing', async () => {
      const { pool, root, dials } = setUp();
      const own = root.withCancel();
      own.close(gone);
      await assert.rejects(pool.acquire('a', dials.opener('a'), own), gone);
      assert.equal(dials.begun, 0);
      assert.equal(pool.counts.waiting, 0);
    });
  });

  suite('limits', () => {
    test('at the total, the one idle longest makes room, whosever it is', async () => {
      const { pool, connected, ask, dials } = setUp({ upstreamTotal: 3 });
      const [a, b, c] = [await connected('a'), await connected('b'), await connected('c')];
      pool.release(b);
      pool.release(a);
      ask('d');
      assert.ok(b.closed && !a.closed && !c.closed);
      assert.equal(dials.open.length, 1);
      ask('e');
      assert.ok(a.closed && !c.closed);
      const last = ask('f');
      assert.equal(dials.open.length, 2);
      pool.release(c);
      assert.ok(c.closed, 'what becomes idle makes room too');
      dials.at(2).succeed();
      assert.equal((await last.promise).key, 'f');
    });

    test('free places go round between the keys', async () => {
      const { ask, dials, connected } = setUp({ upstreamTotal: 1 });
      const busy = await connected('x');
      for (const key of ['a', 'a', 'a', 'b', 'c', 'b']) ask(key);
      busy.die();
      const order: string[] = [];
      for (let at = 0; at < 6; at += 1) {
        assert.equal(dials.open.length, 1);
        order.push(dials.at(0).key);
        const connection = dials.at(0).succeed();
        await settled();
        connection.die();
      }
      assert.deepEqual(order, ['a', 'b', 'c', 'a', 'b', 'a']);
    });

    test('idle ones of a key are at most so many; the oldest goes', async () => {
      const { pool, connected } = setUp({ upstreamIdlePerOrigin: 2 });
      const three = [await connected(), await connected(), await connected()];
      for (const connection of three) pool.release(connection);
      assert.deepEqual(
        three.map(({ closed }) => closed),
        [true, false, false],
      );
      assert.equal(pool.counts.idle, 2);
    });

    test('with none idle allowed, each is closed after use', async () => {
      const { pool, connected } = setUp({ upstreamIdlePerOrigin: 0 });
      const connection = await connected();
      pool.release(connection);
      assert.ok(connection.closed);
      assert.equal(connection.idled, 0);
    });
  });

  suite('the idle timeout', () => {
    test('closes what was idle for so long, with one deadline for all', async () => {
      const { pool, connected, clock, wheel } = setUp({}, 1000);
      const [one, two, other] = [await connected('a'), await connected('a'), await connected('b')];
      assert.equal(wheel.outstanding, 0);
      pool.release(one);
      clock.advance(300);
      pool.release(two);
      pool.release(other);
      assert.equal(wheel.outstanding, 1);
      clock.advance(690);
      assert.ok(!one.closed);
      clock.advance(30);
      assert.ok(one.closed && !two.closed && !other.closed);
      clock.advance(300);
      assert.ok(two.closed && other.closed);
      assert.equal(wheel.outstanding, 0);
      assert.equal(clock.armed, 0);
    });

    test('counts from the last use', async () => {
      const { pool, connected, clock } = setUp({}, 1000);
      const connection = await connected();
      for (let at = 0; at < 5; at += 1) {
        pool.release(connection);
        clock.advance(900);
        assert.equal(pool.takeIdle('a'), connection);
      }
      clock.advance(5000);
      assert.ok(!connection.closed, 'it is in use');
      pool.release(connection);
      clock.advance(1020);
      assert.ok(connection.closed);
    });

    test('Infinity keeps them', async () => {
      const { pool, connected, clock, wheel } = setUp({}, Number.POSITIVE_INFINITY);
      const connection = await connected();
      pool.release(connection);
      clock.advance(1e9);
      assert.equal(wheel.outstanding, 0);
      assert.equal(pool.takeIdle('a'), connection);
    });
  });

  suite('closing', () => {
    test('closes the idle, cancels dials, fails the line; what is busy ends when it is released', async () => {
      const { pool, connected, ask, dials, ledger, wheel } = setUp({ upstreamPerOrigin: 2 });
      const idle = await connected('b');
      pool.release(idle);
      const busy = await connected('a');
      const [dialing, waiting] = [ask('a'), ask('a')];
      const dial = dials.at(0);
      pool.close();
      pool.close();
      await settled();
      assert.ok(idle.closed && !busy.closed && dial.cancelled);
      assert.equal(dialing.error?.code, 'ERR_SHUTTING_DOWN');
      assert.equal(waiting.error?.code, 'ERR_SHUTTING_DOWN');
      assert.deepEqual(pool.counts, { busy: 1, idle: 0, dialing: 0, waiting: 0 });
      await assert.rejects(ask('a').promise, { code: 'ERR_SHUTTING_DOWN' });
      pool.release(busy);
      assert.ok(busy.closed);
      await settled();
      assert.equal(ledger.outstanding('upstreamSockets') + ledger.outstanding('upstreamWaiters'), 0);
      assert.equal(wheel.outstanding, 0);
    });

    test('follows from the end of its context', async () => {
      const { context, pool, connected, ask } = setUp();
      const idle = await connected('b');
      pool.release(idle);
      const request = ask('a');
      context.close();
      await settled();
      assert.ok(idle.closed);
      assert.equal(request.error?.code, 'ERR_SHUTTING_DOWN');
    });

    test('closeIdle closes what is idle under one key', async () => {
      const { pool, connected } = setUp();
      const [one, two, busy, other] = [
        await connected('a'),
        await connected('a'),
        await connected('a'),
        await connected('b'),
      ];
      for (const connection of [one, two, other]) pool.release(connection);
      pool.closeIdle('a');
      pool.closeIdle('unknown');
      assert.ok(one.closed && two.closed && !busy.closed && !other.closed);
      assert.deepEqual(pool.counts, { busy: 1, idle: 1, dialing: 0, waiting: 0 });
    });
  });

  test('no listener stays on a context, however the waiting or the pool ended', async () => {
    const { root, clock } = virtualRoot();
    const ledger = new Ledger();
    const context = root.withCancel();
    const poolListeners = countListeners(context);
    const limits = { upstreamPerOrigin: 1, upstreamTotal: 9, upstreamIdlePerOrigin: 9, upstreamWaiters: 1 };
    const pool = new Pool<FakeConnection>({ context, ledger, limits, idleTimeout: 1000, clock });
    const dials = new FakeDials();
    const own = root.withCancel();
    const listeners = countListeners(own);
    const ask = (): Promise<FakeConnection> => pool.acquire('a', dials.opener('a'), own);
    const refused = ask();
    assert.equal(listeners(), 1);
    dials.at(0).fail(gone);
    await assert.rejects(refused, gone);
    const served = ask();
    const waiting = ask();
    await assert.rejects(ask(), { code: 'ERR_UPSTREAM_LIMIT' });
    assert.equal(listeners(), 2);
    dials.at(0).succeed();
    await served;
    assert.equal(listeners(), 1);
    pool.close();
    await assert.rejects(waiting, { code: 'ERR_SHUTTING_DOWN' });
    assert.equal(listeners(), 0);
    assert.equal(poolListeners(), 0);
  });

  test('keys tell schemes, hosts, ports and policies apart', () => {
    const origin = { scheme: 'https', host: 'a.example', port: 443 } as const;
    const keys = [
      poolKey(origin, 'default'),
      poolKey({ ...origin, scheme: 'http' }, 'default'),
      poolKey({ ...origin, host: '::1' }, 'default'),
      poolKey({ ...origin, port: 444 }, 'default'),
      poolKey(origin, 'other'),
    ];
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(poolKey({ ...origin }, 'default'), keys[0]);
  });
});
