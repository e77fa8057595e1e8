import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { Link, LinkedList } from '../../src/upstream/linked-list.js';

suite('linked lists', () => {
  test('a link is in one list at a time', () => {
    const one = new LinkedList<string>();
    const other = new LinkedList<string>();
    const link = new Link('a');
    one.append(link);
    other.append(link);
    assert.deepEqual([[...one], [...other]], [[], ['a']]);
    assert.equal(one.remove(link), false);
    assert.equal(other.remove(link), true);
    assert.equal(link.linked, false);
  });

  const steps = fc.array(fc.record({ append: fc.boolean(), which: fc.nat(7) }), { maxLength: 60 });
  test('any appending and removing is as on an array', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const list = new LinkedList<number>();
        const links = Array.from({ length: 8 }, (_, at) => new Link(at));
        let model: number[] = [];
        for (const { append, which } of script) {
          const link = links[which];
          assert.ok(link);
          const had = model.includes(which);
          assert.equal(link.linked, had);
          model = model.filter((other) => other !== which);
          if (append) {
            list.append(link);
            model.push(which);
          } else {
            assert.equal(list.remove(link), had);
          }
          assert.deepEqual([...list], model);
          assert.deepEqual([list.size, list.first, list.last], [model.length, model[0], model.at(-1)]);
        }
      }),
    );
  });
});
