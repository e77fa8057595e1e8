/** What a pool keeps under one key: connections, dials, and the line of those who wait. Only for `pool.ts`. */
import type { Milliseconds } from '../base/bytes.js';
import type { Context } from '../base/context.js';
import type { Mark } from '../base/ledger-book.js';
import { Link, LinkedList } from './linked-list.js';

/** A connection of the pool. */
export class Member<C> {
  readonly connection: C;
  readonly bucket: Bucket<C>;
  /** Its places among the idle of its bucket and of the pool; linked while it is idle. */
  readonly inBucket = new Link<Member<C>>(this);
  readonly inPool = new Link<Member<C>>(this);
  /** `closing`: given up, its socket not yet closed. */
  state: 'busy' | 'idle' | 'closing' | 'closed' = 'busy';
  idleSince: Milliseconds = 0;
  /** For the ledger: as a socket, and while it is idle. */
  readonly mark: Mark;
  idleMark: Mark = 0;

  constructor(connection: C, bucket: Bucket<C>, mark: Mark) {
    this.connection = connection;
    this.bucket = bucket;
    this.mark = mark;
  }
}

/** Somebody in a line. */
export class Waiter<C> {
  /** Waiters and dials are numbered in one series: who has the higher number came later. */
  readonly order: number;
  readonly open: (context: Context) => Promise<C>;
  readonly resolve: (connection: C) => void;
  readonly reject: (error: unknown) => void;
  readonly link = new Link<Waiter<C>>(this);
  /** For the ledger. */
  mark: Mark = 0;
  /** Stops listening to the requester's context. */
  stop: (() => void) | undefined;

  constructor(
    order: number,
    open: (context: Context) => Promise<C>,
    resolve: (connection: C) => void,
    reject: (error: unknown) => void,
  ) {
    this.order = order;
    this.open = open;
    this.resolve = resolve;
    this.reject = reject;
  }
}

export interface Dial {
  readonly order: number;
  readonly context: Context;
  /** For the ledger, of the socket. */
  readonly mark: Mark;
}

/** It exists while it holds anything. Where there is an idle connection, nobody waits. */
export class Bucket<C> {
  readonly key: string;
  /** The one used last at the end. */
  readonly idle = new LinkedList<Member<C>>();
  readonly waiters = new LinkedList<Waiter<C>>();
  /** Dials that will bring a connection, the youngest last; cancelled ones have left. */
  readonly dials = new Set<Dial>();
  /** Its place among the buckets that lack nothing but room in the pool. */
  readonly starved = new Link<Bucket<C>>(this);
  /** What counts against the limits: connections and dials, cancelled ones until they end. */
  places = 0;
  /** Waiters for whom no dial is under way, as of the last reckoning. */
  lacking = 0;

  constructor(key: string) {
    this.key = key;
  }

  /** Whether the dials under way would reach as far down the line as `waiter`. */
  covers(waiter: Waiter<C>): boolean {
    let ahead = 0;
    for (const other of this.waiters) {
      if (ahead >= this.dials.size) return false;
      if (other === waiter) return true;
      ahead += 1;
    }
    return false;
  }
}
