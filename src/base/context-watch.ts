/**
 * What the tree and the wheel know of a context that users may drop.
 *
 * A parent that held its children and a wheel that held the contexts of its deadlines would keep alive whatever
 * was never closed: a deadline in 16 hours, 16 hours of memory. So in their lists stands not the context but its
 * watch, which is also its deadline. At first it holds the context as anybody does, since most are closed within
 * milliseconds and should cost nothing. Those that grow old (see `ContextLedger`) are held weakly from then on,
 * and a finalizer tells when one was dropped.
 *
 * Somebody may wait for a context that nobody holds: for a listener, `done()`, `sleep`. Such a context is held:
 * `hold` and `release` count who asks for it. Its parents are too, for they may have to close it: a context holds
 * its parent, and the ledger all watches. A signal that was asked for outlives its context: see `OrphanSignals`.
 */
import { Deadline, type Expiring } from './deadlines.js';
import { type ErrorCode, SallyportError } from './errors.js';
import type { OrphanSignals } from './context-signals.js';

/** The deadline of a context, with the code that it closes it with. */
export class CodedDeadline extends Deadline {
  code: ErrorCode = 'ERR_CANCELLED';

  // The constructor that a class has by itself would spread its arguments.
  // oxlint-disable-next-line no-useless-constructor
  constructor(due: Expiring | (() => void)) {
    super(due);
  }
}

/** What can be watched: a context, which this file does not know. */
export interface Watchable {
  close(cause: unknown): void;
}

/** Who keeps the books of all watches. */
export interface Watcher {
  readonly signals: OrphanSignals<Watch>;
  opened(watch: Watch, target: object): void;
  closed(watch: Watch): void;
  /** Its context was dropped. */
  leaked(watch: Watch): void;
  /** `target` is held weakly from now on: `finalized` is to be called when it is gone. */
  finalize(watch: Watch, target: object): void;
  disarm(watch: Watch): void;
}

const nobody = (): void => undefined;

export class Watch extends CodedDeadline {
  readonly #watcher: Watcher;
  /** Of the parent; `undefined` for a root, which is held by whoever made it and is in no book. */
  #parent: Watch | undefined;
  firstChild: Watch | undefined = undefined;
  #previousSibling: Watch | undefined = undefined;
  #nextSibling: Watch | undefined = undefined;
  /** In the ledger: those that were made before and after it. */
  older: Watch | undefined = undefined;
  newer: Watch | undefined = undefined;
  /** In `ageUnits`. */
  born: number;
  stack: string | undefined = undefined;
  /** The context, while it is held. */
  #held: Watchable | undefined;
  /** Set when it has grown old. */
  #weak: WeakRef<Watchable> | undefined = undefined;
  /** Whose finalizer tells; held here, as a registry that nobody holds tells nothing. */
  registry: FinalizationRegistry<Watch> | undefined = undefined;
  /** Who needs it held: its listeners, which count as one, and `unwatched`. */
  #reasons = 0;
  /** Made when the context's signal was asked for; held here, as the signal may outlive the context. */
  controller: AbortController | undefined = undefined;
  /** Children are not watched: their code is known to close them. */
  trusting = false;
  /** The context is gone. */
  dropped = false;

  constructor(target: Watchable, parent: Watch | undefined, watcher: Watcher, born: number) {
    super(nobody);
    this.#watcher = watcher;
    this.#held = target;
    this.born = born;
    this.#parent = parent;
    if (!parent) return;
    const sibling = parent.firstChild;
    this.#nextSibling = sibling;
    if (sibling) sibling.#previousSibling = this;
    parent.firstChild = this;
    watcher.opened(this, target);
  }

  /** Whether it is held as anybody holds a context, because it is new. */
  get young(): boolean {
    return this.#weak === undefined;
  }

  /** The context; `undefined` when it was dropped and collected. */
  get target(): Watchable | undefined {
    return this.#held ?? this.#weak?.deref();
  }

  /** Somebody waits for the context. */
  hold(): void {
    this.#reasons += 1;
    this.#held ??= this.#weak?.deref();
  }

  /** Somebody no longer does. */
  release(): void {
    this.#reasons -= 1;
    if (this.#reasons === 0 && this.#weak) this.#held = undefined;
  }

  /** Holds the context weakly from now on, when nobody waits for it. */
  growOld(): void {
    if (!this.#held) return;
    this.#weak = new WeakRef(this.#held);
    this.#watcher.finalize(this, this.#held);
    if (this.#reasons === 0) this.#held = undefined;
  }

  /** For the wheel. */
  override fire(): void {
    this.end(new SallyportError(this.code, 'its deadline passed'));
  }

  /** Closes the context, or what its signal left. */
  end(cause: unknown): void {
    const { target } = this;
    if (target) {
      target.close(cause);
      return;
    }
    // Its finalizer has not come yet.
    if (!this.dropped) this.#drop();
    this.#watcher.disarm(this);
    while (this.firstChild) this.firstChild.end(cause);
    this.#leave();
    this.#watcher.signals.abort(this, cause);
  }

  /** The context has closed; the deadline is disarmed already. */
  closed(): void {
    this.#leave();
    this.#watcher.closed(this);
  }

  /** For the finalizer, of the context and of a signal that outlived it. */
  finalized(): void {
    if (!this.dropped) this.#drop();
    this.#retire();
  }

  /** Leaves for good, unless a signal is left that it must abort, its own or a child's. */
  #retire(): void {
    if (this.firstChild || this.#watcher.signals.awaited(this)) return;
    this.#watcher.disarm(this);
    this.#leave();
  }

  #drop(): void {
    this.dropped = true;
    this.#watcher.leaked(this);
  }

  #leave(): void {
    const parent = this.#parent;
    if (!parent) return;
    if (parent.firstChild === this) parent.firstChild = this.#nextSibling;
    if (this.#previousSibling) this.#previousSibling.#nextSibling = this.#nextSibling;
    if (this.#nextSibling) this.#nextSibling.#previousSibling = this.#previousSibling;
    this.#parent = undefined;
    this.#previousSibling = undefined;
    this.#nextSibling = undefined;
    this.#held = undefined;
    this.registry?.unregister(this);
    if (parent.dropped) parent.#retire();
  }

  /** The watches of its children, youngest first. */
  *children(): Generator<Watch> {
    for (let child = this.firstChild; child; child = child.#nextSibling) yield child;
  }
}
