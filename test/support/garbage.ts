/** Garbage collection on demand, for tests of what is held and what is not. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { eventually } from './patience.js';

let known: (() => void) | undefined;

/** Collects all garbage once. What was touched in this turn of the event loop is no garbage yet. */
export function collectGarbage(): void {
  if (!known) {
    setFlagsFromString('--expose-gc');
    known = runInNewContext('gc') as () => void;
  }
  known();
}

/** Collects, and lets finalizers run, until `gone` says yes. */
export async function untilCollected(what: string, gone: () => boolean): Promise<void> {
  await eventually(what, async () => {
    await new Promise(setImmediate);
    collectGarbage();
    await new Promise(setImmediate);
    return gone();
  });
}
