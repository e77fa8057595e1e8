import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { classify, sniffLength } from '../../src/listener/sniff.js';

const decided: readonly (readonly [name: string, bytes: string | number[], expected: string])[] = [
  ['TLS 1.0 record version', [0x16, 0x03, 0x01, 0x02, 0x00], 'tls'],
  ['TLS record, version 3.0', [0x16, 0x03, 0x00], 'tls'],
  ['TLS record, version 3.4', [0x16, 0x03, 0x04], 'tls'],
  ['a record of version 3.5', [0x16, 0x03, 0x05], 'other'],
  ['a record of version 2', [0x16, 0x02], 'other'],
  ['a TLS alert first', [0x15, 0x03, 0x01], 'other'],
  ['an SSLv2 hello', [0x80, 0x2e, 0x01, 0x03, 0x01], 'other'],
  ['SOCKS5 with one method', [0x05, 0x01, 0x00], 'socks5'],
  ['SOCKS5 without methods', [0x05, 0x00], 'other'],
  ['SOCKS4 CONNECT', [0x04, 0x01, 0x00, 0x50], 'socks4'],
  ['SOCKS4 BIND', [0x04, 0x02], 'socks4'],
  ['not SOCKS4', [0x04, 0x05], 'other'],
  ['origin-form', 'GET / HTTP/1.1\r\n', 'http'],
  ['absolute-form', 'GET http://a.example/ HTTP/1.1\r\n', 'http'],
  ['absolute-form, https', 'POST https://a.example/ HTTP/1.1\r\n', 'http'],
  ['absolute-form in capitals', 'GET HTTP://A.EXAMPLE/ HTTP/1.1\r\n', 'http'],
  ['asterisk-form', 'OPTIONS * HTTP/1.1\r\n', 'http'],
  ['authority-form', 'CONNECT a.example:443 HTTP/1.1\r\n', 'http'],
  ['authority-form, IPv6', 'CONNECT [::1]:443 HTTP/1.1\r\n', 'http'],
  ['authority-form, digits', 'CONNECT 127.0.0.1:443 HTTP/1.1\r\n', 'http'],
  ['CONNECT with a path, to be refused as HTTP', 'CONNECT /x HTTP/1.1\r\n', 'http'],
  ['an unknown method', 'FROBNICATE /x HTTP/1.1\r\n', 'http'],
  ['a method with a hyphen', 'M-SEARCH * HTTP/1.1\r\n', 'http'],
  ['a method of 32 characters', `${'A'.repeat(32)} /`, 'http'],
  ['a method of 33 characters', 'A'.repeat(33), 'other'],
  ['a lower-case method', 'get / HTTP/1.1\r\n', 'other'],
  ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
  ['a method PRI of HTTP/1', 'PRI * HTTP/1.1\r\n', 'http'],
  ['a method PRI with a path', 'PRI /', 'http'],
  ['a method that begins with PRI', 'PRINT /', 'http'],
  ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n', 'other'],
  ['SMTP', 'EHLO x\r\n', 'other'],
  ['SMTP with a host that begins with h', 'EHLO host.example\r\n', 'other'],
  ['SMTP with a host that begins with http', 'EHLO httpd.example\r\n', 'other'],
  ['an SMTP greeting', '220 mx.example ESMTP\r\n', 'other'],
  ['an inline Redis command', 'GET foo\r\n', 'other'],
  ['a Redis array', '*1\r\n$4\r\nPING\r\n', 'other'],
  ['a Redis PING', 'PING\r\n', 'other'],
  ['a NATS greeting', 'CONNECT {"verbose":false}\r\n', 'other'],
  ['a STOMP frame', 'CONNECT\naccept-version:1.2\n', 'other'],
  ['a second space', 'GET  / HTTP/1.1\r\n', 'other'],
  ['a NUL', [0x00], 'other'],
];

describe('classify', () => {
  for (const [name, input, expected] of decided) {
    it(`${name}: ${expected}`, () => {
      const bytes = typeof input === 'string' ? Buffer.from(input) : Buffer.from(input);
      assert.equal(classify(bytes), expected);
    });
  }

  it('wants more only while both are possible', () => {
    const undecided = [
      '',
      'G',
      'GET',
      'GET ',
      'GET h',
      'GET HtTp',
      'GET https',
      'CONNECT',
      'CONNECT ',
      'PRI * HTTP/2.',
    ];
    for (const text of undecided) assert.equal(classify(Buffer.from(text)), 'more', text);
    for (const bytes of [[0x16], [0x16, 0x03], [0x05], [0x04]])
      assert.equal(classify(Buffer.from(bytes)), 'more');
  });

  it('needs every one of its bytes, and no more', () => {
    const longest = Buffer.from(`${'A'.repeat(32)} https:`);
    assert.equal(longest.length, sniffLength);
    assert.equal(classify(longest), 'http');
    assert.equal(classify(longest.subarray(0, -1)), 'more');
  });

  it('gives for every prefix `more` or the final answer', () => {
    // Arbitrary bytes rarely get past the first one, so most inputs are put together from likely pieces.
    const piece = fc.constantFrom(
      'GET',
      'CONNECT',
      'PRI',
      ' ',
      '*',
      '/',
      'http',
      'HTTPS',
      ':',
      ' HTTP/2.0',
      'A'.repeat(16),
      '-',
      '{',
      'x',
    );
    const text = fc.array(piece, { maxLength: 8 }).map((pieces) => Buffer.from(pieces.join('')));
    const binary = fc
      .tuple(fc.constantFrom(0x16, 0x04, 0x05, 0x47), fc.uint8Array({ maxLength: 60 }))
      .map(([first, rest]) => Buffer.from([first, ...rest]));
    fc.assert(
      fc.property(fc.oneof(text, binary, fc.uint8Array({ maxLength: 60 })), (bytes) => {
        const answer = classify(bytes);
        assert.ok(answer !== 'more' || bytes.length < sniffLength);
        for (let length = 0; length < bytes.length; length += 1) {
          const early = classify(bytes.subarray(0, length));
          assert.ok(early === 'more' || early === answer, `${early} after ${length} bytes, then ${answer}`);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
