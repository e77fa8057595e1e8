import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import tls from 'node:tls';
import { Context } from '../../src/base/context.js';
import { SallyportError } from '../../src/base/errors.js';
import { ClientHelloReader } from '../../src/tls/client-hello.js';
import { type TerminateOptions, terminate } from '../../src/tls/terminate.js';
import { TestAuthority } from './support/certificates.js';
import { closing } from './support/closing.js';
import { assertRejects } from './support/rejection.js';

/** Whatever is awaited in vain fails the test. */
const withTimeout = { timeout: 60_000 };

let authority: TestAuthority;
let secureContext: tls.SecureContext;

before(async () => {
  authority = await TestAuthority.create('client leg');
  secureContext = tls.createSecureContext(await authority.issue({ names: 'DNS:a.example' }));
});

after(async () => {
  await authority.close();
});

type Options = Partial<TerminateOptions>;

/** A listening socket that reads the ClientHello and terminates, as the proxy does. */
class Leg implements AsyncDisposable {
  readonly server = net.createServer({ allowHalfOpen: true });
  readonly #sockets = new Set<net.Socket>();

  static async listen(): Promise<Leg> {
    const leg = new Leg();
    leg.server.on('connection', (socket) => {
      leg.#sockets.add(socket);
      socket.on('error', () => {
        // The proxy's listener has one too.
      });
    });
    leg.server.listen(0, '127.0.0.1');
    await once(leg.server, 'listening');
    return leg;
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  /** The next client, its ClientHello read by `read`, terminated. */
  async next(
    options: Options = {},
    read: (socket: net.Socket) => Promise<Buffer> = readHello,
  ): Promise<tls.TLSSocket> {
    const [socket] = (await once(this.server, 'connection')) as [net.Socket];
    const firstBytes = await read(socket);
    return await terminate(socket, firstBytes, { secureContext, context: Context.background, ...options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}

async function readHello(socket: net.Socket): Promise<Buffer> {
  const reader = new ClientHelloReader();
  await readUntil(socket, (chunk) => reader.push(chunk) !== 'more');
  return reader.bytes;
}

/** Reads until `enough`, and leaves the socket paused and without a listener. */
async function readUntil(socket: net.Socket, enough: (chunk: Buffer) => boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    const onData = (chunk: Buffer): void => {
      if (!enough(chunk)) return;
      socket.off('data', onData);
      socket.pause();
      resolve();
    };
    socket.on('data', onData);
  });
}

function connect(leg: Leg, options: tls.ConnectionOptions = {}): tls.TLSSocket {
  const client = tls.connect({
    host: '127.0.0.1',
    port: leg.port,
    servername: 'a.example',
    ca: authority.cert,
    ...options,
  });
  client.on('error', () => {
    // What the client thinks of it is not the subject.
  });
  return client;
}

async function firstData(socket: net.Socket): Promise<string> {
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  return chunk.toString();
}

/** Says something each way and compares. */
async function assertTalks(client: tls.TLSSocket, server: tls.TLSSocket): Promise<void> {
  client.write('ping');
  assert.equal(await firstData(server), 'ping');
  server.write('pong');
  assert.equal(await firstData(client), 'pong');
}

describe('terminate', withTimeout, () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`a ${version} client`, async () => {
      await using leg = await Leg.listen();
      const client = connect(leg, { minVersion: version, maxVersion: version });
      const server = await leg.next();
      assert.equal(server.getProtocol(), version);
      assert.equal(server.alpnProtocol, false);
      await assertTalks(client, server);
      client.destroy();
    });
  }

  it('answers ALPN by its own preference, and not at all without a list', async () => {
    await using leg = await Leg.listen();
    const offer = ['http/1.1', 'h2'];
    for (const [alpnProtocols, expected] of [
      [['h2', 'http/1.1'], 'h2'],
      [['http/1.1'], 'http/1.1'],
      [[], false],
    ] as const) {
      const client = connect(leg, { ALPNProtocols: offer });
      const [server] = await Promise.all([leg.next({ alpnProtocols }), once(client, 'secureConnect')]);
      assert.equal(server.alpnProtocol, expected);
      assert.equal(client.alpnProtocol, expected);
      client.destroy();
    }
  });

  it('a ClientHello in segments of one byte', async () => {
    await using leg = await Leg.listen();
    const raw = net.connect({ host: '127.0.0.1', port: leg.port, noDelay: true });
    const client = connect(leg, { socket: new ByteByByte(raw) });
    let segments = 0;
    const server = await leg.next({}, async (socket) => {
      const reader = new ClientHelloReader();
      await readUntil(socket, (chunk) => {
        segments += 1;
        return reader.push(chunk) !== 'more';
      });
      return reader.bytes;
    });
    assert.ok(segments > 50, `${segments} segments`);
    await assertTalks(client, server);
    client.destroy();
    raw.destroy();
  });

  it('bytes that came after the first ones, and before the wrap', async () => {
    await using leg = await Leg.listen();
    const client = connect(leg);
    const server = await leg.next({}, async (socket) => {
      let bytes: Buffer = Buffer.alloc(0);
      await readUntil(socket, (chunk) => (bytes = chunk) !== undefined);
      // Only a part was looked at; the rest is in the socket's own buffer.
      socket.unshift(bytes.subarray(20));
      assert.equal(socket.readableLength, bytes.length - 20);
      return bytes.subarray(0, 20);
    });
    await assertTalks(client, server);
    client.destroy();
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`application data in one segment with the client's Finished, ${version}`, async () => {
      await using leg = await Leg.listen();
      const raw = net.connect({ host: '127.0.0.1', port: leg.port });
      const client = connect(leg, { socket: new Gathering(raw), maxVersion: version });
      client.write('early');
      const server = await leg.next();
      assert.equal(await firstData(server), 'early');
      await assertTalks(client, server);
      client.destroy();
      raw.destroy();
    });
  }

  it('a socket that node:http2 can serve', async () => {
    await using leg = await Leg.listen();
    const session = http2.connect('https://a.example', {
      createConnection: () => connect(leg, { ALPNProtocols: ['h2'] }),
    });
    const server = await leg.next({ alpnProtocols: ['h2'] });
    const serverSession = http2.performServerHandshake(server);
    serverSession.on('stream', (stream) => {
      stream.respond({ ':status': 204 }, { endStream: true });
    });
    const request = session.request({ ':path': '/' });
    const [headers] = (await once(request, 'response')) as [
      http2.IncomingHttpHeaders & { ':status'?: number },
    ];
    assert.equal(headers[':status'], 204);
    session.destroy();
    serverSession.destroy();
  });

  it('leaves only what it says', async () => {
    await using leg = await Leg.listen();
    const context = Context.background.withCancel();
    const client = connect(leg);
    let plain: net.Socket | undefined;
    const server = await leg.next({ context }, async (socket) => {
      plain = socket;
      return await readHello(socket);
    });
    const bare = new tls.TLSSocket(new Duplex({ read: () => undefined, write: () => undefined }));
    for (const event of ['secure', 'end', 'close', 'data']) {
      const expected = event === 'close' ? server.listenerCount(event) : bare.listenerCount(event);
      assert.equal(server.listenerCount(event), expected, event);
    }
    // Node's own, and one that drops errors.
    assert.equal(server.listenerCount('error'), bare.listenerCount('error') + 1);
    assert.equal(plain?.listenerCount('end'), new net.Socket().listenerCount('end'));
    // The context has nothing to do with the socket any more.
    context.close();
    await assertTalks(client, server);
    client.destroy();
    bare.destroy();
  });
});

describe('a handshake that fails', withTimeout, () => {
  it('the client does not trust the CA and says so', async () => {
    await using leg = await Leg.listen();
    const args = ['s_client', '-verify_return_error', '-connect', `127.0.0.1:${leg.port}`];
    const client = spawn('openssl', args, { stdio: 'ignore' });
    await assertRejects(
      leg.next(),
      'ERR_CLIENT_HANDSHAKE',
      /^the client does not accept the certificate \(.*alert unknown ca\): it does not trust the CA/,
    );
    if (client.exitCode === null) await once(client, 'exit');
  });

  it('the client does not trust the CA and says nothing, as Node does', async () => {
    await using leg = await Leg.listen();
    const client = connect(leg, { ca: [], minVersion: 'TLSv1.3' });
    const closed = closing(client);
    await assertRejects(
      leg.next(),
      'ERR_CLIENT_HANDSHAKE',
      /the client closed the connection, .*not trust the CA/,
    );
    await closed;
  });

  it('no version in common', async () => {
    const leaf = await authority.issue({ names: 'DNS:a.example' });
    const strict = tls.createSecureContext({ minVersion: 'TLSv1.3', ...leaf });
    await using leg = await Leg.listen();
    connect(leg, { maxVersion: 'TLSv1.2' });
    await assertRejects(
      leg.next({ secureContext: strict }),
      'ERR_CLIENT_HANDSHAKE',
      /^unsupported protocol$/,
    );
  });

  it('no application protocol in common', async () => {
    await using leg = await Leg.listen();
    connect(leg, { ALPNProtocols: ['h2'] });
    await assertRejects(
      leg.next({ alpnProtocols: ['http/1.1'] }),
      'ERR_CLIENT_HANDSHAKE',
      /no application protocol/,
    );
  });

  it('bytes behind the ClientHello that are not TLS', async () => {
    await using leg = await Leg.listen();
    connect(leg);
    const read = async (socket: net.Socket) =>
      Buffer.concat([await readHello(socket), Buffer.from('GET / HTTP/1.1\r\n')]);
    await assertRejects(leg.next({}, read), 'ERR_CLIENT_HANDSHAKE', /./);
  });

  const half = async (socket: net.Socket): Promise<Buffer> => {
    let bytes: Buffer = Buffer.alloc(0);
    await readUntil(socket, (chunk) => (bytes = chunk) !== undefined);
    return bytes;
  };
  const partOfHello = Buffer.from([22, 3, 1, 1, 0, 1, 0, 0, 0xfc]);

  it('the client goes away in the middle', async () => {
    await using leg = await Leg.listen();
    const raw = net.connect({ host: '127.0.0.1', port: leg.port });
    raw.write(partOfHello);
    const outcome = leg.next({}, async (socket) => {
      const bytes = await half(socket);
      setImmediate(() => raw.end());
      return bytes;
    });
    await assertRejects(outcome, 'ERR_CLIENT_HANDSHAKE', /the client closed the connection/);
    raw.destroy();
  });

  it('the client resets in the middle', async () => {
    await using leg = await Leg.listen();
    const raw = net.connect({ host: '127.0.0.1', port: leg.port });
    raw.write(partOfHello);
    const outcome = leg.next({}, async (socket) => {
      const bytes = await half(socket);
      setImmediate(() => raw.resetAndDestroy());
      return bytes;
    });
    await assertRejects(outcome, 'ERR_CLIENT_HANDSHAKE', /the client reset the connection \(ECONNRESET\)/);
  });

  it('the client has gone before the handshake begins', async () => {
    await using leg = await Leg.listen();
    const raw = net.connect({ host: '127.0.0.1', port: leg.port });
    raw.end(partOfHello);
    const outcome = leg.next({}, async (socket) => {
      const bytes = await half(socket);
      socket.resume();
      await once(socket, 'end');
      return bytes;
    });
    await assertRejects(outcome, 'ERR_CLIENT_HANDSHAKE', /the client closed the connection/);
    raw.destroy();
  });

  it('the client has gone, and the end waits behind bytes in the socket', async () => {
    await using leg = await Leg.listen();
    const raw = net.connect({ host: '127.0.0.1', port: leg.port });
    raw.write(partOfHello);
    const outcome = leg.next({}, async (socket) => {
      const bytes = await half(socket);
      socket.unshift(bytes.subarray(5));
      raw.end();
      await once(raw, 'finish');
      // Once a later connection is accepted, the end of this one has been read too.
      const later = net.connect({ host: '127.0.0.1', port: leg.port });
      await once(leg.server, 'connection');
      await turn();
      later.destroy();
      assert.equal(socket.readableEnded, false);
      return bytes.subarray(0, 5);
    });
    await assertRejects(outcome, 'ERR_CLIENT_HANDSHAKE', /the client closed the connection/);
    raw.destroy();
  });

  it('the socket was destroyed before', async () => {
    await using leg = await Leg.listen();
    const raw = net.connect({ host: '127.0.0.1', port: leg.port });
    raw.write(partOfHello);
    const outcome = leg.next({}, async (socket) => {
      const bytes = await half(socket);
      socket.destroy();
      return bytes;
    });
    await assertRejects(outcome, 'ERR_CLIENT_HANDSHAKE', /the client closed the connection/);
    raw.destroy();
  });

  it("its context closes: the error is the context's, and the client is gone", async () => {
    await using leg = await Leg.listen();
    const raw = net.connect({ host: '127.0.0.1', port: leg.port });
    raw.write(partOfHello);
    const context = Context.background.withTimeout(20, 'ERR_CLIENT_HANDSHAKE_TIMEOUT');
    await assertRejects(leg.next({ context }, half), 'ERR_CLIENT_HANDSHAKE_TIMEOUT', /deadline/);
    raw.resume();
    await closing(raw);
  });

  it('its context was closed before', async () => {
    await using leg = await Leg.listen();
    const raw = net.connect({ host: '127.0.0.1', port: leg.port });
    raw.write(partOfHello);
    const context = Context.background.withCancel();
    context.close(new SallyportError('ERR_SHUTTING_DOWN', 'test'));
    await assertRejects(leg.next({ context }, half), 'ERR_SHUTTING_DOWN', /^test$/);
    raw.resume();
    await closing(raw);
  });
});

describe('after the handshake, with nobody listening for errors', withTimeout, () => {
  it('a record that cannot be decrypted destroys the socket', async () => {
    await using leg = await Leg.listen();
    const raw = net.connect({ host: '127.0.0.1', port: leg.port });
    const client = connect(leg, { socket: raw });
    const server = await leg.next();
    await assertTalks(client, server);
    const closed = closing(server);
    raw.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 40]), Buffer.alloc(40, 1)]));
    await closed;
    assert.equal(codeOf(server.errored), 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC');
    client.destroy();
  });

  it('a reset closes the socket', async () => {
    await using leg = await Leg.listen();
    const raw = net.connect({ host: '127.0.0.1', port: leg.port });
    const client = connect(leg, { socket: raw });
    const server = await leg.next();
    await assertTalks(client, server);
    const closed = closing(server);
    raw.resetAndDestroy();
    await closed;
    client.destroy();
  });
});

function codeOf(error: NodeJS.ErrnoException | null): string | undefined {
  return error?.code;
}

/** Hands every byte to the socket in a write of its own, each in a turn of its own. */
class ByteByByte extends Duplex {
  readonly #socket: net.Socket;

  constructor(socket: net.Socket) {
    super();
    this.#socket = socket;
    relayReads(socket, this);
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    const next = (index: number): void => {
      if (index === chunk.length) done();
      else this.#socket.write(chunk.subarray(index, index + 1), () => setImmediate(next, index + 1));
    };
    next(0);
  }
}

/** Gathers what is written in one turn into one write. */
class Gathering extends Duplex {
  readonly #socket: net.Socket;
  #gathered: Buffer[] = [];

  constructor(socket: net.Socket) {
    super();
    this.#socket = socket;
    relayReads(socket, this);
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#gathered.push(chunk) === 1) {
      // Two turns later the Finished and the application data are both there.
      setImmediate(() => {
        setImmediate(() => {
          this.#socket.write(Buffer.concat(this.#gathered));
          this.#gathered = [];
        });
      });
    }
    done();
  }
}

function relayReads(socket: net.Socket, duplex: Duplex): void {
  socket.on('data', (chunk: Buffer) => {
    if (!duplex.push(chunk)) socket.pause();
  });
  socket.on('end', () => duplex.push(null));
  socket.on('error', () => duplex.destroy());
}
