/** The public surface of `sallyport/diagnostics`: what a proxy counts and tells. */
export { type EventMap, type EventMessage, type EventName, Events } from '../base/events.js';
export { Ledger, type LedgerKind, ledgerKinds, type LedgerLine } from '../base/ledger.js';
export { Histogram, type HistogramBucket, type HistogramCounts } from '../base/histogram.js';
export type { LegCounts, LegsCounts } from '../base/leg-counters.js';
