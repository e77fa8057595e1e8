import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import * as fc from 'fast-check';
import { SallyportError } from '../../src/base/errors.js';
import {
  type ClientHello,
  ClientHelloReader,
  clientHelloLimit,
  parseClientHello,
} from '../../src/tls/client-hello.js';
import {
  alpnExtension,
  captureHello,
  extension,
  helloMessage,
  messageOf,
  program,
  records,
  sniExtension,
  u16,
  vector8,
  vector16,
  vector24,
} from './support/hello.js';

/** Whatever is awaited in vain fails the test. */
const withTimeout = { timeout: 60_000 };

const tls12 = 0x0303;
const tls13 = 0x0304;

describe('a ClientHello of a real client', withTimeout, () => {
  const openssl = (...args: string[]) => {
    return captureHello((port) => program('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args]));
  };

  it('openssl s_client, TLS 1.2', async () => {
    const hello = parseClientHello(await openssl('-tls1_2', '-noservername'));
    assert.equal(hello.serverName, undefined);
    assert.deepEqual(hello.alpn, []);
    assert.deepEqual(hello.supportedVersions, []);
    assert.equal(hello.legacyVersion, tls12);
    assert.ok(hello.cipherSuites.includes(0xc02f));
    assert.equal(hello.hasEch, false);
  });

  it('openssl s_client, TLS 1.3, with server name and protocols', async () => {
    const args = ['-servername', 'WWW.Example.COM', '-alpn', 'h2,http/1.1', '-tls1_3'];
    const hello = parseClientHello(await openssl(...args));
    assert.equal(hello.serverName, 'www.example.com');
    assert.deepEqual(hello.alpn, ['h2', 'http/1.1']);
    assert.deepEqual(hello.supportedVersions, [tls13]);
    assert.ok(hello.cipherSuites.includes(0x1301));
  });

  it('Node', async () => {
    const bytes = await captureHello((port) => {
      const options = { host: '127.0.0.1', port, servername: 'node.example', ALPNProtocols: ['http/1.1'] };
      const socket = tls.connect(options);
      socket.on('error', () => {
        // The server goes away in the middle of the handshake.
      });
      return () => socket.destroy();
    });
    const hello = parseClientHello(bytes);
    assert.equal(hello.serverName, 'node.example');
    assert.deepEqual(hello.alpn, ['http/1.1']);
    assert.deepEqual(hello.supportedVersions, [tls13, tls12]);
  });

  it('curl', async () => {
    const bytes = await captureHello((port) => {
      const resolve = `curl.example:${port}:127.0.0.1`;
      return program('curl', [
        '--silent',
        '--noproxy',
        '*',
        '--resolve',
        resolve,
        `https://curl.example:${port}/`,
      ]);
    });
    const hello = parseClientHello(bytes);
    assert.equal(hello.serverName, 'curl.example');
    assert.ok(hello.alpn.includes('http/1.1'));
    assert.ok(hello.supportedVersions.includes(tls13));
  });

  it('with a key share of post-quantum size', () => {
    const keyShare = extension(51, vector16(u16(0x11ec), vector16(Buffer.alloc(1216, 9))));
    const message = helloMessage([sniExtension('pq.example'), keyShare, alpnExtension('h2')]);
    assert.ok(message.length > 1300);
    assert.deepEqual(parseClientHello(records(message)).alpn, ['h2']);
    assert.deepEqual(parseClientHello(records(message, 7)), parseClientHello(records(message)));
  });
});

describe('what is read', () => {
  const read = (...extensions: readonly Uint8Array[]): ClientHello =>
    parseClientHello(records(helloMessage(extensions)));

  it('a hello without extensions', () => {
    const hello = parseClientHello(records(helloMessage(undefined)));
    assert.deepEqual(hello, {
      serverName: undefined,
      alpn: [],
      supportedVersions: [],
      legacyVersion: tls12,
      cipherSuites: [0x1301, 0xc02f],
      hasEch: false,
    });
  });

  it('unknown extensions and GREASE are passed over', () => {
    const grease = [extension(0x1a1a, Buffer.alloc(0)), extension(0xfafa, Buffer.from([0]))];
    const versions = extension(43, vector8(u16(0x2a2a, tls13)));
    const hello = read(...grease, sniExtension('a.example'), versions, alpnExtension('\x8a\x8a', 'h2'));
    assert.equal(hello.serverName, 'a.example');
    assert.deepEqual(hello.alpn, ['\x8a\x8a', 'h2']);
    assert.deepEqual(hello.supportedVersions, [0x2a2a, tls13]);
  });

  it('an encrypted ClientHello is noticed', () => {
    assert.equal(read(sniExtension('public.example'), extension(0xfe0d, Buffer.alloc(60))).hasEch, true);
  });

  it('the trailing dot of a server name is dropped', () => {
    assert.equal(read(sniExtension('a.example.')).serverName, 'a.example');
  });

  for (const address of ['192.0.2.7', '2001:db8::1', '[2001:db8::1]', '192.0.2.7.']) {
    it(`the address ${address} is no server name`, () => {
      assert.equal(read(sniExtension(address)).serverName, undefined);
    });
  }

  it('names that are odd but in use', () => {
    for (const name of [
      'localhost',
      'xn--bcher-kva.example',
      '_dmarc.a.example',
      'a--b.example',
      `${'a'.repeat(63)}.x`,
    ]) {
      assert.equal(read(sniExtension(name)).serverName, name);
    }
  });

  it('a name of an unknown type is passed over', () => {
    const names = vector16(
      Buffer.from([9]),
      vector16(Buffer.from('?')),
      Buffer.from([0]),
      vector16(Buffer.from('a.b')),
    );
    assert.equal(read(extension(0, names)).serverName, 'a.b');
  });
});

describe('what is refused', () => {
  const refuse = (bytes: Buffer, detail: RegExp) => {
    assert.throws(() => parseClientHello(bytes), matching('ERR_CLIENT_HELLO_INVALID', detail));
  };
  const refuseExtensions = (detail: RegExp, ...extensions: readonly Uint8Array[]) => {
    refuse(records(helloMessage(extensions)), detail);
  };

  const badNames = [
    '',
    '.',
    'a..b',
    '.a',
    'a b',
    'a\0b',
    'a/b',
    'bücher.example',
    'a:443',
    'a'.repeat(64),
    '[::1',
  ];
  for (const name of [...badNames, 'a.'.repeat(127) + 'bc']) {
    it(`the server name ${JSON.stringify(name.slice(0, 20))}`, () => {
      refuseExtensions(/host name/, sniExtension(name));
    });
  }

  it('two host names, two SNI extensions, two ALPN extensions, any extension twice', () => {
    refuseExtensions(/two host names/, sniExtension('a.example', 'b.example'));
    refuseExtensions(/extension 0 is there twice/, sniExtension('a.example'), sniExtension('b.example'));
    refuseExtensions(/extension 16 is there twice/, alpnExtension('h2'), alpnExtension('http/1.1'));
    refuseExtensions(
      /extension 99 is there twice/,
      extension(99, Buffer.alloc(1)),
      extension(99, Buffer.alloc(2)),
    );
  });

  it('vectors that are empty, too short or too long', () => {
    refuseExtensions(/server names is empty/, sniExtension());
    refuseExtensions(/extension 0 ends too early/, extension(0, Buffer.alloc(0)));
    refuseExtensions(
      /too many/,
      extension(0, Buffer.concat([vector16(Buffer.from([0, 0, 1, 0x61])), Buffer.alloc(1)])),
    );
    refuseExtensions(/ends too early/, extension(0, vector16(Buffer.from([0, 0, 9, 0x61]))));
    refuseExtensions(/protocols is empty/, alpnExtension());
    refuseExtensions(/protocol is empty/, alpnExtension('h2', ''));
    refuseExtensions(/supported versions take 0/, extension(43, vector8()));
    refuseExtensions(/supported versions take 3/, extension(43, vector8(Buffer.alloc(3))));
    refuse(records(helloMessage(undefined, 33)), /session id/);
    const message = helloMessage([sniExtension('a.example')]);
    const behind = Buffer.concat([message.subarray(4), Buffer.alloc(1)]);
    refuse(records(Buffer.concat([Buffer.from([1]), vector24(behind)])), /1 bytes too many/);
    for (const length of [0, 1, 30, 40, 60, message.length - 5]) {
      refuse(
        records(Buffer.concat([Buffer.from([1]), vector24(message.subarray(4, 4 + length))])),
        /ends too early/,
      );
    }
  });

  it('what is no handshake in TLS records', () => {
    const good = records(helloMessage([]));
    refuse(Buffer.from('80460103010035000000100001', 'hex'), /begins with a record of type 128/); // SSLv2
    refuse(Buffer.from('GET / HTTP/1.1\r\n\r\n'), /begins with a record of type 71/);
    refuse(Buffer.from('SSH-2.0-x'), /type 83/);
    refuse(Buffer.from([22, 2, 0, 0, 5]), /major version 2/);
    refuse(Buffer.from([22, 3, 1, 0, 0]), /length of 0/);
    refuse(Buffer.from([22, 3, 1, 0x40, 1]), /length of 16385/);
    refuse(records(Buffer.concat([Buffer.from([2]), vector24(Buffer.alloc(40))])), /message of type 2/);
    refuse(
      Buffer.concat([records(helloMessage([]).subarray(0, 20)), Buffer.from([21, 3, 1, 0, 2, 1, 0])]),
      /type 21/,
    );
    refuse(good.subarray(0, good.length - 1), /does not end/);
  });
});

describe('the limit', () => {
  const tooLarge = matching('ERR_CLIENT_HELLO_TOO_LARGE', /65536/);
  /** A hello whose handshake message has `length` bytes. */
  const helloOf = (length: number) =>
    helloMessage([extension(21, Buffer.alloc(length - helloMessage([]).length - 4))]);

  it('a hello that just fits passes, whatever follows it', () => {
    const fourRecords = 4 * 5 + 4;
    const bytes = records(helloOf(clientHelloLimit - fourRecords + 4), 16_384);
    assert.equal(bytes.length, clientHelloLimit);
    assert.deepEqual(
      parseClientHello(Buffer.concat([bytes, Buffer.alloc(100_000)])),
      parseClientHello(bytes),
    );
  });

  it('one byte more is refused, as soon as 64 KiB have come', () => {
    const bytes = records(helloOf(clientHelloLimit - 19), 16_384);
    assert.equal(bytes.length, clientHelloLimit + 1);
    assert.throws(() => parseClientHello(bytes), tooLarge);
    const reader = new ClientHelloReader();
    assert.equal(reader.push(bytes.subarray(0, clientHelloLimit - 1)), 'more');
    assert.throws(() => reader.push(bytes.subarray(clientHelloLimit - 1, clientHelloLimit)), tooLarge);
  });

  it('an announced length over the limit is refused at once', () => {
    assert.throws(
      () => new ClientHelloReader().push(Buffer.from([22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff])),
      tooLarge,
    );
  });

  it('records of one byte count with their headers', () => {
    assert.throws(() => parseClientHello(records(helloOf(11_000), 1)), tooLarge);
    assert.equal(parseClientHello(records(helloOf(10_900), 1)).legacyVersion, tls12);
  });

  it('64 KiB byte by byte are read in linear work', () => {
    const bytes = records(helloOf(clientHelloLimit - 20), 16_384);
    const reader = new ClientHelloReader();
    let copied = 0;
    let last = reader.bytes.buffer;
    for (const byte of bytes.subarray(0, -1)) {
      assert.equal(reader.push(Buffer.from([byte])), 'more');
      const memory = reader.bytes.buffer;
      if (memory !== last) copied += reader.bytes.length;
      last = memory;
    }
    assert.notEqual(reader.push(bytes.subarray(-1)), 'more');
    assert.ok(copied <= 3 * bytes.length, `${copied} bytes were copied for ${bytes.length}`);
  });
});

describe('any split', () => {
  const outcomeOf = (bytes: Buffer, cuts: readonly number[]): unknown => {
    const reader = new ClientHelloReader();
    let outcome: unknown = 'more';
    let start = 0;
    for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
      try {
        outcome = reader.push(bytes.subarray(start, cut));
      } catch (thrown) {
        assert.ok(thrown instanceof SallyportError, String(thrown));
        outcome = `${thrown.code} ${thrown.detail}`;
      }
      start = cut;
    }
    assert.ok(reader.bytes.equals(bytes), 'bytes are everything that was pushed');
    return outcome;
  };

  const names = fc.option(fc.constantFrom('a.example', 'B.EXAMPLE.', '10.0.0.1', 'x y'));
  const protocols = fc.array(fc.constantFrom('h2', 'http/1.1', 'acme-tls/1', ''), { maxLength: 3 });
  const someHello = fc.tuple(names, protocols, fc.nat(3000)).map(([name, alpn, padding]) => {
    const sni = name === null ? [] : [sniExtension(name)];
    return helloMessage([...sni, alpnExtension(...alpn), extension(21, Buffer.alloc(padding))]);
  });
  const cutsOf = (bytes: Buffer) => fc.array(fc.nat(bytes.length), { maxLength: 20 });

  it('of segments and of records gives the same', () => {
    const cases = fc
      .tuple(someHello, fc.integer({ min: 1, max: 4000 }))
      .map(([message, size]) => ({ message, bytes: records(message, size) }))
      .chain(({ message, bytes }) => cutsOf(bytes).map((cuts) => ({ message, bytes, cuts })));
    fc.assert(
      fc.property(cases, ({ message, bytes, cuts }) => {
        const expected = outcomeOf(records(message), []);
        assert.notEqual(expected, 'more');
        assert.deepEqual(outcomeOf(bytes, cuts), expected);
        assert.ok(messageOf(bytes).equals(message));
      }),
    );
  });

  it('byte by byte, in records of one byte', () => {
    const bytes = records(helloMessage([sniExtension('a.example'), alpnExtension('h2')]), 1);
    const everywhere = Array.from(bytes.keys());
    assert.deepEqual(outcomeOf(bytes, everywhere), parseClientHello(bytes));
  });

  it('of damaged bytes gives the same error, and nothing else is thrown', () => {
    const damage = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 });
    const damaged = fc
      .tuple(someHello, fc.integer({ min: 20, max: 4000 }), damage)
      .map(([message, size, changes]) => {
        const bytes = records(message, size);
        for (const [position, value] of changes) if (position < bytes.length) bytes[position] = value;
        return bytes;
      });
    const noise = fc
      .uint8Array({ maxLength: 300 })
      .map((bytes) => Buffer.concat([Buffer.from([22, 3, 1, 0]), bytes]));
    const cases = fc.oneof(damaged, noise).chain((bytes) => cutsOf(bytes).map((cuts) => ({ bytes, cuts })));
    fc.assert(
      fc.property(cases, ({ bytes, cuts }) => {
        assert.deepEqual(outcomeOf(bytes, cuts), outcomeOf(bytes, []));
      }),
      { numRuns: 500 },
    );
  });
});

it('an outcome stays, and later bytes are kept', () => {
  const bytes = records(helloMessage([sniExtension('a.example')]));
  const reader = new ClientHelloReader();
  const hello = reader.push(bytes);
  assert.equal(reader.push(Buffer.from('early')), hello);
  assert.equal(reader.bytes.toString('latin1'), `${bytes.toString('latin1')}early`);

  const failed = new ClientHelloReader();
  for (const chunk of ['GET / HTTP', '/1.1']) {
    assert.throws(() => failed.push(Buffer.from(chunk)), matching('ERR_CLIENT_HELLO_INVALID', /type 71/));
  }
  assert.equal(failed.bytes.toString(), 'GET / HTTP/1.1');
});

function matching(code: string, detail: RegExp): (thrown: unknown) => true {
  return (thrown) => {
    assert.ok(thrown instanceof SallyportError, String(thrown));
    assert.equal(thrown.code, code);
    assert.match(thrown.detail, detail);
    return true;
  };
}
