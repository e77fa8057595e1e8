/** What all workers that there ever were have counted, as far as they were heard of. Pure. */
import type { ProxyCounters } from '../proxy/certificates.js';
import { addCounters, sumStores } from './workers-counters.js';

/** So many that have ended are known apart: what they sent last may be read after their end. */
const mostEnded = 16;

interface Known {
  counters: ProxyCounters | undefined;
  ended: boolean;
}

/**
 * Counts never go down by the death of a worker; what it counted since it was last heard of is lost with it.
 */
export class Tally {
  readonly #workers = new Map<number, Known>();
  #past: ProxyCounters | undefined;

  /** `id`: of the worker, which no other has had. */
  take(id: number, counters: ProxyCounters): void {
    const known = this.#workers.get(id);
    if (known) known.counters = counters;
    else this.#workers.set(id, { counters, ended: false });
  }

  end(id: number): void {
    const known = this.#workers.get(id) ?? { counters: undefined, ended: true };
    known.ended = true;
    this.#workers.set(id, known);
    const ended = [...this.#workers].filter(([, one]) => one.ended);
    for (const [old, { counters }] of ended.slice(0, -mostEnded)) {
      this.#workers.delete(old);
      if (counters) this.#past = addCounters(this.#past, withoutHoldings(counters)) as ProxyCounters;
    }
  }

  /** Those of each that serves or served. */
  get all(): readonly ProxyCounters[] {
    const known = [...this.#workers.values()].map(
      ({ counters, ended }) => counters && (ended ? withoutHoldings(counters) : counters),
    );
    return [this.#past, ...known].filter((counters) => counters !== undefined);
  }
}

/** What is counted up stays; what the worker held went with it. */
function withoutHoldings({ identities, contexts, store, ledger, legs }: ProxyCounters): ProxyCounters {
  const closed = Object.entries(ledger).map(([kind, line]) => [
    kind,
    { ...line, closed: line.created - line.leaked, outstanding: 0, oldestMs: 0 },
  ]);
  return {
    identities: { ...identities, size: 0 },
    contexts: { ...contexts, size: 0, bytes: 0 },
    // What a store counts beside these is what it holds.
    ...(store && { store: sumStores([store], undefined) }),
    ledger: Object.fromEntries(closed) as ProxyCounters['ledger'],
    legs: { client: { ...legs.client, held: 0 }, upstream: { ...legs.upstream, held: 0 } },
  };
}
