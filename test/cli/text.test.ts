import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { cutEnd, cutMiddle, safeJson, safeText, safeUrl } from '../../src/cli/text.js';

/** What a terminal could take for a command, or show in a wrong order. */
const dangerous = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
/** Any character, the dangerous ones most of all. */
const hostile = fc.string({
  unit: fc.oneof(
    fc.constantFrom('\x1b', '\x9b', '\r', '\n', '\u202e', '\u2028', '\0', '\x7f'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
});

describe('text from elsewhere', () => {
  test('escapes of terminals are spelled out', () => {
    assert.equal(safeText('a\x1b[31mb\r\nc\x9bd\u202ee'), 'a\\x1b[31mb\\x0d\\x0ac\\x9bd\\u202ee');
    assert.equal(safeText('naïve ✓ 日本'), 'naïve ✓ 日本');
  });

  test('no text can do anything to a terminal', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        assert.doesNotMatch(safeText(text), dangerous);
        assert.match(safeUrl(text), /^[!-~]*$/);
        const json = safeJson({ text });
        assert.doesNotMatch(json, dangerous);
        assert.deepEqual(JSON.parse(json), { text });
      }),
    );
  });
});

describe('URLs', () => {
  test('what is plain stays', () => {
    const url = "https://example.com:8443/a/%20b?q=1&r='x'#~";
    assert.equal(safeUrl(url), url);
    assert.equal(safeUrl('example.com:443'), 'example.com:443');
    assert.equal(safeUrl('https://example.com/@user?mail=a@b'), 'https://example.com/@user?mail=a@b');
  });

  test('bytes that are not printable ASCII are percent-encoded', () => {
    assert.equal(safeUrl('http://a/\x1b[2J \xc3\xa9'), 'http://a/%1B[2J%20%C3%A9');
    assert.equal(safeUrl('http://a/\u{1f99c}'), 'http://a/%F0%9F%A6%9C');
  });

  test('user names and passwords are not shown', () => {
    assert.equal(safeUrl('https://me:secret@example.com/'), 'https://***@example.com/');
    assert.equal(safeUrl('https://me:sec@ret@example.com/'), 'https://***@example.com/');
    assert.equal(safeUrl('me:secret@example.com:443'), '***@example.com:443');
  });
});

describe('cutting', () => {
  test('in the middle', () => {
    assert.equal(cutMiddle('0123456789', 10), '0123456789');
    assert.equal(cutMiddle('0123456789', 7), '0123…89');
    assert.equal(cutMiddle('0123456789', 2), '0…');
    assert.equal(cutMiddle('0123456789', 1), '…');
    assert.equal(cutMiddle('0123456789', 0), '');
  });

  test('at the end', () => {
    assert.equal(cutEnd('0123456789', 4), '012…');
    assert.equal(cutEnd('012', 3), '012');
  });

  test('never wider than asked for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii' }), fc.nat(30), (text, width) => {
        assert.ok(cutMiddle(text, width).length <= Math.max(0, width));
        assert.ok(cutEnd(text, width).length <= Math.max(1, width));
      }),
    );
  });
});
