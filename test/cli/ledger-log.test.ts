import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Ledger } from '../../src/base/ledger.js';
import { formatLine, MovedLines } from '../../src/cli/ledger-log.js';
import { eventually } from '../support/patience.js';
import { getThrough, startOrigin, startProxy } from './support.js';

test('lines: kinds that moved since the last time, with the age of the oldest where there is one', () => {
  const clock = { now: 0 };
  const ledger = new Ledger({ now: () => clock.now });
  const lines = new MovedLines();
  const told = (): readonly string[] => lines.take(ledger.lines()).map((line) => formatLine(line));
  assert.deepEqual(told(), []);
  const mark = ledger.open('connections');
  ledger.close('tunnels', ledger.open('tunnels'));
  clock.now = 64 * 25;
  assert.deepEqual(told(), [
    'connections: created 1 closed 0 leaked 0 outstanding 1 oldest 1.7s',
    'tunnels: created 1 closed 1 leaked 0 outstanding 0',
  ]);
  assert.deepEqual(told(), []);
  ledger.close('connections', mark);
  assert.deepEqual(told(), ['connections: created 1 closed 1 leaked 0 outstanding 0']);
});

describe('--ledger-every', () => {
  for (const workers of ['1', '2']) {
    test(`${workers} workers: while it runs and at the end, also where exchanges are not logged`, async (t) => {
      const origin = await startOrigin(t, (_request, response) => response.end('hello'));
      for (const format of ['pretty', 'json']) {
        const args = [
          '--quiet',
          '--ledger-every',
          '50ms',
          '--workers',
          workers,
          '--upstream-ca',
          origin.caFile,
        ];
        const proxy = await startProxy(t, [...args, '--log-format', format]);
        assert.equal((await getThrough(t, proxy, origin.url)).status, 200);
        const first =
          format === 'json' ? '"exchanges":{"created":1,' : '\nexchanges: created 1 closed 1 leaked 0';
        await eventually('the exchange is told', () => proxy.stdout.includes(first));
        proxy.child.kill('SIGTERM');
        const { status, stdout, stderr } = await proxy.ended;
        assert.equal(status, 0, stderr);
        if (format === 'pretty') {
          const last = new Map(
            [...stdout.matchAll(/^(\w+): created \d+ closed \d+ leaked 0 outstanding (\d+)/gm)].map(
              ([, kind = '', left]) => [kind, left],
            ),
          );
          for (const kind of ['connections', 'contexts', 'clientTls', 'upstreamTls', 'identities']) {
            assert.equal(last.get(kind), '0', `${kind} in\n${stdout}`);
          }
        } else {
          const records = stdout
            .trim()
            .split('\n')
            .filter((line) => line.includes('"ledger"'));
          const [record] = records.map((line) => JSON.parse(line) as { event: string; time: string });
          assert.equal(record?.event, 'ledger');
          assert.ok(record.time.endsWith('Z'));
        }
      }
    });
  }
});
