import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { didYouMean, editDistance, nearest } from '../../src/cli/suggest.js';

const options = ['--port', '--host', '--quiet', '--ca-dir', '--upstream-ca', '--log-format'];

test('typing mistakes find the option that was meant', () => {
  const meant: Readonly<Record<string, string>> = {
    '--prot': '--port',
    '--prt': '--port',
    '--porrt': '--port',
    '--PORT': '--port',
    '--hots': '--host',
    '--queit': '--quiet',
    '--cadir': '--ca-dir',
    '--upstream': '--upstream-ca',
    '--log': '--log-format',
  };
  for (const [typed, option] of Object.entries(meant)) assert.equal(nearest(typed, options), option, typed);
});

test('what resembles nothing gets no suggestion', () => {
  for (const typed of ['', '--', '-v', '--banana', 'x', '🦜', '--p'.repeat(1000)]) {
    assert.equal(nearest(typed, options), undefined, typed.slice(0, 20));
  }
});

test('a beginning that two names have is no suggestion by itself', () => {
  assert.equal(nearest('--request', ['--request-head', '--request-body']), undefined);
  assert.equal(nearest('--request-h', ['--request-head', '--request-body']), '--request-head');
});

test('the end of a sentence', () => {
  assert.equal(didYouMean('--prot', options), '; did you mean --port?');
  assert.equal(didYouMean('--banana', options), '');
});

test('the distance is a metric as far as a suggestion needs it', () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(word, word, (one, other) => {
      const distance = editDistance(one, other);
      assert.equal(distance, editDistance(other, one));
      assert.equal(distance === 0, one === other);
      assert.ok(distance >= Math.abs(one.length - other.length));
      assert.ok(distance <= Math.max(one.length, other.length));
    }),
  );
  assert.equal(editDistance('port', 'prot'), 1);
  assert.equal(editDistance('kitten', 'sitting'), 3);
});
