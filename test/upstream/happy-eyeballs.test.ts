import assert from 'node:assert/strict';
import { Socket, isIPv6 } from 'node:net';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { SallyportError } from '../../src/base/errors.js';
import { interleaveFamilies, raceAddresses } from '../../src/upstream/happy-eyeballs.js';
import { virtualRoot } from '../base/virtual-clock.js';

/** A race whose sockets do what the test says: `connect` and `fail` by address. */
function setUp(addresses: readonly string[]) {
  const { root, clock, wheel } = virtualRoot();
  const context = root.withCancel();
  const started: [address: string, at: number][] = [];
  const sockets = new Map<string, Socket>();
  const open = (address: string): Socket => {
    const socket = new Socket();
    started.push([address, clock.now()]);
    sockets.set(address, socket);
    return socket;
  };
  const get = (address: string): Socket => {
    const socket = sockets.get(address);
    assert.ok(socket, `${address} was not tried`);
    return socket;
  };
  const race = raceAddresses(addresses, open, context);
  // Rejections are looked at later than they happen.
  race.catch(() => undefined);
  return {
    clock,
    wheel,
    context,
    race,
    get,
    started: () => started.map(([address]) => address),
    startedAt: started,
    connect: (address: string) => get(address).emit('connect'),
    fail: (address: string) => get(address).destroy(new Error(address)),
  };
}

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

suite('the order of addresses', () => {
  test('families take turns, beginning with that of the first', () => {
    assert.deepEqual(interleaveFamilies(['::1', '::2', '::3', '127.0.0.1', '127.0.0.2']), [
      '::1',
      '127.0.0.1',
      '::2',
      '127.0.0.2',
      '::3',
    ]);
    assert.deepEqual(interleaveFamilies(['127.0.0.1', '::1', '127.0.0.2']), [
      '127.0.0.1',
      '::1',
      '127.0.0.2',
    ]);
    assert.deepEqual(interleaveFamilies(['::1', '127.0.0.1', '127.0.0.2']), [
      '::1',
      '127.0.0.1',
      '127.0.0.2',
    ]);
    assert.deepEqual(interleaveFamilies([]), []);
  });

  test('nothing is lost, and each family keeps its order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.oneof(fc.ipV4(), fc.ipV6())), (addresses) => {
        const ordered = interleaveFamilies(addresses);
        assert.equal(ordered.length, addresses.length);
        for (const family of [true, false]) {
          const of = (list: readonly string[]): string[] => list.filter((ip) => isIPv6(ip) === family);
          assert.deepEqual(of(ordered), of(addresses));
        }
      }),
    );
  });
});

suite('the race of addresses', () => {
  test('one address needs no timer', async () => {
    const { race, connect, get, wheel } = setUp(['a']);
    assert.equal(wheel.outstanding, 0);
    connect('a');
    assert.equal(await race, get('a'));
  });

  test('the next address is tried after 250 ms, beside the one before', async () => {
    const { race, connect, get, clock, wheel, startedAt } = setUp(['a', 'b', 'c']);
    clock.advance(249);
    assert.equal(startedAt.length, 1);
    clock.advance(11);
    assert.equal(startedAt.length, 2);
    clock.advance(230);
    assert.equal(startedAt.length, 2);
    clock.advance(20);
    assert.equal(startedAt.length, 3);
    assert.equal(wheel.outstanding, 0);
    connect('a');
    assert.equal(await race, get('a'));
    assert.ok(get('b').destroyed && get('c').destroyed && !get('a').destroyed);
  });

  test('the winner has no listener of the race, and the context neither', async () => {
    const { race, connect, clock, context } = setUp(['a', 'b', 'c']);
    clock.advance(300);
    connect('b');
    const socket = await race;
    const left = socket
      .eventNames()
      .filter((name) => socket.listenerCount(name) > new Socket().listenerCount(name));
    assert.deepEqual(left, []);
    context.close();
    assert.ok(!socket.destroyed);
  });

  test('a failed one lets the next begin at once, which then has its own 250 ms', async () => {
    const { fail, connect, clock, started, race, get } = setUp(['a', 'b', 'c']);
    clock.advance(200);
    fail('a');
    await settled();
    assert.deepEqual(started(), ['a', 'b']);
    clock.advance(200);
    assert.deepEqual(started(), ['a', 'b']);
    clock.advance(70);
    assert.deepEqual(started(), ['a', 'b', 'c']);
    connect('c');
    assert.equal(await race, get('c'));
  });

  test('one that failed does not end the race while another is under way', async () => {
    const { fail, connect, clock, race, get } = setUp(['a', 'b']);
    clock.advance(300);
    fail('b');
    await settled();
    connect('a');
    assert.equal(await race, get('a'));
  });

  test('when all fail, so does the race, with every error in order', async () => {
    const { fail, race, wheel } = setUp(['a', 'b', 'c']);
    for (const address of ['a', 'b', 'c']) {
      fail(address);
      await settled();
    }
    await assert.rejects(race, (error) => {
      assert.ok(error instanceof AggregateError);
      assert.deepEqual(error.errors.map(String), ['Error: a', 'Error: b', 'Error: c']);
      return true;
    });
    assert.equal(wheel.outstanding, 0);
  });

  test('the only error comes as it is', async () => {
    const { fail, race } = setUp(['a']);
    fail('a');
    await assert.rejects(race, { message: 'a' });
  });

  test('a context that closes ends it, destroys every socket and starts no other', async () => {
    const { race, clock, context, get, started, wheel } = setUp(['a', 'b', 'c']);
    clock.advance(300);
    const cause = new SallyportError('ERR_CLIENT_GONE', 'test');
    context.close(cause);
    await assert.rejects(race, cause);
    assert.deepEqual(started(), ['a', 'b']);
    assert.ok(get('a').destroyed && get('b').destroyed);
    assert.equal(wheel.outstanding, 0);
  });

  test('a closed context starts none', async () => {
    const { context } = setUp(['a']);
    context.close();
    await assert.rejects(
      raceAddresses(['a'], () => assert.fail('tried'), context),
      { code: 'ERR_CANCELLED' },
    );
  });

  test('a loser that fails in the same moment does not end the process', async () => {
    const { race, clock, connect, fail, get } = setUp(['a', 'b']);
    clock.advance(300);
    // The error is emitted on the next tick, after the race is over.
    fail('b');
    connect('a');
    assert.equal(await race, get('a'));
    await settled();
  });

  test('a connect that throws fails the race and leaves nothing', async () => {
    const { root, wheel } = virtualRoot();
    const context = root.withCancel();
    const broken = raceAddresses(
      ['a', 'b'],
      () => {
        throw new RangeError('port');
      },
      context,
    );
    await assert.rejects(broken, RangeError);
    assert.equal(wheel.outstanding, 0);
  });
});
