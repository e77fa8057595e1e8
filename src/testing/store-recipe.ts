/** Counted generations of the store conformance suite. */
import { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import type { Generate, LeafMaterial } from '../certs/store.js';

/** One `generate` that is counted, and held back where a case wants that. */
export interface Recipe {
  readonly generate: Generate;
  /** How often it was called, and how often at the same time at the most. */
  readonly started: number;
  readonly most: number;
  /** Aborts when the store says that nobody waits; `undefined` until it was called, or if it got none. */
  readonly signal: AbortSignal | undefined;
  /** What it has made, in order. */
  readonly made: readonly LeafMaterial[];
  /** Lets those that are held go on, and those that come. */
  release(): void;
}

export interface RecipeOptions {
  /** Holds every call until `release` or until its signal aborts, whereupon it rejects. */
  readonly hold?: boolean;
  /** Fails in place of making anything: by a throw, or by a rejection. */
  readonly fails?: 'throws' | 'rejects';
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** Rejects when this aborts, as work that belongs to its caller does. */
  readonly owner?: AbortSignal;
}

export const failureDetail = 'the device of the conformance suite is gone';

/** `mint` makes the material of one call that does not fail. */
export function makeRecipe(options: RecipeOptions, mint: () => LeafMaterial | Promise<LeafMaterial>): Recipe {
  const made: LeafMaterial[] = [];
  const state = { started: 0, active: 0, most: 0 };
  const gate = Context.background.withCancel();
  if (!options.hold) gate.close();
  let signal: AbortSignal | undefined;
  const work = async (): Promise<LeafMaterial> => {
    try {
      await opened(gate, [signal, options.owner]);
      if (options.fails) throw failure();
      const material = await mint();
      made.push(material);
      return material;
    } finally {
      state.active -= 1;
    }
  };
  const generate: Generate = (given) => {
    state.started += 1;
    if (options.fails === 'throws') throw failure();
    state.active += 1;
    state.most = Math.max(state.most, state.active);
    signal = given.signal;
    return work();
  };
  return {
    generate,
    made,
    get started() {
      return state.started;
    },
    get most() {
      return state.most;
    },
    get signal() {
      return signal;
    },
    release: () => {
      gate.close();
    },
  };
}

function failure(): SallyportError {
  return new SallyportError('ERR_LEAF_CERTIFICATE', failureDetail);
}

/** Resolves when `gate` closes, or rejects when one of the signals aborts. */
async function opened(gate: Context, signals: readonly (AbortSignal | undefined)[]): Promise<void> {
  using wait = gate.withCancel();
  const abort = (): void => {
    wait.close('aborted');
  };
  for (const signal of signals) {
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
  }
  await wait.done();
  for (const signal of signals) signal?.removeEventListener('abort', abort);
  if (wait.cause === 'aborted') throw new SallyportError('ERR_CANCELLED', 'its signal aborted');
}
