/** The public surface of `sallyport/context`: of use to any Node server. */
export { type CloseListener, Context, type ContextOptions, type OutstandingContext } from './base/context.js';
export {
  defaultTimeoutHeaders,
  parseTimeout,
  readTimeout,
  remainingTimeout,
  renderTimeout,
  type TimeoutFormat,
  type TimeoutHeader,
  type TimeoutWish,
} from './base/context-headers.js';
export {
  DeadlineHygiene,
  type DeadlineHygieneOptions,
  type DeadlineSuspicion,
} from './base/context-hygiene.js';
export { type ContextKey, contextKey, type ContextValue, contextValue } from './base/context-key.js';
export type { ContextCounts, ContextLedger } from './base/context-ledger.js';
export type { ContextLeak, StackSampling } from './base/context-stacks.js';
export {
  type Clock,
  Deadline,
  type DeadlineCounts,
  DeadlineWheel,
  type Expiring,
  systemClock,
} from './base/deadlines.js';
