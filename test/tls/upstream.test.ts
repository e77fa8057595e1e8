import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { Context } from '../../src/base/context.js';
import { SallyportError } from '../../src/base/errors.js';
import { TrustContext } from '../../src/tls/trust.js';
import type { UpstreamTlsOptions } from '../../src/tls/upstream.js';
import { type Credentials, TestAuthority, selfSigned } from './support/certificates.js';
import { closing } from './support/closing.js';
import { Origin, greet, openWith, visit } from './support/origin.js';
import { assertRejects } from './support/rejection.js';

/** Whatever is awaited in vain fails the test. */
const withTimeout = { timeout: 60_000 };

let authority: TestAuthority;
let good: Credentials;

before(async () => {
  authority = await TestAuthority.create('origins');
  good = await authority.issue({ names: 'DNS:a.example,DNS:*.w.example,IP:127.0.0.1' });
});

after(async () => {
  await authority.close();
});

function trusting(ca: readonly string[] = [authority.cert]): TrustContext {
  return new TrustContext({ verify: true, ca });
}

function open(
  origin: { readonly port: number },
  options: Partial<UpstreamTlsOptions> = {},
): Promise<tls.TLSSocket> {
  return openWith(origin, { trust: trusting(), ...options });
}

describe('openUpstreamTls', withTimeout, () => {
  it('opens a verified connection, and tells when TCP is connected', async () => {
    const served: (string | false | null)[] = [];
    await using origin = await Origin.tls({ ...good, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) => {
      served.push(socket.servername);
      greet(socket);
    });
    const steps: string[] = [];
    const socket = await open(origin, {
      alpnProtocols: ['http/1.1'],
      onConnected: () => steps.push('connected'),
    });
    steps.push('secured');
    assert.deepEqual(steps, ['connected', 'secured']);
    assert.equal(socket.authorized, true);
    assert.equal(socket.alpnProtocol, 'http/1.1');
    await once(socket, 'data');
    socket.destroy();
    await visit(origin, { trust: trusting(), host: 'A.Example.' });
    assert.deepEqual(served, ['a.example', 'a.example']);
  });

  it('verifies an address, and does not send it as a server name', async () => {
    let served: string | false | null = null;
    await using origin = await Origin.tls(good, (socket) => {
      served = socket.servername;
      greet(socket);
    });
    const socket = await open(origin, { host: '127.0.0.1' });
    assert.equal(socket.authorized, true);
    await once(socket, 'data');
    socket.destroy();
    assert.equal(served, false);
  });

  it('sends and verifies the server name that it is given', async () => {
    await using origin = await Origin.tls(good);
    const socket = await open(origin, { host: '127.0.0.1', serverName: 'x.w.example' });
    assert.equal(socket.servername, 'x.w.example');
    socket.destroy();
    await assertRejects(
      open(origin, { host: '127.0.0.1', serverName: 'b.example' }),
      'ERR_UPSTREAM_CERT_WRONG_HOST',
      /is for DNS:a\.example, DNS:\*\.w\.example, IP Address:127\.0\.0\.1 /,
    );
    await assertRejects(open(origin, { serverName: '127.0.0.1' }), 'ERR_INTERNAL', /must be a DNS name/);
  });

  it('works over a socket that is connected already', async () => {
    await using origin = await Origin.tls(good);
    const under = net.connect({ host: '127.0.0.1', port: origin.port });
    await once(under, 'connect');
    const socket = await open(origin, { socket: under });
    assert.equal(socket.authorized, true);
    const gone = closing(under);
    socket.destroy();
    await gone;

    const refused = net.connect({ host: '127.0.0.1', port: origin.port });
    await once(refused, 'connect');
    const alsoGone = closing(refused);
    await assertRejects(
      open(origin, { socket: refused, host: 'b.example' }),
      'ERR_UPSTREAM_CERT_WRONG_HOST',
      /./,
    );
    await alsoGone;
  });

  it('accepts anything when the policy says so, and only then', async () => {
    const own = await selfSigned('DNS:other.example');
    await using origin = await Origin.tls(own);
    const socket = await open(origin, { trust: new TrustContext({ verify: false }) });
    assert.equal(socket.authorized, false);
    socket.destroy();

    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    try {
      await assertRejects(open(origin), 'ERR_UPSTREAM_CERT_SELF_SIGNED', /./);
    } finally {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
    }
  });

  it('shows the chain afterwards, although the verification looked at the leaf alone', async () => {
    await using origin = await Origin.tls({ ...good, cert: good.cert + authority.cert });
    const socket = await open(origin);
    assert.equal(socket.getPeerCertificate(true).issuerCertificate.subject.CN, 'origins');
    assert.ok(!('issuerCertificate' in socket.getPeerCertificate()));
    socket.destroy();
  });

  it('100 connections make one secure context', async (t) => {
    await using origin = await Origin.tls(good);
    const trust = trusting();
    const create = t.mock.method(tls, 'createSecureContext');
    const sockets = await Promise.all(Array.from({ length: 100 }, () => open(origin, { trust })));
    assert.equal(create.mock.callCount(), 1);
    for (const socket of sockets) socket.destroy();
  });

  it('leaves only what it says, and an error that nobody listens to ends nothing', async () => {
    await using origin = await Origin.tls(good);
    const context = Context.background.withCancel();
    const socket = await open(origin, { context });
    const bare = tls.connect({
      host: '127.0.0.1',
      port: origin.port,
      rejectUnauthorized: false,
      session: undefined,
    });
    await once(bare, 'secureConnect');
    for (const event of ['connect', 'secureConnect', 'close', 'end', 'data', 'secure']) {
      assert.equal(socket.listenerCount(event), bare.listenerCount(event), event);
    }
    assert.equal(socket.listenerCount('error'), bare.listenerCount('error') + 1);
    bare.destroy();
    context.close();
    await once(socket, 'data');
    assert.equal(socket.listenerCount('session'), 0);
    const gone = closing(socket);
    for (const served of origin.sockets) served.resetAndDestroy();
    await gone;
  });
});

describe('a certificate that is not accepted', withTimeout, () => {
  const cases: readonly (readonly [string, () => Promise<Credentials>, string, RegExp])[] = [
    [
      'expired',
      () => authority.issue({ names: 'DNS:a.example', from: -9, to: -1 }),
      'ERR_UPSTREAM_CERT_EXPIRED',
      /CERT_HAS_EXPIRED/,
    ],
    [
      'not yet valid',
      () => authority.issue({ names: 'DNS:a.example', from: 1, to: 9 }),
      'ERR_UPSTREAM_CERT_NOT_YET_VALID',
      /CERT_NOT_YET_VALID/,
    ],
    [
      'self-signed',
      () => selfSigned('DNS:a.example'),
      'ERR_UPSTREAM_CERT_SELF_SIGNED',
      /DEPTH_ZERO_SELF_SIGNED_CERT/,
    ],
    [
      'for another host',
      () => authority.issue({ names: 'DNS:b.example' }),
      'ERR_UPSTREAM_CERT_WRONG_HOST',
      /is for DNS:b\.example /,
    ],
    [
      'for another host, by common name',
      () => authority.issue({ commonName: 'b.example' }),
      'ERR_UPSTREAM_CERT_WRONG_HOST',
      /CN:b\.example/,
    ],
    [
      'not meant for servers',
      () => authority.issue({ names: 'DNS:a.example', extensions: ['extendedKeyUsage = clientAuth'] }),
      'ERR_UPSTREAM_CERT_INVALID',
      /INVALID_PURPOSE/,
    ],
  ];
  for (const [name, make, code, detail] of cases) {
    it(name, async () => {
      await using origin = await Origin.tls(await make());
      const rejected = open(origin);
      await assertRejects(rejected, code, detail);
      await assertRejects(rejected, code, new RegExp(`a\\.example:${origin.port}: `));
      assert.equal(origin.sockets.size, 1);
    });
  }

  it('of an unknown CA, with and without its root in the chain', async () => {
    const other = await TestAuthority.create('other');
    const leaf = await other.issue({ names: 'DNS:a.example' });
    await using alone = await Origin.tls(leaf);
    await assertRejects(
      open(alone),
      'ERR_UPSTREAM_CERT_UNTRUSTED',
      /UNABLE_TO_(?:VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT_LOCALLY)/,
    );
    await using chain = await Origin.tls({ key: leaf.key, cert: leaf.cert + other.cert });
    await assertRejects(
      open(chain),
      'ERR_UPSTREAM_CERT_UNTRUSTED',
      /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET/,
    );
    (await open(chain, { trust: trusting([other.cert]) })).destroy();
    await other.close();
  });

  it('self-signed, but given as trusted', async () => {
    const own = await selfSigned('DNS:a.example');
    await using origin = await Origin.tls(own);
    (await open(origin, { trust: trusting([own.cert]) })).destroy();
  });
});

describe('a connection that fails', withTimeout, () => {
  it('the origin refuses', async () => {
    const closed = await Origin.tcp(() => undefined);
    const { port } = closed;
    await closed[Symbol.asyncDispose]();
    await assertRejects(
      open({ port }),
      'ERR_UPSTREAM_REFUSED',
      new RegExp(`a\\.example:${port}: ECONNREFUSED 127\\.0\\.0\\.1`),
    );
  });

  it('the name is unknown', async () => {
    const lookup: net.LookupFunction = (host, _options, callback) => {
      const error = Object.assign(new Error('unknown'), {
        code: 'ENOTFOUND',
        syscall: 'getaddrinfo',
        hostname: host,
      });
      callback(error, []);
    };
    await assertRejects(open({ port: 443 }, { lookup }), 'ERR_DNS', /ENOTFOUND a\.example/);
  });

  it('a port that is none', async () => {
    await assertRejects(open({ port: 65_536 }), 'ERR_UPSTREAM_UNREACHABLE', /ERR_SOCKET_BAD_PORT/);
  });

  it('the origin closes during the handshake', async () => {
    await using origin = await Origin.tcp((socket) => {
      socket.once('data', () => socket.end());
    });
    await assertRejects(
      open(origin),
      'ERR_UPSTREAM_RESET',
      /the TLS handshake with a\.example:\d+: ECONNRESET/,
    );
  });

  it('the origin resets during the handshake', async () => {
    await using origin = await Origin.tcp((socket) => {
      socket.once('data', () => socket.resetAndDestroy());
    });
    await assertRejects(open(origin), 'ERR_UPSTREAM_RESET', /ECONNRESET/);
  });

  it('the origin speaks plain HTTP', async () => {
    await using origin = await Origin.tcp((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    });
    await assertRejects(open(origin), 'ERR_UPSTREAM_TLS', /does the origin speak TLS on this port\?/);
  });

  it('no version in common', async () => {
    await using origin = await Origin.tls({ ...good, maxVersion: 'TLSv1.2' });
    const trust = new TrustContext({ verify: true, ca: [authority.cert], minVersion: 'TLSv1.3' });
    await assertRejects(open(origin, { trust }), 'ERR_UPSTREAM_TLS', /protocol version/);
  });

  it('the name is never resolved: the deadline of the first phase', async () => {
    const context = Context.background.withTimeout(20, 'ERR_CONNECT_TIMEOUT');
    const lookup: net.LookupFunction = () => undefined;
    await assertRejects(
      open({ port: 443 }, { lookup, context }),
      'ERR_CONNECT_TIMEOUT',
      /^connecting to a\.example:443: /,
    );
  });

  it('the origin says nothing: the deadline of the second phase', async () => {
    const gone: Promise<void>[] = [];
    await using origin = await Origin.tcp((socket) => {
      gone.push(closing(socket));
      socket.resume();
    });
    const context = Context.background.withTimeout(10_000, 'ERR_CONNECT_TIMEOUT');
    const onConnected = () => {
      context.setTimeout(20, 'ERR_UPSTREAM_HANDSHAKE_TIMEOUT');
    };
    await assertRejects(
      open(origin, { context, onConnected }),
      'ERR_UPSTREAM_HANDSHAKE_TIMEOUT',
      /^the TLS handshake with a\.example:\d+: its deadline passed$/,
    );
    await Promise.all(gone);
  });

  it('its context was closed before', async () => {
    const context = Context.background.withCancel();
    context.close(new SallyportError('ERR_SHUTTING_DOWN', 'test'));
    await assertRejects(open({ port: 443 }, { context }), 'ERR_SHUTTING_DOWN', /test/);
  });
});

describe('happy eyeballs', withTimeout, () => {
  const both: net.LookupFunction = (_host, _options, callback) => {
    callback(null, [
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ]);
  };

  it('goes on to an address that lives, with its names, protocols and sessions', async () => {
    await using origin = await Origin.tls({ ...good, ALPNProtocols: ['http/1.1'] });
    const trust = trusting();
    let connected = 0;
    const options = { trust, lookup: both, alpnProtocols: ['http/1.1'], onConnected: () => (connected += 1) };
    const socket = await open(origin, options);
    assert.equal(connected, 1);
    assert.equal(socket.remoteAddress, '127.0.0.1');
    assert.equal(socket.authorized, true);
    assert.equal(socket.alpnProtocol, 'http/1.1');
    socket.destroy();
    await visit(origin, options);
    assert.equal(await visit(origin, options), true);
  });

  it('tells of all addresses when none lives', async () => {
    const closed = await Origin.tcp(() => undefined);
    const { port } = closed;
    await closed[Symbol.asyncDispose]();
    await assertRejects(open({ port }, { lookup: both }), 'ERR_UPSTREAM_REFUSED', /\[::1\]:.*127\.0\.0\.1:/);
  });
});
