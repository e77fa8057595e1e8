/** The contract between whoever needs a leaf certificate and whoever keeps it. */
import type { KeyProfile } from './leaf-keys.js';

/** What an entry is found by. Leaves of two authorities or two profiles are never mixed up. */
export interface CertificateKey {
  /** A host as `certificateName` spells it. */
  readonly host: string;
  /** The SHA-256 fingerprint of the CA certificate, as `Authority.fingerprint256` has it. */
  readonly authority: string;
  readonly profile: KeyProfile;
}

/** A leaf certificate and its key: plain data, which can be written down and sent. */
export interface LeafMaterial {
  /** The leaf alone; what a server sends after it belongs to the authority. */
  readonly certificatePem: string;
  /** PKCS #8. A secret: it leaves the process sealed or not at all. */
  readonly privateKeyPem: string;
  /** Epoch milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Lower-case hexadecimal. */
  readonly serial: string;
}

/**
 * Makes the material for a key. It may answer at once or as a promise. `options.signal` aborts when nobody
 * waits for the result any more; the work must then settle soon, either way, because the key stays taken
 * until it has. The signal is made when it is first read.
 */
export type Generate = (options: {
  readonly signal?: AbortSignal | undefined;
}) => LeafMaterial | Promise<LeafMaterial>;

export interface FetchOptions {
  /**
   * Ends the wait of this caller alone. It is read only when there is something to wait for, so that a
   * `Context` can be passed as it is without making its signal for a hit.
   */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Keeps leaf certificates so that each is made once.
 *
 * Any object that keeps this contract can be given to the proxy:
 *
 * - **One generation.** However many callers ask for a key at the same time, among all who share the store,
 *   at most one `generate` runs for it; the others wait for its result.
 * - **Failure.** When `generate` throws or rejects, every caller that waits for it gets the error, and there
 *   is no entry: the next `fetch` generates again.
 * - **Cancellation.** A caller whose `signal` aborts is rejected with `ERR_CANCELLED` (`cause`: the signal's
 *   reason), and nobody else is. If its own `generate` was the one that runs, that goes on for the others; if
 *   it fails after its caller left, the `generate` of a caller that still waits takes its place.
 * - **Validity.** Material is never handed out at or after its `notAfter`, and is replaced some time before
 *   it. It is only handed out for the authority, the profile and the host that it was made for.
 * - **Bounds.** A store says how many bytes it keeps at the most, and drops what was not used for longest.
 * - **Trust.** What a store gives is served to clients. A store that keeps entries outside the process has
 *   to make sure that nobody else could have written them, and seals private keys.
 *
 * Errors are `SallyportError`, or whatever `generate` threw, unchanged.
 */
export interface CertificateStore {
  /**
   * The material for `key`: from the store, or made by `generate` and then stored. What is at hand is returned
   * without a promise; `await` takes both. It may throw or reject, by the same rule.
   */
  fetch(
    key: CertificateKey,
    generate: Generate,
    options?: FetchOptions,
  ): LeafMaterial | Promise<LeafMaterial>;

  /**
   * Gives back what the store holds. Whoever waits is rejected with `ERR_CANCELLED`, and so is every later
   * `fetch`. To be called by whoever made the store; a second call does nothing.
   */
  close(): void | Promise<void>;
}

const day = 24 * 60 * 60 * 1000;

/**
 * When to replace something that was obtained at `now` and is valid until `notAfter` (epoch milliseconds): one
 * day before its end, or after nine tenths of the time that was left, whichever is later. The latter keeps
 * leaves of a CA that ends soon from being made anew for every connection.
 */
export function renewalTime(notAfter: number, now: number): number {
  return notAfter - Math.min(day, (notAfter - now) / 10);
}
