/**
 * How V8's heap grows under a proxy. Left alone, V8 takes memory for speed and gives little of it back
 * (docs/memory.md has the figures):
 *
 * - Every connection leaves objects that live as long as it does. V8 takes that for a sign that its semi-spaces are
 *   too small and doubles them, to 16 MiB each on Node 20 and to 64 on Node 24.
 * - The old generation is collected when it is two to four times what lived the last time. What came to it with
 *   connections that have ended is most of the rest.
 *
 * Both are settings that V8 reads again at each collection, so that they can be set when the process runs already.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import type { Bytes } from '../base/bytes.js';

/** What a semi-space may hold: 8 MiB, less what V8 takes of it. V8 doubles it; what it has when this is reached, it keeps. */
const semiSpace: Bytes = 7 * 1024 * 1024;

/** The old generation is collected when it has grown by so much of what lived, in percent. */
const oldGenerationGrowth = 50;

/** A setting that somebody has made for the same, on Node's command line or in `NODE_OPTIONS`. */
const made = /semi[-_]space|heap[-_]growing|max[-_]heap[-_]size/;

/**
 * Has V8 keep its semi-spaces to 8 MiB from now on and collect the old one sooner, for the whole process. Does
 * nothing where Node was started with a setting for either: then that one counts. The function that comes back ends it.
 */
export function boundHeapGrowth(): () => void {
  if ([...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].some((text) => made.test(text)))
    return nothing;
  let grows = true;
  const look = (): void => {
    const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    // The space's size is no measure: on Node 26 it counts pages that are on their way back.
    const may = space === undefined || space.space_used_size + space.space_available_size < semiSpace;
    if (may === grows) return;
    grows = may;
    // 2 is V8's own. It shrinks the spaces of a process that idles; they may then grow again.
    setFlagsFromString(`--semi-space-growth-factor=${may ? 2 : 1}`);
  };
  // After each collection, so that it is seen before the next one that could double what is there.
  const observer = new PerformanceObserver(look);
  observer.observe({ entryTypes: ['gc'] });
  setFlagsFromString(`--heap-growing-percent=${oldGenerationGrowth}`);
  look();
  return () => {
    observer.disconnect();
    setFlagsFromString('--semi-space-growth-factor=2');
    setFlagsFromString('--heap-growing-percent=0');
  };
}

function nothing(): void {
  // Nothing was begun.
}
