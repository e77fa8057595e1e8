/** The public surface of `sallyport`. */
export { createProxy, Proxy } from './proxy/proxy.js';
export type { ProxyCounters } from './proxy/certificates.js';
export type { ProxyOptions } from './proxy/options.js';
export { answer, pass, refuse, rewrite } from './rules/verdicts.js';
export { type ErrorCode, type ErrorEntry, errorTable, type Phase, SallyportError } from './base/errors.js';
export type {
  EventMap,
  EventMessage,
  EventName,
  ExchangeEnd,
  TunnelClose,
  TunnelOpen,
} from './base/events.js';
export type {
  AnswerVerdict,
  ClientLeg,
  CollectableBody,
  Exchange,
  ExchangeRequest,
  ExchangeResponse,
  Hooks,
  LegTls,
  PassVerdict,
  RefuseVerdict,
  RequestVerdict,
  ResponseVerdict,
  RewriteRequestVerdict,
  RewriteResponseVerdict,
  ServerLeg,
} from './base/exchange.js';
export {
  Fields,
  type FieldsInit,
  type HttpVersion,
  type Origin,
  type ReadonlyFields,
} from './base/message.js';
export type { Limits, Timeouts } from './base/limits.js';
export type { LedgerKind, LedgerLines } from './base/ledger.js';
export type { LedgerLine } from './base/ledger-book.js';
