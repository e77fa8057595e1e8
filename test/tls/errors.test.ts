import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SallyportError } from '../../src/base/errors.js';
import { clientHandshakeError } from '../../src/tls/client-errors.js';
import { opensslReason } from '../../src/tls/openssl-reason.js';
import { upstreamError } from '../../src/tls/upstream-errors.js';

function failure(message: string, properties: object = {}): Error {
  return Object.assign(new Error(message), properties);
}

const alertMessage =
  'write EPROTO 80AB:error:0A000410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure:../deps/x.c:1605:SSL alert number 40\n';

describe('opensslReason', () => {
  it('takes the reason, or finds it in the message', () => {
    assert.equal(
      opensslReason(failure('x', { reason: 'wrong version number', code: 'ERR_SSL_X' })),
      'wrong version number',
    );
    assert.equal(opensslReason(failure(alertMessage, { code: 'EPROTO' })), 'sslv3 alert handshake failure');
  });

  it('else gives the code, else the message, and never much', () => {
    assert.equal(opensslReason(failure('read ECONNRESET', { code: 'ECONNRESET' })), 'ECONNRESET');
    assert.equal(opensslReason(failure('odd')), 'odd');
    assert.equal(opensslReason('thrown text'), 'thrown text');
    assert.equal(opensslReason(failure('y'.repeat(5000))).length, 200);
  });
});

describe('clientHandshakeError', () => {
  const detail = (error: unknown): string => {
    const mapped = clientHandshakeError(error);
    assert.equal(mapped.code, 'ERR_CLIENT_HANDSHAKE');
    assert.equal(mapped.cause, error);
    return mapped.detail;
  };

  it('tells distrust from other alerts', () => {
    const reasons = [
      'tlsv1 alert unknown ca',
      'sslv3 alert bad certificate',
      'ssl/tls alert certificate unknown',
    ];
    for (const reason of reasons)
      assert.match(detail(failure('x', { reason })), /does not trust the CA of the proxy/);
    assert.equal(
      detail(failure('x', { reason: 'tlsv1 alert protocol version' })),
      'the client refused the handshake (tlsv1 alert protocol version)',
    );
    assert.equal(detail(failure('x', { reason: 'no shared cipher' })), 'no shared cipher');
  });

  it('a table error stays what it is', () => {
    const error = new SallyportError('ERR_CLIENT_HANDSHAKE_TIMEOUT', 'x');
    assert.equal(clientHandshakeError(error), error);
  });
});

describe('upstreamError', () => {
  const target = 'a.example:443';
  const connecting = { target, phase: 'connect' } as const;
  const handshaking = { target, phase: 'handshake' } as const;

  const table: readonly (readonly [
    cause: string,
    phase: typeof connecting | typeof handshaking,
    code: string,
  ])[] = [
    ['ENOTFOUND', connecting, 'ERR_DNS'],
    ['EAI_AGAIN', connecting, 'ERR_DNS'],
    ['ECONNREFUSED', connecting, 'ERR_UPSTREAM_REFUSED'],
    ['EHOSTUNREACH', connecting, 'ERR_UPSTREAM_UNREACHABLE'],
    ['ENETUNREACH', connecting, 'ERR_UPSTREAM_UNREACHABLE'],
    ['EADDRNOTAVAIL', connecting, 'ERR_UPSTREAM_UNREACHABLE'],
    ['ETIMEDOUT', connecting, 'ERR_CONNECT_TIMEOUT'],
    ['ETIMEDOUT', handshaking, 'ERR_UPSTREAM_HANDSHAKE_TIMEOUT'],
    ['ECONNRESET', handshaking, 'ERR_UPSTREAM_RESET'],
    ['EPIPE', handshaking, 'ERR_UPSTREAM_RESET'],
    ['ESOMETHING', connecting, 'ERR_UPSTREAM_UNREACHABLE'],
    ['EPROTO', handshaking, 'ERR_UPSTREAM_TLS'],
    ['ERR_TLS_DH_PARAM_SIZE', handshaking, 'ERR_UPSTREAM_TLS'],
    ['CERT_HAS_EXPIRED', handshaking, 'ERR_UPSTREAM_CERT_EXPIRED'],
    ['CERT_NOT_YET_VALID', handshaking, 'ERR_UPSTREAM_CERT_NOT_YET_VALID'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', handshaking, 'ERR_UPSTREAM_CERT_SELF_SIGNED'],
    ['SELF_SIGNED_CERT_IN_CHAIN', handshaking, 'ERR_UPSTREAM_CERT_UNTRUSTED'],
    ['UNABLE_TO_GET_ISSUER_CERT', handshaking, 'ERR_UPSTREAM_CERT_UNTRUSTED'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', handshaking, 'ERR_UPSTREAM_CERT_UNTRUSTED'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', handshaking, 'ERR_UPSTREAM_CERT_UNTRUSTED'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', handshaking, 'ERR_UPSTREAM_CERT_WRONG_HOST'],
    ['CERT_REVOKED', handshaking, 'ERR_UPSTREAM_CERT_INVALID'],
    ['INVALID_PURPOSE', handshaking, 'ERR_UPSTREAM_CERT_INVALID'],
    ['UNSPECIFIED', handshaking, 'ERR_UPSTREAM_CERT_INVALID'],
  ];
  for (const [code, failed, expected] of table) {
    it(`${code} while in ${failed.phase}: ${expected}`, () => {
      const cause = failure(`it says ${code}`, { code });
      const error = upstreamError(cause, failed);
      assert.equal(error.code, expected);
      assert.equal(error.cause, cause);
      assert.ok(error.detail.includes(target), error.detail);
      assert.ok(error.detail.includes(code) || expected.endsWith('WRONG_HOST'), error.detail);
    });
  }

  it('of several addresses, the most telling names the code and all are in the detail', () => {
    const error = upstreamError(
      new AggregateError([
        failure('x', { code: 'ENETUNREACH', syscall: 'connect', address: '2001:db8::1', port: 443 }),
        failure('x', { code: 'ECONNREFUSED', syscall: 'connect', address: '192.0.2.1', port: 443 }),
      ]),
      connecting,
    );
    assert.equal(error.code, 'ERR_UPSTREAM_REFUSED');
    assert.equal(
      error.detail,
      'connecting to a.example:443: ENETUNREACH [2001:db8::1]:443, ECONNREFUSED 192.0.2.1:443',
    );
  });

  it('the names of a wrong certificate are listed, bounded and printable', () => {
    const names = Array.from({ length: 300 }, (_, index) => `DNS:${index}\n${'x'.repeat(500)}`).join(', ');
    const many = upstreamError(
      failure('x', { code: 'ERR_TLS_CERT_ALTNAME_INVALID', cert: { subject: {}, subjectaltname: names } }),
      handshaking,
    );
    assert.match(many.detail, /^a\.example:443: the certificate is for DNS:0\?x+, DNS:1\?x.* and 290 more/);
    assert.ok(many.detail.length < 1200, String(many.detail.length));
    const withCert = (cert: object): string =>
      upstreamError(failure('x', { code: 'ERR_TLS_CERT_ALTNAME_INVALID', cert }), handshaking).detail;
    assert.match(withCert({ subject: { CN: 'b.example' } }), /is for CN:b\.example \(/);
    assert.match(withCert({}), /has no names/);
  });

  it('an answer that is not TLS is guessed at', () => {
    const error = upstreamError(
      failure('x', { code: 'ERR_SSL_X', reason: 'wrong version number' }),
      handshaking,
    );
    assert.equal(
      error.detail,
      'the TLS handshake with a.example:443: wrong version number: does the origin speak TLS on this port?',
    );
  });

  it('a table error keeps its code and is completed', () => {
    const cause = new SallyportError('ERR_CONNECT_TIMEOUT', 'its deadline passed');
    const error = upstreamError(cause, connecting);
    assert.equal(error.code, 'ERR_CONNECT_TIMEOUT');
    assert.equal(error.detail, 'connecting to a.example:443: its deadline passed');
    assert.equal(error.cause, cause);
  });
});
