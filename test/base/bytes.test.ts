import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { formatBytes, formatDuration, parseBytes, parseDuration } from '../../src/base/bytes.js';

suite('quantities', () => {
  const sizes: readonly (readonly [text: string, bytes: number])[] = [
    ['0', 0],
    ['1000', 1000],
    ['1000b', 1000],
    ['64k', 65_536],
    ['64K', 65_536],
    ['64KiB', 65_536],
    ['64 kib', 65_536],
    ['64kB', 64_000],
    ['1.5MiB', 1_572_864],
    ['1g', 1_073_741_824],
    ['2GB', 2_000_000_000],
    ['0.5k', 512],
  ];
  for (const [text, bytes] of sizes) {
    test(`${text} is ${bytes} bytes`, () => {
      assert.equal(parseBytes(text, '--x'), bytes);
    });
  }

  const durations: readonly (readonly [text: string, ms: number])[] = [
    ['0', 0],
    ['250', 250],
    ['250ms', 250],
    ['1.5s', 1500],
    ['10 S', 10_000],
    ['2m', 120_000],
    ['2min', 120_000],
    ['1h', 3_600_000],
  ];
  for (const [text, ms] of durations) {
    test(`${text} is ${ms} ms`, () => {
      assert.equal(parseDuration(text, '--x'), ms);
    });
  }

  const wrong = [
    '',
    ' ',
    '-1',
    '+1',
    '1e3',
    '0x10',
    '1,5',
    '.5',
    '5.',
    '1  k',
    '1 k ',
    'k',
    'NaN',
    'Infinity',
  ];
  for (const text of [...wrong, '1q', '1toString', '1constructor', '999999999999999g', '\u0661']) {
    test(`'${JSON.stringify(text)}' is neither, and the message names the option`, () => {
      const refusal = { code: 'ERR_OPTION_VALUE', message: /--max-body takes/ };
      assert.throws(() => parseBytes(text, '--max-body'), refusal);
      assert.throws(() => parseDuration(text, '--max-body'), refusal);
    });
  }

  test('a size has no unit of time, nor a time one of size', () => {
    assert.throws(() => parseBytes('1s', '--x'), { code: 'ERR_OPTION_VALUE' });
    assert.throws(() => parseDuration('1k', '--x'), { code: 'ERR_OPTION_VALUE' });
  });

  test('sizes for people', () => {
    const shown = [0, 1, 1023, 1024, 1434, 10_240, 23 * 1024 ** 2, 1.5 * 1024 ** 3, 5000 * 1024 ** 4];
    assert.deepEqual(shown.map(formatBytes), [
      '0 B',
      '1 B',
      '1023 B',
      '1.0 KiB',
      '1.4 KiB',
      '10 KiB',
      '23 MiB',
      '1.5 GiB',
      '5000 TiB',
    ]);
  });

  test('durations for people', () => {
    assert.deepEqual([0, 0.44, 9.9, 12.4, 998, 1240, 61_000].map(formatDuration), [
      '0.0 ms',
      '0.4 ms',
      '9.9 ms',
      '12 ms',
      '998 ms',
      '1.24 s',
      '61.00 s',
    ]);
  });

  test('what is shown of a size can be read again, within its digits', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31), (bytes) => {
        const again = parseBytes(formatBytes(bytes), '--x');
        assert.ok(Math.abs(again - bytes) <= bytes * 0.05 + 0.5, `${bytes} became ${again}`);
      }),
    );
  });
});
