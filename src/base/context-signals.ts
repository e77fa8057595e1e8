/**
 * Signals whose contexts were dropped without being closed.
 *
 * `fetch(url, { signal: parent.withTimeout(5000).signal })` drops the context, and its signal must abort all the
 * same. While somebody listens, the signal stays; after that as long as somebody has it.
 */
import { getEventListeners } from 'node:events';

/** What there is of a dropped context. */
interface Orphan {
  controller: AbortController | undefined;
}

export class OrphanSignals<T extends Orphan> {
  readonly #controllers = new WeakMap<AbortSignal, AbortController>();
  readonly #signals = new WeakMap<T, WeakRef<AbortSignal>>();
  readonly #finalize: (orphan: T, signal: AbortSignal) => void;

  /** `finalize` is called with an orphan whose signal is held weakly from then on. */
  constructor(finalize: (orphan: T, signal: AbortSignal) => void) {
    this.#finalize = finalize;
  }

  /** Whether `orphan` has a signal that may still have to abort. To be asked again when the signal is gone. */
  awaited(orphan: T): boolean {
    const { controller } = orphan;
    if (!controller) return this.#signals.get(orphan)?.deref() !== undefined;
    const { signal } = controller;
    if (signal.aborted) return false;
    if (getEventListeners(signal, 'abort').length > 0) return true;
    this.#controllers.set(signal, controller);
    this.#signals.set(orphan, new WeakRef(signal));
    this.#finalize(orphan, signal);
    orphan.controller = undefined;
    return true;
  }

  abort(orphan: T, cause: unknown): void {
    const signal = this.#signals.get(orphan)?.deref();
    const controller = orphan.controller ?? (signal && this.#controllers.get(signal));
    orphan.controller = undefined;
    controller?.abort(cause);
  }
}
