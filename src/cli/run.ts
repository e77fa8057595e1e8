/** `sallyport run`: a proxy until a signal. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { formatDuration, type Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import { createProxy, type Proxy } from '../proxy/proxy.js';
import { banner, exposureWarning, ownCommand } from './banner.js';
import { wantsColor } from './colors.js';
import type { commands } from './commands.js';
import { ExchangeLog } from './exchange-log.js';
import type { OptionValues } from './options.js';
import { notice } from './output.js';
import { insecureWarning, proxyOptionsFrom } from './proxy-options.js';
import { onSignals, signalStatus } from './signals.js';
import { safeJson } from './text.js';
import { packageVersion } from './version.js';

type RunArguments = OptionValues<typeof commands.run.options>;

/** How long lines that are still on their way to a slow reader may hold up the end. */
const flushTime: Milliseconds = 1000;
/** Ctrl-C reaches a whole process group, and npm passes it on once more: these two are one. */
const sameCtrlC: Milliseconds = 200;

/** Resolves with the exit status when the proxy has ended. Rejects with what kept it from starting. */
export async function run(typed: RunArguments): Promise<number> {
  refuseUnavailable(typed);
  const { host, port, drainTimeout } = typed;
  const proxy = createProxy({ ...(await proxyOptionsFrom(typed)), host, port, drainTimeout });
  const log = typed.quiet ? undefined : startLog(proxy, typed);
  try {
    await proxy.listen();
  } catch (error) {
    log?.stop();
    log?.writer.close();
    await proxy.close();
    throw error;
  }
  const ended = untilSignal(async (signal) => {
    const closed = proxy.close({ drainTimeout });
    announceDrain(proxy, signal, typed);
    await closed;
  });
  // After the handlers are there: whoever reads that we listen may send a signal at once.
  announce(proxy, typed);
  await ended;
  if (log) await endLog(log);
  return 0;
}

/** What the command line can already say, but this version cannot do. */
function refuseUnavailable({ store, readBufferSize, workers, uiPort }: RunArguments): void {
  const { kind } = store;
  const refused = [
    ...(kind === 'memory' ? [] : [`--store ${kind}: this version keeps certificates in memory only`]),
    ...(readBufferSize === 256 * 1024 ? [] : ['--read-buffer-size: this version has 256KiB only']),
    ...(workers === 1 ? [] : ['--workers: this version runs 1 process only']),
    ...(uiPort === 'off' ? [] : ['--ui-port: this version has no dashboard']),
  ];
  const [first] = refused;
  if (first !== undefined) throw new SallyportError('ERR_OPTION_UNAVAILABLE', first);
}

function startLog(proxy: Proxy, { logFormat, noColor }: RunArguments): ExchangeLog {
  const { stdout } = process;
  return new ExchangeLog(proxy, stdout, {
    format: logFormat,
    color: wantsColor(noColor, process.env, stdout.isTTY),
    width: () => (stdout.isTTY ? stdout.columns : undefined),
    onFailure: (error) => {
      notice(`stdout cannot be written (${error.message}); the proxy goes on without exchange lines`);
    },
  });
}

async function endLog(log: ExchangeLog): Promise<void> {
  log.stop();
  using patience = Context.background.withTimeout(flushTime);
  await log.writer.flush(patience);
  log.writer.close();
}

function announce(proxy: Proxy, typed: RunArguments): void {
  const { ca, url: proxyUrl } = proxy;
  if (!typed.quiet) {
    const isDefault = typed.caDir === join(homedir(), '.sallyport');
    const lines = banner({
      version: packageVersion(),
      proxyUrl,
      caPath: ca.paths.certificate,
      fingerprint256: ca.fingerprint256,
      created: ca.created,
      command: ownCommand(process.argv[1], process.cwd()),
      caDir: isDefault ? undefined : typed.caDir,
    });
    process.stderr.write(`${lines.join('\n')}\n`);
  }
  const exposure = exposureWarning(typed.host);
  if (exposure !== undefined) notice(`WARNING: ${exposure}`);
  if (typed.insecureUpstream) notice(insecureWarning);
  // The line that scripts wait for: always there, always plain.
  process.stdout.write(`listening on ${proxyUrl}\n`);
  if (typed.quiet || typed.logFormat !== 'json') return;
  const record = {
    time: new Date().toISOString(),
    event: 'listening',
    url: proxyUrl,
    version: packageVersion(),
    ca: { file: ca.paths.certificate, fingerprint256: ca.fingerprint256, created: ca.created },
  };
  process.stdout.write(`${safeJson(record)}\n`);
}

function announceDrain(proxy: Proxy, signal: NodeJS.Signals, typed: RunArguments): void {
  const ledger = proxy.ledger();
  const running = ledger.exchanges.outstanding + ledger.tunnels.outstanding;
  if (running === 0 || typed.quiet) return;
  const what = `${running} ${running === 1 ? 'exchange' : 'exchanges'}`;
  const time = formatDuration(typed.drainTimeout);
  notice(`${signal}: waiting up to ${time} for ${what} to end; a second signal cuts them off`);
}

/** Waits for SIGTERM or SIGINT, then for `drain`; a second signal ends the process at once. */
async function untilSignal(drain: (signal: NodeJS.Signals) => Promise<void>): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let first: { readonly signal: NodeJS.Signals; readonly at: Milliseconds } | undefined;
    const stop = onSignals(['SIGTERM', 'SIGINT'], (signal) => {
      const at = performance.now();
      if (first) {
        const repeated = signal === 'SIGINT' && first.signal === 'SIGINT' && at - first.at < sameCtrlC;
        if (!repeated) process.exit(signalStatus(signal));
        return;
      }
      first = { signal, at };
      drain(signal).then(resolve, reject).finally(stop);
    });
  });
}
