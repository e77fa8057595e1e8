import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { loadUpstreamCa, parseCertificates } from '../../src/tls/roots.js';
import { TrustContext } from '../../src/tls/trust.js';
import { TestAuthority, selfSigned } from './support/certificates.js';
import { assertRejects } from './support/rejection.js';

/** Whatever is awaited in vain fails the test. */
const withTimeout = { timeout: 60_000 };

const run = promisify(execFile);

let directory: string;
let first: TestAuthority;
let second: TestAuthority;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'sallyport-test-'));
  first = await TestAuthority.create('first');
  second = await TestAuthority.create('second');
});

after(async () => {
  await Promise.all([first.close(), second.close(), rm(directory, { recursive: true })]);
});

describe('TrustContext', withTimeout, () => {
  it('has an id for its policy and no other', () => {
    const policies = [
      { verify: true },
      { verify: false },
      { verify: true, minVersion: 'TLSv1.3' },
      { verify: true, ca: [first.cert] },
      { verify: true, ca: [second.cert] },
      { verify: true, ca: [first.cert, second.cert] },
    ] as const;
    const ids = policies.map((policy) => new TrustContext(policy).id);
    assert.equal(new Set(ids).size, policies.length);
    assert.deepEqual(
      policies.map((policy) => new TrustContext(policy).id),
      ids,
    );
    assert.equal(new TrustContext({ verify: true, ca: [Buffer.from(first.cert)] }).id, ids[3]);
  });

  it('makes its secure context late, and once', (t) => {
    const create = t.mock.method(tls, 'createSecureContext');
    const trust = new TrustContext({ verify: true, ca: [first.cert] });
    assert.equal(create.mock.callCount(), 0);
    assert.equal(trust.secureContext, trust.secureContext);
    assert.equal(create.mock.callCount(), 1);
  });

  it('gives no roots of its own where Node has a store that all share', (t) => {
    const create = t.mock.method(tls, 'createSecureContext');
    for (const policy of [{ verify: true }, { verify: true, ca: [] }, { verify: false, ca: [first.cert] }]) {
      assert.ok(new TrustContext(policy).secureContext);
    }
    assert.deepEqual(
      create.mock.calls.map((call) => call.arguments[0]?.ca),
      [undefined, undefined, undefined],
    );
  });

  it('adds to the roots of Node, and takes none away', (t) => {
    const create = t.mock.method(tls, 'createSecureContext');
    assert.ok(new TrustContext({ verify: true, ca: [first.cert] }).secureContext);
    const given = create.mock.calls[0]?.arguments[0]?.ca;
    assert.ok(Array.isArray(given) && given.includes(first.cert));
    for (const root of tls.rootCertificates) assert.ok(given.includes(root));
  });

  it('honours NODE_EXTRA_CA_CERTS beside certificates of its own', async () => {
    const file = path.join(directory, 'extra.pem');
    await writeFile(file, first.cert);
    const servers: tls.Server[] = [];
    for (const authority of [first, second]) {
      const server = tls.createServer(await authority.issue({ names: 'IP:127.0.0.1' }), (socket) =>
        socket.end(),
      );
      server.on('tlsClientError', () => {
        // The client's view is what counts.
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      servers.push(server);
    }
    const ports = servers.map((server) => (server.address() as AddressInfo).port);
    const script = `
      import tls from 'node:tls';
      import { TrustContext } from ${JSON.stringify(new URL('../../src/tls/trust.js', import.meta.url).href)};
      const { secureContext } = new TrustContext({ verify: true, ca: [${JSON.stringify(second.cert)}] });
      for (const port of ${JSON.stringify(ports)}) {
        await new Promise((resolve, reject) => {
          const socket = tls.connect({ host: '127.0.0.1', port, secureContext }, () => resolve(socket.destroy()));
          socket.on('error', reject);
        });
      }`;
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: file };
    try {
      await run(process.execPath, ['--input-type=module', '--eval', script], { env });
    } finally {
      for (const server of servers) server.close();
    }
  });
});

describe('loadUpstreamCa', withTimeout, () => {
  const file = async (content: string | Buffer): Promise<string> => {
    const name = path.join(directory, 'ca.pem');
    await writeFile(name, content);
    return name;
  };
  const refuse = async (content: string | Buffer, found: RegExp): Promise<void> => {
    await assertRejects(loadUpstreamCa(await file(content)), 'ERR_UPSTREAM_CA', found);
  };

  it('gives every certificate of a file', async () => {
    const bundle = `# a bundle\n${first.cert}\ntext\n${second.cert.replaceAll('\n', '\r\n')}`;
    const certificates = await loadUpstreamCa(await file(bundle));
    const names = certificates.map((pem) => new X509Certificate(pem).subject);
    assert.deepEqual(names, ['CN=first', 'CN=second']);
    assert.deepEqual(parseCertificates(bundle, 'an option'), certificates);
  });

  it('passes over a key beside a certificate, and knows the other label', async () => {
    const { cert, key } = await selfSigned('DNS:a.example');
    assert.equal((await loadUpstreamCa(await file(key + cert))).length, 1);
    const x509 = cert.replaceAll('CERTIFICATE', 'X509 CERTIFICATE');
    assert.equal((await loadUpstreamCa(await file(x509))).length, 1);
  });

  it('says what it found instead', async () => {
    await assertRejects(loadUpstreamCa(path.join(directory, 'none')), 'ERR_UPSTREAM_CA', /none: .*ENOENT/);
    await refuse('', /it is empty/);
    await refuse('hello', /no PEM block/);
    const { key } = await selfSigned('DNS:a.example');
    await refuse(key, /no certificate, but PRIVATE KEY/);
    await refuse(new X509Certificate(first.cert).raw, /it is DER/);
    await refuse(first.cert + second.cert.slice(0, -40), /certificate 2 of 2 has no END line/);
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    await refuse(first.cert + broken, /certificate 2 of 2 cannot be parsed/);
  });
});
