/**
 * `--allocator jemalloc`: an allocator is chosen when a process begins, so the command begins once more, with the
 * library in front.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { isatty } from 'node:tty';
import {
  allocatorError,
  findJemalloc,
  isLoaded,
  preloadedBy,
  thisMachine,
  withAllocator,
} from './allocator.js';
import { onSignals, signalStatus } from './signals.js';

export type Allocator = 'jemalloc' | 'system';

/** `process.execve`, of Node 22.15 and 23.11: this process becomes another program and keeps its pid. */
type Execve = (file: string, args: readonly string[], environment: Record<string, string>) => never;

/**
 * Sees to it that this process has the allocator. Resolves with `undefined` where it has: go on. Where Node cannot
 * replace a process by another, a child does all the work, and this resolves with its exit status; end with it.
 * Rejects with `ERR_ALLOCATOR`.
 */
export async function enterAllocator(allocator: Allocator): Promise<number | undefined> {
  if (allocator === 'system') return undefined;
  if (await isLoaded()) {
    endWithParent();
    return undefined;
  }
  const tried = process.env[preloadedBy];
  if (tried !== undefined) throw allocatorError(`cannot be had: the loader did not take ${tried}`);
  const found = await findJemalloc(thisMachine());
  if ('missing' in found) {
    const { missing, advice } = found;
    throw allocatorError(`${missing}${advice === undefined ? '' : `; install it with: ${advice}`}`);
  }
  const environment = present(withAllocator(process.env, found.path));
  const args = [...process.execArgv, ...process.argv.slice(1)];
  const { execve } = process as { execve?: Execve };
  if (typeof execve === 'function') execve(process.execPath, [process.execPath, ...args], environment);
  return await runInChild(args, environment);
}

const passedOn = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** The command in a child; signals go on to it, and this process ends as it does. */
async function runInChild(args: readonly string[], environment: Record<string, string>): Promise<number> {
  // A session of its own where there is no terminal, so that a signal to our process group comes once, from us.
  const detached = !isatty(0);
  // The channel tells the child of our end, however it comes about.
  const stdio = ['inherit', 'inherit', 'inherit', 'ipc'] as const;
  const child = spawn(process.execPath, args, { stdio: [...stdio], env: environment, detached });
  const stop = onSignals(passedOn, (signal) => {
    // A terminal has sent these to the child too.
    if (!detached && signal !== 'SIGTERM') return;
    child.kill(signal);
  });
  try {
    await once(child, 'exit');
  } finally {
    stop();
  }
  return endAs(child);
}

function endAs({ exitCode, signalCode }: ChildProcess): number {
  if (signalCode === null) return exitCode ?? 1;
  process.kill(process.pid, signalCode);
  return signalStatus(signalCode);
}

/** In the child of `runInChild`: without its parent, which can have been killed, nobody would end it. */
function endWithParent(): void {
  if (process.env[preloadedBy] === undefined || process.channel === undefined) return;
  process.once('disconnect', () => {
    process.kill(process.pid, 'SIGTERM');
  });
}

function present(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
