/** `--ledger-every`: what was opened and closed since the last time, a line for each kind that moved. */
import { Context } from '../base/context.js';
import { ledgerKinds, type LedgerLines } from '../base/ledger.js';
import type { LedgerLine } from '../base/ledger-book.js';
import type { ProxyCounters } from '../proxy/certificates.js';
import type { RunArguments } from './run-arguments.js';
import { safeJson } from './text.js';
import { addCounters } from './workers-counters.js';

export interface LedgerLogOptions {
  /** Of one proxy, or of all workers. */
  readonly read: () => readonly ProxyCounters[] | Promise<readonly ProxyCounters[]>;
  readonly write: (line: string) => void;
}

/** Begins, where it was asked for. What comes back ends it, after the last lines: to be called when all has ended. */
export function startLedgerLog(typed: RunArguments, options: LedgerLogOptions): () => Promise<void> {
  const { ledgerEvery, logFormat } = typed;
  if (ledgerEvery === 'off') return nothingToEnd;
  const lines = new MovedLines();
  const tell = async (): Promise<void> => {
    const all = await options.read();
    const ledger = all.map((one) => one.ledger).reduce<unknown>(addCounters, undefined);
    // The sum of several has the shape of one.
    const moved = lines.take(ledger as LedgerLines | undefined);
    if (moved.length === 0) return;
    for (const line of logFormat === 'json' ? [formatJson(moved, Date.now())] : moved.map(formatLine)) {
      options.write(line);
    }
  };
  const context = Context.background.withCancel();
  const telling = tellEvery(context, ledgerEvery, tell);
  return async () => {
    context.close();
    await telling;
    await tell();
  };
}

async function nothingToEnd(): Promise<void> {
  // It was never begun.
}

async function tellEvery(context: Context, ms: number, tell: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await context.sleep(ms, { holdsProcess: false });
    } catch (error) {
      if (context.closed) return;
      throw error;
    }
    await tell();
  }
}

type Moved = readonly [kind: string, line: LedgerLine];

/** Those whose counts are others than the last time. */
export class MovedLines {
  #last: LedgerLines | undefined;

  take(lines: LedgerLines | undefined): readonly Moved[] {
    const last = this.#last;
    this.#last = lines;
    if (!lines) return [];
    return ledgerKinds
      .map((kind) => [kind, lines[kind]] as const)
      .filter(([kind, line]) => moved(line, last?.[kind]));
  }
}

function moved(now: LedgerLine, before: LedgerLine | undefined): boolean {
  return (
    now.created !== (before?.created ?? 0) ||
    now.closed !== (before?.closed ?? 0) ||
    now.leaked !== (before?.leaked ?? 0)
  );
}

/** `contexts: created 120381 closed 120380 leaked 0 outstanding 1`, and how old the oldest is where there is one. */
export function formatLine([kind, { created, closed, leaked, outstanding, oldestMs }]: Moved): string {
  const counts = `${kind}: created ${created} closed ${closed} leaked ${leaked} outstanding ${outstanding}`;
  return outstanding > 0 ? `${counts} oldest ${(oldestMs / 1000).toFixed(1)}s` : counts;
}

function formatJson(moved: readonly Moved[], now: number): string {
  return safeJson({ time: new Date(now).toISOString(), event: 'ledger', ledger: Object.fromEntries(moved) });
}
