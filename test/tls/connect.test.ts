/** `connectTls` in the place of `tls.connect`. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { connectTls, type ConnectTlsOptions, TlsClient } from '../../src/tls/connect.js';
import { createTlsServer } from '../../src/tls/server.js';
import { TrustContext } from '../../src/tls/trust.js';
import { type Credentials, TestAuthority } from './support/certificates.js';
import { closing } from './support/closing.js';
import { listen } from './support/pairs.js';

const withTimeout = { timeout: 60_000 };
let authority: TestAuthority;
let good: Credentials;

before(async () => {
  authority = await TestAuthority.create('clients');
  good = await authority.issue({ names: 'DNS:a.example,IP:127.0.0.1,IP:::1' });
});

after(async () => {
  await authority.close();
});

type Clean = { after: (clean: () => void) => void };

async function greeter(t: Clean, options: tls.TlsOptions = {}, host?: string): Promise<number> {
  const server = tls.createServer({ ...good, ...options }, (socket) => {
    socket.on('error', () => undefined);
    socket.write('hello');
    socket.pipe(socket);
  });
  t.after(() => server.close());
  return listen(server, host);
}

for (const readBufferSize of ['adaptive', 1024 * 1024] as const) {
  /** Whether the session was resumed. */
  const visit = async (port: number, options: ConnectTlsOptions = {}): Promise<boolean> => {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      servername: 'a.example',
      ca: authority.cert,
      readBufferSize,
      ...options,
    });
    await once(socket, 'data');
    const resumed = socket.isSessionReused();
    // Tickets come before the greeting is answered.
    socket.write('x');
    await once(socket, 'data');
    socket.destroy();
    await closing(socket);
    return resumed;
  };

  describe(`connectTls, readBufferSize ${readBufferSize}`, withTimeout, () => {
    it('is a TLSSocket that tells connect, then secureConnect, and knows its addresses', async (t) => {
      const port = await greeter(t);
      let called = false;
      const socket = connectTls(
        { port, host: '127.0.0.1', servername: 'a.example', ca: authority.cert, readBufferSize },
        () => (called = true),
      );
      const events: string[] = [];
      socket
        .on('connect', () => events.push('connect'))
        .on('secureConnect', () => events.push('secureConnect'));
      await once(socket, 'secureConnect');
      assert.ok(socket instanceof tls.TLSSocket);
      assert.deepEqual([events, called], [['connect', 'secureConnect'], true]);
      assert.deepEqual([socket.authorized, socket.encrypted], [true, true]);
      assert.deepEqual([socket.remoteAddress, socket.remotePort], ['127.0.0.1', port]);
      assert.equal((socket.address() as net.AddressInfo).port, socket.localPort);
      assert.equal(socket.setNoDelay(true).setKeepAlive(true).unref().ref(), socket);
      socket.destroy();
      await closing(socket);
    });

    it('setTimeout tells when nothing happens', async (t) => {
      const port = await greeter(t);
      const socket = connectTls({ port, host: '127.0.0.1', ca: authority.cert, readBufferSize });
      await once(socket, 'data');
      socket.setTimeout(20);
      await once(socket, 'timeout');
      socket.destroy();
      await closing(socket);
    });

    it('speaks to IPv6 addresses', async (t) => {
      const port = await greeter(t, {}, '::1');
      assert.equal(await visit(port, { host: '::1' }), false);
    });

    it('verifies by default, the chain and the name', async (t) => {
      const port = await greeter(t);
      for (const [options, code] of [
        [{ ca: undefined }, /^UNABLE_TO|^SELF_SIGNED|^DEPTH_ZERO/],
        [{ ca: authority.cert, servername: 'b.example' }, /^ERR_TLS_CERT_ALTNAME_INVALID$/],
      ] as const) {
        const socket = connectTls({ port, host: '127.0.0.1', readBufferSize, ...options });
        const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
        assert.match(String(error.code), code);
        await closing(socket);
      }
      const socket = connectTls({ port, host: '127.0.0.1', readBufferSize, rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      assert.equal(socket.authorized, false);
      socket.destroy();
      await closing(socket);
    });

    it('resumes sessions under equal options only', async (t) => {
      const port = await greeter(t);
      assert.equal(await visit(port), false);
      assert.equal(await visit(port), true);
      assert.equal(await visit(port, { rejectUnauthorized: false }), false);
      assert.equal(await visit(port, { ALPNProtocols: ['x'] }), false);
      assert.equal(await visit(port, { checkServerIdentity: () => undefined }), false);
      const trust = new TrustContext({ verify: true, ca: [authority.cert] });
      assert.equal(await visit(port, { trust }), false);
      assert.equal(await visit(port, { trust, rejectUnauthorized: false }), false);
      assert.equal(await visit(port, { trust }), true);
    });

    it('what fails before the handshake is an error, and nothing is left', async (t) => {
      const closed = net.createServer();
      const port = await listen(closed);
      closed.close();
      const refused = connectTls({ port, host: '127.0.0.1', readBufferSize });
      const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNREFUSED');
      await closing(refused);
      const mute = net.createServer((socket) => socket.resume().on('error', () => undefined));
      const mutePort = await listen(mute);
      t.after(() => mute.close());
      for (const when of ['at once', 'connected']) {
        const socket = connectTls({ port: mutePort, host: '127.0.0.1', readBufferSize });
        if (when === 'connected') await once(socket, 'connect');
        socket.destroy();
        await closing(socket);
      }
      const rude = net.createServer((socket) => socket.resetAndDestroy());
      const rudePort = await listen(rude);
      t.after(() => rude.close());
      const reset = connectTls({ port: rudePort, host: '127.0.0.1', readBufferSize });
      const [cut] = (await once(reset, 'error')) as [NodeJS.ErrnoException];
      assert.equal(cut.code, 'ECONNRESET');
    });

    it('a peer that is cut off in a transfer ends with an error, not in order', async (t) => {
      const raw: net.Socket[] = [];
      const server = tls.createServer(good, (socket) => {
        socket.on('error', () => undefined);
        socket.write(Buffer.alloc(100_000));
        socket.once('data', () => {
          setImmediate(() => raw[0]?.resetAndDestroy());
        });
      });
      server.on('connection', (socket) => raw.push(socket));
      t.after(() => server.close());
      const port = await listen(server);
      const socket = connectTls({ port, host: '127.0.0.1', ca: authority.cert, readBufferSize }).resume();
      await once(socket, 'secureConnect');
      socket.write('now');
      const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNRESET');
    });
  });
}

describe('resetAndDestroy with large reads', withTimeout, () => {
  for (const state of ['idle', 'ended', 'being written to', 'writing'] as const) {
    it(`a connection that is ${state}: the peer sees a reset`, async (t) => {
      const server = createTlsServer(good);
      t.after(() => server.close());
      const port = await listen(server);
      const client = new TlsClient().connect({
        port,
        host: '127.0.0.1',
        ca: authority.cert,
        servername: 'a.example',
        readBufferSize: 65_536,
      });
      const [[peer]] = (await Promise.all([
        once(server, 'secureConnection'),
        once(client, 'secureConnect'),
      ])) as unknown as [[tls.TLSSocket]];
      // Tickets are under way until something is answered: what the peer writes into a reset hides it.
      peer.write('x');
      await once(client, 'data');
      client.write('y');
      await once(peer, 'data');
      client.resume();
      const failed = once(peer.resume(), 'error') as Promise<[NodeJS.ErrnoException]>;
      if (state === 'ended') client.end();
      if (state === 'being written to') peer.write(Buffer.alloc(5_000_000));
      if (state === 'writing') client.write(Buffer.alloc(20_000));
      client.resetAndDestroy();
      assert.ok(client.destroyed);
      assert.equal((await failed)[0].code, 'ECONNRESET');
    });
  }
});

it('clients share sessions with themselves only', async (t) => {
  const port = await greeter(t);
  const [one, other] = [new TlsClient(), new TlsClient()];
  const resumed: boolean[] = [];
  for (const client of [one, one, other]) {
    const socket = client.connect({
      port,
      host: '127.0.0.1',
      servername: 'a.example',
      ca: authority.cert,
    });
    await once(socket, 'data');
    resumed.push(socket.isSessionReused());
    socket.write('x');
    await once(socket, 'data');
    socket.destroy();
    await closing(socket);
  }
  assert.deepEqual(resumed, [false, true, false]);
});

it('nothing in the package uses what connections of the process share', async () => {
  const root = new URL('../../src/', import.meta.url);
  const files = await readdir(root, { recursive: true });
  const users: string[] = [];
  for (const file of files.filter((name) => name.endsWith('.js'))) {
    if (/from '.*\/connect\.js'/.test(await readFile(new URL(file, root), 'utf8'))) users.push(file);
  }
  assert.deepEqual(
    users.filter((file) => !/^(connect|http|listener)\//.test(file)),
    ['tls/index.js'],
  );
});

it('what is no option is refused at once', () => {
  for (const options of [{ readBufferSize: 1 }, { writeBufferSize: 1 }, { budget: -1 }]) {
    assert.throws(() => connectTls({ port: 1, ...options }), { code: 'ERR_OPTION_VALUE' });
  }
});
