/** The public surface of `sallyport/context`: of use to any Node server. */
export { Context, type ContextKey, contextKey } from './base/context.js';
export { type Clock, Deadline, DeadlineWheel, systemClock } from './base/deadlines.js';
