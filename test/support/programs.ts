/** Other people's programs, as they talk to the proxy. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A program that a test needs, under the first of its names that is there. Its absence is a failure: `npm test` has
 * installed it, or said which package it is in (scripts/lib/system-packages.mjs).
 */
export function program(...names: readonly [string, ...string[]]): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const paths = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  const found = paths.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Error(`${names[0]} is not on this machine; npm test installs it, or says how to`);
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  readonly timeout?: number;
}

/**
 * Variables of the environment that would lead a client past the proxy, or through another one, or make a test
 * runner take itself for a part of this one.
 */
const notInherited = /^(?:(?:https?|all|no|ftp)_proxy|node_test_context)$/i;

/** The environment that somebody at a terminal would have, with `extra`. */
export function environment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !notInherited.test(name));
  return { ...Object.fromEntries(kept), ...extra };
}

/** Runs a program to its end. Its output is Latin-1: one character is one byte. */
export function run(
  command: string,
  args: readonly string[],
  { env = {}, cwd, input, timeout = 30_000 }: RunOptions = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { env: environment(env), cwd, timeout, maxBuffer: 1 << 26, encoding: 'latin1' },
      (error, stdout, stderr) => {
        const { code, killed } = error ?? {};
        if (killed === true) reject(new Error(`${command} did not end within ${timeout} ms: ${stderr}`));
        else if (typeof code === 'string') reject(new Error(`${command}: ${code}`, { cause: error }));
        else resolve({ status: error ? (code ?? null) : 0, stdout, stderr });
      },
    );
    // Programs that do not read their input close it.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}
