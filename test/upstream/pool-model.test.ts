/**
 * The pool against a model: any sequence of requests, dials that end well or badly, connections that come
 * back, die or go stale, requesters that leave, and time that passes.
 *
 * The model knows who waits (in order), who holds what, and what is idle (in order). It does not foresee
 * which dials are begun; it checks that none is missing and that no limit is exceeded.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Context } from '../../src/base/context.js';
import { SallyportError } from '../../src/base/errors.js';
import { Ledger } from '../../src/base/ledger.js';
import { Pool, type PoolOptions } from '../../src/upstream/pool.js';
import { virtualRoot } from '../base/virtual-clock.js';
import { FakeConnection, FakeDials, settled } from './fake-connections.js';

const idleTimeout = 1000;
const keys = ['a', 'b', 'c'] as const;

interface Request {
  readonly key: string;
  readonly context: Context;
}

class World {
  readonly limits: PoolOptions['limits'];
  readonly time = virtualRoot();
  readonly ledger = new Ledger();
  readonly pool: Pool<FakeConnection>;
  readonly dials: FakeDials;
  /** In the order of their coming, those of all keys. */
  readonly waiting: Request[] = [];
  readonly held: FakeConnection[] = [];
  /** In the order of their becoming idle. */
  readonly idle: { readonly connection: FakeConnection; readonly since: number }[] = [];
  readonly all: FakeConnection[] = [];
  served = 0;

  constructor(limits: PoolOptions['limits']) {
    this.limits = limits;
    const { root, clock } = this.time;
    this.pool = new Pool({ context: root.withCancel(), ledger: this.ledger, limits, idleTimeout, clock });
    this.dials = new FakeDials({
      idle: (connection) => {
        assert.ok(!this.held.includes(connection) && !this.isIdle(connection), 'idle while it is elsewhere');
        this.idle.push({ connection, since: clock.now() });
      },
      closed: (connection) => {
        assert.ok(!this.held.includes(connection), 'the pool closed what somebody holds');
        this.forgetIdle(connection);
      },
    });
  }

  isIdle(connection: FakeConnection): boolean {
    return this.idle.some((entry) => entry.connection === connection);
  }

  forgetIdle(connection: FakeConnection): void {
    const at = this.idle.findIndex((entry) => entry.connection === connection);
    if (at !== -1) this.idle.splice(at, 1);
  }

  hold(connection: FakeConnection, key: string): void {
    assert.equal(connection.key, key);
    assert.ok(!this.held.includes(connection), 'given to two at once');
    this.forgetIdle(connection);
    this.held.push(connection);
  }

  request(key: string, stubborn: boolean): void {
    const expected = this.idle.findLast(({ connection }) => connection.key === key && connection.usable);
    const taken = this.pool.takeIdle(key);
    assert.equal(taken, expected?.connection, 'not the one used last');
    if (taken) {
      this.hold(taken, key);
      return;
    }
    const request: Request = { key, context: this.time.root.withCancel() };
    const lacking = this.lacking();
    this.waiting.push(request);
    this.pool.acquire(key, this.dials.opener(key, stubborn), request.context).then(
      (connection) => {
        const head = this.waiting.find((other) => other.key === key);
        assert.equal(head, request, 'served out of order');
        this.waiting.splice(this.waiting.indexOf(request), 1);
        this.hold(connection, key);
        this.served += 1;
      },
      (error: unknown) => {
        assert.ok(error instanceof SallyportError);
        if (error.code === 'ERR_UPSTREAM_LIMIT' && !request.context.closed) {
          assert.ok(lacking >= this.limits.upstreamWaiters, 'refused although the line had room');
        }
        this.waiting.splice(this.waiting.indexOf(request), 1);
      },
    );
  }

  /** For how many who wait no dial is under way. */
  lacking(): number {
    return keys.reduce((sum, key) => {
      const waiting = this.waiting.filter((request) => request.key === key).length;
      const dials = this.dials.open.filter((dial) => dial.key === key && !dial.cancelled).length;
      return sum + Math.max(0, waiting - dials);
    }, 0);
  }

  check(): void {
    const { pool, held, idle, waiting, dials, limits, ledger } = this;
    const now = this.time.clock.now();
    assert.deepEqual(pool.counts, {
      busy: held.length,
      idle: idle.length,
      dialing: dials.open.length,
      waiting: waiting.length,
    });
    const places = held.length + idle.length + dials.open.length;
    assert.equal(ledger.outstanding('upstreamSockets'), places);
    assert.equal(ledger.outstanding('upstreamWaiters'), waiting.length);
    assert.ok(places <= limits.upstreamTotal, 'the total is exceeded');
    for (const key of keys) {
      const ofKey = (entry: { readonly key: string }): boolean => entry.key === key;
      const idleOfKey = idle.filter(({ connection }) => ofKey(connection)).length;
      const dialsOfKey = dials.open.filter(ofKey);
      const own = held.filter(ofKey).length + idleOfKey + dialsOfKey.length;
      const inLine = waiting.filter(ofKey).length;
      assert.ok(own <= limits.upstreamPerOrigin, 'the limit of an origin is exceeded');
      assert.ok(idleOfKey <= limits.upstreamIdlePerOrigin, 'too many are idle');
      assert.ok(inLine === 0 || idleOfKey === 0, 'somebody waits beside an idle connection');
      const lacking = inLine > dialsOfKey.filter(({ cancelled }) => !cancelled).length;
      const full = places >= limits.upstreamTotal && idle.length === 0;
      assert.ok(!lacking || own >= limits.upstreamPerOrigin || full, 'a dial is missing');
    }
    for (const { since } of idle) assert.ok(now <= since + idleTimeout + 11, 'idle for too long');
    const lost = this.all.filter((one) => !one.closed && !held.includes(one) && !this.isIdle(one));
    assert.deepEqual(lost, [], 'a connection was lost');
  }

  /** Lets everybody who waits be served, and closes. Nothing may be left. */
  async end(): Promise<void> {
    for (let round = 0; this.waiting.length > 0; round += 1) {
      assert.ok(round < 1000, 'some are never served');
      const dial = this.dials.open[0];
      if (dial) this.all.push(dial.succeed());
      const connection = this.held.shift();
      if (connection) this.pool.release(connection);
      await settled();
      this.check();
    }
    this.pool.close();
    for (const connection of this.held.splice(0)) this.pool.release(connection);
    for (const dial of [...this.dials.open]) this.all.push(dial.succeed());
    await settled();
    assert.ok(this.all.every(({ closed }) => closed));
    assert.equal(this.ledger.outstanding('upstreamSockets'), 0);
    assert.equal(this.ledger.outstanding('upstreamWaiters'), 0);
    assert.equal(this.time.wheel.outstanding, 0);
  }
}

type Act = (world: World) => void;

/** A command that acts on one of what there is, or does nothing when there is none. */
class Command implements fc.AsyncCommand<object, World> {
  readonly #name: string;
  readonly #act: Act;

  constructor(name: string, act: Act) {
    this.#name = name;
    this.#act = act;
  }

  check(): boolean {
    return true;
  }

  async run(_model: object, world: World): Promise<void> {
    this.#act(world);
    await settled();
    world.check();
  }

  toString(): string {
    return this.#name;
  }
}

const pick = <T>(from: readonly T[], at: number): T | undefined => from[at % from.length];

const kinds: readonly fc.Arbitrary<Command>[] = [
  fc
    .tuple(fc.constantFrom(...keys), fc.boolean())
    .map(([key, stubborn]) => new Command(`request ${key}`, (world) => world.request(key, stubborn))),
  fc.nat(20).map(
    (at) =>
      new Command(`dial ${at} succeeds`, ({ dials, all }) => {
        const connection = pick(dials.open, at)?.succeed();
        if (connection) all.push(connection);
      }),
  ),
  fc.nat(20).map(
    (at) =>
      new Command(`dial ${at} brings a dead one`, ({ dials }) => {
        const dial = pick(dials.open, at);
        if (!dial) return;
        const dead = new FakeConnection(dial.key);
        dead.usable = false;
        dial.succeed(dead);
      }),
  ),
  fc.nat(20).map(
    (at) =>
      new Command(`dial ${at} fails`, ({ dials }) => {
        pick(dials.open, at)?.fail(new SallyportError('ERR_UPSTREAM_REFUSED', 'test'));
      }),
  ),
  fc.tuple(fc.nat(20), fc.boolean()).map(
    ([at, usable]) =>
      new Command(`release ${at}${usable ? '' : ' unusable'}`, ({ held, pool }) => {
        const connection = pick(held, at);
        if (!connection) return;
        held.splice(held.indexOf(connection), 1);
        connection.usable &&= usable;
        pool.release(connection);
      }),
  ),
  fc.nat(20).map(
    (at) =>
      new Command(`busy ${at} dies`, ({ held, pool }) => {
        const connection = pick(held, at);
        if (!connection) return;
        held.splice(held.indexOf(connection), 1);
        connection.die();
        pool.release(connection);
      }),
  ),
  fc.nat(20).map(
    (at) =>
      new Command(`idle ${at} dies`, (world) => {
        const connection = pick(world.idle, at)?.connection;
        if (!connection) return;
        world.forgetIdle(connection);
        connection.die();
      }),
  ),
  fc.nat(20).map(
    (at) =>
      new Command(`idle ${at} goes stale`, ({ idle }) => {
        const connection = pick(idle, at)?.connection;
        if (connection) connection.usable = false;
      }),
  ),
  fc.tuple(fc.nat(20), fc.constantFrom('ERR_CLIENT_GONE' as const, 'ERR_CONNECT_TIMEOUT' as const)).map(
    ([at, code]) =>
      new Command(`waiter ${at} leaves with ${code}`, ({ waiting }) => {
        pick(waiting, at)?.context.close(new SallyportError(code, 'test'));
      }),
  ),
  fc.nat(1500).map((ms) => new Command(`${ms} ms pass`, ({ time }) => time.clock.advance(ms))),
  fc.constantFrom(...keys).map((key) => new Command(`closeIdle ${key}`, ({ pool }) => pool.closeIdle(key))),
];

/** Requests, dials that succeed and releases, which come first, more often than the rest. */
const commands = kinds.flatMap((kind, at) =>
  new Array<fc.Arbitrary<Command>>([6, 5, 1, 1, 4][at] ?? 1).fill(kind),
);

const limits = fc.record({
  upstreamPerOrigin: fc.integer({ min: 1, max: 4 }),
  upstreamTotal: fc.integer({ min: 1, max: 7 }),
  upstreamIdlePerOrigin: fc.integer({ min: 0, max: 3 }),
  upstreamWaiters: fc.integer({ min: 0, max: 6 }),
});

test('the pool keeps its promises in any sequence of events', async () => {
  let served = 0;
  await fc.assert(
    fc.asyncProperty(
      limits,
      fc.commands(commands, { maxCommands: 120, size: 'max' }),
      async (some, script) => {
        const world = new World(some);
        await fc.asyncModelRun(() => ({ model: {}, real: world }), script);
        await world.end();
        served += world.served;
      },
    ),
    { numRuns: 400 },
  );
  assert.ok(served > 1000, `only ${served} requests were served in all`);
});
