import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { SallyportError } from '../../src/base/errors.js';
import { hostPort } from '../../src/base/message.js';
import { parseAbsoluteTarget, parseConnectTarget } from '../../src/connect/target.js';

/** The code of what `work` throws; fails on anything that is not a table error. */
function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof SallyportError, `not a table error: ${String(error)}`);
    return error.code;
  }
}

suite('CONNECT targets', () => {
  const accepted: readonly (readonly [target: string, host: string, port: number])[] = [
    ['example.com:443', 'example.com', 443],
    ['EXAMPLE.Com:443', 'example.com', 443],
    ['example.com.:443', 'example.com', 443],
    ['localhost:1', 'localhost', 1],
    ['my_service.local:65535', 'my_service.local', 65535],
    ['xn--bcher-kva.example:8443', 'xn--bcher-kva.example', 8443],
    ['r3---sn-4g5e6nz7.example:443', 'r3---sn-4g5e6nz7.example', 443],
    ['example.com:00443', 'example.com', 443],
    ['192.0.2.1:80', '192.0.2.1', 80],
    ['192.0.2.1.:80', '192.0.2.1', 80],
    ['255.255.255.255:80', '255.255.255.255', 80],
    ['1.2.3.4.example:80', '1.2.3.4.example', 80],
    ['0x7f.example:80', '0x7f.example', 80],
    ['[::1]:443', '::1', 443],
    ['[::]:443', '::', 443],
    ['[2001:DB8:0:0:0:0:0:1]:443', '2001:db8::1', 443],
    ['[2001:db8::0:1]:443', '2001:db8::1', 443],
    ['[2001:db8:0:1:1:1:1:1]:443', '2001:db8:0:1:1:1:1:1', 443],
    ['[2001:0:0:1:0:0:0:1]:443', '2001:0:0:1::1', 443],
    ['[1:0:0:2:0:0:3:4]:443', '1::2:0:0:3:4', 443],
    ['[1:2:3:4:5:6:7::]:443', '1:2:3:4:5:6:7:0', 443],
    ['[::ffff:127.0.0.1]:443', '::ffff:7f00:1', 443],
    ['[64:ff9b::192.0.2.33]:443', '64:ff9b::c000:221', 443],
    [`${'a'.repeat(63)}.example:443`, `${'a'.repeat(63)}.example`, 443],
    [`${'a.'.repeat(126)}a:443`, `${'a.'.repeat(126)}a`, 443],
    [`${'a.'.repeat(126)}a.:443`, `${'a.'.repeat(126)}a`, 443],
  ];
  for (const [target, host, port] of accepted) {
    test(`takes ${target.slice(0, 60)}`, () => {
      assert.deepEqual(parseConnectTarget(target), { host, port });
    });
  }

  const refused: readonly (readonly [why: string, target: string])[] = [
    ['nothing', ''],
    ['no port', 'example.com'],
    ['an empty port', 'example.com:'],
    ['no host', ':443'],
    ['a dot as host', '.:443'],
    ['port 0', 'example.com:0'],
    ['port 65536', 'example.com:65536'],
    ['a port of six digits', 'example.com:000443'],
    ['a port with a sign', 'example.com:+443'],
    ['a negative port', 'example.com:-443'],
    ['a hexadecimal port', 'example.com:0x1bb'],
    ['a port with a fraction', 'example.com:443.0'],
    ['a port with an exponent', 'example.com:4e2'],
    ['a service name', 'example.com:https'],
    ['other digits', 'example.com:\u0664\u0664\u0663'],
    ['a path', 'example.com:443/'],
    ['a path before the port', 'example.com/:443'],
    ['a query', 'example.com:443?x'],
    ['a fragment', 'example.com:443#x'],
    ['userinfo', 'user:secret@example.com:443'],
    ['a user', 'user@example.com:443'],
    ['a scheme', 'https://example.com:443'],
    ['a backslash', 'example.com\\:443'],
    ['two ports', 'example.com:443:443'],
    ['a space', 'example.com :443'],
    ['a leading space', ' example.com:443'],
    ['a trailing space', 'example.com:443 '],
    ['a line break', 'example.com:443\r\nHost: other'],
    ['a trailing line feed', 'example.com:443\n'],
    ['a NUL', 'example.com\0.other:443'],
    ['non-ASCII', 'b\u00fccher.example:443'],
    ['a fullwidth dot', 'example\uff0ecom:443'],
    ['a Kelvin sign', '\u212aelvin.example:443'],
    ['percent-encoding', 'example%2ecom:443'],
    ['a comma', 'a.example,b.example:443'],
    ['an empty label', 'example..com:443'],
    ['a leading dot', '.example.com:443'],
    ['two trailing dots', 'example.com..:443'],
    ['a label of 64', `${'a'.repeat(64)}.example:443`],
    ['a name of 254', `${'a.'.repeat(126)}aa:443`],
    ['IPv6 without brackets', '::1:443'],
    ['IPv6 without brackets or port', '2001:db8::1'],
    ['brackets without a port', '[::1]'],
    ['an open bracket', '[::1:443'],
    ['text after the bracket', '[::1]x:443'],
    ['empty brackets', '[]:443'],
    ['IPv4 in brackets', '[127.0.0.1]:443'],
    ['a name in brackets', '[example.com]:443'],
    ['a zone', '[fe80::1%eth0]:443'],
    ['an encoded zone', '[fe80::1%25eth0]:443'],
    ['IPv6 with two gaps', '[1::2::3]:443'],
    ['IPv6 that is too long', '[1:2:3:4:5:6:7:8:9]:443'],
    ['IPvFuture', '[v1.x]:443'],
    ['IPv4 of three parts', '127.0.1:443'],
    ['IPv4 of two parts', '127.1:443'],
    ['IPv4 of one part', '2130706433:443'],
    ['IPv4 of five parts', '127.0.0.0.1:443'],
    ['hexadecimal IPv4', '0x7f000001:443'],
    ['a hexadecimal part', '0x7f.0.0.1:443'],
    ['a hexadecimal last part', '127.0.0.0x1:443'],
    ['an octal part', '0177.0.0.1:443'],
    ['an octal last part', '127.0.0.01:443'],
    ['a part over 255', '127.0.0.256:443'],
    ['IPv4 parts and a trailing dot', '127.1.:443'],
    ['a bare 0x', '127.0.0.0x:443'],
    ['a name that ends in a number', 'example.123:443'],
  ];
  for (const [why, target] of refused) {
    test(`refuses ${why}`, () => {
      assert.equal(
        codeOf(() => parseConnectTarget(target)),
        'ERR_TARGET_INVALID',
      );
    });
  }

  test('names what was wrong, in printable characters and at most 120 of the target', () => {
    assert.throws(() => parseConnectTarget('a\r\nb\u20ac:1'), {
      detail: "the host has a character that no host name has: 'a\\x0d\\x0ab\\x20ac:1'",
    });
    assert.throws(
      () => parseConnectTarget(`${'\x01'.repeat(5000)}:1`),
      (error) => {
        assert.ok(error instanceof SallyportError);
        const shown = /'(.*)'$/.exec(error.detail)?.[1] ?? '';
        assert.equal(shown.length, 120);
        assert.match(error.detail, /^[\x20-\x7e]+$/);
        return true;
      },
    );
  });

  test('anything at all is either taken in one spelling or refused as invalid', () => {
    const pieces = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 6 }),
      fc.constantFrom(
        '[',
        ']',
        ':',
        '::',
        '.',
        '@',
        '/',
        '%',
        '0x',
        '127',
        '1',
        'a',
        'A',
        'ffff',
        '443',
        '-',
        '_',
      ),
      fc.domain(),
      fc.ipV4Extended(),
      fc.ipV6(),
    );
    const targets = fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(targets, (target) => {
        const code = codeOf(() => parseConnectTarget(target));
        if (code !== undefined) {
          assert.equal(code, 'ERR_TARGET_INVALID');
          return;
        }
        const destination = parseConnectTarget(target);
        assert.match(destination.host, /^[a-z0-9_.:-]+$/);
        assert.ok(Number.isInteger(destination.port) && destination.port >= 1 && destination.port <= 65535);
        assert.deepEqual(parseConnectTarget(hostPort(destination.host, destination.port)), destination);
      }),
      { numRuns: 5000 },
    );
  });
});

suite('absolute-form targets', () => {
  type Row = readonly [target: string, scheme: 'http' | 'https', host: string, port: number, path: string];
  const accepted: readonly Row[] = [
    ['http://example.com/', 'http', 'example.com', 80, '/'],
    ['http://example.com', 'http', 'example.com', 80, '/'],
    ['HTTPS://Example.COM/Path', 'https', 'example.com', 443, '/Path'],
    ['hTTp://example.com:8080/a/../b//./c', 'http', 'example.com', 8080, '/a/../b//./c'],
    ['http://example.com:/x', 'http', 'example.com', 80, '/x'],
    ['http://example.com?a=1', 'http', 'example.com', 80, '/?a=1'],
    ['http://example.com/?', 'http', 'example.com', 80, '/?'],
    ['http://example.com/?u=http://other/@[x]:y', 'http', 'example.com', 80, '/?u=http://other/@[x]:y'],
    ['http://example.com/%7E%2f%00/~"<>\\^`{|}', 'http', 'example.com', 80, '/%7E%2f%00/~"<>\\^`{|}'],
    ['http://example.com/caf\u00c3\u00a9', 'http', 'example.com', 80, '/caf\u00c3\u00a9'],
    ['http://[::1]:8080/x', 'http', '::1', 8080, '/x'],
    ['https://[2001:DB8::1]', 'https', '2001:db8::1', 443, '/'],
    ['http://192.0.2.1/x', 'http', '192.0.2.1', 80, '/x'],
  ];
  for (const [target, scheme, host, port, path] of accepted) {
    test(`takes ${target}`, () => {
      assert.deepEqual(parseAbsoluteTarget(target), { origin: { scheme, host, port }, path });
    });
  }

  test('an OPTIONS request without path and query becomes *', () => {
    assert.equal(parseAbsoluteTarget('http://example.com', true).path, '*');
    assert.equal(parseAbsoluteTarget('http://example.com:8001', true).path, '*');
    assert.equal(parseAbsoluteTarget('http://example.com/', true).path, '/');
    assert.equal(parseAbsoluteTarget('http://example.com?x', true).path, '/?x');
  });

  for (const target of ['/', '/index.html', '//example.com/', '*', '']) {
    test(`'${target}' is no request to a proxy`, () => {
      assert.equal(
        codeOf(() => parseAbsoluteTarget(target)),
        'ERR_NOT_A_PROXY_REQUEST',
      );
    });
  }

  const refused: readonly (readonly [why: string, target: string])[] = [
    ['another scheme', 'ftp://example.com/'],
    ['a WebSocket scheme', 'ws://example.com/'],
    ['a longer scheme', 'httpss://example.com/'],
    ['authority-form', 'example.com:443'],
    ['no slashes', 'http:example.com/'],
    ['one slash', 'http:/example.com/'],
    ['backslashes', 'http:\\\\example.com/'],
    ['three slashes', 'http:///example.com/'],
    ['a leading space', ' http://example.com/'],
    ['no host', 'http://'],
    ['no host but a port', 'http://:80/'],
    ['userinfo', 'http://user:secret@example.com/'],
    ['empty userinfo', 'http://@example.com/'],
    ['userinfo that looks like a host', 'http://example.com:80@other/'],
    ['a backslash before userinfo', 'http://example.com\\@other/'],
    ['a fragment', 'http://example.com/#top'],
    ['a fragment after the host', 'http://example.com#top'],
    ['a fragment after the query', 'http://example.com/?q#'],
    ['port 0', 'http://example.com:0/'],
    ['port 65536', 'http://example.com:65536/'],
    ['a bad port', 'http://example.com:80a/'],
    ['IPv6 without brackets', 'http://::1/'],
    ['a zone', 'http://[fe80::1%25eth0]/'],
    ['a space in the path', 'http://example.com/a b'],
    ['a tab in the path', 'http://example.com/a\tb'],
    ['a line break in the path', 'http://example.com/a\r\nX: y'],
    ['DEL in the path', 'http://example.com/\x7f'],
    ['what is not a byte', 'http://example.com/\u20ac'],
    ['a line break in the host', 'http://exam\nple.com/'],
    ['a short IPv4 address', 'http://127.1/'],
    ['a number as host', 'http://2130706433/'],
    ['an octal IPv4 address', 'http://0177.0.0.1/'],
    ['percent-encoding in the host', 'http://127.0.0.%31/'],
  ];
  for (const [why, target] of refused) {
    test(`refuses ${why}`, () => {
      assert.equal(
        codeOf(() => parseAbsoluteTarget(target)),
        'ERR_TARGET_INVALID',
      );
    });
  }

  test('a secret in a refused target is not repeated beyond the 120 characters', () => {
    assert.throws(
      () => parseAbsoluteTarget(`http://${'a'.repeat(200)}secret`),
      (error) => {
        assert.ok(error instanceof SallyportError);
        assert.ok(!error.message.includes('secret'));
        return true;
      },
    );
  });

  test('agrees with the URL Standard on scheme, host and port wherever both accept', () => {
    const host = fc.oneof(
      fc.domain(),
      fc.ipV4Extended(),
      fc.ipV6().map((ip) => `[${ip}]`),
      fc.stringMatching(/^[a-zA-Z0-9._-]{1,12}$/),
      fc.stringMatching(/^(0x?)?[0-9a-f]{1,3}(\.(0x?)?[0-9a-f]{1,3}){0,4}\.?$/),
    );
    const port = fc.oneof(
      fc.constant(''),
      fc.constant(':'),
      fc.nat(70_000).map((one) => `:${one}`),
    );
    const rest = fc.oneof(
      fc.constant(''),
      fc.webPath(),
      fc.webQueryParameters().map((query) => `/?${query}`),
    );
    const scheme = fc.constantFrom('http', 'https', 'HTTP', 'Https');
    let compared = 0;
    fc.assert(
      fc.property(scheme, host, port, rest, (...parts) => {
        const target = `${parts[0]}://${parts.slice(1).join('')}`;
        const url = URL.canParse(target) ? new URL(target) : undefined;
        if (codeOf(() => parseAbsoluteTarget(target)) !== undefined) return;
        assert.ok(url, `we take ${target}, the URL Standard does not`);
        const { origin, path } = parseAbsoluteTarget(target);
        assert.equal(`${origin.scheme}:`, url.protocol);
        const bare = url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
        assert.equal(origin.host, bare);
        assert.equal(origin.port, Number(url.port || (origin.scheme === 'http' ? 80 : 443)));
        const sent = target.slice(target.indexOf('/', 8)).replace(/^\?/, '/?');
        assert.equal(path, target.indexOf('/', 8) === -1 ? '/' : sent);
        compared += 1;
      }),
      { numRuns: 5000 },
    );
    assert.ok(compared > 1000, `only ${compared} targets were compared`);
  });
});
