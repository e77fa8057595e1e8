import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../src/base/errors.js';
import type { ExchangeEnd, TunnelClose } from '../../src/base/events.js';
import type { LegTls } from '../../src/base/exchange.js';
import { wantsColor } from '../../src/cli/colors.js';
import {
  exchangeRecord,
  failureRecord,
  formatDropped,
  formatExchange,
  formatFailure,
  formatTunnelClose,
  formatTunnelOpen,
  tunnelCloseRecord,
  tunnelOpenRecord,
} from '../../src/cli/format.js';

const plain = { color: false, width: undefined };
/** A local time, so that the test holds in every time zone. */
const started = new Date(2026, 0, 2, 3, 4, 5, 67).getTime();
const tls = (version: string): LegTls => ({
  version,
  cipher: 'TLS_AES_128_GCM_SHA256',
  alpn: 'http/1.1',
  serverName: 'example.com',
  resumed: false,
});

const end: ExchangeEnd = {
  id: '7',
  client: { connection: 3, address: '127.0.0.1', port: 50_000, tls: tls('TLSv1.3') },
  server: { address: '192.0.2.1', port: 443, reused: true, tls: tls('TLSv1.2'), certificates: [] },
  method: 'GET',
  url: 'https://example.com/path?q=1',
  status: 200,
  requestBytes: 0,
  responseBytes: 1234,
  started,
  duration: 34.25,
  answeredBy: 'origin',
  error: undefined,
};
const refused = new SallyportError('ERR_UPSTREAM_REFUSED', 'connecting to example.com:443');
const tunnel: TunnelClose = {
  id: '8',
  connection: 4,
  target: 'example.com:22',
  reason: 'server-first',
  sent: 2048,
  received: 10,
  duration: 1500,
  error: undefined,
};

describe('lines for people', () => {
  test('an exchange', () => {
    assert.equal(
      formatExchange(end, plain),
      '03:04:05.067 GET https://example.com/path?q=1 200 1.2 KiB 34 ms TLS 1.3/1.2 reused',
    );
  });

  test('an upload, a new connection, no TLS', () => {
    const client = { ...end.client, tls: undefined };
    const server = { address: '192.0.2.1', port: 80, reused: false, tls: undefined, certificates: [] };
    const line = formatExchange({ ...end, client, server, method: 'PUT', requestBytes: 5 }, plain);
    assert.match(line, / PUT \S+ 200 ↑5 B 1\.2 KiB 34 ms plain new$/);
  });

  test('an answer of our own', () => {
    const byHook = { ...end, server: undefined, answeredBy: 'hook' as const };
    assert.match(formatExchange(byHook, plain), / TLS 1\.3\/- by hook$/);
    const failed = { ...end, server: undefined, status: 502, answeredBy: 'proxy' as const, error: refused };
    assert.match(
      formatExchange(failed, plain),
      / 502 .* no origin ERR_UPSTREAM_REFUSED: connecting to example\.com:443$/,
    );
  });

  test('no response at all', () => {
    const gone = new SallyportError('ERR_CLIENT_GONE', '');
    assert.match(
      formatExchange({ ...end, status: undefined, error: gone }, plain),
      / --- .* ERR_CLIENT_GONE$/,
    );
  });

  test('a tunnel, opened and closed', () => {
    assert.equal(
      formatTunnelOpen(tunnel, started, plain),
      '03:04:05.067 TUNNEL example.com:22 open (server-first)',
    );
    assert.equal(
      formatTunnelClose(tunnel, started, plain),
      '03:04:05.067 TUNNEL example.com:22 closed ↑2.0 KiB 10 B 1.50 s (server-first)',
    );
  });

  test('a failure, with advice when asked for', () => {
    const failure = { error: refused, target: 'example.com:443', connection: 4 };
    assert.equal(
      formatFailure(failure, started, false, plain),
      '03:04:05.067 FAILED example.com:443 ERR_UPSTREAM_REFUSED: connecting to example.com:443',
    );
    assert.match(
      formatFailure(failure, started, true, plain),
      / \(Is the origin running, and is the port right\?\)$/,
    );
    assert.match(
      formatFailure({ error: refused, connection: 4 }, started, false, plain),
      / FAILED client #4 /,
    );
    assert.match(formatFailure({ error: refused }, started, false, plain), / FAILED - /);
  });

  test('dropped lines', () => {
    assert.match(formatDropped(1), /1 line dropped/);
    assert.match(formatDropped(2), /2 lines dropped/);
  });
});

describe('in a terminal', () => {
  test('the line fits, whatever the URL', () => {
    fc.assert(
      fc.property(fc.webUrl({ size: 'large' }), fc.integer({ min: 90, max: 250 }), (url, width) => {
        const line = formatExchange({ ...end, url }, { color: false, width });
        assert.equal(line.length, width - 1, line);
      }),
    );
  });

  test('the facts stand in a column, and long URLs keep both their ends', () => {
    const url = `https://example.com/${'segment/'.repeat(40)}end.js`;
    const long = formatExchange({ ...end, url }, { color: false, width: 120 });
    const short = formatExchange(end, { color: false, width: 120 });
    assert.equal(long.indexOf(' 200 '), short.indexOf(' 200 '));
    assert.match(long, / https:\/\/example\.com\/segment.*….*end\.js 200 /);
  });

  test('a narrow terminal still shows a piece of the URL', () => {
    const url = `https://example.com/${'x'.repeat(100)}`;
    assert.match(formatExchange({ ...end, url }, { color: false, width: 20 }), / https:\/\/\S{8}…x{7} 200 /);
  });

  test('colours are added, and nothing else', () => {
    const colored = formatExchange(end, { color: true, width: 120 });
    assert.match(colored, /\x1b\[32m200\x1b\[39m/);
    assert.equal(colored.replaceAll(/\x1b\[\d+m/g, ''), formatExchange(end, { color: false, width: 120 }));
    const red = { color: true, width: undefined };
    assert.match(formatExchange({ ...end, status: 503 }, red), /\x1b\[31m503/);
    assert.match(formatExchange({ ...end, error: refused }, red), /\x1b\[31mERR_UPSTREAM_REFUSED/);
  });
});

test('nothing that came over the wire reaches the terminal as a command', () => {
  const bad = 'x\x1b]0;owned\x07\x9b31m\r\n\u202e';
  const error = new SallyportError('ERR_REQUEST_SYNTAX', bad);
  const hostile = { ...end, method: bad, url: `http://a/${bad}`, error };
  const lines = [
    formatExchange(hostile, plain),
    formatTunnelOpen({ ...tunnel, target: bad }, started, plain),
    formatTunnelClose({ ...tunnel, target: bad, error }, started, plain),
    formatFailure({ error, target: bad }, started, true, plain),
  ];
  for (const line of lines) assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f\u202e]/);
  const long = new SallyportError('ERR_DNS', 'y'.repeat(5000));
  assert.ok(formatFailure({ error: long }, started, false, plain).length < 300);
});

describe('JSON records', () => {
  test('an exchange', () => {
    assert.deepEqual(exchangeRecord(end), {
      time: new Date(started).toISOString(),
      event: 'exchange',
      id: '7',
      method: 'GET',
      url: 'https://example.com/path?q=1',
      status: 200,
      requestBytes: 0,
      responseBytes: 1234,
      durationMs: 34.25,
      answeredBy: 'origin',
      client: { connection: 3, address: '127.0.0.1', port: 50_000, tls: tls('TLSv1.3') },
      server: { address: '192.0.2.1', port: 443, reused: true, tls: tls('TLSv1.2') },
      error: null,
    });
  });

  test('what is not there is null, so that the fields are always the same', () => {
    const none = {
      ...end,
      server: undefined,
      status: undefined,
      error: refused,
      client: { ...end.client, tls: { ...tls('TLSv1.3'), alpn: undefined, serverName: undefined } },
    };
    const record = exchangeRecord(none);
    assert.deepEqual(Object.keys(record), Object.keys(exchangeRecord(end)));
    assert.equal(record['status'], null);
    assert.equal(record['server'], null);
    assert.deepEqual(record['error'], {
      code: 'ERR_UPSTREAM_REFUSED',
      detail: 'connecting to example.com:443',
    });
    assert.match(JSON.stringify(record), /"alpn":null,"serverName":null/);
  });

  test('tunnels and failures', () => {
    const { id, connection, target, reason } = tunnel;
    const time = new Date(started).toISOString();
    const open = { time, event: 'tunnel.open', id, connection, target, reason };
    assert.deepEqual(tunnelOpenRecord(tunnel, started), open);
    assert.deepEqual(tunnelCloseRecord(tunnel, started), {
      ...open,
      event: 'tunnel.close',
      sentBytes: 2048,
      receivedBytes: 10,
      durationMs: 1500,
      error: null,
    });
    assert.deepEqual(failureRecord({ error: refused }, started), {
      time,
      event: 'failure',
      connection: null,
      target: null,
      error: { code: 'ERR_UPSTREAM_REFUSED', detail: 'connecting to example.com:443' },
    });
  });
});

test('whether to colour', () => {
  const cases: readonly (readonly [boolean, Record<string, string>, boolean, boolean])[] = [
    [false, {}, true, true],
    [false, {}, false, false],
    [true, {}, true, false],
    [true, { FORCE_COLOR: '1' }, true, false],
    [false, { NO_COLOR: '1' }, true, false],
    [false, { NO_COLOR: '' }, true, true],
    [false, { FORCE_COLOR: '1' }, false, true],
    [false, { FORCE_COLOR: '' }, false, true],
    [false, { FORCE_COLOR: '0' }, true, false],
    [false, { FORCE_COLOR: 'false' }, true, false],
    [false, { FORCE_COLOR: '1', NO_COLOR: '1' }, false, true],
    [false, { TERM: 'dumb' }, true, false],
  ];
  for (const [noColor, environment, terminal, expected] of cases) {
    assert.equal(wantsColor(noColor, environment, terminal), expected, JSON.stringify(environment));
  }
});
