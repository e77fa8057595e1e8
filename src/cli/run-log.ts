/** How the exchange log of a proxy that ends is brought to its end. */
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import type { ExchangeLog } from './exchange-log.js';
import type { LineWriter } from './log.js';

/** How long lines that are still on their way to a slow reader may hold up the end. */
const flushTime: Milliseconds = 1000;

export async function endLog(log: ExchangeLog): Promise<void> {
  log.stop();
  await endLines(log.writer);
}

export async function endLines(writer: LineWriter): Promise<void> {
  using patience = Context.background.withTimeout(flushTime);
  await writer.flush(patience);
  writer.close();
}
