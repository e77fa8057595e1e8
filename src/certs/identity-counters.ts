/** What `Identities` counts. */
import type { Bytes, Milliseconds } from '../base/bytes.js';

export interface IdentityCounters {
  /** Calls that were answered with an identity at hand. */
  readonly hits: number;
  /** Identities that were made. */
  readonly made: number;
  /** Those of them that took the place of one in the background, before its end. */
  readonly renewed: number;
  /** Leaves that were minted here; the others came from the store. */
  readonly minted: number;
  /** Identities at hand. */
  readonly size: number;
}

/** What `Identities` has at hand at this moment. */
export interface IdentityHoldings {
  /** How long ago the oldest was made. */
  readonly oldestMs: Milliseconds;
  /** Identities with a TLS context of their own, and how long ago the oldest of these was made. */
  readonly contexts: number;
  readonly oldestContextMs: Milliseconds;
}

export interface ContextCounters {
  /** Contexts that were made for one host. */
  readonly made: number;
  /** How often a leaf was set in the context that all hosts share. */
  readonly loads: number;
  /** How often there was nothing to do. */
  readonly hits: number;
  /** Identities that were dropped and found again, as a connection still used them. */
  readonly secondChances: number;
  /** Identities that were dropped for want of room. */
  readonly evicted: number;
  /** Identities at hand, and what they and their contexts are reckoned to take. */
  readonly size: number;
  readonly bytes: Bytes;
}
