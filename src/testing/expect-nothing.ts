/**
 * Whether a test gave back what it opened, in the manner of Go's goleak: what is outstanding in the end and was not in
 * the beginning fails the test, with where it was made.
 *
 * Looked at are the ledgers of all proxies of the process, its contexts and deadlines, and what keeps the event loop
 * alive (`process.getActiveResourcesInfo`).
 */
import { AssertionError } from 'node:assert';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { type Ledger, type LedgerKind, type LedgerLines, sharedKinds } from '../base/ledger.js';
import {
  joinedLedgers,
  onLedgerJoined,
  processStacks,
  readProcess,
  sampleStacks,
} from '../base/ledger-process.js';
import {
  describeContexts,
  describeLeft,
  type Left,
  leftOfLedger,
  leftOfResources,
  placesOf,
} from './outstanding.js';

export interface NothingOutstandingOptions {
  /** How long what is on its way to its end may take; default 2 s. */
  readonly within?: Milliseconds;
  /** Kinds of the ledger that do not count. */
  readonly ignoreKinds?: readonly LedgerKind[];
  /** Names of `process.getActiveResourcesInfo` that do not count. */
  readonly ignoreResources?: readonly string[];
  /** Whether the creation stacks of all are kept meanwhile, a few microseconds for each; default true. */
  readonly stacks?: boolean;
  /** Whether garbage is collected before each look, so that what was dropped unclosed is found; default true. */
  readonly collect?: boolean;
}

/** What was outstanding when it was made is not held against the test. */
export interface NothingOutstanding extends AsyncDisposable {
  /**
   * Resolves as soon as nothing is outstanding that was not before; rejects with an `AssertionError` that says what
   * is, how many, and where they were made, when that takes too long. The check is over then.
   */
  verify(): Promise<void>;
}

/** What ends with the turn of the event loop. */
const passing: readonly string[] = ['Immediate', 'TickObject', 'Microtask'];

const defaultPatience: Milliseconds = 2000;
const longestPause: Milliseconds = 50;

/**
 * Notes what is outstanding now; `verify()`, or the end of an `await using` block, looks for what came and stayed.
 * Works in `node:test`, vitest and jest. One at a time: tests that run at the same time see what the others have open.
 */
export function expectNothingOutstanding(options: NothingOutstandingOptions = {}): NothingOutstanding {
  return new Check(options);
}

/** The hooks that `node:test`, vitest and jest have. */
export interface TestHooks {
  beforeEach(hook: () => void): unknown;
  afterEach(hook: () => Promise<void>): unknown;
}

/** The same for every test of a file or suite: `expectNothingOutstandingInEach({ beforeEach, afterEach })`. */
export function expectNothingOutstandingInEach(
  hooks: TestHooks,
  options: NothingOutstandingOptions = {},
): void {
  let check: NothingOutstanding | undefined;
  hooks.beforeEach(() => {
    check = expectNothingOutstanding(options);
  });
  hooks.afterEach(async () => {
    await check?.verify();
  });
}

class Check implements NothingOutstanding {
  readonly #options: NothingOutstandingOptions;
  readonly #before = new Map<Ledger, LedgerLines>();
  readonly #process = readProcess();
  readonly #resources = process.getActiveResourcesInfo();
  readonly #stopSampling: () => void;
  #verified: Promise<void> | undefined;

  constructor(options: NothingOutstandingOptions) {
    this.#options = options;
    for (const ledger of joinedLedgers()) this.#before.set(ledger, ledger.lines());
    this.#stopSampling = options.stacks === false ? nothing : sampleAll();
  }

  verify(): Promise<void> {
    return (this.#verified ??= this.#verify());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.verify();
  }

  async #verify(): Promise<void> {
    try {
      await settle(() => this.#look(), this.#options);
    } finally {
      this.#stopSampling();
    }
  }

  #look(): readonly Left[] {
    const { ignoreKinds = [], ignoreResources = [] } = this.#options;
    const stacks = processStacks();
    const details = (kind: LedgerKind): readonly string[] => placesOf(stacks[kind] ?? []);
    const ofProxies = joinedLedgers().flatMap((ledger) =>
      leftOfLedger(ledger.lines(), this.#before.get(ledger), details).filter(({ what }) => !isShared(what)),
    );
    const ofProcess = leftOfLedger(readProcess(), this.#process, (kind, count) =>
      kind === 'contexts' ? contextDetails(count, stacks[kind] ?? []) : [],
    );
    const resources = leftOfResources(process.getActiveResourcesInfo(), this.#resources);
    const ignored = new Set<string>([
      ...ignoreKinds,
      ...[...passing, ...ignoreResources].map((name) => `active ${name}`),
    ]);
    return [...ofProxies, ...ofProcess, ...resources].filter(({ what }) => !ignored.has(what));
  }
}

/** Of the open ones each, of the leaked the places. */
function contextDetails(count: number, stacks: Parameters<typeof placesOf>[0]): readonly string[] {
  const leaked = stacks.filter((one) => one.leaked > 0).map((one) => ({ ...one, outstanding: 0 }));
  return [...describeContexts(Context.background.outstanding(), count), ...placesOf(leaked)];
}

function isShared(what: string): boolean {
  return sharedKinds.some((kind) => kind === what);
}

/** For `withProxy`: nothing at all may be outstanding of what is the proxy's alone. */
export async function expectNothingLeft(proxy: { ledger(): LedgerLines }): Promise<void> {
  await settle(
    () => leftOfLedger(proxy.ledger(), undefined, () => []).filter(({ what }) => !isShared(what)),
    { collect: false },
  );
}

/** Looks until there is nothing, or time is over. */
async function settle(look: () => readonly Left[], options: NothingOutstandingOptions): Promise<void> {
  const { within = defaultPatience, collect = true } = options;
  const end = performance.now() + within;
  for (let pause = 1; ; pause = Math.min(2 * pause, longestPause)) {
    if (collect) collectGarbage();
    const left = look();
    if (left.length === 0) return;
    if (performance.now() >= end) throw failure(left);
    await Context.background.sleep(pause);
  }
}

function failure(left: readonly Left[]): AssertionError {
  return new AssertionError({
    message: describeLeft(left),
    actual: Object.fromEntries(left.map(({ what, outstanding, leaked }) => [what, { outstanding, leaked }])),
    expected: {},
    operator: 'expectNothingOutstanding',
  });
}

/** Of proxies that come later, too. */
function sampleAll(): () => void {
  sampleStacks(1);
  const stop = onLedgerJoined((ledger) => {
    ledger.sampleStacks(1);
  });
  return () => {
    stop();
    sampleStacks('adaptive');
  };
}

function nothing(): void {
  // Nothing was begun.
}

/** Once; what was touched in this turn of the event loop is no garbage yet. */
function collectGarbage(): void {
  if (typeof globalThis.gc === 'function') {
    globalThis.gc();
    return;
  }
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
}
