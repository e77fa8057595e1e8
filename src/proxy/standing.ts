/**
 * For how long what an origin showed stands where leaves mirror it: until it ends, and for an hour at most, on one
 * connection or on several that resume one session.
 *
 * Connections and sessions live on when the certificate that they were verified by has ended, or the origin has a new
 * one. Nobody would notice while they are used, and a client would go on to be shown what is no longer true.
 */
import type { Milliseconds } from '../base/bytes.js';
import { originEnd } from '../certs/mirror.js';
import type { PeerCertificates } from '../tls/peer-certificates.js';
import { longestTrust } from '../tls/session-cache.js';

/** Of one connection, or one session. Times are those of the wall clock, as certificates have them. */
export class Standing {
  readonly #shownAt: Milliseconds;
  readonly #end: Milliseconds;

  constructor({ shownAt, chain: [leaf] }: Pick<PeerCertificates, 'shownAt' | 'chain'>) {
    this.#shownAt = shownAt;
    this.#end = leaf ? originEnd(leaf) : Number.POSITIVE_INFINITY;
  }

  /** Whether the certificate has ended. */
  get ended(): boolean {
    return Date.now() >= this.#end;
  }

  /** Whether the origin is to be asked anew. */
  get over(): boolean {
    // A clock that was set back would make it young again.
    return this.ended || Math.abs(Date.now() - this.#shownAt) >= longestTrust;
  }
}

/** Sessions that may be resumed. */
export function stands(shown: PeerCertificates): boolean {
  return !new Standing(shown).over;
}
