/** A bound in bytes that any number of connections share, for what is held of theirs in this process. */
import type { Bytes } from './bytes.js';
import { SallyportError } from './errors.js';

/**
 * Nothing is refused when it is spent, as bytes that were read cannot be put back: connections that share it read with
 * their smallest buffers then, and writers are told to wait at once (`write` returns false) until it is not.
 */
export class BufferBudget {
  readonly limit: Bytes;
  #used: Bytes = 0;

  /** Throws `ERR_OPTION_VALUE` unless `limit` is over 0. */
  constructor(limit: Bytes) {
    if (!(limit > 0))
      throw new SallyportError('ERR_OPTION_VALUE', `budget is over 0 bytes, not ${String(limit)}`);
    this.limit = limit;
  }

  /** Bytes held now; may be over `limit` by what was under way when it was reached. */
  get used(): Bytes {
    return this.#used;
  }

  get spent(): boolean {
    return this.#used >= this.limit;
  }

  /** `bytes` are held from now on: each is to be given back once. */
  hold(bytes: Bytes): void {
    this.#used += bytes;
  }

  giveBack(bytes: Bytes): void {
    this.#used -= bytes;
  }

  static from(budget: Bytes | BufferBudget | undefined): BufferBudget | undefined {
    return typeof budget === 'number' ? new BufferBudget(budget) : budget;
  }
}
