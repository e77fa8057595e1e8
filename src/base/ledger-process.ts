/**
 * The ledgers of a process, found by whoever looks. Nobody keeps a list: who looks asks over a channel of
 * `node:diagnostics_channel`, and every ledger that joined answers for itself.
 */
import { channel } from 'node:diagnostics_channel';
import { Context } from './context.js';
import type { StackSampling } from './context-stacks.js';
import {
  Ledger,
  type LedgerKind,
  ledgerKinds,
  type LedgerLines,
  type LedgerReading,
  sharedKinds,
} from './ledger.js';
import { addStacks, type LedgerLine, type LedgerStack } from './ledger-book.js';

const asked = channel('sallyport:ledgers');
const joined = channel('sallyport:ledger.joined');

/** `ledger` answers from now on, until the function that comes back is called. */
export function joinLedgers(ledger: Ledger): () => void {
  const answer = (found: unknown): void => {
    if (found instanceof Set) found.add(ledger);
  };
  asked.subscribe(answer);
  joined.publish(ledger);
  return () => {
    asked.unsubscribe(answer);
  };
}

/** Calls `listener` with every ledger that joins, until the function that comes back is called. */
export function onLedgerJoined(listener: (ledger: Ledger) => void): () => void {
  const subscription = (ledger: unknown): void => {
    if (ledger instanceof Ledger) listener(ledger);
  };
  joined.subscribe(subscription);
  return () => {
    joined.unsubscribe(subscription);
  };
}

/** Those that have joined. */
export function joinedLedgers(): readonly Ledger[] {
  const found = new Set<unknown>();
  asked.publish(found);
  return [...found].filter((ledger) => ledger instanceof Ledger);
}

/** The contexts of `root` for a ledger, without it. Goes through all that are open, for the age of the oldest. */
export function readContexts(root: Context): LedgerReading {
  const counts = root.ledger.counts();
  const ages = counts.outstanding > 0 ? root.outstanding().map(({ ageMs }) => ageMs) : [];
  const oldestMs = ages.reduce((oldest, age) => Math.max(oldest, age), counts.oldestMs);
  return { ...counts, oldestMs };
}

/** Whether nothing is outstanding and nothing leaked, of what is not shared with others. */
export function isSettled(ledger: Ledger): boolean {
  const lines = ledger.lines();
  return ledgerKinds.every(
    (kind) => sharedKinds.includes(kind) || (lines[kind].outstanding === 0 && lines[kind].leaked === 0),
  );
}

/**
 * What this process has: all ledgers that have joined, and the contexts and deadlines beside them. High-water marks
 * are added up, so they may be more than ever was at one time.
 */
export function processLedger(): LedgerLines {
  return addLines([readProcess(), ...joinedLedgers().map((ledger) => ledger.lines())]);
}

/** What no proxy counts: the contexts below `Context.background`, and all deadlines. */
export function readProcess(): LedgerLines {
  const own = new Ledger();
  own.provide('contexts', () => readContexts(Context.background));
  own.provide('deadlines', readDeadlines);
  return own.lines();
}

/** All of the process: those of the one wheel. */
export function readDeadlines(): LedgerReading {
  return Context.background.ledger.deadlines();
}

/** Where those of the sample were made that are open or leaked: of all ledgers that have joined, and contexts. */
export function processStacks(): Readonly<Partial<Record<LedgerKind, readonly LedgerStack[]>>> {
  const found: Partial<Record<LedgerKind, LedgerStack[]>> = {};
  for (const ledger of joinedLedgers()) {
    for (const [kind, stacks] of Object.entries(ledger.stacks())) {
      const known = (found[kind as LedgerKind] ??= []);
      known.push(...stacks);
    }
  }
  const contexts = [
    ...Context.background.outstanding().map(({ stack }) => ({ stack, outstanding: 1, leaked: 0 })),
    ...Context.background.ledger
      .leaks()
      .map(({ stack, count }) => ({ stack, outstanding: 0, leaked: count })),
  ];
  found.contexts = contexts.filter((one): one is LedgerStack => one.stack !== undefined);
  return Object.fromEntries(
    Object.entries(found)
      .map(([kind, stacks]) => [kind, addStacks(stacks)] as const)
      .filter(([, stacks]) => stacks.length > 0),
  );
}

/**
 * Of how many the creation stack is kept, of those that are opened from now on, in all ledgers that have joined and of
 * the contexts below `Context.background`: see `StackSampling`.
 */
export function sampleStacks(sampling: StackSampling): void {
  Context.background.ledger.sampleStacks(sampling);
  for (const ledger of joinedLedgers()) ledger.sampleStacks(sampling);
}

/** What several have together, within one process: what they share counts once. */
function addLines(all: readonly LedgerLines[]): LedgerLines {
  const sum = ledgerKinds.map((kind): readonly [LedgerKind, LedgerLine] => {
    const lines = all.map((one) => one[kind]);
    const shared = sharedKinds.includes(kind);
    return [kind, lines.reduce((one, other) => (shared ? larger(one, other) : addLine(one, other)))];
  });
  return Object.fromEntries(sum) as LedgerLines;
}

function larger(one: LedgerLine, other: LedgerLine): LedgerLine {
  return other.created > one.created ? other : one;
}

function addLine(one: LedgerLine, other: LedgerLine): LedgerLine {
  return {
    created: one.created + other.created,
    closed: one.closed + other.closed,
    leaked: one.leaked + other.leaked,
    outstanding: one.outstanding + other.outstanding,
    oldestMs: Math.max(one.oldestMs, other.oldestMs),
    highWater: one.highWater + other.highWater,
  };
}
