import assert from 'node:assert/strict';
import { isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { certificateName } from '../../src/certs/names.js';
import { withCode } from './support.js';

const label63 = 'a'.repeat(63);
/** 253 characters: the longest name there is. */
const longest = [label63, label63, label63, 'b'.repeat(61)].join('.');

test('DNS names in one spelling', () => {
  const spellings: readonly [string, string][] = [
    ['example.com', 'example.com'],
    ['EXAMPLE.Com', 'example.com'],
    ['example.com.', 'example.com'],
    ['localhost', 'localhost'],
    ['_dmarc.my_host.example', '_dmarc.my_host.example'],
    ['-edge-.example', '-edge-.example'],
    ['r4---sn-4g5e6nz7.example', 'r4---sn-4g5e6nz7.example'],
    ['1.2.3.4.in-addr.arpa', '1.2.3.4.in-addr.arpa'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example.', 'xn--bcher-kva.example'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['例え。テスト', 'xn--r8jz45g.xn--zckzah'],
    ['bücher。example。', 'xn--bcher-kva.example'],
    [longest, longest],
    [`${longest}.`, longest],
  ];
  for (const [host, expected] of spellings) {
    assert.deepEqual(certificateName(host), { kind: 'dns', host: expected }, host);
  }
});

test('addresses in one spelling, with their octets', () => {
  const spellings: readonly [string, string, string][] = [
    ['127.0.0.1', '127.0.0.1', '7f000001'],
    ['127.0.0.1.', '127.0.0.1', '7f000001'],
    ['::1', '::1', '00000000000000000000000000000001'],
    ['[::1]', '::1', '00000000000000000000000000000001'],
    ['::', '::', '00000000000000000000000000000000'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1', '20010db8000000000000000000000001'],
    ['[2001:db8::1:0:0:1]', '2001:db8::1:0:0:1', '20010db8000000000001000000000001'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0', '00010002000300040005000600070000'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
    ['fe80::1%eth0', 'fe80::1', 'fe800000000000000000000000000001'],
    ['[fe80::1%25]', 'fe80::1', 'fe800000000000000000000000000001'],
  ];
  for (const [literal, host, octets] of spellings) {
    const name = certificateName(literal);
    assert.ok(name.kind === 'ip', literal);
    assert.equal(name.host, host);
    assert.equal(Buffer.from(name.address).toString('hex'), octets, literal);
  }
});

test('what is no host is refused, with the reason', () => {
  const refusals: readonly [string, RegExp][] = [
    ['', /empty/],
    ['.', /empty/],
    ['a..b', /empty label/],
    ['.example', /empty label/],
    ['example.com..', /empty label/],
    ['*.example.com', /characters/],
    ['*', /characters/],
    ['exa mple.com', /characters/],
    ['example.com\0.evil', /characters/],
    ['example.com:443', /characters/],
    ['user@example.com', /characters/],
    ['example.com/path', /characters/],
    ['exam%70le.com', /characters/],
    ['bücher.example/path', /IDN/],
    ['büch%41er.example', /IDN/],
    ['bücher.example:443', /IDN/],
    ['bücher／.example', /IDN/],
    ['\ud800.example', /IDN/],
    ['１２７.0.0.1', /last label is a number/],
    ['127.1', /last label is a number/],
    ['256.1.1.1', /last label is a number/],
    ['010.0.0.1', /last label is a number/],
    ['0x7f000001', /last label is a number/],
    ['[127.0.0.1]', /brackets/],
    ['[example.com]', /brackets/],
    ['[::1', /characters/],
    ['1::2::3', /characters/],
    [`${'a'.repeat(64)}.example`, /64 characters/],
    [`${longest}c`, /254 characters/],
    ['a'.repeat(2000), /2000 characters/],
    [`${'ü'.repeat(200)}.example`, /\d+ characters|IDN/],
  ];
  for (const [host, reason] of refusals) {
    assert.throws(() => certificateName(host), withCode('ERR_LEAF_CERTIFICATE', reason), host);
  }
});

test('an error shows little of a long name and nothing that could move a cursor', () => {
  assert.throws(
    () => certificateName(`\u001b[2J${'x'.repeat(900)}`),
    (error: unknown) => {
      assert.ok(error instanceof Error);
      assert.ok(error.message.length < 300);
      assert.doesNotMatch(error.message, /\p{Cc}/u);
      return true;
    },
  );
});

test('the spelling is one: a name of a name is itself', () => {
  const inputs = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.string(), fc.string({ unit: 'grapheme' }));
  fc.assert(
    fc.property(inputs, (input) => {
      let name;
      try {
        name = certificateName(input);
      } catch (error) {
        withCode('ERR_LEAF_CERTIFICATE')(error);
        return;
      }
      assert.deepEqual(certificateName(name.host), name);
      assert.match(name.host, /^[a-z0-9._:-]{1,253}$/);
    }),
    { numRuns: 2000 },
  );
});

test('every domain and every address is taken', () => {
  fc.assert(
    fc.property(fc.domain(), (domain) => {
      assert.deepEqual(certificateName(domain), { kind: 'dns', host: domain.toLowerCase() });
    }),
  );
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const name = certificateName(address);
      assert.ok(name.kind === 'ip' && isIPv6(name.host));
      // Written out in full, the octets are the same address to Node.
      const groups = Buffer.from(name.address).toString('hex').match(/.{4}/g) ?? [];
      assert.deepEqual(certificateName(groups.join(':')), name);
    }),
  );
});
