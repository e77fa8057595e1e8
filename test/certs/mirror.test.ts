import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Authority, importAuthority } from '../../src/certs/authority.js';
import { Identities } from '../../src/certs/identity.js';
import { intern } from '../../src/certs/intern.js';
import { Minter } from '../../src/certs/mint.js';
import { mirroredSubject, mostMirroredNames, mostMirroredOctets } from '../../src/certs/mirror.js';
import { type CertificateName, certificateName } from '../../src/certs/names.js';
import * as x509 from '../../src/certs/x509.js';
import { dns, ip, type OriginSubject, unsignedOrigin } from '../support/origin-ca.js';
import {
  leafFile,
  openssl,
  opensslAuthority,
  temporaryAuthority,
  temporaryDirectory,
  withCode,
} from './support.js';

const day = 86_400_000;
const hour = 3_600_000;
const now = Date.parse('2026-03-01T12:00:00Z');

function hostsOf(host: string, names: readonly Uint8Array[], more: readonly Uint8Array[] = []): string[] {
  const subject = mirroredSubject(certificateName(host), unsignedOrigin({ names }, more));
  return (subject.names ?? [subject.name]).map((name) => name.host);
}

describe('the names that a mirroring leaf takes', () => {
  test('the host first, then those of the origin in their order, each once', () => {
    const names = [
      dns('b.example'),
      dns('*.Example.com'),
      dns('A.example'),
      ip(10, 0, 0, 1),
      dns('B.example'),
    ];
    const sixteen = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert.deepEqual(hostsOf('a.example', [...names, ip(...sixteen)]), [
      ...['a.example', 'b.example', '*.example.com', '10.0.0.1', '2001:db8::1'],
    ]);
  });

  test('none that is no name, and no wildcard that browsers refuse', () => {
    const refused = [
      ...['a b.example', 'a\0.example', 'bücher.example', '.example', 'a..example', 'a.example.', '', '*'],
      ...[
        '*.com',
        '*.*.example.com',
        'a*.example.com',
        'www.*.example',
        '*.a_b.example.com',
        '*.-a.example.com',
      ],
      ...['127.0.0.1', '0x7f.1', '::1', '[::1]', 'a.example/x', 'a.example:443', 'x'.repeat(64), '*.1.2'],
      ...[`${'a.'.repeat(126)}aa`, 'y'.repeat(5000), 'a%2eexample', 'a.example\n'],
    ].map((name) => dns(name));
    const otherKinds = [ip(), ip(1, 2, 3), ip(1, 2, 3, 4, 5), ip(...Array.from({ length: 32 }, () => 1))];
    assert.deepEqual(hostsOf('host.example', [...refused, ...otherKinds, dns('last.example')]), [
      'host.example',
      'last.example',
    ]);
  });

  test('10,000 names: the first hundred, and not more than 8 KiB of them', () => {
    const short = Array.from({ length: 10_000 }, (_, index) => dns(`n${index}.example`));
    const hosts = hostsOf('host.example', short);
    assert.equal(hosts.length, mostMirroredNames);
    assert.equal(hosts[99], 'n98.example');
    const label = 'a'.repeat(60);
    const long = Array.from({ length: 10_000 }, (_, index) => dns(`${label}.${label}.${label}.n${index}`));
    const few = hostsOf('host.example', long);
    assert.ok(few.length > 30 && few.join('').length <= mostMirroredOctets, `${few.length} names`);
    const odd = Array.from({ length: 10_000 }, () => dns('no name'));
    assert.deepEqual(hostsOf('host.example', [...odd, dns('behind.example')]), ['host.example']);
  });

  test('none of a certificate that two readers could read in two ways, or that is cut', () => {
    const second = x509.subjectAltName(false, dns('second.example'));
    assert.deepEqual(hostsOf('host.example', [dns('first.example')], [second]), ['host.example']);
    const whole = unsignedOrigin({ names: [dns('first.example')] });
    const name = certificateName('host.example');
    for (const bytes of [Buffer.alloc(0), whole.subarray(0, -1), Buffer.concat([whole, whole])]) {
      assert.deepEqual(mirroredSubject(name, bytes), { name });
    }
    assert.deepEqual(hostsOf('host.example', []), ['host.example']);
  });

  const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);
  const host = fc
    .array(label, { minLength: 1, maxLength: 5 })
    .map((labels) => labels.join('.'))
    .filter((text) => isName(text));
  const anyName = fc.oneof(
    host.map((text) => dns(text)),
    host.map((text) => dns(`*.${text}`)),
    host.map((text) => dns(text.toUpperCase())),
    fc.uint8Array({ maxLength: 300 }).map((octets) => dns(octets)),
    fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => dns(Buffer.from(text))),
    fc.uint8Array({ minLength: 0, maxLength: 20 }).map((octets) => ip(...octets)),
    fc.constantFrom(ip(127, 0, 0, 1), ip(...Array.from({ length: 16 }, () => 0))),
  );

  test('property: never a name that the origin lacks, never one that is none, never too many', () => {
    const names = fc.array(anyName, { maxLength: 300, size: 'max' });
    fc.assert(
      fc.property(host, names, (own, list) => {
        const subject = mirroredSubject(certificateName(own), unsignedOrigin({ names: list }));
        const taken = subject.names ?? [];
        assert.equal(taken[0]?.host, own);
        assert.ok(taken.length <= mostMirroredNames);
        assert.equal(new Set(taken.map((name) => name.host)).size, taken.length);
        const there = new Set(list.map((name) => spelled(name)));
        for (const name of taken.slice(1)) {
          assert.ok(there.has(spelled(encoded(name))), `${name.host} is not the origin's`);
          const plain = name.host.replace(/^\*\./, '');
          assert.equal(certificateName(plain).host, plain);
          assert.equal(name.kind === 'ip', certificateName(plain).kind === 'ip');
        }
      }),
    );
  });

  test('property: whatever the bytes are, it does not throw', () => {
    const whole = unsignedOrigin({ names: [dns('a.example'), ip(1, 2, 3, 4)] });
    const name = certificateName('host.example');
    const changed = fc.tuple(fc.nat(whole.length - 1), fc.nat(255)).map(([at, octet]) => {
      const copy = Buffer.from(whole);
      copy[at] = octet;
      return copy;
    });
    fc.assert(
      fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 500 })), (bytes) => {
        const { names = [name] } = mirroredSubject(name, bytes);
        assert.deepEqual(names[0], name);
      }),
      { numRuns: 2000 },
    );
  });
});

function isName(text: string): boolean {
  try {
    return certificateName(text).kind === 'dns';
  } catch {
    return false;
  }
}

function encoded(name: CertificateName): Uint8Array {
  return name.kind === 'ip' ? ip(...name.address) : dns(name.host);
}

/** DNS names are the same in any case of ASCII letters. */
function spelled(name: Uint8Array): string {
  const text = Buffer.from(name).toString('latin1');
  return name[0] === 0x82 ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : text;
}

describe('under a CA that may not sign for every name', () => {
  const constraint = 'nameConstraints=critical,permitted;DNS:corp.example';
  const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

  /** The constrained CA itself, and an unconstrained one below it. */
  async function constrained(t: test.TestContext, which: 'itself' | 'the one above'): Promise<Authority> {
    const directory = await temporaryDirectory(t);
    const top = await opensslAuthority(directory, 'top', p256, ['-addext', constraint]);
    const below =
      which === 'itself'
        ? undefined
        : await opensslAuthority(directory, 'below', p256, ['-CA', top.certificate, '-CAkey', top.key]);
    const chain = below ? [below, top] : [top];
    const certificates = await Promise.all(chain.map(({ certificate }) => readFile(certificate, 'utf8')));
    return await importAuthority({
      dir: join(directory, 'ca'),
      certificatePem: certificates.join(''),
      keyPem: await readFile((below ?? top).key, 'utf8'),
    });
  }

  for (const which of ['itself', 'the one above'] as const) {
    test(`the host alone, and the times of the origin; openssl takes it (${which})`, async (t) => {
      const authority = await constrained(t, which);
      const origin = intern(
        unsignedOrigin({
          names: [dns('a.corp.example'), dns('cdn.other.example'), ip(127, 0, 0, 1)],
          notAfter: Math.floor(Date.now() / 1000) * 1000 + 5 * day,
        }),
      );
      const identities = new Identities({ authority });
      t.after(() => identities.close());
      const identity = await identities.getMirror('a.corp.example', origin);
      const leaf = await leafFile(t, identity);
      const certificate = new X509Certificate(identity.certificatePem);
      assert.equal(certificate.subjectAltName, 'DNS:a.corp.example');
      assert.equal(certificate.validTo, origin.certificate.validTo);
      const roots = ['-CAfile', authority.paths.certificate, '-purpose', 'sslserver'];
      const verified = await openssl('verify', ...roots, '-verify_hostname', 'a.corp.example', leaf);
      assert.match(verified, /OK/);
      // The judge does look.
      const elsewhere = await leafFile(t, await identities.getMirror('a.other.example', origin));
      await assert.rejects(openssl('verify', ...roots, elsewhere), /permitted subtree violation/);
    });
  }
});

describe('a leaf for a LeafSubject', () => {
  const minted = async (t: test.TestContext, origin: Omit<OriginSubject, 'names'>) => {
    const authority = await temporaryAuthority(t);
    const issuer = { ...authority, notBefore: now - 50 * day, notAfter: now + 3000 * day };
    const minter = new Minter({ issuer, now: () => now });
    t.after(() => {
      minter.close();
    });
    const names = [dns('*.example.com'), ip(127, 0, 0, 1)];
    const subject = mirroredSubject(certificateName('www.example.com'), unsignedOrigin({ names, ...origin }));
    const { certificatePem, notBefore, notAfter } = await minter.mint(subject);
    const certificate = new X509Certificate(certificatePem);
    assert.equal(Date.parse(certificate.validFrom), notBefore);
    assert.equal(Date.parse(certificate.validTo), notAfter);
    return { certificate, notBefore, notAfter };
  };

  test('has its names, all of them, and the commonName of the host', async (t) => {
    const { certificate } = await minted(t, { notBefore: now - 30 * day, notAfter: now + 60 * day });
    assert.equal(certificate.subjectAltName, 'DNS:www.example.com, DNS:*.example.com, IP Address:127.0.0.1');
    assert.equal(certificate.subject, 'CN=www.example.com');
  });

  test('has its times where they are within those of the CA and 199 days', async (t) => {
    const given = { notBefore: now - 30 * day, notAfter: now + 60 * day };
    const { notBefore, notAfter } = await minted(t, given);
    assert.deepEqual({ notBefore, notAfter }, given);
  });

  test('begins with the CA', async (t) => {
    const { notBefore } = await minted(t, { notBefore: now - 90 * day, notAfter: now + 90 * day });
    assert.equal(notBefore, now - 50 * day);
  });

  test('of a longer one, it has 199 days from an hour ago, or what is left', async (t) => {
    const long = await minted(t, { notBefore: now - 30 * day, notAfter: now + 365 * day });
    assert.deepEqual([long.notBefore, long.notAfter], [now - hour, now - hour + 199 * day - 1000]);
    const late = await minted(t, { notBefore: now - 390 * day, notAfter: now + 170 * day });
    assert.deepEqual([late.notBefore, late.notAfter], [now - hour, now + 170 * day]);
    const young = await minted(t, { notBefore: now - 60_000, notAfter: now + 365 * day });
    assert.deepEqual([young.notBefore, young.notAfter], [now - 60_000, now - hour + 199 * day - 1000]);
  });

  test('is not made where nothing is left of it', async (t) => {
    const ended = { notBefore: now - 30 * day, notAfter: now };
    await assert.rejects(minted(t, ended), withCode('ERR_LEAF_CERTIFICATE', /had ended/));
  });
});
