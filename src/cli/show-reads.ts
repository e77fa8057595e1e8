/** `--show-reads`: how large the reads and writes of both legs were, when a proxy ends. */
import { formatBytes } from '../base/bytes.js';
import type { HistogramCounts } from '../base/histogram.js';
import type { LegCounts, LegsCounts } from '../base/leg-counters.js';
import type { ProxyCounters } from '../proxy/certificates.js';
import { complain, print } from './output.js';
import type { RunArguments } from './run-arguments.js';
import { safeJson } from './text.js';
import { addCounters } from './workers-counters.js';

/** Of one proxy, or of all workers together: a table on stderr, or with `--log-format json` a line on stdout. */
export async function showReads(all: readonly ProxyCounters[], typed: RunArguments): Promise<void> {
  if (!typed.showReads) return;
  const legs = all.map((one) => one.legs).reduce<unknown>(addCounters, undefined) as LegsCounts | undefined;
  if (!legs) return;
  if (typed.logFormat === 'json') {
    await print(`${safeJson({ time: new Date().toISOString(), event: 'reads', legs })}\n`);
  } else {
    await complain(formatReads(legs).join('\n'));
  }
}

const rows: readonly (readonly [name: keyof LegCounts & ('reads' | 'plaintext' | 'writes'), what: string])[] =
  [
    ['reads', 'reads (system calls)'],
    ['plaintext', 'plaintext from TLS'],
    ['writes', 'writes'],
  ];

/** Lines of at most 80 columns, aligned; what did not happen is left out. */
export function formatReads(legs: LegsCounts): readonly string[] {
  const tables = (['client', 'upstream'] as const).flatMap((leg) => {
    const counts = legs[leg];
    const { new: full, resumed } = counts.handshakes;
    const head = `${leg} leg: ${full} full and ${resumed} resumed TLS handshakes`;
    return [head, ...rows.flatMap(([name, what]) => table(what, counts[name]))];
  });
  return tables;
}

function table(what: string, { count, bytes, buckets }: HistogramCounts): readonly string[] {
  if (count === 0) return [];
  const head = `  ${what}: ${count}, ${formatBytes(bytes)}, ${formatBytes(bytes / count)} on average`;
  const lines = Object.entries(buckets)
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .map(([from, one]) => {
      const share = bytes === 0 ? 0 : (100 * one.bytes) / bytes;
      const size = from === '0' ? '0 B' : `${formatBytes(Number(from))} up`;
      return `${size.padStart(14)}${String(one.count).padStart(12)}${formatBytes(one.bytes).padStart(10)}${share.toFixed(1).padStart(7)} %`;
    });
  return [head, ...lines];
}
