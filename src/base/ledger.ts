/**
 * Counts of everything that must be given back. One ledger belongs to one proxy; `proxy.close()` ends with
 * every kind at zero, and a test says so.
 *
 * Opening gives a mark, closing takes it back; each is a few additions, and of most nothing is made. What else is
 * known comes from a sample, some eight a second of each kind, or all on demand (`sampleStacks`): where it was made,
 * and whether it was collected without being closed. Ages are counted for all, in ticks of 64 ms: `oldestMs` is never
 * too little, and too much by a tick and a sixteenth, and by as much as `recent` was late.
 *
 * Some kinds are counted elsewhere: they are read when somebody looks.
 */
import type { Milliseconds } from './bytes.js';
import type { StackSampling } from './context-stacks.js';
import { Book, type LedgerLine, type LedgerStack, type Mark, tick } from './ledger-book.js';

/**
 * - `connections`: sockets that were accepted, refused ones too
 * - `clientTls`, `upstreamTls`: TLS connections whose handshake is done, with clients and with origins
 * - `exchanges`: requests with what becomes of them
 * - `bodies`: of requests, until they have come; of responses, until their exchange ends
 * - `bodyBytes`: of bodies that a hook collects or gives, until their exchange ends
 * - `tunnels`: pairs of connections that are relayed
 * - `upstreamSockets`: dials, and the pooled connections that they become; `poolEntries`: those that are idle
 * - `upstreamWaiters`: requests that wait for a connection
 * - `storeWaits`: handshakes that wait for a certificate, from the store or made
 * - `listeners`: functions that `proxy.on` was given and that are not removed
 */
const countedKinds = [
  'connections',
  'clientTls',
  'upstreamTls',
  'exchanges',
  'bodies',
  'bodyBytes',
  'tunnels',
  'upstreamSockets',
  'upstreamWaiters',
  'poolEntries',
  'storeWaits',
  'listeners',
] as const;

/**
 * - `contexts`: open contexts of the proxy
 * - `deadlines`: armed deadlines of the process
 * - `identities`: hosts' certificates at hand; `secureContexts`: what they and the trust in origins are held by in TLS
 * - `internedCertificates`: certificates that are interned in the process; they go when they are collected
 */
const readKinds = ['contexts', 'deadlines', 'identities', 'secureContexts', 'internedCertificates'] as const;

/** Kinds that all proxies of a process share: not zero for as long as somebody else has some. */
export const sharedKinds: readonly LedgerKind[] = ['deadlines', 'internedCertificates'];

export const ledgerKinds = [...countedKinds, ...readKinds] as const;

export type CountedKind = (typeof countedKinds)[number];
export type ReadKind = (typeof readKinds)[number];
export type LedgerKind = CountedKind | ReadKind;
export type LedgerLines = Readonly<Record<LedgerKind, LedgerLine>>;

/** What is known of a kind that is counted elsewhere. Where no high-water mark is, the most that was seen counts. */
export interface LedgerReading extends Partial<LedgerLine> {
  readonly created: number;
  readonly outstanding: number;
}

const nothingYet = (): LedgerReading => ({ created: 0, outstanding: 0 });

export interface LedgerClocks {
  /** Only goes forward; asked when somebody looks. Default: `performance.now`, which may take half a microsecond. */
  readonly now?: () => Milliseconds;
  /** What that clock said a little ago; asked whenever something is opened. See `passed`. Default: `now`. */
  readonly recent?: () => Milliseconds;
}

export class Ledger {
  readonly #books: Readonly<Record<CountedKind, Book>>;
  readonly #readings = new Map<ReadKind, () => LedgerReading>();
  readonly #seen = new Map<ReadKind, number>();
  readonly #now: () => Milliseconds;
  readonly #recent: () => Milliseconds;
  readonly #begun: Milliseconds;
  #passed: Milliseconds;

  constructor({ now = () => performance.now(), recent = now }: LedgerClocks = {}) {
    this.#now = now;
    this.#recent = recent;
    this.#begun = now();
    this.#passed = this.#begun;
    this.#books = Object.fromEntries(countedKinds.map((kind) => [kind, new Book()])) as Record<
      CountedKind,
      Book
    >;
  }

  /**
   * One was opened, or `amount` where bytes are counted; the mark is for `close`. `owner`: what is lost when nobody
   * closes it; it must not be held by the mark's holder longer than that, and only single ones have one.
   *
   * A function of this very ledger, as stacks begin with whoever called it.
   */
  readonly open = (kind: CountedKind, owner?: object, amount = 1): Mark =>
    this.#books[kind].open(this.#tick(), amount, owner, this.open);

  /** More belongs to what was opened then. */
  grow(kind: CountedKind, mark: Mark, amount: number): void {
    this.#books[kind].grow(mark, amount);
  }

  /** Once for each mark, with all that it stands for. */
  close(kind: CountedKind, mark: Mark, amount = 1): void {
    this.#books[kind].close(mark, amount);
  }

  /** `read` is asked for `kind` whenever somebody looks. */
  provide(kind: ReadKind, read: () => LedgerReading): void {
    this.#readings.set(kind, read);
  }

  outstanding(kind: LedgerKind): number {
    return this.#line(kind).outstanding;
  }

  /** A copy of all counts. */
  lines(): LedgerLines {
    return Object.fromEntries(ledgerKinds.map((kind) => [kind, this.#line(kind)])) as LedgerLines;
  }

  /** Of how many the creation stack is kept, of those opened from now on: see `StackSampling`. */
  sampleStacks(sampling: StackSampling): void {
    for (const book of Object.values(this.#books)) book.sampleStacks(sampling);
  }

  /** Where those of the sample were made that are open or leaked, by kind; kinds without any are left out. */
  stacks(): Readonly<Partial<Record<CountedKind, readonly LedgerStack[]>>> {
    return Object.fromEntries(
      countedKinds
        .map((kind) => [kind, this.#books[kind].stacks()] as const)
        .filter(([, stacks]) => stacks.length > 0),
    );
  }

  /**
   * What the clock says, from somebody who has just looked, or else it is asked: for what is opened next. Without it,
   * after a time in which nothing happened, that would seem to be older than it is.
   */
  passed(now: Milliseconds = this.#now()): void {
    if (now > this.#passed) this.#passed = now;
  }

  /** Of what is opened now. */
  #tick(): number {
    this.passed(this.#recent());
    return this.#tickAt(this.#passed);
  }

  #tickAt(now: Milliseconds): number {
    return Math.floor((now - this.#begun) / tick);
  }

  #line(kind: LedgerKind): LedgerLine {
    return isRead(kind) ? this.#read(kind) : this.#books[kind].line(this.#tickAt(this.#now()));
  }

  #read(kind: ReadKind): LedgerLine {
    const {
      created,
      outstanding,
      leaked = 0,
      oldestMs = 0,
      highWater,
    } = (this.#readings.get(kind) ?? nothingYet)();
    const seen = Math.max(this.#seen.get(kind) ?? 0, outstanding);
    this.#seen.set(kind, seen);
    const closed = created - leaked - outstanding;
    return { created, closed, leaked, outstanding, oldestMs, highWater: highWater ?? seen };
  }
}

function isRead(kind: LedgerKind): kind is ReadKind {
  return (readKinds as readonly LedgerKind[]).includes(kind);
}
