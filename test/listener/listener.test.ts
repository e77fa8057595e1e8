import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Server, type Socket, connect } from 'node:net';
import { createInterface } from 'node:readline';
import { suite, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Context } from '../../src/base/context.js';
import { DeadlineWheel } from '../../src/base/deadlines.js';
import type { SallyportError } from '../../src/base/errors.js';
import { Ledger } from '../../src/base/ledger.js';
import { Listener, type ListenerOptions } from '../../src/listener/listener.js';
import { VirtualClock, virtualRoot } from '../base/virtual-clock.js';

const local = { host: '127.0.0.1', port: 0 };

function setUp(t: TestContext, options: Partial<ListenerOptions> = {}) {
  const wheel = new DeadlineWheel();
  const context = Context.root(wheel);
  const ledger = new Ledger();
  const accepted: Socket[] = [];
  const refused: Socket[] = [];
  const failures: SallyportError[] = [];
  const listener = new Listener({
    context,
    ledger,
    limit: 100,
    onConnection: (socket) => accepted.push(socket),
    onRefused: (socket) => refused.push(socket),
    onFailure: (error) => failures.push(error),
    ...options,
  });
  t.after(async () => {
    await listener.stop();
    listener.destroyConnections();
    context.close();
  });
  return { wheel, context, ledger, listener, accepted, refused, failures };
}

async function client(port: number, t: TestContext): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Resolves when `condition` holds; it is looked at in every turn of the event loop, for at most 20 s. */
async function until(condition: () => boolean): Promise<void> {
  const limit = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < limit, `never came true: ${String(condition)}`);
    await new Promise((resolve) => void setImmediate(resolve));
  }
}

/** All that comes, up to the peer's end. The socket stays as it is: iterating would destroy it. */
function readAll(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.on('end', () => {
      resolve(text);
    });
  });
}

suite('the listener', () => {
  test('says where it listens, and hands over what it accepts', async (t) => {
    const { listener, accepted, ledger } = setUp(t);
    const { address, port } = await listener.listen(local);
    assert.equal(address, '127.0.0.1');
    assert.ok(port > 0);
    const socket = await client(port, t);
    await until(() => accepted.length === 1);
    const [peer] = accepted;
    assert.ok(peer);
    assert.equal(peer.remotePort, socket.localPort);
    assert.equal(listener.connections, 1);
    assert.equal(ledger.outstanding('connections'), 1);
    peer.destroy();
    await once(peer, 'close');
    assert.equal(listener.connections, 0);
    assert.equal(ledger.outstanding('connections'), 0);
  });

  test('connections may be half closed, either way', async (t) => {
    const { listener, accepted } = setUp(t);
    const { port } = await listener.listen(local);
    const socket = await client(port, t);
    socket.end('all');
    await until(() => accepted.length === 1);
    const [peer] = accepted;
    assert.ok(peer);
    assert.equal(await readAll(peer), 'all');
    peer.end('still');
    assert.equal(await readAll(socket), 'still');
  });

  test('a reset does not end the process, whenever it comes', async (t) => {
    const { listener, accepted, ledger } = setUp(t);
    const { port } = await listener.listen(local);
    const socket = await client(port, t);
    await until(() => accepted.length === 1);
    const [peer] = accepted;
    assert.ok(peer);
    const closed = new Promise((resolve) => peer.on('close', resolve));
    socket.resetAndDestroy();
    assert.equal(await closed, true, 'it closed without an error');
    assert.equal(ledger.outstanding('connections'), 0);
    // Nobody has to listen, even when the proxy takes its own listeners away.
    peer.emit('error', new Error('late'));
  });

  suite('what cannot be listened on', () => {
    test('a port in use, and then another port', async (t) => {
      const { listener } = setUp(t);
      const { port } = await listener.listen(local);
      const { listener: second } = setUp(t);
      await assert.rejects(second.listen({ host: '127.0.0.1', port }), {
        code: 'ERR_PORT_IN_USE',
        detail: `listening on 127.0.0.1:${port}: EADDRINUSE`,
      });
      const { port: other } = await second.listen(local);
      assert.notEqual(other, port);
    });

    test('an address that is not ours', async (t) => {
      const { listener } = setUp(t);
      await assert.rejects(listener.listen({ host: '192.0.2.1', port: 0 }), { code: 'ERR_LISTEN' });
    });

    test('a name that does not exist', async (t) => {
      const { listener } = setUp(t);
      await assert.rejects(listener.listen({ host: 'nowhere.invalid', port: 0 }), { code: 'ERR_LISTEN' });
    });

    test('a port that is none', async (t) => {
      const { listener } = setUp(t);
      await assert.rejects(listener.listen({ host: '127.0.0.1', port: 70_000 }), { code: 'ERR_LISTEN' });
    });

    for (const code of ['EACCES', 'EPERM']) {
      test(`one that is not permitted (${code})`, async (t) => {
        const { listener } = setUp(t);
        t.mock.method(Server.prototype, 'listen', function (this: Server) {
          process.nextTick(() => this.emit('error', Object.assign(new Error('listen'), { code })));
          return this;
        });
        await assert.rejects(listener.listen({ host: '127.0.0.1', port: 80 }), {
          code: 'ERR_PORT_FORBIDDEN',
        });
      });
    }
  });

  suite('over the limit', () => {
    test('a client is told 503 and closed; when one leaves, the next is welcome', async (t) => {
      // Time stands still: the refused one is closed because its client closes, not when its time is over.
      const { wheel, root } = virtualRoot();
      const { listener, accepted, refused, ledger } = setUp(t, { limit: 2, context: root });
      const { port } = await listener.listen(local);
      const [first] = [await client(port, t), await client(port, t)];
      await until(() => accepted.length === 2);
      const third = await client(port, t);
      third.write('CONNECT example.com:443 HTTP/1.1\r\n\r\n');
      const answer = await readAll(third);
      third.end();
      const [head = '', body = ''] = answer.split('\r\n\r\n');
      assert.match(head, /^HTTP\/1\.1 503 Service Unavailable\r\n/);
      assert.match(head, /\r\nConnection: close(\r\n|$)/);
      assert.match(head, /\r\nProxy-Status: sallyport; error=connection_limit_reached\r\n/);
      assert.equal(Number(/\r\nContent-Length: (\d+)/.exec(head)?.[1]), body.length);
      assert.equal(refused.length, 1);
      assert.equal(accepted.length, 2);
      assert.equal(listener.connections, 2);
      await until(() => ledger.outstanding('connections') === 2);
      assert.equal(wheel.outstanding, 0);
      first?.destroy();
      accepted[0]?.destroy();
      await until(() => listener.connections === 1);
      await client(port, t);
      await until(() => accepted.length === 3);
    });

    test('one that does not close is closed after a second', async (t) => {
      const { listener, refused, ledger, wheel } = setUp(t, { limit: 0 });
      const { port } = await listener.listen(local);
      const socket = await client(port, t);
      await until(() => refused.length === 1);
      assert.equal(wheel.outstanding, 1);
      const [peer] = refused;
      assert.ok(peer);
      const started = performance.now();
      await once(peer, 'close');
      assert.ok(performance.now() - started > 500);
      assert.equal(socket.destroyed, false);
      assert.equal(wheel.outstanding, 0);
      assert.equal(ledger.outstanding('connections'), 0);
    });

    test('no more than 64 are answered at one time', async (t) => {
      const { listener, refused, ledger } = setUp(t, { limit: 0 });
      const { port } = await listener.listen(local);
      const clients = await Promise.all(Array.from({ length: 80 }, () => client(port, t)));
      await until(() => refused.length === 80);
      await until(() => ledger.outstanding('connections') <= 64);
      assert.equal(ledger.outstanding('connections'), 64);
      for (const socket of clients) socket.destroy();
      await until(() => ledger.outstanding('connections') === 0);
    });

    test('those that are being answered end with the context', async (t) => {
      const { listener, refused, context, ledger } = setUp(t, { limit: 0 });
      const { port } = await listener.listen(local);
      await client(port, t);
      await until(() => refused.length === 1);
      context.close();
      await until(() => ledger.outstanding('connections') === 0);
    });
  });

  suite('stopping', () => {
    test('closes the listening socket at once; open connections go on', async (t) => {
      const { listener, accepted } = setUp(t);
      const { port } = await listener.listen(local);
      const socket = await client(port, t);
      await until(() => accepted.length === 1);
      await listener.stop();
      await listener.stop();
      const late = connect(port, '127.0.0.1');
      const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNREFUSED');
      const [peer] = accepted;
      peer?.write('still here');
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      assert.equal(chunk.toString(), 'still here');
      listener.destroyConnections();
      await until(() => listener.connections === 0);
    });

    test('before it listened, and while it begins to', async (t) => {
      const { listener } = setUp(t);
      let server: Server | undefined;
      const { listen } = Server.prototype;
      t.mock.method(Server.prototype, 'listen', function (this: Server, ...args: Parameters<typeof listen>) {
        server = this;
        return listen.apply(this, args);
      });
      const beginning = listener.listen(local);
      await listener.stop();
      await assert.rejects(beginning, { code: 'ERR_SHUTTING_DOWN' });
      assert.equal(server?.listening, false);
      const { listener: other } = setUp(t);
      await other.stop();
      await assert.rejects(other.listen(local), { code: 'ERR_SHUTTING_DOWN' });
    });
  });

  test('failed accepts are reported once a second, counted, and survived', async (t) => {
    const clock = new VirtualClock(5);
    let server: Server | undefined;
    const { listen } = Server.prototype;
    t.mock.method(Server.prototype, 'listen', function (this: Server, ...args: Parameters<typeof listen>) {
      server = this;
      return listen.apply(this, args);
    });
    const { listener, failures, accepted } = setUp(t, { clock });
    const { port } = await listener.listen(local);
    const fail = (): void => {
      server?.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE', syscall: 'accept' }));
    };
    for (let at = 0; at < 10; at += 1) fail();
    clock.advance(999);
    fail();
    assert.equal(failures.length, 1);
    clock.advance(1);
    fail();
    assert.deepEqual(
      failures.map(({ code, detail }) => [code, detail]),
      [
        ['ERR_ACCEPT', 'accept EMFILE'],
        ['ERR_ACCEPT', 'accept EMFILE (11 times since the last report)'],
      ],
    );
    await client(port, t);
    await until(() => accepted.length === 1);
  });

  test('out of file descriptors, clients are closed; with descriptors free again, they are served', async (t) => {
    const server = fileURLToPath(new URL('./listener-process.js', import.meta.url));
    const child: ChildProcess = spawn(
      'sh',
      ['-c', 'ulimit -n 40 && exec "$0" "$1"', process.execPath, server],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    t.after(() => child.kill('SIGKILL'));
    assert.ok(child.stdout && child.stdin);
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const port = Number((await lines.next()).value);

    const clients: Socket[] = [];
    let closed = 0;
    for (let at = 0; at < 100; at += 1) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined).on('close', () => (closed += 1));
      socket.resume();
      t.after(() => socket.destroy());
      clients.push(socket);
    }
    // Those that found no descriptor are closed; the others stay, and are served.
    await until(() => closed > 60);
    const echoes = clients.map((socket) => {
      const first = readFirst(socket);
      socket.write('echo');
      return first;
    });
    assert.ok((await Promise.all(echoes)).includes('echo'), 'nobody was served');
    for (const socket of clients) socket.destroy();

    // The server sees the closes in its own time.
    for (let served = false; !served;) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write('again');
      served = (await readFirst(socket)) === 'again';
      socket.destroy();
    }
    assert.equal(child.exitCode, null);
    child.stdin.end();
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, 0);
  });
});

/** The first chunk, or `undefined` when the socket closes without one. */
function readFirst(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    if (socket.closed) resolve(undefined);
    socket.once('data', (chunk: Buffer) => {
      resolve(chunk.toString());
    });
    socket.once('close', () => {
      resolve(undefined);
    });
  });
}
