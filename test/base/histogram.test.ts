import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Histogram } from '../../src/base/histogram.js';

test('a size is in the bucket of the greatest power of two that it reaches', () => {
  const histogram = new Histogram();
  for (const size of [0, 1, 2, 3, 4, 65_535, 65_536, 2 ** 32 - 1]) histogram.record(size);
  assert.deepEqual(histogram.counts.buckets, {
    0: { count: 1, bytes: 0 },
    1: { count: 1, bytes: 1 },
    2: { count: 2, bytes: 5 },
    4: { count: 1, bytes: 4 },
    32768: { count: 1, bytes: 65_535 },
    65536: { count: 1, bytes: 65_536 },
    2147483648: { count: 1, bytes: 2 ** 32 - 1 },
  });
});

test('nothing is lost, and every bucket holds sizes of its own only', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 2 ** 31 - 1 })), (sizes) => {
      const histogram = new Histogram();
      for (const size of sizes) histogram.record(size);
      const { count, bytes, buckets } = histogram.counts;
      assert.equal(count, sizes.length);
      assert.equal(
        bytes,
        sizes.reduce((sum, size) => sum + size, 0),
      );
      for (const [from, bucket] of Object.entries(buckets)) {
        const least = Number(from);
        const mine = sizes.filter((size) => (least === 0 ? size === 0 : size >= least && size < 2 * least));
        assert.equal(bucket.count, mine.length);
        assert.equal(
          bucket.bytes,
          mine.reduce((sum, size) => sum + size, 0),
        );
      }
    }),
  );
});
