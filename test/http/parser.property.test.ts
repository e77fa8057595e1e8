/**
 * Properties of the codec: the same events however the bytes are cut and whenever the parser is paused;
 * parsing is the inverse of writing; what is broken is refused with the same code in any split.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Fields } from '../../src/base/message.js';
import { type RunOptions, type Side, type Transcript, asWire, bytes, transcribe } from './events.js';
import {
  type Stream,
  cutting,
  mutatedBytes,
  mutation,
  pausing,
  requestStream,
  responseStream,
  transcriptOf,
} from './messages.js';

const runs = { numRuns: 400 };
const sides: readonly (readonly [Side, fc.Arbitrary<Stream>])[] = [
  ['request', requestStream],
  ['response', responseStream],
];

for (const [side, stream] of sides) {
  describe(`${side}s`, () => {
    test('parse ∘ serialise = identity, in any split, with any pauses', () => {
      fc.assert(
        fc.property(stream, cutting, pausing, (given, cut, pauses) => {
          const { methods } = given;
          const whole = bytes(given.text);
          const expected = transcriptOf(given);
          assert.deepEqual(transcribe(side, [whole], { methods }), expected);
          assert.deepEqual(transcribe(side, cut(whole), { methods }), expected);
          assert.deepEqual(transcribe(side, cut(whole), { methods, pauses }), expected);
        }),
        runs,
      );
    });

    test('wire is the same body, in any split, with any pauses', () => {
      fc.assert(
        fc.property(stream, cutting, pausing, (given, cut, pauses) => {
          const options = { methods: given.methods, wire: true };
          const whole = bytes(given.text);
          const expected = transcriptOf(given);
          assert.deepEqual(transcribe(side, [whole], options), expected);
          assert.deepEqual(transcribe(side, cut(whole), options), expected);
          assert.deepEqual(transcribe(side, cut(whole), { ...options, pauses }), expected);
        }),
        runs,
      );
    });

    test('serialise ∘ parse = identity on what a parser told', () => {
      fc.assert(
        fc.property(stream, (given) => {
          const { methods } = given;
          const first = transcribe(side, [bytes(given.text)], { methods });
          const again = transcribe(side, [bytes(serialised(first))], { methods });
          assert.deepEqual(again, first);
          assert.equal(serialised(again), serialised(first));
        }),
        runs,
      );
    });

    test('broken messages are told alike in any split, and throw nothing but errors of the table', () => {
      fc.assert(
        fc.property(
          stream,
          fc.array(mutation, { minLength: 1, maxLength: 3 }),
          cutting,
          pausing,
          fc.constantFrom(...tightness),
          (given, mutations, cut, pauses, limits) => {
            const whole = mutatedBytes(given, mutations);
            const options: RunOptions = { methods: given.methods, limits };
            const expected = transcribe(side, [whole], options);
            assert.deepEqual(transcribe(side, cut(whole), options), expected);
            assert.deepEqual(transcribe(side, cut(whole), { ...options, pauses }), expected);
            const wire = { ...options, wire: true };
            assert.deepEqual(transcribe(side, [whole], wire), asWire(expected));
            assert.deepEqual(transcribe(side, cut(whole), { ...wire, pauses }), asWire(expected));
          },
        ),
        { numRuns: 1500 },
      );
    });
  });
}

/** The usual limits, and some so small that random messages run into them. */
const tightness = [
  { head: 64 * 1024, uri: 16 * 1024, fields: 200 },
  { head: 60, uri: 10, fields: 3 },
  { head: 30, uri: 12, fields: 1 },
  { head: 8, uri: 200, fields: 0 },
];

test('the broken messages of this file are not all refused, nor all accepted', () => {
  const counts = new Map<string, number>();
  fc.assert(
    fc.property(requestStream, fc.array(mutation, { minLength: 1, maxLength: 2 }), (given, mutations) => {
      const { error } = transcribe('request', [mutatedBytes(given, mutations)]);
      counts.set(error ?? 'none', (counts.get(error ?? 'none') ?? 0) + 1);
    }),
    { numRuns: 1000 },
  );
  for (const code of [
    'none',
    'ERR_REQUEST_SYNTAX',
    'ERR_REQUEST_FRAMING',
    'ERR_REQUEST_BODY_SYNTAX',
    'ERR_CLIENT_GONE',
  ]) {
    assert.ok((counts.get(code) ?? 0) > 5, `${code}: ${JSON.stringify([...counts])}`);
  }
});

/** The messages of a transcript written in one way: no empty lines before, one chunk, one space after a colon. */
function serialised({ messages }: Transcript): string {
  return messages
    .map(({ start, fields, framing, body, trailers }) => {
      const head = `${start}\r\n${lines(fields)}\r\n`;
      if (framing !== 'chunked') return head + body;
      const chunk = body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`;
      return `${head}${chunk}0\r\n${lines(trailers)}\r\n`;
    })
    .join('');
}

function lines(raw: readonly string[]): string {
  return [...new Fields([...raw]).entries()].map(([name, value]) => `${name}: ${value}\r\n`).join('');
}
