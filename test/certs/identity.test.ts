import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { isIPv4, isIPv6 } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ConnectionOptions, type SecureContext, connect } from 'node:tls';
import { type EventMessage, Events } from '../../src/base/events.js';
import { type Authority, importAuthority } from '../../src/certs/authority.js';
import { contextBytes, identityBytes } from '../../src/certs/contexts.js';
import type { Identity } from '../../src/certs/host-identity.js';
import { Identities } from '../../src/certs/identity.js';
import { MemoryStore } from '../../src/certs/memory-store.js';
import type { Signer } from '../../src/certs/signer.js';
import type { CertificateStore, LeafMaterial } from '../../src/certs/store.js';
import { TicketKeys } from '../../src/certs/ticket-keys.js';
import { loadWildcardGroups } from '../../src/certs/wildcards.js';
import {
  openssl,
  opensslAuthority,
  temporaryAuthority,
  temporaryDirectory,
  tlsServer,
  withCode,
} from './support.js';

/** An authority whose signer answers later. */
function withSlowSigner(authority: Authority): {
  readonly authority: Authority;
  readonly signed: () => number;
} {
  let signed = 0;
  const { algorithm } = authority.signer;
  const signer: Signer = {
    algorithm,
    sign: async (tbs) => {
      signed += 1;
      await new Promise((resolve) => void setImmediate(resolve));
      return authority.signer.sign(tbs);
    },
  };
  return { authority: { ...authority, signer }, signed: () => signed };
}

interface Visit {
  readonly peer: X509Certificate | undefined;
  readonly resumed: boolean;
  readonly protocol: string | null;
  readonly session: Buffer | undefined;
}

/** What a client finds that trusts `ca` and verifies everything; rejects when it does not like it. */
async function visit(port: number, options: ConnectionOptions): Promise<Visit> {
  const socket = connect({ port, host: '127.0.0.1', ...options });
  let session: Buffer | undefined;
  socket.on('session', (ticket: Buffer) => {
    session = ticket;
  });
  try {
    await once(socket, 'secureConnect');
    const found = {
      peer: socket.getPeerX509Certificate(),
      resumed: socket.isSessionReused(),
      protocol: socket.getProtocol(),
    };
    socket.resume();
    await once(socket, 'end');
    return { ...found, session: session ?? socket.getSession() };
  } finally {
    socket.destroy();
  }
}

test('a Node client accepts the identity for every kind of host, and for no other', async (t) => {
  const authority = await temporaryAuthority(t);
  const identities = new Identities({ authority });
  let identity = await identities.get('localhost');
  const failures: Error[] = [];
  const port = await tlsServer(t, () => identity.secureContext, failures);
  const long = Array.from({ length: 4 }, (_, index) => String(index).repeat(60)).join('.') + '.example';
  const hosts: readonly [host: string, asked: string][] = [
    ['example.com', 'example.com'],
    ['under_score.example', 'under_score.example'],
    ['bücher.example.', 'xn--bcher-kva.example'],
    [long, long],
    ['127.0.0.1', '127.0.0.1'],
    ['[2001:db8::1]', '2001:db8::1'],
  ];
  for (const [host, asked] of hosts) {
    identity = await identities.get(host);
    assert.equal(identity.host, asked);
    // Clients send no SNI for an address, and the only address to connect to here is 127.0.0.1.
    if (isIPv6(asked)) {
      assert.equal(new X509Certificate(identity.certificatePem).checkIP(asked), asked);
      continue;
    }
    const name = isIPv4(asked) ? { servername: '' } : { servername: asked };
    const { peer, protocol } = await visit(port, { ca: authority.pem, ...name });
    assert.equal(peer?.toString(), identity.certificatePem);
    assert.equal(protocol, 'TLSv1.3');
    await assert.rejects(visit(port, { ca: authority.pem, servername: 'example.org' }), {
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  }
  const old: ConnectionOptions = { ca: authority.pem, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' };
  await assert.rejects(visit(port, { ...old, servername: 'example.com', ciphers: 'DEFAULT@SECLEVEL=0' }));
  assert.match(String(failures.at(-1)), /unsupported protocol/);
  await identities.close();
});

test('an intermediate CA is sent along, so that a client with the root alone is content', async (t) => {
  const root = await temporaryDirectory(t);
  const top = await opensslAuthority(root, 'top', ['-newkey', 'rsa:2048']);
  const sub = await opensslAuthority(
    root,
    'sub',
    ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
    ['-CA', top.certificate, '-CAkey', top.key],
  );
  const rootPem = await readFile(top.certificate, 'utf8');
  const authority = await importAuthority({
    dir: join(root, 'ca'),
    certificatePem: (await readFile(sub.certificate, 'utf8')) + rootPem,
    keyPem: await readFile(sub.key, 'utf8'),
  });
  const identity = await new Identities({ authority }).get('example.com');
  const port = await tlsServer(t, () => identity.secureContext);
  const { peer } = await visit(port, { ca: rootPem, servername: 'example.com' });
  assert.equal(peer?.subject, 'CN=example.com');
  assert.equal(identity.chainPem, identity.certificatePem + authority.pem);
});

test('a hundred connections to a new host: one signature, one context, one object', async (t) => {
  const { authority, signed } = withSlowSigner(await temporaryAuthority(t));
  const identities = new Identities({ authority });
  const spellings = ['example.com', 'EXAMPLE.COM', 'example.com.'];
  const asked = Array.from({ length: 100 }, (_, index) => identities.get(spellings[index % 3] ?? ''));
  assert.ok(asked.every((answer) => answer instanceof Promise));
  const found = await Promise.all(asked);
  assert.equal(new Set(found).size, 1);
  assert.equal(signed(), 1);
  assert.deepEqual(identities.counters, { hits: 0, made: 1, renewed: 0, minted: 1, size: 1 });
  assert.equal(identities.get('Example.com'), found[0]);
  assert.equal(identities.peek('example.com'), found[0]);
  assert.equal(identities.counters.hits, 2);
});

test('with everything at hand there is no promise at all, and no signal is made', async (t) => {
  const identities = new Identities({ authority: await temporaryAuthority(t) });
  const options = {
    get signal(): AbortSignal {
      throw new Error('looked at');
    },
  };
  const made = identities.get('example.com', options);
  assert.ok(!(made instanceof Promise));
  assert.equal(identities.get('example.com', options), made);
});

test('one who gives up hurts nobody', async (t) => {
  const { authority, signed } = withSlowSigner(await temporaryAuthority(t));
  const identities = new Identities({ authority });
  const controller = new AbortController();
  const first = identities.get('example.com', controller);
  const second = identities.get('example.com');
  controller.abort();
  await assert.rejects(async () => first, withCode('ERR_CANCELLED'));
  assert.equal((await second).host, 'example.com');
  assert.equal(signed(), 1);
});

test('a failure reaches who waits, and the next one tries again', async (t) => {
  const authority = await temporaryAuthority(t);
  let broken = true;
  let now = Date.now();
  const signer: Signer = {
    algorithm: authority.signer.algorithm,
    sign: async (tbs) => {
      if (broken) throw new Error('the device is gone');
      return authority.signer.sign(tbs);
    },
  };
  const identities = new Identities({ authority: { ...authority, signer }, now: () => now });
  const outcomes = await Promise.allSettled([identities.get('a.example'), identities.get('a.example')]);
  assert.ok(outcomes.every(({ status }) => status === 'rejected'));
  broken = false;
  // The store remembers a failure for a moment.
  now += 1000;
  assert.equal((await identities.get('a.example')).host, 'a.example');
  assert.throws(() => identities.get('*.example.com'), withCode('ERR_LEAF_CERTIFICATE'));
});

test('the least used identity goes, and is found again while a connection uses it', async (t) => {
  const authority = await temporaryAuthority(t);
  const { certificatePem, privateKeyPem } = await new Identities({ authority }).get('a.example');
  // The PEM of a leaf varies by a line with its signature.
  const one = identityBytes + contextBytes + certificatePem.length + privateKeyPem.length;
  const identities = new Identities({ authority, capacity: 3.5 * one });
  const a = await identities.get('a.example');
  for (const name of ['b', 'c', 'a', 'd']) await identities.get(`${name}.example`);
  assert.deepEqual([identities.contexts.evicted, identities.contexts.size], [1, 3]);
  for (const name of ['e', 'f', 'g']) await identities.get(`${name}.example`);
  assert.equal(identities.contexts.evicted, 4);
  assert.ok(Math.abs(identities.contexts.bytes - 3 * one) < 64);
  const { made } = identities.contexts;
  const again = await identities.get('a.example');
  assert.equal(again, a);
  assert.equal(identities.contexts.made, made);
  assert.equal(identities.contexts.secondChances, 1);
  const port = await tlsServer(t, () => again.secureContext);
  const { peer } = await visit(port, { ca: authority.pem, servername: 'a.example' });
  assert.equal(peer?.toString(), a.certificatePem);
});

/** Lets work in the background that does not wait for the network come to its end. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
}

test('an identity is replaced in the background before its certificate ends, never served after', async (t) => {
  const authority = await temporaryAuthority(t);
  const day = 24 * 3600 * 1000;
  let now = Date.now();
  const identities = new Identities({ authority, now: () => now });
  const first = await identities.get('example.com');
  now = first.notAfter - day - 1000;
  assert.equal(identities.get('example.com'), first);
  await settled();
  assert.equal(identities.counters.minted, 1);
  now = first.notAfter - day;
  // The store has the old one, too, and has it renewed: it is asked again after a minute.
  assert.equal(identities.get('example.com'), first);
  assert.equal(identities.counters.minted, 1);
  await settled();
  assert.equal(identities.counters.minted, 2);
  assert.equal(identities.get('example.com'), first);
  now += 60_000;
  assert.equal(identities.get('example.com'), first);
  await settled();
  const second = await identities.get('example.com');
  assert.notEqual(second.serial, first.serial);
  assert.ok(second.notBefore <= now && second.notAfter > first.notAfter);
  assert.equal(identities.counters.renewed, 1);
  now = authority.notAfter;
  assert.throws(() => identities.get('example.com'), withCode('ERR_CA_BROKEN'));
});

test('when nothing newer can be had, the old one is served until its end and not at it', async (t) => {
  const authority = await temporaryAuthority(t);
  let now = Date.now();
  const good = await new Identities({ authority, now: () => now }).get('example.com');
  let fetches = 0;
  const store: CertificateStore = {
    fetch: () => {
      fetches += 1;
      if (fetches === 3) throw new Error('down');
      return good;
    },
    close: () => undefined,
  };
  const identities = new Identities({ authority, store, now: () => now });
  const first = await identities.get('example.com');
  now = good.notAfter - 24 * 3600 * 1000;
  for (const [wait, expected] of [
    [0, 2],
    [59_999, 2],
    [1, 3],
    [60_000, 4],
  ] as const) {
    now += wait;
    assert.equal(identities.get('example.com'), first);
    await settled();
    assert.equal(fetches, expected);
  }
  now = good.notAfter - 1;
  assert.equal(identities.get('example.com'), first);
  await settled();
  now = good.notAfter;
  assert.throws(() => identities.get('example.com'), withCode('ERR_LEAF_CERTIFICATE', /had already ended/));
});

test('a host shares a context at first, and has its own when it comes again', async (t) => {
  const identities = new Identities({ authority: await temporaryAuthority(t) });
  t.after(() => identities.close());
  assert.equal(await identities.prepare(), true);
  const [a, b] = [await identities.get('a.example'), await identities.get('b.example')];
  const { bytes } = identities.contexts;
  // Each was set once when it was made.
  for (let visits = 2; visits <= 4; visits += 1) assert.equal(a.contextNow(), b.contextNow());
  assert.deepEqual([identities.contexts.made, identities.contexts.loads], [0, 8]);
  const own = a.contextNow();
  assert.equal(a.contextNow(), own);
  assert.equal(a.secureContext, own);
  assert.notEqual(b.contextNow(), own);
  assert.equal(identities.contexts.bytes, bytes + contextBytes);
  assert.notEqual(b.secureContext, own);
  assert.equal(identities.contexts.made, 2);
});

test('a session resumes on another instance with the same keys, and not after their rotation', async (t) => {
  const authority = await temporaryAuthority(t);
  const ticketKeys = new TicketKeys();
  const make = async (host: string): Promise<Identity> => {
    const identities = new Identities({ authority, ticketKeys });
    t.after(() => identities.close());
    await identities.prepare();
    return identities.get(host);
  };
  const hosts = ['a.example', 'a.example', 'b.example'] as const;
  const [one, two, other] = [await make(hosts[0]), await make(hosts[1]), await make(hosts[2])];
  assert.notEqual(one.serial, two.serial);
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    let choose = (): SecureContext => one.contextNow();
    const port = await tlsServer(t, () => choose());
    const options = { ca: authority.pem, maxVersion, servername: 'a.example' };
    const { session } = await visit(port, options);
    assert.ok(session);
    const resumes = async (by: () => SecureContext, servername = 'a.example'): Promise<boolean> => {
      choose = by;
      return (await visit(port, { ...options, servername, session })).resumed;
    };
    assert.equal(await resumes(() => two.contextNow()), true);
    assert.equal(await resumes(() => two.secureContext), true);
    assert.equal(await resumes(() => other.contextNow(), 'b.example'), false);
    assert.equal(await resumes(() => other.secureContext, 'b.example'), false);
    ticketKeys.rotate();
    assert.equal(await resumes(() => one.contextNow()), false);
    assert.equal(await resumes(() => two.secureContext), false);
  }
});

test('material that has ended, or that OpenSSL refuses, is not served', async (t) => {
  const authority = await temporaryAuthority(t);
  const good = await new Identities({ authority }).get('example.com');
  const other = await new Identities({ authority }).get('example.com');
  let material: LeafMaterial = good;
  const store: CertificateStore = { fetch: async () => material, close: () => undefined };
  const identities = new Identities({ authority, store });
  material = { ...good, notAfter: Date.now() - 1 };
  await assert.rejects(
    async () => identities.get('example.com'),
    withCode('ERR_LEAF_CERTIFICATE', /had already ended/),
  );
  material = { ...good, privateKeyPem: 'nonsense' };
  await assert.rejects(
    async () => identities.get('example.com'),
    withCode('ERR_LEAF_CERTIFICATE', /^OpenSSL refuses the one for example\.com: error:/),
  );
  material = { ...good, privateKeyPem: other.privateKeyPem };
  await assert.rejects(
    async () => identities.get('example.com'),
    withCode('ERR_LEAF_CERTIFICATE', /OpenSSL/),
  );
  assert.equal(identities.counters.size, 0);
  material = good;
  assert.equal((await identities.get('example.com')).serial, good.serial);
});

test('a session resumes with its own host and with no other', async (t) => {
  const authority = await temporaryAuthority(t);
  const identities = new Identities({ authority });
  const [a, b] = [await identities.get('a.example'), await identities.get('b.example')];
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    let identity = a;
    const port = await tlsServer(t, () => identity.secureContext);
    const options = { ca: authority.pem, maxVersion };
    const { session } = await visit(port, { ...options, servername: 'a.example' });
    assert.ok(session);
    const same = await visit(port, { ...options, servername: 'a.example', session });
    assert.equal(same.resumed, true);
    identity = b;
    const foreign = await visit(port, { ...options, servername: 'b.example', session });
    assert.equal(foreign.resumed, false);
    assert.equal(foreign.peer?.subject, 'CN=b.example');
  }
});

test('an RSA profile makes RSA leaves, apart from the others in one store', async (t) => {
  const authority = await temporaryAuthority(t);
  const store = new MemoryStore();
  const rsa = new Identities({ authority, store, profile: 'rsa-2048' });
  const ec = new Identities({ authority, store });
  const leaves = [await rsa.get('example.com'), await ec.get('example.com')];
  assert.deepEqual(
    leaves.map(({ certificatePem }) => new X509Certificate(certificatePem).publicKey.asymmetricKeyType),
    ['rsa', 'ec'],
  );
  assert.equal(store.counters.entries, 2);
  // A store that was given is its owner's to close.
  await rsa.close();
  assert.equal((await ec.get('example.com')).serial, leaves[1]?.serial);
  assert.equal(store.counters.entries, 2);
});

test('a minted leaf is an event, once, and only for who listens', async (t) => {
  const events = new Events('identity-test');
  t.after(() => {
    events.close();
  });
  const heard: EventMessage<'certificate.made'>[] = [];
  events.on('certificate.made', (message) => heard.push(message));
  const identities = new Identities({ authority: await temporaryAuthority(t), events });
  await identities.get('Example.com');
  await identities.get('example.com');
  assert.deepEqual(
    heard.map(({ host }) => host),
    ['example.com'],
  );
  assert.ok((heard[0]?.duration ?? -1) >= 0);
});

test('closing rejects who waits and what comes', async (t) => {
  const { authority } = withSlowSigner(await temporaryAuthority(t));
  const identities = new Identities({ authority });
  const waiting = identities.get('example.com');
  const closing = identities.close();
  await assert.rejects(async () => waiting, withCode('ERR_CANCELLED', /closed/));
  await closing;
  await identities.close();
  assert.throws(() => identities.get('example.com'), withCode('ERR_CANCELLED'));
  assert.equal(identities.counters.size, 0);
});

test('openssl s_client is content in its strict mode', async (t) => {
  const authority = await temporaryAuthority(t);
  const identity = await new Identities({ authority }).get('example.com');
  const port = await tlsServer(t, () => identity.secureContext);
  const output = await openssl(
    ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'example.com'],
    ...['-verify_hostname', 'example.com', '-verify_return_error', '-x509_strict', '-ign_eof'],
    ...['-CAfile', authority.paths.certificate],
  );
  assert.match(output, /Verify return code: 0 \(ok\)/);
  assert.match(output, /hello/);
});

test('forget: what is made after it has a new key, whatever host was meant; an empty list is nothing', async (t) => {
  for (const profile of ['p256', 'rsa-2048'] as const) {
    const identities = new Identities({ authority: await temporaryAuthority(t), profile });
    let hosts = 0;
    const newKey = async (): Promise<string> => {
      hosts += 1;
      return (await identities.get(`h${hosts}.example`)).privateKeyPem;
    };
    const first = await newKey();
    await identities.forget([]);
    assert.equal(await newKey(), first);
    await identities.forget(['h1.example']);
    const second = await newKey();
    assert.notEqual(second, first, profile);
    assert.equal(await newKey(), second);
    await identities.forget();
    assert.notEqual(await newKey(), second, profile);
    await identities.close();
    await identities.forget();
  }
});

test('forget: by host, by the leaf of a group, by what mirrors; also what was dropped and is still in use', async (t) => {
  const authority = await temporaryAuthority(t);
  const store = new MemoryStore();
  const wildcards = await loadWildcardGroups();
  const identities = new Identities({ authority, store, wildcards });
  const get = async (host: string): Promise<Identity> => await identities.get(host);
  const [a, b, other] = [await get('a.example.com'), await get('b.example.com'), await get('example.org')];
  await identities.forget(['*.example.com']);
  assert.notEqual(await get('a.example.com'), a);
  assert.notEqual(await get('b.example.com'), b);
  assert.equal(await get('example.org'), other);
  await identities.forget(['example.org/mirror:0', 'nobody.example']);
  assert.notEqual(await get('example.org'), other);
  await identities.forget();
  assert.equal(identities.counters.size, 0);
  await identities.close();

  const small = new Identities({ authority, store, capacity: 1 });
  const dropped = await small.get('a.example');
  await small.get('b.example');
  assert.equal(await small.get('a.example'), dropped, 'found again');
  await small.get('b.example');
  await small.forget(['a.example']);
  assert.notEqual(await small.get('a.example'), dropped);
  await small.close();
  store.close();
});
