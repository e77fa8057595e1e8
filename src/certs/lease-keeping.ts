/** Leases: held for as long as some work takes, and given back, if need be later. */
import type { Milliseconds } from '../base/bytes.js';
import type { Context } from '../base/context.js';
import { type Outage, Unreachable } from './outage.js';
import type { Lease } from './store-backend.js';

/**
 * The outcome of `work`, during which `renew` is called three times per `lease`, until it says that the lease
 * was lost. Work goes on without it: whether its result counts is decided when it is stored. `renew` must not
 * reject.
 */
export async function keepLease<T>(
  context: Context,
  lease: Milliseconds,
  renew: () => Promise<boolean>,
  work: () => T | Promise<T>,
): Promise<T> {
  using keeping = context.withCancel();
  const renewals = renewUntilClosed(keeping, lease / 3, renew);
  try {
    return await work();
  } finally {
    keeping.close();
    // A renewal on its way must not come after what is done with the lease next.
    await renewals;
  }
}

async function renewUntilClosed(
  context: Context,
  pause: Milliseconds,
  renew: () => Promise<boolean>,
): Promise<void> {
  do {
    if (!(await passes(context, pause))) return;
  } while (await renew());
}

/** Whether `ms` passed before the context closed. */
async function passes(context: Context, ms: Milliseconds): Promise<boolean> {
  try {
    await context.sleep(ms);
    return true;
  } catch {
    return false;
  }
}

/** The leases of a store on their way back. */
export class LeaseReturns {
  readonly #outage: Outage;
  /** Those that the place does not yet know to be free. */
  readonly #pending = new Set<Lease>();

  constructor(outage: Outage) {
    this.#outage = outage;
  }

  /**
   * `end` is what gives `lease` back. Throws `Unreachable`, and the lease is given back after the outage
   * then.
   */
  async settle<T>(lease: Lease, end: () => Promise<T>): Promise<T> {
    this.#pending.add(lease);
    const outcome = await this.#outage.ask(end);
    this.#pending.delete(lease);
    return outcome;
  }

  /** Gives `lease` back with nothing written, now or after the outage. */
  async release(lease: Lease): Promise<void> {
    try {
      await this.settle(lease, () => lease.release());
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
    }
  }

  /** After an outage: otherwise others would wait until they have run out. */
  async releasePending(): Promise<void> {
    await Promise.all([...this.#pending].map((lease) => this.release(lease)));
  }
}
