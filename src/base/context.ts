/**
 * Contexts in the manner of Go's `context` package: a tree of cancellations with deadlines and values.
 *
 * Ownership: whoever makes a context closes it (`close()`, `using`, or `Context.run`). Closing a parent
 * closes its children, youngest first. A closed context has dropped its deadline, its children, its
 * listeners, its values and its parent, so holding one costs a small object and keeps nothing alive.
 * One that is dropped without being closed is found and counted: see `Watch` and `ContextLedger`.
 *
 * Cost: a context without deadline, listeners and signal is one object, and one more where it is watched. The
 * `AbortSignal` is made when it is first asked for; `AbortSignal.timeout` and `AbortSignal.any` are never used,
 * as they keep memory until their timers fire.
 */
import type { Milliseconds } from './bytes.js';
import { Ambient } from './context-ambient.js';
import { type ContextKey, contextKey, type ContextValue } from './context-key.js';
import { ageUnits, ContextLedger } from './context-ledger.js';
import {
  type Listener,
  type Listeners,
  type ObjectListener,
  withListener,
  withoutListener,
} from './context-listeners.js';
import { Waiters } from './context-race.js';
import { CodedDeadline, Watch } from './context-watch.js';
import { Deadline, DeadlineWheel, type Expiring } from './deadlines.js';
import { type ErrorCode, SallyportError } from './errors.js';

/** What a child begins with. The earlier of `timeout` and `deadline` counts. */
export interface ContextOptions {
  readonly timeout?: Milliseconds | undefined;
  /** By the wall clock as it is now: later steps of it do not matter. */
  readonly deadline?: Date | undefined;
  /** What the deadline closes it with; `ERR_CANCELLED` where none is given. */
  readonly code?: ErrorCode | undefined;
  /** Made by `contextValue`. Of two with the same key the later counts. */
  readonly values?: readonly ContextValue[] | undefined;
  /** Whose it is, for `outstanding()`; children without one have that of their parent. */
  readonly label?: string | undefined;
}

/** An open context, for instruments: see `Context.outstanding`. */
export interface OutstandingContext {
  readonly label: string | undefined;
  /** Until its nearest deadline; `Infinity` without one. */
  readonly remainingMs: Milliseconds;
  /** Accurate to a second where it has no deadline of its own. */
  readonly ageMs: Milliseconds;
  /** Where it was made, when it is in the sample: see `ContextLedger.sampleStacks`. */
  readonly stack: string | undefined;
}

/** Whom a context tells that it closes: a method, where a closure for each connection would be kept with it. */
export interface CloseListener extends ObjectListener<Context> {
  /** `context` has closed. Called once. */
  contextClosed(context: Context): void;
}

const labelKey: ContextKey<string> = contextKey('label');

export class Context implements Disposable, AsyncDisposable, Expiring {
  /** The root of all contexts that have no other: never closed, without deadline. */
  static readonly background: Context = Context.root(new DeadlineWheel(), { watched: true });
  static readonly #ambient = new Ambient<Context>();
  static readonly #waiters = new Waiters();

  readonly #ledger: ContextLedger;
  /** Stands for this context in the lists of others, where they should not keep it alive. */
  #watch: Watch | undefined;
  #parent: Context | undefined;
  /** Those that are not watched; the others are known to `#watch`. */
  #firstChild: Context | undefined;
  #previousSibling: Context | undefined;
  #nextSibling: Context | undefined;
  #deadline: CodedDeadline | undefined;
  #listeners: Listeners<Context>;
  #controller: AbortController | undefined;
  /** As they were given; of two with the same key the later counts. */
  #values: ContextValue | readonly ContextValue[] | undefined;
  #cause: unknown;
  #closed = false;
  readonly #born: number;

  private constructor(parent: Context | undefined, ledger: ContextLedger) {
    const { recent } = ledger.wheel;
    this.#ledger = ledger;
    this.#parent = parent;
    this.#born = ageUnits(recent);
    if (!parent) return;
    ledger.made();
    if (parent.#closed) {
      this.close(parent.#cause);
      return;
    }
    const above = parent.#watch;
    if (above && !above.trusting) {
      this.#watch = new Watch(this, above, ledger, this.#born);
      return;
    }
    const sibling = parent.#firstChild;
    this.#nextSibling = sibling;
    if (sibling) sibling.#previousSibling = this;
    parent.#firstChild = this;
  }

  /**
   * A root with a clock of its own: for tests on virtual time, and for a proxy that is given one. `watched` says
   * whether contexts below it that are dropped without being closed are found; until they are, it holds them.
   */
  static root(wheel: DeadlineWheel, { watched = false }: { readonly watched?: boolean } = {}): Context {
    const ledger = new ContextLedger(wheel);
    const root = new Context(undefined, ledger);
    if (watched) root.#watch = new Watch(root, undefined, ledger, root.#born);
    return root;
  }

  /**
   * Runs `work` in a child of `parent` and closes the child in every path. When the deadline passes, the
   * child closes and `work` is expected to end by itself, as in Go. Meanwhile `Context.current()` is the child,
   * in `work` and in all that it calls.
   */
  static async run<T>(
    parent: Context,
    options: ContextOptions,
    work: (context: Context) => T | Promise<T>,
  ): Promise<T> {
    using child = parent.child(options);
    return await Context.#ambient.run(child, () => work(child));
  }

  /**
   * Runs all of `works` at once, each in the same child of `parent`: the first that ends, well or not, is the
   * result, and the child closes, which is how the others learn that they have lost. Rejects with `err` when the
   * child closes before any has ended.
   */
  static async race<T>(
    parent: Context,
    options: ContextOptions,
    works: readonly ((context: Context) => T | Promise<T>)[],
  ): Promise<T> {
    return await Context.run(parent, options, (child) =>
      child.race(Promise.race(works.map(async (work) => await work(child)))),
    );
  }

  /** The context of the innermost `Context.run` that the caller runs in and that is open, else `background`. */
  static current(): Context {
    return Context.#ambient.current ?? Context.background;
  }

  /** A child with what `options` say. Throws a `RangeError` for a deadline that is not a number. */
  child({ timeout, deadline, code = 'ERR_CANCELLED', values, label }: ContextOptions): Context {
    let ms = timeout ?? Number.POSITIVE_INFINITY;
    if (deadline) ms = Math.min(ms, deadline.getTime() - this.#ledger.wheel.wall());
    // Before there is a child that nobody would close.
    if (Number.isNaN(ms)) throw new RangeError('a deadline is a number of milliseconds');
    const child = new Context(this, this.#ledger);
    if (child.#closed) return child;
    child.#values =
      label === undefined
        ? values
        : [{ key: labelKey, value: label } satisfies ContextValue, ...(values ?? [])];
    if (ms !== Number.POSITIVE_INFINITY) child.#begin(ms, code);
    return child;
  }

  /** A child that closes with this context, or by its own `close()`. */
  withCancel(): Context {
    return new Context(this, this.#ledger);
  }

  /** A child that closes `ms` from now with `code`, if nobody closes it before. Throws for `NaN`. */
  withTimeout(ms: Milliseconds, code: ErrorCode = 'ERR_CANCELLED'): Context {
    if (Number.isNaN(ms)) throw new RangeError('a deadline is a number of milliseconds');
    const child = new Context(this, this.#ledger);
    child.#begin(ms, code);
    return child;
  }

  /** A child that closes at `date`, if nobody closes it before: by the wall clock as it is now. */
  withDeadline(date: Date, code: ErrorCode = 'ERR_CANCELLED'): Context {
    return this.withTimeout(date.getTime() - this.#ledger.wheel.wall(), code);
  }

  /** A child with one more value. */
  withValue<T>(key: ContextKey<T>, value: T): Context {
    const child = new Context(this, this.#ledger);
    if (!child.#closed) child.#values = { key, value };
    return child;
  }

  /**
   * A child below which nothing is watched: for code that is known to close its contexts, and has so many that
   * the memory of a watch counts. What it drops nevertheless stays until this child closes.
   */
  unwatched(): Context {
    const child = new Context(this, this.#ledger);
    if (child.#watch) {
      child.#watch.trusting = true;
      child.#watch.hold();
    }
    return child;
  }

  /** The value nearest to this context, or `undefined`; a closed context has none. */
  value<T>(key: ContextKey<T>): T | undefined {
    for (let context: Context | undefined = this; context; context = context.#parent) {
      const values = context.#values;
      if (values === undefined) continue;
      if (!isList(values)) {
        if (values.key === key) return values.value as T;
        continue;
      }
      for (let at = values.length - 1; at >= 0; at -= 1) {
        const one = values[at];
        if (one?.key === key) return one.value as T;
      }
    }
    return undefined;
  }

  /** The counters of this context's root: those of all contexts of the process, for `Context.background`. */
  get ledger(): ContextLedger {
    return this.#ledger;
  }

  /** The open contexts below this one, in no order: goes through all of them. */
  outstanding(): OutstandingContext[] {
    const found: OutstandingContext[] = [];
    const below: Context[] = [this];
    for (let context = below.pop(); context; context = below.pop()) {
      if (context !== this) found.push(context.#describe());
      for (let child = context.#firstChild; child; child = child.#nextSibling) below.push(child);
      for (const { target } of context.#watch?.children() ?? []) {
        if (target instanceof Context) below.push(target);
      }
    }
    return found;
  }

  #describe(): OutstandingContext {
    return {
      label: this.value(labelKey),
      remainingMs: this.remaining,
      ageMs: this.#ledger.age(this.#watch?.born ?? this.#born),
      stack: this.#watch?.stack,
    };
  }

  /**
   * Sets this context's own deadline to `ms` from now, in place of the one it had: a context that goes
   * through phases has one deadline at a time. `Infinity` drops it. Nothing happens on a closed context.
   * Moving a deadline later is cheap enough to be done for every chunk of a body.
   */
  setTimeout(ms: Milliseconds, code: ErrorCode): void {
    if (this.#closed) return;
    if (!this.#deadline) {
      if (ms === Number.POSITIVE_INFINITY) return;
      this.#deadline = this.#watch ?? new CodedDeadline(this);
    }
    this.#deadline.code = code;
    this.#ledger.wheel.arm(this.#deadline, ms);
  }

  /** The deadline that it is made with. */
  #begin(ms: Milliseconds, code: ErrorCode): void {
    this.setTimeout(ms, code);
    // The wheel has just looked at its clock.
    if (this.#watch) this.#watch.born = ageUnits(this.#ledger.wheel.recent);
  }

  /** Arms a deadline of the caller's own on this context's clock; `Infinity` disarms it. The caller disarms it. */
  arm(deadline: Deadline, ms: Milliseconds): void {
    this.#ledger.wheel.arm(deadline, ms);
  }

  /** For the wheel, where the context is not watched. */
  expired(): void {
    this.close(new SallyportError(this.#deadline?.code ?? 'ERR_CANCELLED', 'its deadline passed'));
  }

  /** Milliseconds until the nearest deadline of this context and its parents; `Infinity` without one. */
  get remaining(): Milliseconds {
    let nearest = Number.POSITIVE_INFINITY;
    for (let context: Context | undefined = this; context; context = context.#parent) {
      const own = context.#deadline;
      if (own?.armed) nearest = Math.min(nearest, own.at);
    }
    return nearest === Number.POSITIVE_INFINITY
      ? nearest
      : Math.max(0, nearest - this.#ledger.wheel.clock.now());
  }

  /**
   * When the nearest deadline of this context and its parents passes, by the wall clock as it is now; `undefined`
   * without one.
   */
  get deadline(): Date | undefined {
    const { remaining } = this;
    if (remaining === Number.POSITIVE_INFINITY) return undefined;
    return new Date(this.#ledger.wheel.wall() + remaining);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Why it closed: what `close` was given. `undefined` while open, or when no cause was given. */
  get cause(): unknown {
    return this.#cause;
  }

  /** The error to fail with when the context is closed; `undefined` while it is open. */
  get err(): SallyportError | undefined {
    if (!this.#closed) return undefined;
    if (this.#cause instanceof SallyportError) return this.#cause;
    return new SallyportError('ERR_CANCELLED', 'its context is closed', { cause: this.#cause });
  }

  /** Throws `err` when the context is closed. */
  throwIfClosed(): void {
    const { err } = this;
    if (err) throw err;
  }

  /**
   * Calls `listener` once when the context closes; at once when it is closed. The function that comes back
   * removes it, and must be called when the work that it guards has ended.
   */
  onClose(listener: (context: Context) => void): () => void {
    if (this.#closed) {
      listener(this);
      return nothing;
    }
    this.#listen(listener);
    let registered = true;
    return () => {
      // Once only: the same function may have been given twice.
      if (!registered) return;
      registered = false;
      this.#forget(listener);
    };
  }

  /** As `onClose`, for an object; `removeCloseListener` must be called when the work that it guards has ended. */
  addCloseListener(listener: CloseListener): void {
    if (this.#closed) listener.contextClosed(this);
    else this.#listen(listener);
  }

  /** Nothing happens when it is not there. */
  removeCloseListener(listener: CloseListener): void {
    this.#forget(listener);
  }

  #listen(listener: Listener<Context>): void {
    const before = this.#listeners;
    this.#listeners = withListener(before, listener);
    if (before === undefined) this.#watch?.hold();
  }

  #forget(listener: Listener<Context>): void {
    const before = this.#listeners;
    if (before === undefined) return;
    this.#listeners = withoutListener(before, listener);
    if (this.#listeners === undefined) this.#watch?.release();
  }

  /** The first listener, taken out. */
  #takeListener(): Listener<Context> | undefined {
    const listeners = this.#listeners;
    if (Array.isArray(listeners)) return listeners.shift();
    this.#listeners = undefined;
    return listeners;
  }

  /** Aborts when the context closes; `signal.reason` is then `err`. Made at the first call. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#watch) this.#watch.controller = this.#controller;
      if (this.#closed) this.#controller.abort(this.err);
    }
    return this.#controller.signal;
  }

  /** Resolves when the context closes. */
  async done(): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((resolve) => {
      this.onClose(() => {
        resolve();
      });
    });
  }

  /**
   * Resolves after `ms`, or rejects with `err` when the context closes first. Leaves nothing behind. The process
   * stays alive meanwhile, unless `holdsProcess` is false: then it may end before, where nothing else is under way.
   */
  async sleep(
    ms: Milliseconds,
    { holdsProcess = true }: { readonly holdsProcess?: boolean } = {},
  ): Promise<void> {
    this.throwIfClosed();
    await new Promise<void>((resolve, reject) => {
      const deadline = new Deadline(
        () => {
          stop();
          resolve();
        },
        { holds: holdsProcess },
      );
      const stop = this.onClose((context) => {
        this.#ledger.wheel.disarm(deadline);
        reject(context.err);
      });
      this.#ledger.wheel.arm(deadline, ms);
    });
  }

  /**
   * What `promise` becomes, or a rejection with `err` when the context closes first. Leaves nothing behind, on the
   * context or on a promise that lives on; a later rejection of `promise` counts as handled.
   */
  async race<T>(promise: PromiseLike<T>): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      const settled = (): void => {
        this.#forget(waiter);
      };
      const waiter = {
        resolve: (value: T) => {
          settled();
          resolve(value);
        },
        reject: (reason: unknown) => {
          settled();
          reject(reason);
        },
        contextClosed: () => {
          Context.#waiters.leave(promise, waiter);
          reject(this.err);
        },
      };
      Context.#waiters.join(promise, waiter);
      this.addCloseListener(waiter);
    });
  }

  /**
   * Closes this context and its children. The first cause stays; a second call does nothing. Listeners should
   * not throw; where one does, all others are called nevertheless, and the first throw comes out here.
   */
  close(cause?: unknown): void {
    if (this.#closed || this === Context.background) return;
    this.#closed = true;
    this.#cause = cause;
    if (this.#deadline) {
      this.#ledger.wheel.disarm(this.#deadline);
      this.#deadline = undefined;
    }
    const watch = this.#watch;
    this.#watch = undefined;
    if (this.#parent) this.#ledger.ended();
    watch?.closed();
    this.#leaveParent();
    let thrown: { readonly error: unknown } | undefined;
    while (this.#firstChild) {
      try {
        this.#firstChild.close(cause);
      } catch (error) {
        thrown ??= { error };
      }
    }
    while (watch?.firstChild) {
      try {
        watch.firstChild.end(cause);
      } catch (error) {
        thrown ??= { error };
      }
    }
    this.#values = undefined;
    // One at a time: a listener may remove those that come after it.
    for (let listener = this.#takeListener(); listener; listener = this.#takeListener()) {
      try {
        if (typeof listener === 'function') listener(this);
        else listener.contextClosed(this);
      } catch (error) {
        thrown ??= { error };
      }
    }
    this.#listeners = undefined;
    if (this.#controller) this.#controller.abort(this.err);
    if (thrown) throw thrown.error;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #leaveParent(): void {
    const parent = this.#parent;
    if (!parent) return;
    if (parent.#firstChild === this) parent.#firstChild = this.#nextSibling;
    if (this.#previousSibling) this.#previousSibling.#nextSibling = this.#nextSibling;
    if (this.#nextSibling) this.#nextSibling.#previousSibling = this.#previousSibling;
    this.#parent = undefined;
    this.#previousSibling = undefined;
    this.#nextSibling = undefined;
  }
}

function nothing(): void {
  // There is nothing to remove from a closed context.
}

function isList<T extends object>(values: T | readonly T[] | undefined): values is readonly T[] {
  return Array.isArray(values);
}
