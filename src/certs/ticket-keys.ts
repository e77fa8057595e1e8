/** The keys that session tickets are sealed with (RFC 5077 §4, RFC 8446 §4.6.1): drawn, replaced, shared. */
import { randomBytes } from 'node:crypto';
import type { Milliseconds } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';

export interface TicketKeysOptions {
  /** How long keys are used: it bounds what a stolen key opens of TLS 1.2. Default 12 hours. */
  readonly lifetime?: Milliseconds;
  /** A clock that only goes forward; default `performance.now`. */
  readonly now?: () => Milliseconds;
}

/** Name, HMAC key and AES key of 16 bytes each, as `tls.createSecureContext` takes them. */
const keyBytes = 48;

/**
 * Keys for as many contexts as share them, such as those of several workers.
 *
 * Who makes the object draws the keys, and new ones when they are asked for after their lifetime: no timer runs.
 * A ticket of older keys is not taken any more, and its client makes a full handshake; open connections notice
 * nothing. Once `set` was called the keys are somebody else's to replace, and are used until the next `set`.
 */
export class TicketKeys {
  readonly #lifetime: Milliseconds;
  readonly #now: () => Milliseconds;
  #current: Buffer = randomBytes(keyBytes);
  /** `Infinity` when somebody else replaces them. */
  #until: Milliseconds;

  constructor({ lifetime = 12 * 3_600_000, now = () => performance.now() }: TicketKeysOptions = {}) {
    this.#lifetime = lifetime;
    this.#now = now;
    this.#until = now() + lifetime;
  }

  /** The keys to use now; another Buffer when they were replaced. A secret, and not to be changed. */
  get current(): Buffer {
    return this.#now() < this.#until ? this.#current : this.rotate();
  }

  /** Draws new keys ahead of time, and answers them. */
  rotate(): Buffer {
    this.#current = randomBytes(keyBytes);
    this.#until = this.#now() + this.#lifetime;
    return this.#current;
  }

  /**
   * Takes over the keys of another process, which replaces them from now on. They are copied. Throws
   * `ERR_INTERNAL` unless there are 48 bytes.
   */
  set(keys: Uint8Array): void {
    if (keys.length !== keyBytes) {
      throw new SallyportError('ERR_INTERNAL', `ticket keys have ${keyBytes} bytes, not ${keys.length}`);
    }
    this.#until = Number.POSITIVE_INFINITY;
    // The same keys again are no reason to make contexts anew.
    if (!this.#current.equals(keys)) this.#current = Buffer.from(keys);
  }
}
