/** Signals, and the exit status that stands for each. */
import { constants } from 'node:os';

/** 128 + the number of the signal, as shells report it. */
export function signalStatus(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/** Calls `listener` for each of `signals` until the function that comes back is called. */
export function onSignals(
  signals: readonly NodeJS.Signals[],
  listener: (signal: NodeJS.Signals) => void,
): () => void {
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}
