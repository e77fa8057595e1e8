import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LegCounters } from '../../src/base/leg-counters.js';
import { formatReads } from '../../src/cli/show-reads.js';
import { getThrough, startOrigin, startProxy } from './support.js';

test('formatReads: aligned, in ascending order, and nothing of what did not happen', () => {
  const upstream = new LegCounters();
  for (const size of [300_000, 70_000, 70_000]) upstream.reads.record(size);
  upstream.handshake(false);
  upstream.handshake(true);
  assert.deepEqual(formatReads({ client: new LegCounters().counts, upstream: upstream.counts }), [
    'client leg: 0 full and 0 resumed TLS handshakes',
    'upstream leg: 1 full and 1 resumed TLS handshakes',
    '  reads (system calls): 3, 430 KiB, 143 KiB on average',
    '     64 KiB up           2   137 KiB   31.8 %',
    '    256 KiB up           1   293 KiB   68.2 %',
  ]);
});

describe('--show-reads', () => {
  for (const workers of ['1', '2']) {
    test(`${workers} workers: a table on stderr, or a line of JSON on stdout, at the end`, async (t) => {
      const origin = await startOrigin(t, (_request, response) => response.end(Buffer.alloc(100_000)));
      for (const format of ['pretty', 'json']) {
        const args = ['--quiet', '--show-reads', '--workers', workers, '--upstream-ca', origin.caFile];
        const proxy = await startProxy(t, [...args, '--log-format', format, '--read-buffer-size', '1MiB']);
        assert.equal((await getThrough(t, proxy, origin.url)).status, 200);
        proxy.child.kill('SIGTERM');
        const { status, stdout, stderr } = await proxy.ended;
        assert.equal(status, 0, stderr);
        if (format === 'pretty') {
          assert.match(
            stderr,
            /^client leg: [\s\S]*^upstream leg: 1 full and 0 resumed TLS handshakes\n {2}reads \(system calls\): \d+, 1\d\d KiB/m,
          );
        } else {
          const last = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as {
            event: string;
            legs: { upstream: { reads: { bytes: number } } };
          };
          assert.equal(last.event, 'reads');
          assert.ok(last.legs.upstream.reads.bytes > 100_000);
        }
      }
    });
  }
});
