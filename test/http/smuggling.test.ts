/** Every vector of smuggling/ is refused with its code, or framed as it must be, in any split. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Message, bytes, everyByte, split, transcribe } from './events.js';
import { tables } from './smuggling/tables.js';

for (const [title, [side, vectors]] of Object.entries(tables)) {
  describe(title, () => {
    for (const { name, source, text, seen, error, method } of vectors) {
      test(`${name} (${source})`, () => {
        const options = { methods: [method ?? 'GET'] };
        const whole = bytes(text);
        const found = transcribe(side, [whole], options);
        assert.equal(found.error, error);
        assert.deepEqual(found.messages.filter(isWhole).map(brief), seen);
        const pieces = whole.length < 5000 ? everyByte(whole) : split(whole, [1, 9, 700, 30_000, 65_537]);
        assert.deepEqual(transcribe(side, pieces, options), found);
      });
    }
  });
}

test('there are vectors of every kind', () => {
  const all = Object.values(tables).flatMap(([, vectors]) => vectors);
  assert.ok(all.length >= 100, `${all.length} vectors`);
  assert.ok(all.every(({ source }) => source.length > 3));
});

/** Whether nothing is left to be told of it. */
function isWhole({ ended, start }: Message): boolean {
  return ended || start.startsWith('HTTP/1.1 1');
}

/** `POST / body`, `200 body`. */
function brief({ start, body }: Message): string {
  const line = start.startsWith('HTTP') ? start.slice(9, 12) : start.slice(0, start.lastIndexOf(' '));
  return `${line} ${body}`;
}
