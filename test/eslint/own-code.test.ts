/** The house keeps the rules that it gives to others: no context of src/ stays open on a path. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Linter } from 'eslint';
import plugin from '../../src/eslint/index.js';
import { typescriptParser } from './typescript-parser.js';

const linter = new Linter();

function lint(code: string): readonly string[] {
  const found = linter.verify(
    code,
    [
      {
        files: ['**/*.ts'],
        languageOptions: { parser: typescriptParser },
        plugins: plugin.configs.recommended.plugins,
        rules: {
          ...plugin.configs.recommended.rules,
          'sallyport/context-closed': ['error', { anyReceiver: true }],
        },
      },
    ],
    'code.ts',
  );
  return found.map(({ line, message }) => `${line}: ${message}`);
}

test('src/ has nothing for the rules to find', async () => {
  const paths = (await readdir('src', { recursive: true })).filter((path) => path.endsWith('.ts'));
  let withContexts = 0;
  const breaches: string[] = [];
  for (const path of paths) {
    const code = await readFile(join('src', path), 'utf8');
    if (!/\.with(?:Cancel|Timeout|Deadline|Value)\(|AbortSignal\./.test(code)) continue;
    withContexts++;
    breaches.push(...lint(code).map((breach) => `src/${path}:${breach}`));
  }
  assert.deepEqual(breaches, []);
  assert.ok(withContexts > 10, `only ${withContexts} files make contexts`);
});

test('the rules would find it', () => {
  const code =
    'export function f(a: { withCancel(): B }): B { const c: B = a.withCancel(); return c.signal; }';
  assert.match(lint(code).join(), /never closed/);
});
