/**
 * Where the project is, how its scripts speak, and how they start other programs.
 *
 * The scripts use Node alone: they run before anything is installed.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory of package.json. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** A path inside the project. @param {...string} parts */
export const at = (...parts) => join(root, ...parts);

/** Progress goes to stderr: stdout belongs to the command or the test runner. @param {string} line */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/** A failure that one line explains; the scripts print it without a stack. */
export class Failure extends Error {
  /** @param {string} line @param {number} [exitCode] */
  constructor(line, exitCode = 1) {
    super(line);
    this.name = 'Failure';
    this.exitCode = exitCode;
  }
}

/**
 * Runs a script's main function; a `Failure` ends the process with its one line, anything else is a
 * mistake of the script and keeps its stack.
 *
 * @param {() => Promise<number | void>} main the exit code, 0 where it returns nothing
 */
export async function script(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    say(`sallyport: ${error.message}`);
    process.exitCode = error.exitCode;
  }
}

/**
 * @typedef {object} RunOptions
 * @property {string} [cwd] the project where absent
 * @property {Record<string, string | undefined>} [env] added to the environment
 * @property {boolean} [quiet] collect what the program prints instead of showing it
 * @property {number} [limitMs] end the program after so many milliseconds: SIGTERM, ten seconds later SIGKILL
 */

/**
 * Runs a program to its end, without stdin. Rejects with a `Failure` only where it cannot be started.
 *
 * @param {string} command @param {readonly string[]} args @param {RunOptions} [options]
 * @returns {Promise<{ code: number, output: string, overran: boolean }>} `code` is 128 + signal number
 *   where a signal ended it; `output` is stdout and stderr as they came, where `quiet`
 */
export function run(command, args, { cwd = root, env = {}, quiet = false, limitMs } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', quiet ? 'pipe' : 'inherit', quiet ? 'pipe' : 'inherit'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => (output += text));
    }
    let overran = false;
    /** @type {NodeJS.Timeout[]} */
    const timers = [];
    if (limitMs !== undefined) {
      const end = () => {
        overran = true;
        child.kill('SIGTERM');
        timers.push(setTimeout(() => child.kill('SIGKILL'), 10_000));
      };
      timers.push(setTimeout(end, limitMs));
    }
    const settle = () => timers.forEach((timer) => clearTimeout(timer));
    child.once('error', (error) => {
      settle();
      reject(new Failure(`cannot start ${command}: ${error.message}`));
    });
    child.once('close', (code, signal) => {
      settle();
      resolve({ code: code ?? 128 + (signal === null ? 0 : constants.signals[signal]), output, overran });
    });
  });
}

/** Runs the npm that started this script, else the one on PATH. @type {(args: readonly string[], options?: RunOptions) => ReturnType<typeof run>} */
export function npm(args, options) {
  const path = process.env['npm_execpath'];
  const own = path !== undefined && /npm-cli\.[cm]?js$/.test(path);
  return own ? run(process.execPath, [path, ...args], options) : run('npm', args, options);
}

/**
 * Runs a tool of devDependencies with this very Node.
 *
 * @param {string} name its command in node_modules/.bin
 * @param {readonly string[]} args @param {RunOptions} [options]
 */
export const tool = (name, args, options) =>
  run(process.execPath, [at('node_modules', '.bin', name), ...args], options);

/** Whether a command is on PATH. @param {string} command */
export function onPath(command) {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.some((folder) => folder !== '' && existsSync(join(folder, command)));
}
