/** `createTlsServer` in the place of `tls.createServer`. */
import assert from 'node:assert/strict';
import { constants, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { connectTls } from '../../src/tls/connect.js';
import { createTlsServer, type TlsServerOptions } from '../../src/tls/server.js';
import { type Credentials, TestAuthority } from './support/certificates.js';
import { closing } from './support/closing.js';
import { listen, pairOf } from './support/pairs.js';

const withTimeout = { timeout: 60_000 };
let authority: TestAuthority;
let good: Credentials;
let other: Credentials;

before(async () => {
  authority = await TestAuthority.create('servers');
  good = await authority.issue({ names: 'DNS:a.example' });
  other = await authority.issue({ names: 'DNS:b.example' });
});

after(async () => {
  await authority.close();
});

async function serving(
  t: { after: (clean: () => void) => void },
  options: TlsServerOptions,
): Promise<{
  readonly server: tls.Server;
  readonly port: number;
}> {
  const server = createTlsServer(options);
  const port = await listen(server);
  t.after(() => server.close());
  return { server, port };
}

for (const readBufferSize of ['adaptive', 1024 * 1024] as const) {
  describe(`createTlsServer, readBufferSize ${readBufferSize}`, withTimeout, () => {
    it('is a tls.Server, with its events, counts, address and close', async (t) => {
      const { server, port } = await serving(t, { ...good, readBufferSize });
      assert.ok(server instanceof tls.Server);
      assert.equal((server.address() as net.AddressInfo).port, port);
      const raw = once(server, 'connection');
      const client = tls.connect({ port, ca: authority.cert, servername: 'a.example' });
      const [[socket], [accepted]] = await Promise.all([
        once(server, 'secureConnection'),
        raw,
        once(client, 'secureConnect'),
      ]);
      assert.ok(accepted === undefined || accepted instanceof net.Socket);
      const count = await new Promise<number>((resolve) => {
        server.getConnections((_error, open) => {
          resolve(open);
        });
      });
      assert.equal(count, 1);
      const closed = once(server, 'close');
      server.close();
      const gone = Promise.all([closing(client), closing(socket as net.Socket)]);
      client.resume().end();
      (socket as tls.TLSSocket).resume();
      await Promise.all([gone, closed]);
    });

    it('picks certificates by SNI, answers ALPN, and asks for a certificate of the client', async (t) => {
      const { server, port } = await serving(t, {
        ...good,
        readBufferSize,
        ca: authority.cert,
        requestCert: true,
        rejectUnauthorized: false,
        ALPNProtocols: ['x', 'y'],
        SNICallback: (name, done) => {
          done(null, name === 'b.example' ? tls.createSecureContext(other) : undefined);
        },
      });
      const client = connectTls({
        port,
        ca: authority.cert,
        servername: 'b.example',
        ALPNProtocols: ['y'],
        ...good,
      });
      const [[socket]] = (await Promise.all([
        once(server, 'secureConnection'),
        once(client, 'secureConnect'),
      ])) as unknown as [[tls.TLSSocket]];
      assert.equal(client.alpnProtocol, 'y');
      assert.match(String(client.getPeerCertificate().subjectaltname), /b\.example/);
      assert.match(String(socket.getPeerCertificate().subjectaltname), /a\.example/);
      socket.resume().on('error', () => undefined);
      client.destroy();
      await closing(socket);
    });

    it('refuses a client without a certificate where one is needed', async (t) => {
      const { server, port } = await serving(t, {
        ...good,
        readBufferSize,
        ca: authority.cert,
        requestCert: true,
        rejectUnauthorized: true,
      });
      server.on('secureConnection', () => assert.fail('it was let in'));
      const client = connectTls({ port, ca: authority.cert, servername: 'a.example' });
      client.on('error', () => undefined).resume();
      await closing(client);
    });

    it('tells of what is no handshake, of clients that leave, and of those that never speak', async (t) => {
      const { server, port } = await serving(t, { ...good, readBufferSize, handshakeTimeout: 50 });
      const told: (string | undefined)[] = [];
      server.on('tlsClientError', (error: NodeJS.ErrnoException) => told.push(error.code));
      const garbage = net.connect(port, '127.0.0.1').resume();
      garbage.on('error', () => undefined).write('GET / HTTP/1.1\r\n\r\n');
      await closing(garbage);
      const leaving = net.connect(port, '127.0.0.1').resume();
      leaving.end();
      await closing(leaving);
      const silent = net.connect(port, '127.0.0.1').resume();
      silent.on('error', () => undefined);
      await closing(silent);
      const half = net.connect(port, '127.0.0.1').resume();
      const late = once(server, 'tlsClientError') as Promise<[Error, tls.TLSSocket]>;
      half.on('error', () => undefined).write(Buffer.from([22]));
      // As with `tls.createServer`, whoever listens destroys it.
      (await late)[1].destroy();
      await closing(half);
      assert.deepEqual(told.slice(1), [
        'ECONNRESET',
        'ERR_TLS_HANDSHAKE_TIMEOUT',
        'ERR_TLS_HANDSHAKE_TIMEOUT',
      ]);
      assert.match(String(told[0]), /^ERR_SSL_/);
    });

    it('a hello of any length is read, and TLS is given it in small pieces', async (t) => {
      const { server, port } = await serving(t, { ...good, readBufferSize, ALPNProtocols: ['last'] });
      const sizes: number[] = [];
      server.on('connection', (socket: net.Socket) => {
        let read = net.Socket.prototype.read;
        Object.defineProperty(socket, 'read', {
          set: (replaced: typeof read) => {
            read = replaced;
          },
          get: () => (size?: number) => {
            const chunk = read.call(socket, size) as Buffer | null;
            if (chunk) sizes.push(chunk.length);
            return chunk;
          },
        });
      });
      const ALPNProtocols = [...Array.from({ length: 100 }, (_, at) => `${at}`.padEnd(30, '-')), 'last'];
      const client = tls.connect({ port, ca: authority.cert, servername: 'a.example', ALPNProtocols });
      t.after(() => client.destroy());
      await Promise.all([once(server, 'secureConnection'), once(client, 'secureConnect')]);
      assert.equal(client.alpnProtocol, 'last');
      if (readBufferSize === 'adaptive') {
        assert.ok(sizes.length >= 4, `${sizes.length} pieces`);
        assert.ok(Math.max(...sizes) <= 1000, `pieces of ${sizes.join(', ')}`);
      }
    });

    it("a server that keeps sessions itself gets a hello that comes in parts, as Node's own does", async (t) => {
      const { server, port } = await serving(t, { ...good, readBufferSize, maxVersion: 'TLSv1.2' });
      const saved = new Map<string, Buffer>();
      server.on('newSession', (id: Buffer, data: Buffer, done: () => void) => {
        saved.set(id.toString('hex'), data);
        done();
      });
      server.on('resumeSession', (id: Buffer, done: (error: null, data: Buffer | null) => void) => {
        done(null, saved.get(id.toString('hex')) ?? null);
      });
      const relay = net.createServer((near) => {
        const far = net.connect(port, '127.0.0.1');
        let first = true;
        near.on('error', () => far.destroy()).on('close', () => far.destroy());
        far.on('error', () => near.destroy()).on('close', () => near.destroy());
        far.setNoDelay(true).pipe(near);
        near.on('data', (chunk: Buffer) => {
          if (!first) {
            far.write(chunk);
            return;
          }
          first = false;
          far.write(chunk.subarray(0, 600));
          setTimeout(() => far.write(chunk.subarray(600)), 20);
        });
      });
      const relayPort = await listen(relay);
      t.after(() => relay.close());
      const ALPNProtocols = Array.from({ length: 100 }, (_, at) => `${at}`.padEnd(30, '-'));
      const options = { port: relayPort, ca: authority.cert, servername: 'a.example', ALPNProtocols };
      const { secureOptions } = { secureOptions: constants.SSL_OP_NO_TICKET };
      let session: Buffer | undefined;
      for (const resumed of [false, true]) {
        const client = tls.connect({ ...options, secureOptions, ...(session && { session }) });
        await once(client, 'secureConnect');
        assert.equal(client.isSessionReused(), resumed);
        session = client.getSession();
        client.destroy();
        await closing(client);
      }
    });

    it('half closes: an end on one side leaves the other open', async () => {
      await using pair = await pairOf(
        { ...good, readBufferSize, allowHalfOpen: true },
        { ca: authority.cert, allowHalfOpen: true },
      );
      pair.client.end('question');
      pair.server.resume();
      await once(pair.server, 'end');
      const body = randomBytes(300_000);
      pair.server.end(body);
      const chunks: Buffer[] = [];
      for await (const chunk of pair.client) chunks.push(chunk as Buffer);
      assert.deepEqual(Buffer.concat(chunks), body);
    });

    it('a destroyed connection closes the peer', async () => {
      await using pair = await pairOf({ ...good, readBufferSize }, { ca: authority.cert });
      pair.client.resume();
      pair.server.destroy();
      await closing(pair.client);
    });

    it('writes of text, bytes, many at once and of any size arrive in order', async () => {
      for (const writeBufferSize of [512, 1000, undefined, 16_384, Number.POSITIVE_INFINITY]) {
        await using pair = await pairOf(
          { ...good, readBufferSize, ...(writeBufferSize && { writeBufferSize }) },
          { ca: authority.cert },
        );
        const big = randomBytes(100_000);
        const text = 'äöü€'.repeat(3000);
        pair.server.cork();
        for (let at = 0; at < 50; at += 1) pair.server.write(`${at};`);
        pair.server.write(big);
        pair.server.write(text, 'utf8');
        pair.server.write('00ff', 'hex');
        pair.server.uncork();
        pair.server.end();
        const expected = Buffer.concat([
          Buffer.from(Array.from({ length: 50 }, (_, at) => `${at};`).join('')),
          big,
          Buffer.from(text),
          Buffer.from([0, 255]),
        ]);
        const chunks: Buffer[] = [];
        for await (const chunk of pair.client) chunks.push(chunk as Buffer);
        assert.deepEqual(Buffer.concat(chunks), expected);
      }
    });
  });
}

it('small messages leave in small pieces until a connection is busy, others in pieces below 16 KiB', async () => {
  await using pair = await pairOf(good, { ca: authority.cert });
  /** The sizes of the records that a message comes in. */
  const records = async (send: () => unknown, total: number): Promise<number[]> => {
    const sizes: number[] = [];
    let left = total;
    await new Promise<void>((resolve) => {
      pair.client.on('data', (chunk: Buffer) => {
        sizes.push(chunk.length);
        left -= chunk.length;
        if (left === 0) resolve();
      });
      send();
    });
    pair.client.removeAllListeners('data');
    return sizes;
  };
  const small = Buffer.alloc(2500);
  assert.deepEqual(await records(() => pair.server.write(small), 2500), [1000, 1000, 500]);
  const many = (): void => {
    pair.server.cork();
    for (let at = 0; at < 5; at += 1) pair.server.write(small.subarray(0, 400));
    pair.server.uncork();
  };
  assert.deepEqual(await records(many, 2000), [800, 800, 400]);
  for (let sent = 4500; sent < 16_384; sent += 2500) {
    await records(() => pair.server.write(small), 2500);
  }
  assert.deepEqual(await records(() => pair.server.write(small), 2500), [2500]);
  await using other = await pairOf(good, { ca: authority.cert });
  other.server.write(Buffer.alloc(40_000));
  const [first] = (await once(other.client, 'data')) as [Buffer];
  assert.equal(first.length, 16_383);
});

it('what is no size is refused', () => {
  for (const readBufferSize of [0, 4095, 5 * 1024 * 1024, Number.NaN]) {
    assert.throws(() => createTlsServer({ ...good, readBufferSize }), { code: 'ERR_OPTION_VALUE' });
  }
  for (const writeBufferSize of [0, 511, 1.5e3 + 0.5, -1]) {
    assert.throws(() => createTlsServer({ ...good, writeBufferSize }), { code: 'ERR_OPTION_VALUE' });
  }
  assert.throws(() => createTlsServer({ ...good, budget: 0 }), { code: 'ERR_OPTION_VALUE' });
});
