/** Where the lines of a run go, and how they are brought to their end. */
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import type { ExchangeLog } from './exchange-log.js';
import { droppedRecord, formatDropped } from './format.js';
import { LineWriter } from './log.js';
import { notice } from './output.js';
import type { RunArguments } from './run-arguments.js';
import { safeJson } from './text.js';

/** How long lines that are still on their way to a slow reader may hold up the end. */
const flushTime: Milliseconds = 1000;

/** Lines to stdout. */
export function startLines({ logFormat }: Pick<RunArguments, 'logFormat'>): LineWriter {
  return new LineWriter(process.stdout, {
    dropped: (count) =>
      logFormat === 'json' ? safeJson(droppedRecord(count, Date.now())) : formatDropped(count),
    onFailure: (error) => {
      notice(`stdout cannot be written (${error.message}); the proxy goes on without exchange lines`);
    },
  });
}

export async function endLog(log: ExchangeLog): Promise<void> {
  log.stop();
  await endLines(log.writer);
}

export async function endLines(writer: LineWriter): Promise<void> {
  using patience = Context.background.withTimeout(flushTime);
  await writer.flush(patience);
  writer.close();
}
