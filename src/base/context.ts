/**
 * Contexts in the manner of Go's `context` package: a tree of cancellations with deadlines and values.
 *
 * Ownership: whoever makes a context closes it (`close()`, `using`, or `Context.run`). Closing a parent
 * closes its children, youngest first. A closed context has dropped its deadline, its children, its
 * listeners, its values and its parent, so holding one costs a small object and keeps nothing alive.
 *
 * Cost: a context without deadline, listeners and signal is one object. The `AbortSignal` is made when it
 * is first asked for; `AbortSignal.timeout` and `AbortSignal.any` are never used, as they keep memory until
 * their timers fire.
 */
import type { Milliseconds } from './bytes.js';
import { Deadline, DeadlineWheel, type Expiring } from './deadlines.js';
import { type ErrorCode, SallyportError } from './errors.js';

/** A typed key for `withValue`. Two keys are never the same, whatever their names. */
export interface ContextKey<T> {
  readonly name: string;
  /** Never set: it carries the type. */
  readonly type?: T;
}

/** Makes a key; `name` is for people. */
export function contextKey<T>(name: string): ContextKey<T> {
  return { name };
}

/** Whom a context tells that it closes: a method, where a closure for each connection would be kept with it. */
export interface CloseListener {
  /** `context` has closed. Called once. */
  contextClosed(context: Context): void;
}

type Listener = CloseListener | ((context: Context) => void);

/** Up to so many listeners are kept in an array without room for more: there are many contexts with few. */
const fewListeners = 4;

export class Context implements Disposable, Expiring {
  /** The root of all contexts that have no other: never closed, without deadline. */
  static readonly background: Context = new Context(undefined, new DeadlineWheel());

  readonly #wheel: DeadlineWheel;
  #parent: Context | undefined;
  #firstChild: Context | undefined;
  #previousSibling: Context | undefined;
  #nextSibling: Context | undefined;
  #deadline: Deadline | undefined;
  #deadlineCode: ErrorCode = 'ERR_CANCELLED';
  #listeners: Listener | Listener[] | undefined;
  #controller: AbortController | undefined;
  #key: ContextKey<unknown> | undefined;
  #value: unknown;
  #cause: unknown;
  #closed = false;

  private constructor(parent: Context | undefined, wheel: DeadlineWheel) {
    this.#wheel = wheel;
    this.#parent = parent;
    if (!parent) return;
    if (parent.#closed) {
      this.close(parent.#cause);
      return;
    }
    const sibling = parent.#firstChild;
    this.#nextSibling = sibling;
    if (sibling) sibling.#previousSibling = this;
    parent.#firstChild = this;
  }

  /** A root with a clock of its own: for tests on virtual time, and for a proxy that is given one. */
  static root(wheel: DeadlineWheel): Context {
    return new Context(undefined, wheel);
  }

  /**
   * Runs `work` in a child of `parent` and closes the child in every path. When the deadline passes, the
   * child closes and `work` is expected to end by itself, as in Go.
   */
  static async run<T>(
    parent: Context,
    options: { readonly timeout?: Milliseconds },
    work: (context: Context) => T | Promise<T>,
  ): Promise<T> {
    using child = options.timeout === undefined ? parent.withCancel() : parent.withTimeout(options.timeout);
    return await work(child);
  }

  /** A child that closes with this context, or by its own `close()`. */
  withCancel(): Context {
    return new Context(this, this.#wheel);
  }

  /** A child that closes `ms` from now with `code`, if nobody closes it before. */
  withTimeout(ms: Milliseconds, code: ErrorCode = 'ERR_CANCELLED'): Context {
    const child = new Context(this, this.#wheel);
    child.setTimeout(ms, code);
    return child;
  }

  /** A child that closes at `date`, if nobody closes it before. */
  withDeadline(date: Date, code: ErrorCode = 'ERR_CANCELLED'): Context {
    return this.withTimeout(date.getTime() - Date.now(), code);
  }

  /** A child with one more value. */
  withValue<T>(key: ContextKey<T>, value: T): Context {
    const child = new Context(this, this.#wheel);
    child.#key = key;
    child.#value = value;
    return child;
  }

  /** The value nearest to this context, or `undefined`; a closed context has none. */
  value<T>(key: ContextKey<T>): T | undefined {
    for (let context: Context | undefined = this; context; context = context.#parent) {
      if (context.#key === key) return context.#value as T;
    }
    return undefined;
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
      this.#deadline = new Deadline(this);
    }
    this.#deadlineCode = code;
    this.#wheel.arm(this.#deadline, ms);
  }

  /** Arms a deadline of the caller's own on this context's clock; `Infinity` disarms it. The caller disarms it. */
  arm(deadline: Deadline, ms: Milliseconds): void {
    this.#wheel.arm(deadline, ms);
  }

  /** For the wheel. */
  expired(): void {
    this.close(new SallyportError(this.#deadlineCode, 'its deadline passed'));
  }

  /** Milliseconds until the nearest deadline of this context and its parents; `Infinity` without one. */
  get remaining(): Milliseconds {
    let nearest = Number.POSITIVE_INFINITY;
    for (let context: Context | undefined = this; context; context = context.#parent) {
      const own = context.#deadline;
      if (own?.armed) nearest = Math.min(nearest, own.at);
    }
    return nearest === Number.POSITIVE_INFINITY ? nearest : Math.max(0, nearest - this.#wheel.clock.now());
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

  #listen(listener: Listener): void {
    const before = this.#listeners;
    if (before === undefined) this.#listeners = listener;
    else if (!Array.isArray(before)) this.#listeners = [before, listener];
    else if (before.length < fewListeners) this.#listeners = [...before, listener];
    else before.push(listener);
  }

  #forget(listener: Listener): void {
    const before = this.#listeners;
    if (before === listener) {
      this.#listeners = undefined;
    } else if (Array.isArray(before)) {
      const index = before.indexOf(listener);
      if (index !== -1) before.splice(index, 1);
    }
  }

  /** The first listener, taken out. */
  #takeListener(): Listener | undefined {
    const listeners = this.#listeners;
    if (Array.isArray(listeners)) return listeners.shift();
    this.#listeners = undefined;
    return listeners;
  }

  /** Aborts when the context closes; `signal.reason` is then `err`. Made at the first call. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
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
        this.#wheel.disarm(deadline);
        reject(context.err);
      });
      this.#wheel.arm(deadline, ms);
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
      this.#wheel.disarm(this.#deadline);
      this.#deadline = undefined;
    }
    this.#leaveParent();
    let thrown: { readonly error: unknown } | undefined;
    while (this.#firstChild) {
      try {
        this.#firstChild.close(cause);
      } catch (error) {
        thrown ??= { error };
      }
    }
    this.#key = undefined;
    this.#value = undefined;
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
