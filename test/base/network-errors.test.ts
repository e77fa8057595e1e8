import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type ErrorCode, SallyportError } from '../../src/base/errors.js';
import { networkError } from '../../src/base/network-errors.js';

const failure = (fields: Readonly<Record<string, unknown>>): Error =>
  Object.assign(new Error('text'), fields);
const connecting = (code: string, address = '192.0.2.1'): Error =>
  failure({ code, syscall: 'connect', address, port: 443 });

suite('network errors', () => {
  const rows: readonly (readonly [error: Error, code: ErrorCode, found: string])[] = [
    [connecting('ECONNREFUSED'), 'ERR_UPSTREAM_REFUSED', 'ECONNREFUSED 192.0.2.1:443'],
    [connecting('ECONNREFUSED', '::1'), 'ERR_UPSTREAM_REFUSED', 'ECONNREFUSED [::1]:443'],
    [connecting('EHOSTUNREACH'), 'ERR_UPSTREAM_UNREACHABLE', 'EHOSTUNREACH 192.0.2.1:443'],
    [connecting('ENETUNREACH'), 'ERR_UPSTREAM_UNREACHABLE', 'ENETUNREACH 192.0.2.1:443'],
    [connecting('EADDRNOTAVAIL'), 'ERR_UPSTREAM_UNREACHABLE', 'EADDRNOTAVAIL 192.0.2.1:443'],
    [connecting('EMFILE'), 'ERR_UPSTREAM_UNREACHABLE', 'EMFILE 192.0.2.1:443'],
    [connecting('ETIMEDOUT'), 'ERR_CONNECT_TIMEOUT', 'ETIMEDOUT 192.0.2.1:443'],
    [failure({ code: 'ECONNRESET', syscall: 'read' }), 'ERR_UPSTREAM_RESET', 'ECONNRESET'],
    [failure({ code: 'EPIPE', syscall: 'write' }), 'ERR_UPSTREAM_RESET', 'EPIPE'],
    [
      failure({ code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: 'x.example' }),
      'ERR_DNS',
      'ENOTFOUND x.example',
    ],
    [failure({ code: 'EAI_AGAIN', hostname: 'x.example' }), 'ERR_DNS', 'EAI_AGAIN x.example'],
    [failure({ code: 'EMFILE', syscall: 'getaddrinfo' }), 'ERR_DNS', 'EMFILE'],
    [
      failure({ code: 'ECONNREFUSED', syscall: 'queryA', hostname: 'x.example' }),
      'ERR_DNS',
      'ECONNREFUSED x.example',
    ],
    [failure({ code: 'ETIMEOUT', syscall: 'queryAaaa' }), 'ERR_DNS', 'ETIMEOUT'],
    [failure({ code: 'ERR_INVALID_IP_ADDRESS' }), 'ERR_DNS', 'ERR_INVALID_IP_ADDRESS'],
  ];
  for (const [error, code, found] of rows) {
    test(`${found} is ${code}`, () => {
      const named = networkError(error, 'connecting to x.example:443');
      assert.equal(named?.code, code);
      assert.equal(named.detail, `connecting to x.example:443: ${found}`);
      assert.equal(named.cause, error);
    });
  }

  test('of several addresses the most telling names the code, and all are in the detail', () => {
    const errors = [
      connecting('ENETUNREACH', '2001:db8::1'),
      connecting('ECONNREFUSED'),
      connecting('ETIMEDOUT'),
    ];
    const named = networkError(new AggregateError(errors), 'connecting');
    assert.equal(named?.code, 'ERR_UPSTREAM_REFUSED');
    assert.equal(
      named.detail,
      'connecting: ENETUNREACH [2001:db8::1]:443, ECONNREFUSED 192.0.2.1:443, ETIMEDOUT 192.0.2.1:443',
    );
    const slow = networkError(new AggregateError([errors[0], errors[2]]), 'connecting');
    assert.equal(slow?.code, 'ERR_CONNECT_TIMEOUT');
  });

  test('a table error comes back as it is', () => {
    const error = new SallyportError('ERR_CLIENT_GONE', 'test');
    assert.equal(networkError(error, 'connecting'), error);
  });

  test('what is no error of the network is not named', () => {
    const others = [
      new Error('plain'),
      new TypeError('bug'),
      failure({ code: 'CERT_HAS_EXPIRED' }),
      failure({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' }),
      failure({ code: 'ERR_SSL_WRONG_VERSION_NUMBER', syscall: undefined }),
      failure({ code: 42 }),
      new AggregateError([]),
      new AggregateError(['text', new Error('plain')]),
      'text',
      undefined,
      { code: 'ECONNREFUSED' },
    ];
    for (const other of others) assert.equal(networkError(other, 'connecting'), undefined);
  });
});
