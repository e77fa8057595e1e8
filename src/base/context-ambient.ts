/**
 * The context that runs now, by way of AsyncLocalStorage.
 *
 * What a storage holds is pinned by everything made in it that lives on: pooled sockets, parsers, intervals. So
 * it holds a cell, which the closing context empties. Nested cells do not know each other, or a chain of them
 * would grow with every run that begins in the callbacks of another.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

/** Whatever says when it closes: a context, which this file does not know. */
interface Closing {
  addCloseListener(listener: { contextClosed(): void }): void;
}

class Cell<T> {
  content: T | undefined;

  constructor(content: T) {
    this.content = content;
  }

  contextClosed(): void {
    this.content = undefined;
  }
}

export class Ambient<T extends Closing> {
  /** Made at the first run: a storage in use costs every promise of the process something. */
  #storage: AsyncLocalStorage<Cell<T>> | undefined;

  /** Runs `work` with `content` as the current one, until it closes. */
  run<R>(content: T, work: () => R): R {
    this.#storage ??= new AsyncLocalStorage();
    const cell = new Cell(content);
    content.addCloseListener(cell);
    return this.#storage.run(cell, work);
  }

  /** The innermost that runs here; `undefined` outside, and when it has closed. */
  get current(): T | undefined {
    return this.#storage?.getStore()?.content;
  }
}
