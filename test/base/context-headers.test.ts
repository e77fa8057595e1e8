import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import {
  parseTimeout,
  readTimeout,
  remainingTimeout,
  renderTimeout,
  type TimeoutFormat,
} from '../../src/base/context-headers.js';

suite('timeouts in headers', () => {
  test('grpc-timeout, as its specification has it', () => {
    const good: Readonly<Record<string, number>> = {
      '1S': 1000,
      '100m': 100,
      '99999999n': 99.999999,
      '2u': 0.002,
      '3M': 180_000,
      '16H': 57_600_000,
      '0m': 0,
      ' 5S\t': 5000,
      '00000007S': 7000,
    };
    for (const [value, ms] of Object.entries(good)) {
      const parsed = parseTimeout('grpc', value);
      assert.ok(parsed !== undefined && Math.abs(parsed - ms) < 1e-9, value);
    }
    for (const value of [
      '',
      'S',
      '1',
      '1s',
      '-1S',
      '1.5S',
      '123456789S',
      '1 S',
      '1SS',
      '0x1S',
      '１S',
      '1S,2S',
    ])
      assert.equal(parseTimeout('grpc', value), undefined, value);
  });

  test('the other formats', () => {
    const cases: readonly (readonly [TimeoutFormat, string, number | undefined])[] = [
      ['seconds', '30', 30_000],
      ['seconds', '0.5', 500],
      ['seconds', '30s', undefined],
      ['milliseconds', '1500', 1500],
      ['milliseconds', '1500ms', undefined],
      ['duration', '5', 5000],
      ['duration', '5s', 5000],
      ['duration', '250ms', 250],
      ['duration', '250 ms', 250],
      ['duration', '1.5m', 90_000],
      ['duration', '2h', 7_200_000],
      ['duration', '2d', undefined],
      ['duration', '1e3', undefined],
      ['duration', 'Infinity', undefined],
      ['duration', '-1s', undefined],
      ['duration', '5s; x', undefined],
    ];
    for (const [format, value, ms] of cases)
      assert.equal(parseTimeout(format, value), ms, `${format} ${value}`);
  });

  const formats = fc.constantFrom<TimeoutFormat>('grpc', 'seconds', 'milliseconds', 'duration');

  test('nothing that a client sends is read as anything but a time, or nothing', () => {
    fc.assert(
      fc.property(formats, fc.string(), (format, value) => {
        const ms = parseTimeout(format, value);
        assert.ok(ms === undefined || (ms >= 0 && ms < Number.POSITIVE_INFINITY));
      }),
    );
  });

  test('what is rendered is read as no more than was left, and as little less as the format can say', () => {
    const times = fc.oneof(
      fc.double({ min: 0, max: 1e4, noNaN: true }),
      fc.double({ min: 0, max: 1e13, noNaN: true }),
    );
    fc.assert(
      fc.property(formats, times, (format, ms) => {
        const value = renderTimeout(format, ms);
        assert.ok(value !== undefined);
        const read = parseTimeout(format, value);
        assert.ok(read !== undefined, value);
        const smallest = format === 'grpc' ? 1e-6 : 1;
        assert.ok(read <= Math.max(ms, smallest) * (1 + 1e-12), `${ms} became ${value}`);
        // Eight digits: one in ten million and a unit, which is at most sixty times the one before.
        assert.ok(
          read >= ms - Math.max(smallest, format === 'grpc' ? ms * 6e-6 : 0),
          `${ms} became ${value}`,
        );
      }),
      { numRuns: 1000 },
    );
  });

  test('the ends of what can be said', () => {
    assert.equal(renderTimeout('grpc', 0), '1n');
    assert.equal(renderTimeout('grpc', 100), '100000u');
    assert.equal(renderTimeout('grpc', 60_000_000), '60000000m');
    assert.equal(renderTimeout('grpc', 1e300), '99999999H');
    assert.equal(renderTimeout('seconds', 0), '0.001');
    assert.equal(renderTimeout('duration', 29_999.9), '29.999');
    assert.equal(renderTimeout('milliseconds', -5), '1');
    for (const format of ['grpc', 'seconds', 'milliseconds', 'duration'] as const) {
      assert.equal(renderTimeout(format, Number.POSITIVE_INFINITY), undefined);
      assert.equal(renderTimeout(format, Number.NaN), undefined);
    }
  });

  test('of several the shortest counts, and each goes on with what remains', () => {
    const wish = readTimeout([
      ['Host', 'example.test'],
      ['GRPC-Timeout', '5S'],
      ['Request-Timeout', '3'],
      ['request-timeout', '9'],
    ]);
    assert.equal(wish?.ms, 3000);
    assert.deepEqual(remainingTimeout(wish, 2500.7), [
      ['grpc-timeout', '2500700u'],
      ['request-timeout', '2.5'],
    ]);
    assert.deepEqual(remainingTimeout(wish, Number.POSITIVE_INFINITY), []);
  });

  test('what is not understood, or not known, is no wish; other headers can be named', () => {
    assert.equal(readTimeout([['grpc-timeout', 'soon']]), undefined);
    assert.equal(readTimeout([['x-timeout-ms', '250']]), undefined);
    const known = [{ name: 'X-Timeout-Ms', format: 'milliseconds' }] as const;
    assert.equal(readTimeout([['x-timeout-ms', '250']], known)?.ms, 250);
    assert.equal(readTimeout([['grpc-timeout', '1S']], known), undefined);
  });
});
