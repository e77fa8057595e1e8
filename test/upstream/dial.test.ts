import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type LookupFunction, type Server, type Socket, createServer } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { Context } from '../../src/base/context.js';
import { DeadlineWheel } from '../../src/base/deadlines.js';
import { SallyportError } from '../../src/base/errors.js';
import { dialTcp } from '../../src/upstream/dial.js';
import { countListeners } from '../base/listeners.js';
import { Blackhole } from './blackhole.js';

/** A lookup that knows only these, and writes down what it was asked. */
function lookupOf(addresses: readonly string[]): { lookup: LookupFunction; asked: [string, unknown][] } {
  const asked: [string, unknown][] = [];
  const lookup: LookupFunction = (host, options, callback) => {
    asked.push([host, options.all]);
    const answer = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    process.nextTick(callback, null, answer);
  };
  return { lookup, asked };
}

/** How many sockets of this process are open, once what was closed is gone: that takes a turn or two. */
async function tcpHandles(): Promise<number> {
  for (let at = 0; at < 3; at += 1) await new Promise((resolve) => void setImmediate(resolve));
  return process.getActiveResourcesInfo().filter((kind) => kind.startsWith('TCP')).length;
}

suite('dialing', () => {
  let server: Server;
  let port: number;
  let accepted: Socket[];
  let free: number;

  before(async () => {
    accepted = [];
    server = createServer({ allowHalfOpen: true }, (socket) => {
      accepted.push(socket);
      socket.on('error', () => undefined);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as { port: number }).port;
    // A port that was just given back is refused.
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    free = (other.address() as { port: number }).port;
    other.close();
    await once(other, 'close');
  });
  after(() => {
    for (const socket of accepted) socket.destroy();
    server.close();
  });

  const setUp = () => {
    const wheel = new DeadlineWheel();
    return { wheel, context: Context.root(wheel) };
  };

  test('connects to an address, and the socket is clean', async () => {
    const { wheel, context } = setUp();
    const connection = once(server, 'connection') as Promise<[Socket]>;
    const socket = await dialTcp({ host: '127.0.0.1', port, context });
    assert.equal(socket.remotePort, port);
    for (const name of ['connect', 'error', 'close', 'data', 'lookup', 'timeout', 'ready']) {
      assert.equal(socket.listenerCount(name), 0, name);
    }
    assert.equal(wheel.outstanding, 0);
    context.close();
    assert.ok(!socket.destroyed, 'the context has no part in a socket that was handed over');
    // It may be half closed: our end stays open after theirs.
    const [peer] = await connection;
    peer.end();
    socket.resume();
    await once(socket, 'end');
    assert.ok(socket.writable);
    peer.resume();
    socket.end();
    await once(socket, 'close');
  });

  test('resolves names with the lookup it is given, once and for all addresses', async () => {
    const { context } = setUp();
    const { lookup, asked } = lookupOf(['127.0.0.1']);
    const socket = await dialTcp({ host: 'origin.example', port, context, lookup });
    assert.deepEqual(asked, [['origin.example', true]]);
    assert.equal(socket.remoteAddress, '127.0.0.1');
    socket.destroy();
  });

  test('resolves names with the system', async () => {
    const { context } = setUp();
    const socket = await dialTcp({ host: 'localhost', port, context });
    assert.equal(socket.remotePort, port);
    socket.destroy();
  });

  test('a lookup may answer with one address, or call back at once', async () => {
    const { context } = setUp();
    const lookup: LookupFunction = (_host, _options, callback) => {
      callback(null, '127.0.0.1', 4);
    };
    const socket = await dialTcp({ host: 'origin.example', port, context, lookup });
    assert.equal(socket.remoteAddress, '127.0.0.1');
    socket.destroy();
  });

  test('goes on to the next address when one fails', async () => {
    const { context } = setUp();
    // No TCP connection goes to the broadcast address: the system says so at once.
    const { lookup } = lookupOf(['255.255.255.255', '127.0.0.1']);
    const socket = await dialTcp({ host: 'origin.example', port, context, lookup });
    assert.equal(socket.remoteAddress, '127.0.0.1');
    socket.destroy();
  });

  test('a refused connection', async () => {
    const { wheel, context } = setUp();
    const dialing = dialTcp({ host: '127.0.0.1', port: free, context });
    await assert.rejects(dialing, {
      code: 'ERR_UPSTREAM_REFUSED',
      detail: `connecting to 127.0.0.1:${free}: ECONNREFUSED 127.0.0.1:${free}`,
    });
    assert.equal(wheel.outstanding, 0);
  });

  test('the detail lists every address that failed, once', async () => {
    const { context } = setUp();
    const { lookup } = lookupOf(['127.0.0.1', '127.0.0.2', '127.0.0.1']);
    await assert.rejects(dialTcp({ host: 'origin.example', port: free, context, lookup }), {
      code: 'ERR_UPSTREAM_REFUSED',
      detail: `connecting to origin.example:${free}: ECONNREFUSED 127.0.0.1:${free}, ECONNREFUSED 127.0.0.2:${free}`,
    });
  });

  test('an unreachable address', async () => {
    const { context } = setUp();
    await assert.rejects(dialTcp({ host: '255.255.255.255', port, context }), {
      code: 'ERR_UPSTREAM_UNREACHABLE',
    });
  });

  test('a name that is not found', async () => {
    const { context } = setUp();
    const lookup: LookupFunction = (hostname, _options, callback) => {
      const error = Object.assign(new Error('no'), { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname });
      process.nextTick(callback, error, []);
    };
    await assert.rejects(dialTcp({ host: 'origin.example', port, context, lookup }), {
      code: 'ERR_DNS',
      detail: `connecting to origin.example:${port}: ENOTFOUND origin.example`,
    });
  });

  const nonsense: readonly unknown[] = [
    [],
    undefined,
    null,
    'text',
    5,
    [undefined],
    [{ address: '::g' }],
    ['x'],
  ];
  for (const answer of nonsense) {
    test(`a lookup that answers ${JSON.stringify(answer)} is a failure of DNS`, async () => {
      const { context } = setUp();
      const lookup: LookupFunction = (_host, _options, callback) => {
        process.nextTick(callback, null, answer);
      };
      const dialing = dialTcp({ host: 'origin.example', port, context, lookup });
      await assert.rejects(dialing, { code: 'ERR_DNS', detail: 'origin.example has no address' });
    });
  }

  test('a lookup that throws fails the dial, and leaves no listener', async () => {
    const { context } = setUp();
    const listeners = countListeners(context);
    const lookup: LookupFunction = () => {
      throw new Error('broken');
    };
    await assert.rejects(dialTcp({ host: 'origin.example', port, context, lookup }), {
      code: 'ERR_INTERNAL',
    });
    assert.equal(listeners(), 0);
    await assert.rejects(dialTcp({ host: '127.0.0.1', port: free, context }));
    assert.equal(listeners(), 0);
    (await dialTcp({ host: '127.0.0.1', port, context })).destroy();
    assert.equal(listeners(), 0);
  });

  test('a port that is none rejects, and leaves nothing', async () => {
    const { context } = setUp();
    await assert.rejects(dialTcp({ host: '127.0.0.1', port: 70_000, context }), { code: 'ERR_INTERNAL' });
  });

  test('a context that closes during resolution ends the dial; the late answer is not used', async () => {
    const { context } = setUp();
    let answer: (() => void) | undefined;
    const lookup: LookupFunction = (_host, _options, callback) => {
      answer = () => {
        callback(null, [{ address: '127.0.0.1', family: 4 }]);
      };
    };
    const seen = accepted.length;
    const dialing = dialTcp({ host: 'origin.example', port, context, lookup });
    context.close(new SallyportError('ERR_CLIENT_GONE', 'test'));
    await assert.rejects(dialing, {
      code: 'ERR_CLIENT_GONE',
      detail: `connecting to origin.example:${port}: test`,
    });
    const handles = await tcpHandles();
    answer?.();
    assert.equal(await tcpHandles(), handles);
    assert.equal(accepted.length, seen);
  });

  test('a closed context dials nothing', async () => {
    const { context } = setUp();
    context.close();
    const lookup: LookupFunction = () => assert.fail('asked');
    for (const host of ['127.0.0.1', 'origin.example']) {
      await assert.rejects(dialTcp({ host, port, context, lookup }), { code: 'ERR_CANCELLED' });
    }
  });

  suite('an address that does not answer', () => {
    let hole: Blackhole;
    before(async () => {
      hole = await Blackhole.open();
    });
    after(() => hole.close());

    test('is given up when the deadline passes, and its socket is closed', async () => {
      const { wheel, context } = setUp();
      const handles = await tcpHandles();
      const limited = context.withTimeout(300, 'ERR_CONNECT_TIMEOUT');
      await assert.rejects(dialTcp({ host: '127.0.0.1', port: hole.port, context: limited }), {
        code: 'ERR_CONNECT_TIMEOUT',
        detail: `connecting to 127.0.0.1:${hole.port}: its deadline passed`,
      });
      assert.equal(await tcpHandles(), handles);
      assert.equal(wheel.outstanding, 0);
    });

    test('does not keep the next one from being tried beside it', async () => {
      const { wheel, context } = setUp();
      const limited = context.withTimeout(5000, 'ERR_CONNECT_TIMEOUT');
      const { lookup } = lookupOf(['127.0.0.1', '127.0.0.2']);
      // Nobody listens on the second: its refusal shows that it was tried; the first is still waited for.
      const dialing = dialTcp({
        host: 'origin.example',
        port: hole.port,
        context: limited,
        lookup,
        attemptDelay: 20,
      });
      let over = false;
      dialing.catch(() => (over = true));
      await context.sleep(200);
      assert.equal(over, false);
      limited.close(new SallyportError('ERR_CLIENT_GONE', 'test'));
      await assert.rejects(dialing, { code: 'ERR_CLIENT_GONE' });
      assert.equal(wheel.outstanding, 0);
    });
  });
});
