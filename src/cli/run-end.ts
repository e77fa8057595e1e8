/** How `sallyport run` ends: by a signal that lets exchanges end, and a second that does not wait for them. */
import { formatDuration, type Milliseconds } from '../base/bytes.js';
import { notice } from './output.js';
import type { RunArguments } from './run-arguments.js';
import { onSignals, signalStatus } from './signals.js';

/** Ctrl-C reaches a whole process group, and npm passes it on once more: these two are one. */
const sameCtrlC: Milliseconds = 200;

/** `running`: how many exchanges and tunnels the end waits for. */
export function announceDrain(running: number, signal: NodeJS.Signals, typed: RunArguments): void {
  if (running === 0 || typed.quiet) return;
  const what = `${running} ${running === 1 ? 'exchange' : 'exchanges'}`;
  const time = formatDuration(typed.drainTimeout);
  notice(`${signal}: waiting up to ${time} for ${what} to end; a second signal cuts them off`);
}

/**
 * Waits for SIGTERM or SIGINT, then for `drain`; a second signal ends the process at once, after `cut`.
 */
export async function untilSignal(
  drain: (signal: NodeJS.Signals) => Promise<void>,
  cut: () => void = () => undefined,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let first: { readonly signal: NodeJS.Signals; readonly at: Milliseconds } | undefined;
    const stop = onSignals(['SIGTERM', 'SIGINT'], (signal) => {
      const at = performance.now();
      if (first) {
        const repeated = signal === 'SIGINT' && first.signal === 'SIGINT' && at - first.at < sameCtrlC;
        if (repeated) return;
        cut();
        process.exit(signalStatus(signal));
      }
      first = { signal, at };
      drain(signal).then(resolve, reject).finally(stop);
    });
  });
}
