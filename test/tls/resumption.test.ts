import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { TrustContext } from '../../src/tls/trust.js';
import { type Credentials, TestAuthority, selfSigned } from './support/certificates.js';
import { OpensslOrigin, Origin, openWith, visit } from './support/origin.js';
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

function trusting(): TrustContext {
  return new TrustContext({ verify: true, ca: [authority.cert] });
}

describe('resumption', withTimeout, () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`the second connection resumes the session of the first, ${version}`, async () => {
      await using origin = await Origin.tls({ ...good, maxVersion: version });
      const trust = trusting();
      assert.equal(await visit(origin, { trust }), false);
      assert.equal(trust.sessions.size, 1);
      assert.equal(await visit(origin, { trust }), true);
      const socket = await openWith(origin, { trust });
      assert.equal(socket.isSessionReused(), true);
      assert.equal(socket.authorized, true);
      socket.destroy();
    });
  }

  it('a session is good for its name only', async () => {
    await using origin = await Origin.tls(good);
    const trust = trusting();
    await visit(origin, { trust });
    await assertRejects(
      openWith(origin, { trust, serverName: 'b.example' }),
      'ERR_UPSTREAM_CERT_WRONG_HOST',
      /./,
    );
    assert.equal(await visit(origin, { trust, serverName: 'x.w.example' }), false);
    assert.equal(await visit(origin, { trust, host: '127.0.0.1', serverName: 'a.example' }), false);
    assert.equal(await visit(origin, { trust, host: 'A.example' }), true);
  });

  it('a session is good for its trust policy only', async () => {
    await using origin = await Origin.tls(await selfSigned('DNS:a.example'));
    const careless = new TrustContext({ verify: false });
    await visit(origin, { trust: careless });
    assert.equal(await visit(origin, { trust: careless }), true);
    await assertRejects(openWith(origin, { trust: trusting() }), 'ERR_UPSTREAM_CERT_SELF_SIGNED', /./);
  });

  it('nothing is kept of a certificate that was not accepted', async () => {
    await using origin = await Origin.tls({ ...good, maxVersion: 'TLSv1.2' });
    const trust = trusting();
    await assertRejects(openWith(origin, { trust, host: 'b.example' }), 'ERR_UPSTREAM_CERT_WRONG_HOST', /./);
    assert.equal(trust.sessions.size, 0);
  });

  it('a ticket that a resumed connection brings does not make the verification younger', async () => {
    // OpenSSL's own server gives a new ticket each time; that of Node does not.
    await using origin = await OpensslOrigin.start(good);
    const trust = trusting();
    const visitPage = async (): Promise<boolean> => {
      const socket = await openWith(origin, { trust });
      socket.write('GET / HTTP/1.0\r\n\r\n');
      await once(socket, 'data');
      const resumed = socket.isSessionReused();
      socket.destroy();
      return resumed;
    };
    const key = `a.example a.example ${origin.port}`;
    assert.equal(await visitPage(), false);
    const kept = trust.sessions.get(key);
    assert.ok(kept);
    trust.sessions.set(key, { ...kept, verifiedAt: kept.verifiedAt - 1000 });
    assert.equal(await visitPage(), true);
    const renewed = trust.sessions.get(key);
    assert.ok(renewed && !renewed.session.equals(kept.session));
    assert.equal(renewed.verifiedAt, kept.verifiedAt - 1000);
  });

  it('a session that the handshake failed with is forgotten', async () => {
    await using origin = await Origin.tls(good);
    const trust = trusting();
    await visit(origin, { trust });
    const { port } = origin;
    await origin[Symbol.asyncDispose]();
    const broken = net.createServer((socket) => {
      socket.once('data', () => socket.end());
    });
    broken.listen(port, '127.0.0.1');
    await once(broken, 'listening');
    await assertRejects(openWith({ port }, { trust }), 'ERR_UPSTREAM_RESET', /./);
    broken.close();
    assert.equal(trust.sessions.size, 0);
  });
});
