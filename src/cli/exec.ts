/** `sallyport exec`: a command with a proxy of its own, for as long as the command runs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import { withoutAllocator } from './allocator.js';
import { enterAllocator } from './allocator-launch.js';
import { createProxy, type Proxy } from '../proxy/proxy.js';
import { wantsColor } from './colors.js';
import { openProxyStore } from './certs-store.js';
import type { commands } from './commands.js';
import { execEnvironment, execNotices } from './exec-environment.js';
import { beyondDefaults, readOutsideRoots, withRootFiles } from './exec-files.js';
import { ExchangeLog } from './exchange-log.js';
import type { OptionValues } from './options.js';
import { notice } from './output.js';
import { insecureWarning, proxyOptionsFrom, reasonOf } from './proxy-options.js';
import { onSignals, signalStatus } from './signals.js';
import { StoreNotices } from './store-notices.js';

type ExecArguments = OptionValues<typeof commands.exec.options>;

/** What the command leaves running behind it has this long. */
const drainTime: Milliseconds = 1000;
const flushTime: Milliseconds = 1000;

/** Thrown when the command could not be started; carries the status that shells give. */
export class CannotExecute extends SallyportError {
  /** 127: not found; 126: found, but not executable. */
  readonly status: 126 | 127;

  constructor(status: 126 | 127, detail: string, cause: unknown) {
    super('ERR_EXEC_NOT_FOUND', detail, { cause });
    this.status = status;
  }
}

/**
 * Runs the command and resolves with its status. Rejects with `CannotExecute`, and with what kept the proxy
 * from starting; the command has not run then.
 */
export async function exec(typed: ExecArguments, operands: readonly string[]): Promise<number> {
  const [command, ...args] = operands;
  if (command === undefined || command === '') {
    throw new SallyportError(
      'ERR_OPTION_VALUE',
      'there is no command to run: sallyport exec [options] -- CMD [ARG …]',
    );
  }
  if (typed.log !== undefined && typed.verbose) {
    throw new SallyportError('ERR_OPTION_VALUE', '--log and --verbose exclude each other: give one');
  }
  const status = await enterAllocator(typed.allocator);
  if (status !== undefined) return status;
  const options = await proxyOptionsFrom(typed);
  const outside = await readOutsideRoots(process.env, (text) => {
    if (!typed.quiet) notice(text);
  });
  const upstreamCa = [options.upstreamCa ?? '', ...beyondDefaults(outside)].join('\n').trim();
  const proxy = createProxy({
    ...options,
    ...(upstreamCa === '' ? {} : { upstreamCa }),
    store: (context) => openProxyStore(typed.store, context),
  });
  const notices = new StoreNotices(notice);
  proxy.on('store.report', (report) => {
    notices.take(report);
  });
  const log = await startLog(proxy, typed);
  try {
    await proxy.listen();
    if (typed.insecureUpstream) notice(insecureWarning);
    if (!typed.quiet) for (const text of execNotices(process.env, typed.noProxy)) notice(text);
    // From here on there is something to clean up, and signals are the command's.
    using relay = new SignalRelay();
    return await withRootFiles(proxy.ca, outside, async (files) => {
      const { url: proxyUrl } = proxy;
      const { noProxy } = typed;
      const environment = execEnvironment(withoutAllocator(process.env), { proxyUrl, noProxy, ...files });
      return await runCommand(command, args, environment, relay);
    });
  } finally {
    await proxy.close({ drainTimeout: drainTime });
    await log?.end();
  }
}

const passedOn = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
/** A terminal sends these to every process in its foreground, the command included. */
const sentByTerminal: readonly NodeJS.Signals[] = ['SIGINT', 'SIGHUP', 'SIGQUIT'];

/** Hands our signals to the command; those that come before it runs wait for it. */
class SignalRelay implements Disposable {
  #child: ChildProcess | undefined;
  readonly #waiting: NodeJS.Signals[] = [];
  readonly #stop = onSignals(passedOn, (signal) => {
    if (process.stdin.isTTY && sentByTerminal.includes(signal)) return;
    if (this.#child) this.#child.kill(signal);
    else this.#waiting.push(signal);
  });

  to(child: ChildProcess): void {
    this.#child = child;
    for (const signal of this.#waiting.splice(0)) child.kill(signal);
  }

  [Symbol.dispose](): void {
    this.#stop();
  }
}

async function runCommand(
  command: string,
  args: readonly string[],
  environment: Record<string, string>,
  relay: SignalRelay,
): Promise<number> {
  const child = await start(command, args, environment);
  relay.to(child);
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  const { exitCode, signalCode } = child;
  return exitCode ?? (signalCode === null ? 1 : signalStatus(signalCode));
}

/** The command, started. Rejects with `CannotExecute`. */
async function start(
  command: string,
  args: readonly string[],
  environment: Record<string, string>,
): Promise<ChildProcess> {
  try {
    const child = spawn(command, args, { stdio: 'inherit', env: environment });
    await once(child, 'spawn');
    return child;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') throw new CannotExecute(127, `${command}: not found`, error);
    const reason = code === 'EACCES' ? 'permission denied' : reasonOf(error);
    throw new CannotExecute(126, `${command}: cannot be executed: ${reason}`, error);
  }
}

interface RunningLog {
  end(): Promise<void>;
}

/** Exchange lines would mix with what the command prints: there are none unless they are asked for. */
async function startLog(proxy: Proxy, typed: ExecArguments): Promise<RunningLog | undefined> {
  if (typed.log === undefined && !typed.verbose) return undefined;
  const file = typed.log === undefined ? undefined : await openLog(typed.log);
  const stream: Writable = file ?? process.stderr;
  const isTerminal = file === undefined && process.stderr.isTTY;
  const log = new ExchangeLog(proxy, stream, {
    format: typed.logFormat,
    color: file === undefined && wantsColor(typed.noColor, process.env, isTerminal),
    width: () => (isTerminal ? process.stderr.columns : undefined),
    onFailure: (error) => {
      notice(`the log cannot be written (${error.message}); the proxy goes on without exchange lines`);
    },
  });
  return {
    async end() {
      log.stop();
      using patience = Context.background.withTimeout(flushTime);
      await log.writer.flush(patience);
      log.writer.close();
      file?.destroy();
    },
  };
}

async function openLog(path: string): Promise<Writable> {
  // URLs can hold what only their user should see.
  const file = createWriteStream(path, { flags: 'a', mode: 0o600 });
  try {
    await once(file, 'open');
    return file;
  } catch (error) {
    throw new SallyportError('ERR_OPTION_VALUE', `--log cannot write ${path}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
