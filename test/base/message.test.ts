import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { Fields, authority, hostPort, originUrl, sameName } from '../../src/base/message.js';

suite('fields', () => {
  const raw = (): string[] => [
    'Host',
    'a',
    'X-One',
    '1',
    'x-one',
    '2',
    'Set-Cookie',
    'a=1',
    'set-cookie',
    'b=2',
  ];

  test('lookups ignore case; order, case and duplicates stay', () => {
    const fields = new Fields(raw());
    assert.equal(fields.get('HOST'), 'a');
    assert.equal(fields.get('X-ONE'), '1, 2');
    assert.deepEqual(fields.getAll('SET-cookie'), ['a=1', 'b=2']);
    assert.equal(fields.get('missing'), undefined);
    assert.deepEqual(fields.getAll('missing'), []);
    assert.ok(fields.has('x-One') && !fields.has('x-on') && !fields.has('1'));
    assert.deepEqual([...fields.entries()].flat(), raw());
  });

  test('a value that has the name of a field is not one', () => {
    const fields = new Fields(['A', 'b', 'C', 'A']);
    assert.equal(fields.has('b'), false);
    assert.equal(fields.delete('b'), false);
    fields.set('b', 'x');
    assert.deepEqual(fields.raw, ['A', 'b', 'C', 'A', 'b', 'x']);
  });

  test('set replaces the first in its place and spelling, and drops the others', () => {
    const fields = new Fields(raw());
    fields.set('x-ONE', '3').set('new', 'n');
    assert.deepEqual(fields.raw, [
      'Host',
      'a',
      'X-One',
      '3',
      'Set-Cookie',
      'a=1',
      'set-cookie',
      'b=2',
      'new',
      'n',
    ]);
  });

  test('delete drops every line of a name and says whether there was one', () => {
    const fields = new Fields(raw());
    assert.equal(fields.delete('SET-COOKIE'), true);
    assert.equal(fields.delete('SET-COOKIE'), false);
    assert.deepEqual(fields.raw, ['Host', 'a', 'X-One', '1', 'x-one', '2']);
  });

  test('a clone is a copy', () => {
    const fields = new Fields(raw());
    fields.clone().append('X', 'y').delete('host');
    assert.deepEqual(fields.raw, raw());
  });

  test('from takes records, pairs and other fields', () => {
    assert.deepEqual(Fields.from({ A: '1', 'Set-Cookie': ['x', 'y'] }).raw, [
      'A',
      '1',
      'Set-Cookie',
      'x',
      'Set-Cookie',
      'y',
    ]);
    assert.deepEqual(
      Fields.from([
        ['A', '1'],
        ['A', '2'],
      ]).raw,
      ['A', '1', 'A', '2'],
    );
    assert.deepEqual(Fields.from(new Map([['A', '1']])).raw, ['A', '1']);
    const fields = new Fields(raw());
    const copy = Fields.from(fields);
    assert.deepEqual(copy.raw, raw());
    assert.notEqual(copy.raw, fields.raw);
  });

  const names = fc.constantFrom('a', 'A', 'b', 'B', 'c');
  const edits = fc.array(
    fc.record({
      do: fc.constantFrom('append', 'set', 'delete'),
      name: names,
      value: fc.string({ maxLength: 3 }),
    }),
    { maxLength: 20 },
  );
  test('any edits are as on a list of pairs', () => {
    fc.assert(
      fc.property(edits, (script) => {
        const fields = new Fields();
        let model: [name: string, value: string][] = [];
        for (const { do: what, name, value } of script) {
          const same = ([other]: readonly [string, string]): boolean =>
            other.toLowerCase() === name.toLowerCase();
          const first = model.find(same);
          if (what === 'delete') {
            assert.equal(fields.delete(name), first !== undefined);
            model = model.filter((pair) => !same(pair));
          } else if (what === 'set' && first) {
            fields.set(name, value);
            model = model.filter((pair) => pair === first || !same(pair));
            first[1] = value;
          } else {
            if (what === 'set') fields.set(name, value);
            else fields.append(name, value);
            model.push([name, value]);
          }
          assert.deepEqual([...fields.entries()], model);
        }
      }),
    );
  });
});

suite('origins', () => {
  test('the port is shown where it is not the default of the scheme', () => {
    assert.equal(originUrl({ scheme: 'https', host: 'example.com', port: 443 }), 'https://example.com');
    assert.equal(originUrl({ scheme: 'https', host: 'example.com', port: 80 }), 'https://example.com:80');
    assert.equal(originUrl({ scheme: 'http', host: 'example.com', port: 80 }), 'http://example.com');
    assert.equal(originUrl({ scheme: 'http', host: 'example.com', port: 443 }), 'http://example.com:443');
  });

  test('IPv6 stands in brackets', () => {
    assert.equal(authority({ scheme: 'http', host: '::1', port: 80 }), '[::1]');
    assert.equal(authority({ scheme: 'http', host: '::1', port: 8080 }), '[::1]:8080');
    assert.equal(hostPort('2001:db8::1', 443), '[2001:db8::1]:443');
    assert.equal(hostPort('192.0.2.1', 443), '192.0.2.1:443');
  });

  test('names are the same but for the case of their letters', () => {
    assert.ok(sameName('Content-Length', 'content-LENGTH'));
    assert.ok(!sameName('content-length', 'content_length'));
    assert.ok(!sameName('a', 'ab') && !sameName('', 'a'));
  });
});
