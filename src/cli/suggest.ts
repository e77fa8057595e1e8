/** «Did you mean …?»: the known name nearest to a mistyped one. */

/**
 * The candidate that `text` most likely stands for, or `undefined` when none is near enough: at most one edit
 * for every three characters, or an unfinished beginning of exactly one candidate. Ignores case.
 */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  const wanted = text.toLowerCase();
  if (wanted === '') return undefined;
  const completions = candidates.filter((candidate) => candidate.toLowerCase().startsWith(wanted));
  if (wanted.length >= 2 && completions.length === 1) return completions[0];
  let best: string | undefined;
  let bestEdits = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const edits = editDistance(wanted, candidate.toLowerCase());
    const allowed = Math.max(1, Math.floor(Math.max(wanted.length, candidate.length) / 3));
    if (edits <= allowed && edits < bestEdits && edits < candidate.length) {
      best = candidate;
      bestEdits = edits;
    }
  }
  return best;
}

/** `; did you mean x?`, or nothing: the end of an error's detail. */
export function didYouMean(text: string, candidates: readonly string[]): string {
  const near = nearest(text, candidates);
  return near === undefined ? '' : `; did you mean ${near}?`;
}

/**
 * Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). Names are short,
 * so a mistyped word of any length is compared by its first 64 characters only.
 */
export function editDistance(one: string, other: string): number {
  const a = one.slice(0, 64);
  const b = other.slice(0, 64);
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1];
      let edits = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        edits = Math.min(edits, (beforeLast[column - 2] ?? 0) + 1);
      }
      current.push(edits);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}
