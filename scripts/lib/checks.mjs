/** What is checked without running the code: each a step with a name, an order and an exit code. */
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { at, Failure, npm, tool } from './project.mjs';

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {() => Promise<number>} run its exit code
 */

/** @param {string} name @param {string} program @param {readonly string[]} args @returns {Step} */
const step = (name, program, args) => ({ name, run: async () => (await tool(program, args)).code });

/** Compiles src/ and test/ to .build/, from nothing, so that a removed test does not run on. @type {Step} */
const compile = {
  name: 'types of src and tests (tsc)',
  run: async () => {
    await rm(at('.build'), { recursive: true, force: true });
    const { code } = await tool('tsc', ['-p', 'tsconfig.test.json', '--noEmitOnError']);
    if (code === 0) await copyFixtures();
    return code;
  },
};

/** Packs as `npm publish` would, and has the package looked at as its users will see it. @type {Step} */
const packageCheck = {
  name: 'package (publint, attw)',
  run: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sallyport-pack-'));
    try {
      const pack = ['pack', '--ignore-scripts', '--pack-destination', folder];
      const { code, output } = await npm(pack, { quiet: true });
      if (code !== 0) throw new Failure(`npm pack failed: ${output.trim()}`);
      const [file = ''] = await readdir(folder);
      const tarball = join(folder, file);
      const checks = {
        publint: ['run', tarball, '--strict'],
        attw: [tarball, '--profile', 'esm-only', '--no-definitely-typed', '--format', 'ascii', '--no-emoji'],
      };
      for (const [name, args] of Object.entries(checks)) {
        const result = await tool(name, args, { quiet: true });
        if (result.code === 0) continue;
        process.stdout.write(result.output);
        return result.code;
      }
      return 0;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

/** The checks that the inner loop can afford. @type {readonly Step[]} */
export const quickChecks = [
  compile,
  step('types of scripts (tsc)', 'tsc', ['-p', 'scripts']),
  step('types of bench (tsc)', 'tsc', ['-p', 'bench']),
  step('lint (oxlint)', 'oxlint', ['--type-aware', '--deny-warnings', '--report-unused-disable-directives']),
  step('format (prettier)', 'prettier', ['--check', '--cache', '--log-level', 'warn', '.']),
];

/** All of them, in order. @type {readonly Step[]} */
export const allChecks = [...quickChecks, step('unused exports (knip)', 'knip', []), packageCheck];

/** Only the compiled tests, for `npm test -- PATTERN`. @type {readonly Step[]} */
export const compileOnly = [compile];

/**
 * Runs the steps in order; the first that fails ends the run and is named.
 *
 * @param {readonly Step[]} steps
 */
export async function runSteps(steps) {
  for (const { name, run } of steps) {
    process.stdout.write(`▶ ${name}\n`);
    const code = await run();
    if (code !== 0) throw new Failure(`step failed: ${name} (exit code ${code})`, code);
  }
}

/** Files beside the tests that are not TypeScript go along, under the same path. */
async function copyFixtures() {
  await cp(at('test'), at('.build', 'test'), {
    recursive: true,
    filter: (source) => !/\.ts$|tsconfig\.json$/.test(source),
  });
}
