/** Leaves that mirror the certificates of origins, by option. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { constants, X509Certificate } from 'node:crypto';
import type https from 'node:https';
import { describe, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { Context } from '../../src/base/context.js';
import { openFileStore } from '../../src/certs/index.js';
import type { InspectableStore } from '../../src/certs/store.js';
import { isFor, StoreDesk } from '../../src/cli/certs-desk.js';
import type { ProxyOptions } from '../../src/index.js';
import { secureThrough } from '../support/bridge.js';
import { dns, ip, OriginCa, selfSigned } from '../support/origin-ca.js';
import { freePort, httpOrigin, RawOrigin } from '../support/origins.js';
import { eventually, within } from '../support/patience.js';
import type { Credentials } from '../support/pki.js';
import { codeIn, Scene } from '../support/scene.js';
import { temporaryDirectory } from '../support/stage.js';
import type { Wire } from '../support/wire.js';

const execFileAsync = promisify(execFile);

const day = 86_400_000;
/** So that a new certificate is seen at the next connection: a resumed session shows none. */
const noTickets = { secureOptions: constants.SSL_OP_NO_TICKET };

interface Stage {
  readonly scene: Scene;
  readonly ca: OriginCa;
}

async function stage(t: TestContext, options: ProxyOptions = {}): Promise<Stage> {
  const ca = await OriginCa.make(t);
  const scene = await Scene.open(t, { mirrorUpstream: true, upstreamCa: ca.pem, ...options });
  return { scene, ca };
}

/** An HTTPS origin that counts its connections and can take another certificate. */
async function origin(t: TestContext, credentials: Credentials, options: https.ServerOptions = {}) {
  let connections = 0;
  const { port, server } = await httpOrigin(t, (_request, response) => response.end('from the origin'), {
    ...credentials,
    ...options,
  });
  server.on('secureConnection', () => (connections += 1));
  return {
    port,
    get connections() {
      return connections;
    },
    take(changed: Credentials, idle: 'close' | 'keep' = 'close') {
      (server as https.Server).setSecureContext({ ...changed, ...options });
      if (idle === 'close') server.closeIdleConnections();
    },
  };
}

function shown(client: Wire): X509Certificate {
  return new X509Certificate(client.tls.getPeerCertificate().raw);
}

async function get(client: Wire, host: string): Promise<{ head: string; body: string }> {
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  return await client.message();
}

/** Whether the client took the certificate, and what it was, in any case. */
async function whatever(scene: Scene, host: string, port: number): Promise<Wire> {
  return await scene.secureClient(host, port, { rejectUnauthorized: false });
}

describe('mirrorUpstream', () => {
  test('a leaf has the names and times of the origin; the first request uses the connection', async (t) => {
    const { scene, ca } = await stage(t);
    const from = Math.floor((Date.now() - 3_600_000) / 1000) * 1000;
    const until = Math.floor((Date.now() + 30 * day) / 1000) * 1000;
    const names = [dns('example.com'), dns('*.example.com'), ip(192, 0, 2, 1)];
    const there = await origin(t, await ca.issue({ names, notBefore: from, notAfter: until }));
    const client = await scene.secureClient('www.example.com', there.port);
    const leaf = shown(client);
    assert.equal(
      leaf.subjectAltName,
      'DNS:www.example.com, DNS:example.com, DNS:*.example.com, IP Address:192.0.2.1',
    );
    assert.deepEqual([Date.parse(leaf.validFrom), Date.parse(leaf.validTo)], [from, until]);
    assert.equal((await get(client, 'www.example.com')).body, 'from the origin');
    assert.equal((await get(client, 'www.example.com')).body, 'from the origin');
    assert.equal(there.connections, 1);
    assert.equal((await scene.exchange()).server?.reused, false);
  });

  test('openssl takes it for each of the names', async (t) => {
    const { scene, ca } = await stage(t);
    const there = await origin(t, await ca.issue({ names: [dns('a.example'), dns('*.b.example')] }));
    for (const name of ['a.example', 'x.b.example']) {
      const running = execFileAsync('openssl', [
        ...['s_client', '-proxy', `127.0.0.1:${scene.proxy.port}`, '-connect', `a.example:${there.port}`],
        ...['-servername', 'a.example', '-verify_hostname', name, '-verify_return_error', '-x509_strict'],
        ...['-CAfile', scene.proxy.ca.paths.certificate],
      ]);
      running.child.stdin?.end();
      assert.match((await running).stdout, /Verify return code: 0 \(ok\)/, name);
    }
  });

  test('off: no connection is made before a request', async (t) => {
    const { scene, ca } = await stage(t, { mirrorUpstream: false });
    const there = await origin(t, await ca.issue({ names: [dns('a.example'), dns('b.example')] }));
    const client = await scene.secureClient('a.example', there.port);
    assert.equal(shown(client).subjectAltName, 'DNS:a.example');
    assert.equal(there.connections, 0);
  });

  test('the requested host is covered, by whatever the origin was verified', async (t) => {
    const { scene, ca } = await stage(t);
    const wild = await origin(t, await ca.issue({ names: [dns('*.a_b.example'), dns('other.example')] }));
    assert.equal(
      shown(await scene.secureClient('www.a_b.example', wild.port)).subjectAltName,
      'DNS:www.a_b.example, DNS:other.example',
    );
    const address = await origin(t, await ca.issue({ names: [ip(127, 0, 0, 1), dns('b.example')] }));
    assert.equal(
      shown(await scene.secureClient('127.0.0.1', address.port)).subjectAltName,
      'IP Address:127.0.0.1, DNS:b.example',
    );
    const other = await origin(t, await ca.issue({ names: [dns('sni.example')] }));
    const asked = await scene.secureClient('127.0.0.1', other.port, { servername: 'sni.example' });
    assert.equal(shown(asked).subjectAltName, 'DNS:sni.example');
    assert.equal((await get(asked, 'sni.example')).body, 'from the origin');
    assert.equal(other.connections, 1);
  });

  test('one leaf for a certificate however often it comes, another for another', async (t) => {
    const { scene, ca } = await stage(t);
    const host = 'a.example';
    const first = await ca.issue({ names: [dns(host), dns('one.example')] });
    const second = await ca.issue({ names: [dns(host), dns('two.example')] });
    const there = await origin(t, first, noTickets);
    const leafNow = async (): Promise<X509Certificate> => shown(await scene.secureClient(host, there.port));
    const leaf = await leafNow();
    assert.equal((await leafNow()).serialNumber, leaf.serialNumber);
    const idle = (): boolean => scene.proxy.ledger().upstreamSockets.outstanding === 0;
    const change = async (credentials: Credentials): Promise<void> => {
      const client = await scene.secureClient(host, there.port);
      client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      await client.rest();
      there.take(credentials);
      await eventually('the old connections are gone', idle);
    };
    await change(second);
    const changed = await leafNow();
    assert.notEqual(changed.serialNumber, leaf.serialNumber);
    assert.equal(changed.subjectAltName, 'DNS:a.example, DNS:two.example');
    await change(first);
    assert.equal((await leafNow()).serialNumber, leaf.serialNumber);
    assert.equal(scene.proxy.counters().identities.minted, 2);
  });

  test('a resumed connection, which shows no certificate, is known by the session', async (t) => {
    const { scene, ca } = await stage(t);
    const resumed: boolean[] = [];
    scene.proxy.on('tls.upstream', ({ tls: facts }) => resumed.push(facts.resumed));
    const there = await RawOrigin.tls(t, await ca.issue({ names: [dns('a.example'), dns('b.example')] }));
    const one = shown(await scene.secureClient('a.example', there.port));
    // The ticket comes with the first bytes.
    (await there.next()).send('unasked').end();
    await eventually('it is gone', () => scene.proxy.ledger().upstreamSockets.outstanding === 0);
    const two = shown(await scene.secureClient('a.example', there.port));
    assert.deepEqual(resumed, [false, true]);
    assert.equal(two.serialNumber, one.serialNumber);
    assert.equal(two.subjectAltName, 'DNS:a.example, DNS:b.example');
  });

  test('50 clients of a new host at once: one leaf, made once', async (t) => {
    const { scene, ca } = await stage(t);
    const made: string[] = [];
    scene.proxy.on('certificate.made', ({ host }) => made.push(host));
    const there = await origin(t, await ca.issue({ names: [dns('new.example'), dns('b.example')] }));
    const clients = await Promise.all(
      Array.from({ length: 50 }, () => scene.secureClient('new.example', there.port)),
    );
    const serials = new Set(clients.map((client) => shown(client).serialNumber));
    assert.equal(serials.size, 1);
    assert.deepEqual(made, ['new.example']);
    const answers = await Promise.all(clients.map((client) => get(client, 'new.example')));
    assert.ok(answers.every(({ body }) => body === 'from the origin'));
    assert.ok(there.connections <= 50, `${there.connections} connections`);
  });

  test('a client that speaks none of our protocols is shown the mirror too', async (t) => {
    const { scene, ca } = await stage(t);
    const there = await RawOrigin.tls(t, {
      ...(await ca.issue({ names: [dns('h2.example'), dns('b.example')] })),
      ALPNProtocols: ['h2'],
    });
    const client = await scene.secureClient('h2.example', there.port, { ALPNProtocols: ['h2'] });
    assert.equal(shown(client).subjectAltName, 'DNS:h2.example, DNS:b.example');
    await there.next();
    assert.equal(there.connections, 1);
  });

  test('an unverified certificate is not vouched for', async (t) => {
    const { scene } = await stage(t, { verifyUpstream: false, mirrorUpstream: { untrusted: true } });
    const anybody = await OriginCa.make(t);
    const there = await origin(t, await anybody.issue({ names: [dns('other.example')] }));
    const client = await scene.secureClient('a.example', there.port);
    assert.equal(shown(client).subjectAltName, 'DNS:a.example');
    assert.equal((await get(client, 'a.example')).body, 'from the origin');
  });

  test('a hostile certificate: bounded, and without what is no name', async (t) => {
    const { scene, ca } = await stage(t);
    const odd = [dns('a.example'), dns('nul\0.example'), dns('a space.example'), dns('*.com'), dns('*')];
    // As many as OpenSSL takes of a certificate.
    const many = Array.from({ length: 5000 }, (_, index) => dns(`n${index}.b.example`));
    const there = await origin(t, await ca.issue({ names: [...odd, ...many] }));
    const client = await scene.secureClient('a.example', there.port);
    const names = shown(client).subjectAltName?.split(', ') ?? [];
    assert.deepEqual(names.slice(0, 3), ['DNS:a.example', 'DNS:n0.b.example', 'DNS:n1.b.example']);
    assert.equal(names.length, 100);
    assert.equal((await get(client, 'a.example')).body, 'from the origin');
  });

  test('the entries of a store can be found, shown and removed by their host', async (t) => {
    const dir = await temporaryDirectory(t);
    let store: InspectableStore | undefined;
    const { scene, ca } = await stage(t, {
      store: async (context) => (store = await openFileStore({ ...context, dir })),
    });
    const there = await origin(t, await ca.issue({ names: [dns('a.example'), dns('b.example')] }));
    const { serialNumber } = shown(await scene.secureClient('a.example', there.port));
    assert.ok(store);
    const entries = [];
    for await (const entry of store.entries()) entries.push(entry);
    const [entry] = entries;
    assert.ok(entry && entries.length === 1);
    assert.match(entry.key.host, /^a\.example\/mirror:[0-9a-f]{32}$/);
    assert.equal(entry.state, 'valid');
    assert.equal(entry.serial?.toUpperCase(), serialNumber);
    assert.ok(isFor(entry.key, 'a.example') && !isFor(entry.key, 'b.example'));
    const desk = new StoreDesk({ store, authority: scene.proxy.ca });
    assert.equal((await desk.purge({ kind: 'host', host: 'a.example' })).removed, 1);
    await scene.proxy.forgetCertificates(['a.example']);
    assert.notEqual(shown(await scene.secureClient('a.example', there.port)).serialNumber, serialNumber);
  });
});

/** Origins that are not to be trusted, and what is wrong with each. */
const faults: readonly {
  readonly code: string;
  readonly credentials: (ca: OriginCa, t: TestContext) => Promise<Credentials>;
}[] = [
  {
    code: 'ERR_UPSTREAM_CERT_EXPIRED',
    credentials: (ca) => ca.issue({ names: [dns('bad.example')], notAfter: Date.now() - day }),
  },
  {
    code: 'ERR_UPSTREAM_CERT_WRONG_HOST',
    credentials: (ca) => ca.issue({ names: [dns('good.example')] }),
  },
  {
    code: 'ERR_UPSTREAM_CERT_SELF_SIGNED',
    credentials: () => selfSigned({ names: [dns('bad.example')] }),
  },
  {
    code: 'ERR_UPSTREAM_CERT_UNTRUSTED',
    credentials: async (_ca, t) => (await OriginCa.make(t)).issue({ names: [dns('bad.example')] }),
  },
];

describe('an origin that cannot be mirrored', () => {
  for (const { code, credentials } of faults) {
    test(`${code}: a leaf for the host alone, and an error response inside`, async (t) => {
      const { scene, ca } = await stage(t);
      const there = await origin(t, await credentials(ca, t));
      const client = await scene.secureClient('bad.example', there.port);
      assert.equal(shown(client).subjectAltName, 'DNS:bad.example');
      const { head, body } = await get(client, 'bad.example');
      assert.match(head, /^HTTP\/1\.1 502 /);
      assert.equal(codeIn(head), code);
      assert.doesNotMatch(body, /from the origin/);
    });

    test(`${code}, untrusted: the client itself refuses, or is told by the response`, async (t) => {
      const { scene, ca } = await stage(t, { mirrorUpstream: { untrusted: true } });
      const there = await origin(t, await credentials(ca, t));
      await assert.rejects(scene.secureClient('bad.example', there.port), /self-signed|unable to/);
      const client = await whatever(scene, 'bad.example', there.port);
      assert.equal(client.tls.authorized, false);
      const leaf = shown(client);
      assert.equal(leaf.subjectAltName, 'DNS:bad.example');
      assert.match(leaf.issuer, /CN=NOT TRUSTED: the origin has a bad certificate/);
      assert.equal(leaf.verify(scene.proxy.ca.certificate.publicKey), false);
      const { head, body } = await get(client, 'bad.example');
      assert.match(head, /^HTTP\/1\.1 502 /);
      assert.equal(codeIn(head), code);
      assert.doesNotMatch(body, /from the origin/);
      // Others are trusted as ever, in the same moment.
      const good = await origin(t, await ca.issue({ names: [dns('fine.example')] }));
      assert.equal((await scene.secureClient('fine.example', good.port)).tls.authorized, true);
    });
  }

  test('a session of an untrusted leaf is not resumed under a trusted one', async (t) => {
    const { scene, ca } = await stage(t, { mirrorUpstream: { untrusted: true } });
    const host = 'a.example';
    const there = await origin(t, await ca.issue({ names: [dns('b.example')] }), noTickets);
    const options = { rejectUnauthorized: false, maxVersion: 'TLSv1.2' } as const;
    const before = await scene.secureClient(host, there.port, options);
    const session = before.tls.getSession();
    assert.ok(session);
    there.take(await ca.issue({ names: [dns(host)] }));
    const after = await scene.secureClient(host, there.port, { ...options, session });
    assert.equal(after.tls.isSessionReused(), false);
    assert.equal(after.tls.authorized, true);
  });

  for (const mirrorUpstream of [true, { untrusted: true }]) {
    test(`nobody listens: a trusted leaf, and a 502 (${JSON.stringify(mirrorUpstream)})`, async (t) => {
      const { scene } = await stage(t, { mirrorUpstream });
      const client = await scene.secureClient('down.example', await freePort());
      assert.equal(shown(client).subjectAltName, 'DNS:down.example');
      const { head } = await get(client, 'down.example');
      assert.equal(codeIn(head), 'ERR_UPSTREAM_REFUSED');
      const unknown = await scene.secureClient('unknown.invalid', 443);
      assert.equal(codeIn((await get(unknown, 'unknown.invalid')).head), 'ERR_DNS');
    });
  }

  test('a slow origin: the deadline of the client is not used up; its own ends the wait', async (t) => {
    const { scene, ca } = await stage(t, { timeouts: { clientHandshake: 150, upstreamHandshake: 5000 } });
    const credentials = await ca.issue({ names: [dns('slow.example'), dns('b.example')] });
    const there = await origin(t, credentials, {
      SNICallback: (_name, done) => {
        void Context.background.sleep(400).then(() => {
          done(null, tls.createSecureContext(credentials));
        });
      },
    });
    const client = await scene.secureClient('slow.example', there.port);
    assert.equal(shown(client).subjectAltName, 'DNS:slow.example, DNS:b.example');
    assert.equal((await get(client, 'slow.example')).body, 'from the origin');
  });

  test('a silent origin: its deadline, then the leaf of the host and a 504', async (t) => {
    const { scene } = await stage(t, { timeouts: { upstreamHandshake: 50 } });
    const silent = await RawOrigin.tcp(t);
    const client = await scene.secureClient('silent.example', silent.port);
    assert.equal(shown(client).subjectAltName, 'DNS:silent.example');
    const { head } = await get(client, 'silent.example');
    assert.equal(codeIn(head), 'ERR_UPSTREAM_HANDSHAKE_TIMEOUT');
    assert.equal(silent.connections, 1, 'the request does not wait for a deadline of its own');
    assert.equal((await scene.exchange()).error?.code, 'ERR_UPSTREAM_HANDSHAKE_TIMEOUT');
    await scene.secureClient('silent.example', silent.port);
    assert.equal(silent.connections, 2, 'another client asks anew');
  });

  test('what failed before the handshake is told to one request; the next one tries again', async (t) => {
    const { scene, ca } = await stage(t);
    const bad = await ca.issue({ names: [dns('b.example')] });
    const there = await origin(t, bad);
    const client = await scene.secureClient('a.example', there.port);
    assert.equal(codeIn((await get(client, 'a.example')).head), 'ERR_UPSTREAM_CERT_WRONG_HOST');
    there.take(await ca.issue({ names: [dns('a.example')] }));
    assert.equal((await get(client, 'a.example')).body, 'from the origin');
  });

  for (const how of ['end', 'reset'] as const) {
    test(`a client that leaves meanwhile ends the attempt (${how})`, async (t) => {
      const { scene } = await stage(t);
      const silent = await RawOrigin.tcp(t);
      const tunnel = await scene.tunnel(`silent.example:${silent.port}`);
      const handshake = secureThrough(tunnel, { servername: 'silent.example' }, (bytes) => {
        tunnel.send(bytes);
      });
      handshake.catch(() => undefined);
      const there = await silent.next();
      // The ClientHello of the proxy is there: it waits for the origin.
      await there.bytes(5);
      tunnel[how]();
      await within(there.ending(), 'the end of the attempt');
      await eventually('nothing is left', () => scene.proxy.ledger().upstreamSockets.outstanding === 0);
      assert.equal(scene.proxy.ledger().connections.outstanding, 0);
    });
  }
});

describe('a connection that is used on and on', () => {
  const minute = 60_000;

  /** The wall clock of this process: certificates end by it. OpenSSL has its own. */
  function clock(t: TestContext): { pass: (ms: number) => void } {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    return {
      pass: (ms) => {
        t.mock.timers.setTime(Date.now() + ms);
      },
    };
  }

  const names = [dns('a.example'), dns('old.example')];

  test('a certificate that ended meanwhile: an error response inside, also for who was there before', async (t) => {
    const time = clock(t);
    const { scene, ca } = await stage(t);
    const there = await origin(t, await ca.issue({ names, notAfter: Date.now() + 20 * minute }));
    const before = await scene.secureClient('a.example', there.port);
    assert.equal((await get(before, 'a.example')).body, 'from the origin');
    time.pass(19 * minute);
    assert.equal((await get(before, 'a.example')).body, 'from the origin');
    assert.equal(there.connections, 1);
    time.pass(minute);
    const client = await scene.secureClient('a.example', there.port);
    assert.equal(shown(client).subjectAltName, 'DNS:a.example');
    for (const one of [client, before]) {
      const { head, body } = await get(one, 'a.example');
      assert.equal(codeIn(head), 'ERR_UPSTREAM_CERT_EXPIRED');
      assert.doesNotMatch(body, /from the origin/);
    }
  });

  test('a certificate that ended meanwhile, untrusted: the client itself refuses', async (t) => {
    const time = clock(t);
    const { scene, ca } = await stage(t, { mirrorUpstream: { untrusted: true } });
    const there = await origin(t, await ca.issue({ names, notAfter: Date.now() + 20 * minute }));
    const before = await scene.secureClient('a.example', there.port);
    assert.equal((await get(before, 'a.example')).body, 'from the origin');
    time.pass(20 * minute);
    await assert.rejects(scene.secureClient('a.example', there.port), /self-signed|unable to/);
    const client = await whatever(scene, 'a.example', there.port);
    assert.match(shown(client).issuer, /CN=NOT TRUSTED/);
    assert.equal(codeIn((await get(client, 'a.example')).head), 'ERR_UPSTREAM_CERT_EXPIRED');
  });

  test('a session is not resumed for longer than its certificate stands', async (t) => {
    const time = clock(t);
    const { scene, ca } = await stage(t);
    const resumed: boolean[] = [];
    scene.proxy.on('tls.upstream', ({ tls: facts }) => resumed.push(facts.resumed));
    const there = await RawOrigin.tls(t, await ca.issue({ names }));
    const visit = async (): Promise<void> => {
      const client = await scene.secureClient('a.example', there.port);
      assert.equal(shown(client).subjectAltName, 'DNS:a.example, DNS:old.example');
      // The ticket comes with the first bytes.
      (await there.next()).send('unasked').end();
      await eventually('it is gone', () => scene.proxy.ledger().upstreamSockets.outstanding === 0);
    };
    await visit();
    time.pass(59 * minute);
    await visit();
    time.pass(minute);
    await visit();
    time.pass(59 * minute);
    await visit();
    assert.deepEqual(resumed, [false, true, false, true]);
  });

  for (const { what, end, wait, early } of [
    { what: 'when the old one has ended', end: 20 * minute, wait: 20 * minute, early: 19 * minute },
    { what: 'after an hour', end: 30 * day, wait: 60 * minute, early: 59 * minute },
  ]) {
    test(`a new certificate of the origin is seen ${what}`, async (t) => {
      const time = clock(t);
      const { scene, ca } = await stage(t);
      const there = await origin(t, await ca.issue({ names, notAfter: Date.now() + end }), {
        keepAliveTimeout: 0,
      });
      const visit = async (): Promise<string | undefined> => {
        const client = await scene.secureClient('a.example', there.port);
        assert.equal((await get(client, 'a.example')).body, 'from the origin');
        return shown(client).subjectAltName;
      };
      const old = 'DNS:a.example, DNS:old.example';
      assert.equal(await visit(), old);
      there.take(await ca.issue({ names: [dns('a.example'), dns('new.example')] }), 'keep');
      time.pass(early);
      assert.equal(await visit(), old);
      assert.equal(there.connections, 1);
      time.pass(wait - early);
      assert.equal(await visit(), 'DNS:a.example, DNS:new.example');
      // Every client has the connection that was made for the first.
      assert.equal(await visit(), 'DNS:a.example, DNS:new.example');
      assert.equal(there.connections, 2);
    });
  }
});

describe('a connection that was made ahead', () => {
  test('and that the origin gave up when the request came: it is sent once more', async (t) => {
    const { scene, ca } = await stage(t);
    const there = await RawOrigin.tls(t, await ca.issue({ names: [dns('a.example')] }));
    const client = await scene.secureClient('a.example', there.port);
    const first = await there.next();
    client.send('GET /again HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await first.head();
    first.destroy();
    const second = await there.next();
    assert.match(await second.head(), /^GET \/again /);
    second.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback');
    assert.equal((await client.message()).body, 'back');
  });
});
