/** What stores report, as lines for people: a change is told once, whoever and however many tell it. */
import { safeText } from './text.js';

/** The part of `store.report` and of `StoreReport` that is told. */
export interface Reported {
  readonly kind: 'broken' | 'degraded' | 'restored' | 'renewal-failed';
  readonly store: string;
  readonly host?: string | undefined;
  readonly key?: { readonly host: string };
  readonly error?: { readonly code: string; readonly detail: string } | undefined;
}

/** How many different broken entries and failed renewals are told one by one. */
const mostTold = 50;

export class StoreNotices {
  readonly #tell: (line: string) => void;
  /** Who cannot reach a store at the moment. */
  readonly #degraded = new Set<string>();
  readonly #told = new Set<string>();

  constructor(tell: (line: string) => void) {
    this.#tell = tell;
  }

  /** `from`: the process that reports, where there are several. */
  take(report: Reported, from = ''): void {
    const line = describeReport(report);
    if (report.kind === 'degraded' || report.kind === 'restored') {
      const before = this.#degraded.size > 0;
      if (report.kind === 'degraded') this.#degraded.add(from);
      else this.#degraded.delete(from);
      if (before !== this.#degraded.size > 0) this.#tell(line);
      return;
    }
    if (this.#told.has(line) || this.#told.size >= mostTold) return;
    this.#told.add(line);
    this.#tell(line);
    if (this.#told.size === mostTold) {
      this.#tell(`WARNING: ${report.store}: more of this is not told; sallyport certs stats counts it`);
    }
  }

  /** A process has ended: what it could not reach is no news any more. */
  forget(from: string): void {
    this.#degraded.delete(from);
  }
}

/** One line, for stderr. */
export function describeReport({ kind, store, host, key, error }: Reported): string {
  const of = host ?? key?.host;
  const about = of === undefined ? store : `${store}: ${of}`;
  const why = error ? `: ${error.code}: ${error.detail}` : '';
  const what = {
    broken: 'a broken entry was discarded and is made anew',
    degraded: 'the certificate store cannot be reached; certificates are made here until it can',
    restored: 'the certificate store can be reached again',
    'renewal-failed': 'a certificate could not be renewed; the old one goes on',
  }[kind];
  return safeText(`${kind === 'restored' ? '' : 'WARNING: '}${about}: ${what}${why}`);
}
