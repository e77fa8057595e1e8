/** The public surface of `sallyport/diagnostics`: what a proxy counts and tells. */
export { type EventMap, type EventMessage, type EventName, Events } from '../base/events.js';
export {
  type CountedKind,
  Ledger,
  type LedgerKind,
  ledgerKinds,
  type LedgerLines,
  type LedgerReading,
  type ReadKind,
  sharedKinds,
} from '../base/ledger.js';
export type { LedgerLine, LedgerStack, Mark } from '../base/ledger-book.js';
export {
  joinLedgers,
  processLedger as ledger,
  processStacks as ledgerStacks,
  sampleStacks,
} from '../base/ledger-process.js';
export type { StackSampling } from '../base/context-stacks.js';
export { Histogram, type HistogramBucket, type HistogramCounts } from '../base/histogram.js';
export type { LegCounts, LegsCounts } from '../base/leg-counters.js';
