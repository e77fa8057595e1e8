/** The contract between whoever needs a leaf certificate and whoever keeps it. */
import type { Bytes } from '../base/bytes.js';
import type { SallyportError } from '../base/errors.js';
import type { KeyProfile } from './leaf-keys.js';

/** What an entry is found by. Leaves of two authorities or two profiles are never mixed up. */
export interface CertificateKey {
  /**
   * A host as `certificateName` spells it, or the wildcard that stands for its group (`*.example.com`).
   * Leaves that mirror an origin's certificate have its digest after a slash (`example.com/mirror:…`).
   */
  readonly host: string;
  /** The SHA-256 fingerprint of the CA certificate, as `Authority.fingerprint256` has it. */
  readonly authority: string;
  readonly profile: KeyProfile;
}

/** `key` as one string. No part has a space in it: hosts and fingerprints cannot run into each other. */
export function identify(key: CertificateKey): string {
  return `${key.authority} ${key.profile} ${key.host}`;
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
 *   is no entry. The failure is remembered for a short time that doubles with each failure in a row: a `fetch`
 *   within it fails at once with the same error, later ones generate again. A generation that was cancelled, as
 *   nobody waited for it any more, is not a failure.
 * - **Cancellation.** A caller whose `signal` aborts is rejected with `ERR_CANCELLED` (`cause`: the signal's
 *   reason), and nobody else is. If its own `generate` was the one that runs, that goes on for the others; if
 *   it fails after its caller left, the `generate` of a caller that still waits takes its place. Where the
 *   store is shared, a caller whose process died is replaced in the same way.
 * - **Validity.** Material is never handed out at or after its `notAfter`, nor before its `notBefore`: what was
 *   made while a clock was ahead counts as none once the clock was corrected, and what `generate` gives before its
 *   time is a failure. A `fetch` from `renewalTime` on is answered with what is there, and its `generate` runs in the background to replace it; when that fails, the
 *   old material is served until it ends. Material is only handed out for the authority, the profile and the
 *   host that it was made for.
 * - **Broken entries.** What cannot be read, was changed, or belongs to another key is reported, discarded and
 *   generated anew; it is never handed out.
 * - **Bounds.** A store says how many bytes it keeps at the most, and drops what was not used for longest.
 * - **Trust.** What a store gives is served to clients. A store that keeps entries outside the process has
 *   to make sure that nobody else could have written them, and seals private keys.
 *
 * Errors are `SallyportError`, or whatever `generate` threw, unchanged.
 */
export interface CertificateStore {
  /**
   * The material for `key`: from the store, or made by `generate` and then stored. What is at hand is
   * returned without a promise; `await` takes both. It may throw or reject, by the same rule.
   */
  fetch(
    key: CertificateKey,
    generate: Generate,
    options?: FetchOptions,
  ): LeafMaterial | Promise<LeafMaterial>;

  /**
   * For stores that keep something in this process, such as memory, in front of what is shared or in place of it:
   * drops that, for the keys that `isGone` says so of. What of them is under way is obtained anew: who waits for it,
   * and who comes later, gets nothing from before. What is shared stays as it is: it was removed there by others.
   */
  forget?(isGone: (key: CertificateKey) => boolean): void | Promise<void>;

  /**
   * Gives back what the store holds. Whoever waits is rejected with `ERR_CANCELLED`, and so is every later
   * `fetch`. To be called by whoever made the store; a second call does nothing.
   */
  close(): void | Promise<void>;
}

/** What a store tells of one entry, without its key. */
export interface StoreEntry {
  readonly key: CertificateKey;
  /** `not-yet-valid`: it was made while a clock was ahead, and is not served. */
  readonly state: 'valid' | 'not-yet-valid' | 'expired' | 'broken';
  /** Why it is broken. */
  readonly problem?: string;
  /** What it takes where it is kept. */
  readonly bytes: Bytes;
  /** Absent when the entry is broken. */
  readonly certificatePem?: string;
  readonly serial?: string;
  /** Epoch milliseconds. */
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** Removes this entry; whether it was still there. Given where no key tells it from others. */
  readonly remove?: () => Promise<boolean>;
}

/** What a store did since it was opened, in this process, and what it holds. */
export interface StoreCounters {
  /** Fetches that were answered with an entry that was there. */
  readonly hits: number;
  /** Generations that gave an entry, and those that failed. */
  readonly generated: number;
  readonly failed: number;
  /** Fetches that waited for a generation of somebody else. */
  readonly waited: number;
  /** Generations that replaced an entry before its end. */
  readonly renewed: number;
  /** Entries that gave way to others. */
  readonly evicted: number;
  /** Entries that were broken. */
  readonly broken: number;
}

/** A store whose entries can be looked at: what `sallyport certs` works on. All of ours are. */
export interface InspectableStore extends CertificateStore {
  /** All entries, of every authority, in no order. Entries may come and go meanwhile. */
  entries(): AsyncIterable<StoreEntry>;
  /** Removes the entry for `key`, whatever its state; whether there was one. */
  delete(key: CertificateKey): Promise<boolean>;
  readonly counters: StoreCounters;
}

/** What happens in a store that its owner should hear of. */
export type StoreReport =
  /** An entry was broken, and is discarded. */
  | {
      readonly kind: 'broken';
      readonly store: string;
      readonly key: CertificateKey;
      readonly error: SallyportError;
    }
  /** What is shared cannot be reached (`ERR_STORE_UNAVAILABLE`): leaves are made here until it can. */
  | { readonly kind: 'degraded'; readonly store: string; readonly error: SallyportError }
  /** It can be reached again. */
  | { readonly kind: 'restored'; readonly store: string }
  /** A generation in the background failed; the old entry goes on. */
  | {
      readonly kind: 'renewal-failed';
      readonly store: string;
      readonly key: CertificateKey;
      readonly error: SallyportError;
    };

/** Seals the private keys of one authority, and opens them: AES-256-GCM. See `sealing.ts`. */
export interface Sealer {
  /** `nonce ‖ ciphertext ‖ tag`. `context` is authenticated with it, and has to be the same to open it. */
  seal(secret: Uint8Array, context: string): Buffer;
  /** The secret, or `undefined` when anything was changed or was sealed by another authority. */
  open(sealed: Uint8Array, context: string): Buffer | undefined;
}

/** What a store that the proxy opens gets: `ProxyOptions.store` may be a function of it. */
export interface StoreContext {
  /** The SHA-256 fingerprint of the CA certificate. */
  readonly authority: string;
  readonly sealer: Sealer;
  readonly report: (report: StoreReport) => void;
}

const day = 24 * 60 * 60 * 1000;

/**
 * When to replace something that was obtained at `now` and is valid until `notAfter` (epoch milliseconds):
 * one day before its end, or after nine tenths of the time that was left, whichever is later. The latter
 * keeps leaves of a CA that ends soon from being made anew for every connection.
 */
export function renewalTime(notAfter: number, now: number): number {
  return notAfter - Math.min(day, (notAfter - now) / 10);
}
