/** `sallyport/eslint` as its users have it: by the commands `eslint` and `oxlint`, in a project of its own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';

const leaking = `import { Context } from 'sallyport/context';
export async function fetchIt(url) {
  const context = Context.background.withTimeout(5000);
  const response = await fetch(url, { signal: context.signal });
  if (!response.ok) return undefined;
  const body = await response.text();
  context.close();
  return body;
}
export const fetchAny = (url) => fetch(url, { signal: AbortSignal.timeout(60_000_000) });
`;

const passing = `import { Context } from 'sallyport/context';
export async function fetchIt(url, get) {
  const context = Context.background.withTimeout(5000);
  return await get(url, context);
}
`;

const clean = `import { Context } from 'sallyport/context';
export async function fetchIt(url) {
  const context = Context.background.withTimeout(5000);
  try {
    const response = await fetch(url, { signal: context.signal });
    return response.ok ? await response.text() : undefined;
  } finally {
    context.close();
  }
}
`;

let project = '';

before(async () => {
  project = await mkdtemp(join(tmpdir(), 'sallyport-eslint-'));
  await mkdir(join(project, 'node_modules'));
  await symlink(process.cwd(), join(project, 'node_modules', 'sallyport'), 'junction');
  const config = (name: string): string =>
    `import sallyport from 'sallyport/eslint';\nexport default [sallyport.configs.${name}];\n`;
  const oxlintConfig = {
    jsPlugins: ['sallyport/eslint'],
    categories: { correctness: 'off' },
    rules: { 'sallyport/context-closed': 'error', 'sallyport/no-abort-signal-timeout': 'error' },
  };
  const files = {
    'package.json': '{ "private": true, "type": "module" }',
    'eslint.config.js': config('recommended'),
    'strict.config.js': config('strict'),
    '.oxlintrc.json': JSON.stringify(oxlintConfig),
    'leaking.js': leaking,
    'passing.js': passing,
    'clean.js': clean,
    'typed.ts': `import type { Context } from 'sallyport/context';\nexport function f(parent: Context): void {\n  parent.withCancel();\n}\n`,
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(project, name), content);
});

after(async () => {
  await rm(project, { recursive: true, force: true });
});

/** Runs a command of the repository's development dependencies in the project. */
async function run(
  program: string,
  args: readonly string[],
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [resolve('node_modules', program), ...args], {
    cwd: project,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = new Promise<number | null>((done, fail) => {
    child.once('error', fail);
    child.once('close', done);
  });
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  return { code, output: out + err };
}

const eslint = (...args: string[]) => run('eslint/bin/eslint.js', args);
const oxlint = (...args: string[]) => run('oxlint/bin/oxlint', args);

describe('eslint with sallyport/eslint', () => {
  test('fails for a context that stays open, and for AbortSignal.timeout, and says where', async () => {
    const { code, output } = await eslint('leaking.js');
    assert.equal(code, 1, output);
    assert.match(
      output,
      /3:19 .*The context that withTimeout\(\) makes is still open where line 5 leaves\..*`using`.*sallyport\/context-closed/,
    );
    assert.match(
      output,
      /10:\d+ .*AbortSignal\.timeout\(\) keeps 1\.2 to 2\.3 kB.*sallyport\/no-abort-signal-timeout/,
    );
    assert.match(output, /2 problems \(2 errors, 0 warnings\)/);
  });

  test('passes what closes, and what passes a context on', async () => {
    const { code, output } = await eslint('clean.js', 'passing.js');
    assert.equal(code, 0, output);
    assert.equal(output, '');
  });

  test('fails for what only passes a context on, where it is strict', async () => {
    const { code, output } = await eslint('--config', 'strict.config.js', 'clean.js', 'passing.js');
    assert.equal(code, 1, output);
    assert.match(output, /passing\.js\s+3:19 .*The context that withTimeout\(\) makes is never closed/);
    assert.match(output, /1 problem \(/);
  });
});

describe('oxlint with sallyport/eslint', () => {
  test('fails as eslint does, for TypeScript too', async () => {
    const { code, output } = await oxlint('--format', 'unix', 'leaking.js', 'typed.ts');
    assert.equal(code, 1, output);
    assert.match(output, /leaking\.js:3:19: .*still open where line 5 leaves/);
    assert.match(output, /leaking\.js:10:\d+: .*keeps 1\.2 to 2\.3 kB/);
    assert.match(output, /typed\.ts:3:3: Nobody can close the context/);
    assert.match(output, /3 problems/);
  });

  test('passes what closes', async () => {
    const { code, output } = await oxlint('clean.js', 'passing.js');
    assert.equal(code, 0, output);
  });
});
