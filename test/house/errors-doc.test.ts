/** docs/errors.md says what the table says, and every code of the table is used. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { errorTable } from '../../src/base/errors.js';
import { readSources } from './rules/module.js';

test('docs/errors.md is made from the table', async () => {
  const built = fileURLToPath(new URL('../../src/base/errors.js', import.meta.url));
  const args = ['scripts/errors-doc.mjs', '--print', '--from', built];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  assert.equal(
    await readFile('docs/errors.md', 'utf8'),
    stdout,
    'docs/errors.md and src/base/errors.ts differ: run `npm run docs:errors`',
  );
  for (const code of Object.keys(errorTable)) assert.ok(stdout.includes(`| \`${code}\` |`), code);
});

test('every code of the table is used in src/', async () => {
  const used = new Set<string>();
  for (const module of await readSources(process.cwd())) {
    module.walk({
      // In the table the codes are keys; a string is a use, in src/base/errors.ts too.
      Literal: (node) => {
        if (typeof node.value === 'string') used.add(node.value);
      },
    });
  }
  const unused = Object.keys(errorTable).filter((code) => !used.has(code));
  assert.deepEqual(unused, [], `codes that nothing in src/ uses: ${unused.join(', ')}`);
});

test('an entry reads well: a title without full stop, a hint that ends with one, a status that is an error', () => {
  for (const [code, { title, hint, status }] of Object.entries(errorTable)) {
    assert.match(code, /^ERR_[A-Z]+(_[A-Z0-9]+)*$/);
    assert.doesNotMatch(title, /\.$/, code);
    assert.match(hint, /[.?]$/, code);
    if (status !== undefined) assert.ok(status >= 400 && status <= 599, code);
  }
});
