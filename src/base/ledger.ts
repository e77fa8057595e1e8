/**
 * Counts of everything that must be given back. One ledger belongs to one proxy; `proxy.close()` ends with
 * every kind at zero, and a test says so. Opening and closing is an addition each.
 */
export const ledgerKinds = [
  'connections',
  'exchanges',
  'clientTls',
  'tunnels',
  'upstreamSockets',
  'upstreamWaiters',
] as const;

export type LedgerKind = (typeof ledgerKinds)[number];

export interface LedgerLine {
  readonly created: number;
  readonly closed: number;
  readonly outstanding: number;
  /** The most that were outstanding at one time. */
  readonly highWater: number;
}

interface Count {
  created: number;
  closed: number;
  highWater: number;
}

export class Ledger {
  readonly #counts: Readonly<Record<LedgerKind, Count>> = makeCounts();

  open(kind: LedgerKind): void {
    const count = this.#counts[kind];
    count.created += 1;
    const outstanding = count.created - count.closed;
    if (outstanding > count.highWater) count.highWater = outstanding;
  }

  close(kind: LedgerKind): void {
    this.#counts[kind].closed += 1;
  }

  outstanding(kind: LedgerKind): number {
    const { created, closed } = this.#counts[kind];
    return created - closed;
  }

  /** A copy of all counts. */
  lines(): Readonly<Record<LedgerKind, LedgerLine>> {
    const lines: Partial<Record<LedgerKind, LedgerLine>> = {};
    for (const kind of ledgerKinds) {
      lines[kind] = { ...this.#counts[kind], outstanding: this.outstanding(kind) };
    }
    return lines as Record<LedgerKind, LedgerLine>;
  }
}

function makeCounts(): Record<LedgerKind, Count> {
  const counts: Partial<Record<LedgerKind, Count>> = {};
  for (const kind of ledgerKinds) counts[kind] = { created: 0, closed: 0, highWater: 0 };
  return counts as Record<LedgerKind, Count>;
}
