/** What is outstanding that was not before, and how a failed test says so. Pure. */
import type { OutstandingContext } from '../base/context.js';
import { type LedgerKind, ledgerKinds, type LedgerLines } from '../base/ledger.js';
import type { LedgerStack } from '../base/ledger-book.js';

export interface Left {
  /** A kind of the ledger, or `active <name>` as `process.getActiveResourcesInfo` has it. */
  readonly what: string;
  /** How many more are open than there were. */
  readonly outstanding: number;
  /** How many more were collected without being closed. */
  readonly leaked: number;
  /** Lines that say where from, and what else is known. */
  readonly details: readonly string[];
}

/** The most places that are told of one kind. */
const mostPlaces = 5;

export function leftOfLedger(
  now: LedgerLines,
  before: LedgerLines | undefined,
  details: (kind: LedgerKind, outstanding: number) => readonly string[],
): readonly Left[] {
  return ledgerKinds
    .map((what) => {
      const line = now[what];
      const outstanding = Math.max(0, line.outstanding - (before?.[what].outstanding ?? 0));
      return { what, outstanding, leaked: Math.max(0, line.leaked - (before?.[what].leaked ?? 0)) };
    })
    .filter(({ outstanding, leaked }) => outstanding > 0 || leaked > 0)
    .map((left) => ({ ...left, details: details(left.what, left.outstanding) }));
}

export function leftOfResources(now: readonly string[], before: readonly string[]): readonly Left[] {
  const counts = new Map<string, number>();
  for (const name of now) counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const name of before) counts.set(name, (counts.get(name) ?? 0) - 1);
  return [...counts]
    .filter(([, count]) => count > 0)
    .map(([name, count]) => ({ what: `active ${name}`, outstanding: count, leaked: 0, details: [] }));
}

/** The places with most of them. */
export function placesOf(stacks: readonly LedgerStack[]): readonly string[] {
  return stacks.slice(0, mostPlaces).flatMap(({ stack, outstanding, leaked }) => {
    const counts = leaked > 0 ? `${outstanding} open, ${leaked} leaked` : String(outstanding);
    return [`${counts} made`, ...stack.split('\n').map((frame) => `  ${frame}`)];
  });
}

/** The youngest `count` of them: those that came last are those that are too many. */
export function describeContexts(all: readonly OutstandingContext[], count: number): readonly string[] {
  return all
    .toSorted((one, other) => one.ageMs - other.ageMs)
    .slice(0, Math.min(count, mostPlaces))
    .flatMap(({ label, ageMs, remainingMs, stack }) => {
      const name = label === undefined ? 'a context' : `context ${label}`;
      const deadline =
        remainingMs === Number.POSITIVE_INFINITY
          ? 'no deadline'
          : `its deadline in ${Math.round(remainingMs)} ms`;
      const head = `${name}, ${Math.round(ageMs)} ms old, ${deadline}${stack === undefined ? '' : ', made'}`;
      return [head, ...(stack?.split('\n').map((frame) => `  ${frame}`) ?? [])];
    });
}

/** The message of the error. */
export function describeLeft(left: readonly Left[]): string {
  const lines = left.flatMap(({ what, outstanding, leaked, details }) => {
    const counts = [
      ...(outstanding > 0 ? [`${outstanding} outstanding`] : []),
      ...(leaked > 0 ? [`${leaked} leaked (collected without being closed)`] : []),
    ];
    return [`  ${what}: ${counts.join(', ')}`, ...details.map((detail) => `    ${detail}`)];
  });
  return ['outstanding, and not before:', ...lines].join('\n');
}
