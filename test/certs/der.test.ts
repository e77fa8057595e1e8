import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as der from '../../src/certs/der.js';
import {
  DerError,
  readConstructed,
  readElement,
  readElements,
  readTime,
} from '../../src/certs/der-reader.js';
import { pemBlocks, toPem } from '../../src/certs/pem.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (text: string): Buffer => Buffer.from(text, 'hex');

test('lengths are written in their shortest form, and read back', () => {
  const boundaries = [0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000];
  fc.assert(
    fc.property(fc.oneof(fc.constantFrom(...boundaries), fc.nat({ max: 70_000 })), (length) => {
      const contents = Buffer.alloc(length, 0x5a);
      const encoded = der.octetString(contents);
      const header = length < 128 ? 2 : length < 256 ? 3 : length < 65_536 ? 4 : 5;
      assert.equal(encoded.length, header + length);
      const read = readElement(encoded);
      assert.equal(read.tag, 0x04);
      assert.deepEqual(Buffer.from(read.contents), contents);
      assert.deepEqual(Buffer.from(read.encoded), encoded);
    }),
  );
});

test('integers are positive and minimal', () => {
  const vectors: readonly [number | Uint8Array, string][] = [
    [0, '020100'],
    [127, '02017f'],
    [128, '02020080'],
    [256, '02020100'],
    [10_000, '02022710'],
    [bytes('00000001'), '020101'],
    [bytes('00ff'), '020200ff'],
    [bytes(''), '020100'],
  ];
  for (const [value, expected] of vectors) assert.equal(hex(der.integer(value)), expected);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 20 }), (value) => {
      const { contents } = readElement(der.integer(value));
      assert.equal(BigInt(`0x${hex(contents)}`), BigInt(`0x${hex(value)}`));
      const [first = 0, second = 0] = contents;
      assert.ok(first < 0x80);
      assert.ok(contents.length === 1 || first !== 0 || second >= 0x80);
    }),
  );
});

test('object identifiers, strings and times as other encoders write them', () => {
  // From X.690 §8.19.5, RFC 5480, and openssl.
  assert.equal(hex(der.oid('2.999.3')), '0603883703');
  assert.equal(hex(der.oid('1.2.840.10045.3.1.7')), '06082a8648ce3d030107');
  assert.equal(hex(der.oid('2.16.840.1.113894.746875.1.1')), '060c6086480186f966adca7b0101');
  assert.equal(hex(der.bmpString('Aé')), '1e04004100e9');
  assert.equal(hex(der.bitString(Uint8Array.of(0x06), 1)), '03020106');
  assert.equal(hex(der.setOf(bytes('0202ffff'), bytes('020101'))), '310702010102' + '02ffff');
  const text = (date: string): string => {
    const { tag, contents } = readElement(der.time(Date.parse(date)));
    return `${tag.toString(16)} ${Buffer.from(contents).toString()}`;
  };
  assert.equal(text('2026-01-02T03:04:05.999Z'), '17 260102030405Z');
  assert.equal(text('2049-12-31T23:59:59Z'), '17 491231235959Z');
  assert.equal(text('2050-01-01T00:00:00Z'), '18 20500101000000Z');
});

test('a time that is written is read as the same second', () => {
  const years = fc.date({
    min: new Date('1950-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59Z'),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(years, (date) => {
      const second = Math.floor(date.getTime() / 1000) * 1000;
      assert.equal(readTime(readElement(der.time(date.getTime()))), second);
    }),
  );
});

test('a list of elements is read as it was written', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (parts) => {
      const read = readConstructed(der.sequence(...parts.map((part) => der.octetString(part))), 0x30);
      assert.deepEqual(
        read.map(({ contents }) => hex(contents)),
        parts.map(hex),
      );
    }),
  );
});

test('what is not DER is refused', () => {
  const vectors: readonly [string, RegExp][] = [
    ['', /cut short/],
    ['30', /cut short/],
    ['3003020101'.slice(0, 8), /cut short/],
    ['3080020101' + '0000', /indefinite/],
    ['30810100', /not minimal/],
    ['3082000100', /not minimal/],
    ['308400000001' + '00', /16 MiB/],
    ['1f8101' + '00', /tag number/],
  ];
  for (const [encoded, reason] of vectors) {
    assert.throws(() => readElement(bytes(encoded)), { name: 'DerError', message: reason }, encoded);
  }
  assert.throws(() => readConstructed(bytes('300002'), 0x30), DerError);
  assert.throws(() => readConstructed(bytes('3100'), 0x30), DerError);
  assert.throws(() => readElements(bytes('0101')), DerError);
  for (const time of ['260102030405', '2601020304Z', '269902030405Z']) {
    assert.throws(() => readTime(readElement(der.element(0x17, Buffer.from(time)))), DerError, time);
  }
});

test('any bytes are read or refused, and nothing else happens', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (input) => {
      try {
        const elements = readElements(input);
        assert.equal(hex(Buffer.concat(elements.map(({ encoded }) => encoded))), hex(input));
      } catch (error) {
        assert.ok(error instanceof DerError);
      }
    }),
  );
});

test('PEM blocks come back, with comments and any line ends around them', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1 }), (contents) => {
      const texts = contents.map((content) => toPem('CERTIFICATE', content));
      const file = texts.map((text) => `subject=/CN=a-b\n${text.replaceAll('\n', '\r\n')}`).join('\r\n');
      assert.deepEqual(
        pemBlocks(file),
        texts.map((text) => ({ label: 'CERTIFICATE', text })),
      );
    }),
  );
  assert.deepEqual(pemBlocks('-----BEGIN CERTIFICATE-----\nAAAA\n'), []);
  assert.deepEqual(pemBlocks('-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----\n'), []);
});
