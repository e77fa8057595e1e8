/** TLS sessions for resumption: a bounded map, as sessions that are held weakly are gone at the first GC. */
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { type PeerCertificates, largestChain } from './peer-certificates.js';

/** A larger session is not kept: a ticket may have up to 64 KiB (RFC 8446 §4.6.1), usual ones about 2. */
const largestSession: Bytes = 16 * 1024;

/**
 * How long the verification of a certificate stands for the sessions that follow from it. A resumed
 * handshake shows no certificate, and brings a new ticket: without an end of our own, an expired or
 * distrusted certificate would live on for as long as connections follow one another.
 */
export const longestTrust: Milliseconds = 3_600_000;

export interface SavedSession {
  /** As the `session` event of `tls.TLSSocket` gave it. */
  readonly session: Buffer;
  /** When the certificate was verified that the session stands for, on the clock of the cache. */
  readonly verifiedAt: Milliseconds;
  /** What the origin showed then: a resumed connection has nothing of its own. */
  readonly peer?: PeerCertificates | undefined;
}

/**
 * Least recently used out. Holds `limit` sessions of at most 16 KiB, with at most 32 KiB of certificates. A
 * key must name all that a session is good for: the verified identity, and where it was spoken to. What
 * differs in trust has another cache.
 */
export class SessionCache {
  readonly limit: number;
  readonly #now: () => Milliseconds;
  /** The most recently used entry is the last. */
  readonly #entries = new Map<string, SavedSession>();

  constructor(limit: number, now: () => Milliseconds = () => performance.now()) {
    this.limit = limit;
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  now(): Milliseconds {
    return this.#now();
  }

  get(key: string): SavedSession | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    if (this.#now() - entry.verifiedAt >= longestTrust) return undefined;
    this.#entries.set(key, entry);
    return entry;
  }

  /** Takes the place of what was there. The session must not be changed afterwards. */
  set(key: string, entry: SavedSession): void {
    this.#entries.delete(key);
    if (entry.session.length > largestSession || (entry.peer?.bytes ?? 0) > largestChain) return;
    this.#entries.set(key, entry);
    if (this.#entries.size <= this.limit) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      break;
    }
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
