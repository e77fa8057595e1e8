/**
 * Keep-alive connections to origins, and the line of those who wait for one. Knows nothing of HTTP or TLS.
 *
 * Connections under one key are interchangeable: `poolKey` puts into the key all that makes one different
 * from another. An idle connection is handed out synchronously, the one used last first (its origin is the
 * least likely to close it just now). Otherwise a requester joins its key's line, and a dial is started for
 * it as far as the limits permit.
 *
 * - A connection that comes free, from a dial or from its last user, goes to the head of its key's line.
 * - A failed dial fails the head of the line, unless the head came after the dial began: then another dial
 *   is started, so that nobody is failed by somebody else's deadline.
 * - Between keys, free places go round: one origin with a long line does not starve the others. At the total
 *   limit, the connection that has been idle longest, of whatever key, makes room.
 *
 * Ownership: a connection that was handed out belongs to the requester until `release` or until it closes;
 * idle ones and dials belong to the pool. The ledger counts a dial, and the connection that it becomes, as
 * one of `upstreamSockets` until that has closed, those that are idle as `poolEntries` too, and everybody in a line as
 * one of `upstreamWaiters`.
 */
import type { Milliseconds } from '../base/bytes.js';
import type { Context } from '../base/context.js';
import { type Clock, systemClock } from '../base/deadlines.js';
import { SallyportError } from '../base/errors.js';
import type { Ledger } from '../base/ledger.js';
import type { Limits } from '../base/limits.js';
import type { Origin } from '../base/message.js';
import { Bucket, type Dial, Member, Waiter } from './bucket.js';
import { LinkedList } from './linked-list.js';

/** What the pool must know of a connection. */
export interface PooledConnection {
  /** Whether one more request may be sent on it. Asked when it is taken and when it comes back. */
  readonly usable: boolean;
  /**
   * The pool sets it, once, when the connection is made; the connection calls it, once, when its socket has
   * closed for whatever reason. To notice that while it is idle, it must go on reading.
   */
  onClosed: (() => void) | undefined;
  /** Called when it becomes idle. */
  onIdle(): void;
  /** Closes it, at once and for good. The pool calls it at most once. */
  close(): void;
}

/**
 * Makes a connection of the key that it is given with; all `open` of one key must be interchangeable. It
 * rejects when `context` closes, and sets its own deadlines on it (`setTimeout`): the context is the pool's,
 * not the requester's, as the connection may serve somebody else in the end. The context is closed as soon as
 * the connection is made: the connection must not depend on it.
 */
export type Open<C> = (context: Context) => Promise<C>;

export interface PoolOptions {
  /** Closing it closes the pool. */
  readonly context: Context;
  readonly ledger: Ledger;
  readonly limits: Pick<
    Limits,
    'upstreamPerOrigin' | 'upstreamTotal' | 'upstreamIdlePerOrigin' | 'upstreamWaiters'
  >;
  /** How long a connection may be idle; `Infinity` for as long as its origin lets it. */
  readonly idleTimeout: Milliseconds;
  /** The clock of `context`'s wheel. */
  readonly clock?: Clock;
}

/** What a pool holds, for instruments. */
export interface PoolCounts {
  readonly busy: number;
  readonly idle: number;
  readonly dialing: number;
  readonly waiting: number;
}

/** The key of connections to `origin`; `policy` names how its certificate is verified. */
export function poolKey({ scheme, host, port }: Origin, policy: string): string {
  return `${scheme}|${host}|${port}|${policy}`;
}

export class Pool<C extends PooledConnection> {
  readonly #options: PoolOptions;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket<C>>();
  /** The busy and the idle. */
  readonly #members = new Map<C, Member<C>>();
  /** The idle, the one idle longest first. */
  readonly #idle = new LinkedList<Member<C>>();
  readonly #starved = new LinkedList<Bucket<C>>();
  readonly #stopListening: () => void;
  #places = 0;
  #waiting = 0;
  #lacking = 0;
  #order = 0;
  /** Open while the deadline of the idle is armed; one deadline for all of them. */
  #sweep: Context | undefined;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#stopListening = options.context.onClose(() => {
      this.close();
    });
  }

  get counts(): PoolCounts {
    const idle = this.#idle.size;
    const members = this.#members.size;
    return { busy: members - idle, idle, dialing: this.#places - members, waiting: this.#waiting };
  }

  /** An idle connection, or `undefined`: the hot path, without a promise. It is the caller's now. */
  takeIdle(key: string): C | undefined {
    const bucket = this.#buckets.get(key);
    if (!bucket) return undefined;
    for (let member = bucket.idle.last; member; member = bucket.idle.last) {
      if (member.connection.usable) {
        this.#leaveIdle(member);
        member.state = 'busy';
        return member.connection;
      }
      this.#discard(member);
      this.#pump(bucket);
    }
    return undefined;
  }

  /**
   * A connection: an idle one, or else the first that is made or comes free. It is the caller's, even if
   * `context` closed in the moment that it came.
   *
   * Rejects with what the dial rejected with; with `context.err` when that closes first; with
   * `ERR_UPSTREAM_LIMIT` when the line is full, or when `context` closed with `ERR_CONNECT_TIMEOUT` while no
   * dial was under way for the caller because of the limits; with `ERR_SHUTTING_DOWN` when the pool closes.
   */
  acquire(key: string, open: Open<C>, context: Context): Promise<C> {
    return new Promise<C>((resolve, reject) => {
      if (this.#closed) throw shuttingDown();
      context.throwIfClosed();
      const idle = this.takeIdle(key);
      if (idle) {
        resolve(idle);
        return;
      }
      const bucket = this.#bucketOf(key);
      const waiter = new Waiter<C>(this.#nextOrder(), open, resolve, reject);
      this.#enter(bucket, waiter);
      waiter.stop = context.onClose(() => {
        this.#giveUp(bucket, waiter, context);
      });
      this.#pump(bucket);
      if (bucket.lacking > 0 && this.#lacking > this.#options.limits.upstreamWaiters) {
        this.#leave(bucket, waiter);
        this.#pump(bucket);
        throw new SallyportError('ERR_UPSTREAM_LIMIT', `too many requests wait already, one more for ${key}`);
      }
    });
  }

  /**
   * Gives a connection back: to the head of the line, or to the idle. One that is no longer usable, or that
   * comes when the pool is closed, is closed. One that has closed meanwhile is no longer the pool's: nothing
   * happens.
   */
  release(connection: C): void {
    const member = this.#members.get(connection);
    if (!member) return;
    if (member.state !== 'busy') throw new SallyportError('ERR_INTERNAL', 'a connection was released twice');
    if (this.#closed || !connection.usable) {
      this.#discard(member);
      this.#pump(member.bucket);
      return;
    }
    this.#offer(member);
  }

  /**
   * Closes what is idle under one key. For whoever found that a connection had died while idle: the others
   * have been idle for longer, so they are likely dead too, and a retry should not get one of them.
   */
  closeIdle(key: string): void {
    const bucket = this.#buckets.get(key);
    if (!bucket) return;
    for (let member = bucket.idle.first; member; member = bucket.idle.first) this.#discard(member);
    this.#pump(bucket);
  }

  /**
   * Closes what is idle, cancels the dials and fails everybody who waits. What is busy stays with its users
   * and is closed when they release it.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopListening();
    const sweep = this.#sweep;
    this.#sweep = undefined;
    sweep?.close();
    for (const bucket of this.#buckets.values()) {
      for (let waiter = bucket.waiters.first; waiter; waiter = bucket.waiters.first) {
        this.#leave(bucket, waiter);
        waiter.reject(shuttingDown());
      }
      for (const dial of bucket.dials) this.#cancel(bucket, dial, shuttingDown());
      for (let member = bucket.idle.first; member; member = bucket.idle.first) this.#discard(member);
      this.#reckon(bucket);
    }
  }

  #bucketOf(key: string): Bucket<C> {
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      bucket = new Bucket<C>(key);
      this.#buckets.set(key, bucket);
    }
    return bucket;
  }

  #nextOrder(): number {
    this.#order += 1;
    return this.#order;
  }

  // The line

  #enter(bucket: Bucket<C>, waiter: Waiter<C>): void {
    bucket.waiters.append(waiter.link);
    this.#waiting += 1;
    waiter.mark = this.#options.ledger.open('upstreamWaiters');
  }

  #leave(bucket: Bucket<C>, waiter: Waiter<C>): void {
    bucket.waiters.remove(waiter.link);
    waiter.stop?.();
    this.#waiting -= 1;
    this.#options.ledger.close('upstreamWaiters', waiter.mark);
  }

  /** The requester's context closed. A dial that is left without anybody to wait for it is cancelled. */
  #giveUp(bucket: Bucket<C>, waiter: Waiter<C>, context: Context): void {
    const { err } = context;
    const limited = err?.code === 'ERR_CONNECT_TIMEOUT' && !bucket.covers(waiter);
    this.#leave(bucket, waiter);
    const detail = `no connection for ${bucket.key} came free in time`;
    waiter.reject(limited ? new SallyportError('ERR_UPSTREAM_LIMIT', detail, { cause: err }) : err);
    if (bucket.dials.size > bucket.waiters.size) {
      const youngest = [...bucket.dials].at(-1);
      if (youngest) {
        this.#cancel(bucket, youngest, new SallyportError('ERR_CANCELLED', 'nobody waits for it any more'));
      }
    }
    this.#pump(bucket);
  }

  /** To the head of the line, or to the idle. */
  #offer(member: Member<C>): void {
    const { bucket } = member;
    const waiter = bucket.waiters.first;
    if (!waiter) {
      this.#enterIdle(member);
      return;
    }
    this.#leave(bucket, waiter);
    this.#pump(bucket);
    waiter.resolve(member.connection);
  }

  // Places: what the limits count

  #takePlace(bucket: Bucket<C>): void {
    bucket.places += 1;
    this.#places += 1;
  }

  #freePlace(bucket: Bucket<C>): void {
    bucket.places -= 1;
    this.#places -= 1;
  }

  /** Brings up to date what follows from a bucket's lists. To be called after every change to them. */
  #reckon(bucket: Bucket<C>): void {
    const lacking = Math.max(0, bucket.waiters.size - bucket.dials.size);
    this.#lacking += lacking - bucket.lacking;
    bucket.lacking = lacking;
    if (lacking === 0 || bucket.places >= this.#options.limits.upstreamPerOrigin) {
      this.#starved.remove(bucket.starved);
    } else if (!bucket.starved.linked) {
      this.#starved.append(bucket.starved);
    }
    const empty = bucket.places === 0 && bucket.waiters.size === 0;
    if (empty && this.#buckets.get(bucket.key) === bucket) this.#buckets.delete(bucket.key);
  }

  /** After a change to `bucket`: starts the dials that are wanted and that the limits permit. */
  #pump(bucket: Bucket<C>): void {
    this.#reckon(bucket);
    for (let next = this.#starved.first; next; next = this.#starved.first) {
      if (this.#places >= this.#options.limits.upstreamTotal && !this.#makeRoom()) return;
      const waiter = next.waiters.last;
      if (!waiter) return;
      this.#options.ledger.passed();
      const dial: Dial = {
        order: this.#nextOrder(),
        context: this.#options.context.withCancel(),
        mark: this.#options.ledger.open('upstreamSockets'),
      };
      next.dials.add(dial);
      this.#takePlace(next);
      this.#reckon(next);
      if (next.starved.linked) this.#starved.append(next.starved);
      void this.#dial(next, dial, waiter.open);
    }
  }

  /** Closes the connection that has been idle longest. Its key has no waiters, as it has an idle one. */
  #makeRoom(): boolean {
    const oldest = this.#idle.first;
    if (!oldest) return false;
    this.#discard(oldest);
    this.#reckon(oldest.bucket);
    return true;
  }

  // Dials

  async #dial(bucket: Bucket<C>, dial: Dial, open: Open<C>): Promise<void> {
    let connection: C;
    try {
      connection = await open(dial.context);
    } catch (error) {
      dial.context.close();
      this.#failed(bucket, dial, error);
      return;
    }
    dial.context.close();
    this.#arrived(bucket, dial, connection);
  }

  #arrived(bucket: Bucket<C>, dial: Dial, connection: C): void {
    const member = new Member(connection, bucket, dial.mark);
    this.#members.set(connection, member);
    connection.onClosed = () => {
      this.#gone(member);
    };
    const { usable } = connection;
    if (usable && bucket.dials.delete(dial)) {
      this.#offer(member);
      return;
    }
    // Nobody wants it, or it closed before anybody listened. In the second case the head of the line is told,
    // or an origin that closes every connection at once would be dialed in circles.
    this.#discard(member);
    if (!usable) {
      this.#gone(member);
      this.#failHead(
        bucket,
        dial,
        new SallyportError('ERR_UPSTREAM_RESET', `as soon as it was made: ${bucket.key}`),
      );
    }
    this.#pump(bucket);
  }

  #failed(bucket: Bucket<C>, dial: Dial, error: unknown): void {
    this.#freePlace(bucket);
    this.#options.ledger.close('upstreamSockets', dial.mark);
    this.#failHead(bucket, dial, error);
    this.#pump(bucket);
  }

  #failHead(bucket: Bucket<C>, dial: Dial, error: unknown): void {
    const wanted = bucket.dials.delete(dial);
    const head = bucket.waiters.first;
    if (!wanted || !head || head.order > dial.order) return;
    this.#leave(bucket, head);
    head.reject(error);
  }

  #cancel(bucket: Bucket<C>, dial: Dial, reason: SallyportError): void {
    bucket.dials.delete(dial);
    dial.context.close(reason);
  }

  // Connections

  #enterIdle(member: Member<C>): void {
    const { bucket, connection } = member;
    const { upstreamIdlePerOrigin } = this.#options.limits;
    if (bucket.idle.size >= upstreamIdlePerOrigin) this.#discard(bucket.idle.first ?? member);
    if (member.state === 'busy') {
      member.state = 'idle';
      member.idleSince = this.#clock.now();
      bucket.idle.append(member.inBucket);
      this.#idle.append(member.inPool);
      member.idleMark = this.#options.ledger.open('poolEntries');
      connection.onIdle();
      if (!this.#sweep) this.#armSweep(this.#options.idleTimeout);
    }
    this.#pump(bucket);
  }

  #leaveIdle(member: Member<C>): void {
    if (!member.inPool.linked) return;
    this.#options.ledger.close('poolEntries', member.idleMark);
    member.bucket.idle.remove(member.inBucket);
    this.#idle.remove(member.inPool);
  }

  /** Gives a busy or idle connection up. Whoever calls reckons or pumps its bucket after. */
  #discard(member: Member<C>): void {
    this.#leaveIdle(member);
    member.state = 'closing';
    this.#members.delete(member.connection);
    this.#freePlace(member.bucket);
    member.connection.close();
  }

  /** A connection's socket has closed. */
  #gone(member: Member<C>): void {
    const { state, bucket } = member;
    if (state === 'closed') return;
    member.state = 'closed';
    this.#options.ledger.close('upstreamSockets', member.mark);
    if (state === 'closing') return;
    this.#leaveIdle(member);
    this.#members.delete(member.connection);
    this.#freePlace(bucket);
    this.#pump(bucket);
  }

  /**
   * Looks at the idle when the one idle longest may be due. The deadline is not moved when that one is taken,
   * so that taking and releasing costs nothing here.
   */
  #armSweep(ms: Milliseconds): void {
    if (ms === Number.POSITIVE_INFINITY) return;
    const sweep = this.#options.context.withTimeout(ms);
    this.#sweep = sweep;
    sweep.onClose(() => {
      // It closes when its time is over, with the pool, and with the pool's context.
      if (this.#sweep !== sweep || this.#options.context.closed) return;
      this.#sweep = undefined;
      this.#closeExpired();
    });
  }

  #closeExpired(): void {
    const now = this.#clock.now();
    for (let oldest = this.#idle.first; oldest; oldest = this.#idle.first) {
      const left = oldest.idleSince + this.#options.idleTimeout - now;
      if (left > 0) {
        this.#armSweep(left);
        return;
      }
      this.#discard(oldest);
      this.#pump(oldest.bucket);
    }
  }
}

function shuttingDown(): SallyportError {
  return new SallyportError('ERR_SHUTTING_DOWN', 'no more connections are made');
}
