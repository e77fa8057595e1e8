/**
 * How old the oldest of many is, without knowing any of them: what is open is counted by the time that it was opened at.
 *
 * Time is counted in ticks. The last ones have a slot each, those before share one by twos, those before by fours,
 * and so on: a slot is never wider than a sixteenth of its age. Whoever closes something says when it was opened,
 * which tells the slot. So both are an addition, nothing is made for either, and a year takes some 30 rows of numbers.
 */

const slots = 64;
/** What a row keeps when slots move on; it has room for as much again until they do the next time. */
const kept = 32;

/** Which of the slots of row `row` the tick is counted in. */
function slotOf(tick: number, row: number): number {
  return (tick >> row) & (slots - 1);
}

export class Ages {
  /** In row k a slot is 2^k ticks. */
  #rows: Float64Array[] = [new Float64Array(slots)];
  /** The first tick of each row; those before are in the rows after it. The last row begins at 0. */
  #begins: number[] = [0];
  #first: Float64Array = this.#rows[0] ?? new Float64Array(slots);
  #firstBegins = 0;

  /** `amount` was opened (or, negative, closed) at `tick`, which is from 0 to 2^31 and has come already. */
  add(tick: number, amount: number): void {
    if (tick < this.#firstBegins) {
      this.#addOld(tick, amount);
      return;
    }
    if (tick >= this.#firstBegins + slots) this.#moveOn(tick);
    const slot = tick & (slots - 1);
    this.#first[slot] = (this.#first[slot] ?? 0) + amount;
  }

  #addOld(tick: number, amount: number): void {
    let row = 1;
    while (tick < (this.#begins[row] ?? 0)) row += 1;
    const counts = this.#rows[row];
    if (!counts) return;
    const slot = slotOf(tick, row);
    counts[slot] = (counts[slot] ?? 0) + amount;
  }

  /**
   * The first tick of the slot of what was opened first; `undefined` where nothing is open. Never later than it
   * was, and earlier by a sixteenth of the time since at the most.
   */
  get oldest(): number | undefined {
    let oldest: number | undefined;
    for (const [tick] of this.#open()) oldest = Math.min(oldest ?? tick, tick);
    return oldest;
  }

  /** First tick and amount of each slot that has something in it. */
  *#open(): Generator<readonly [tick: number, amount: number]> {
    for (const [row, counts] of this.#rows.entries()) {
      const width = 2 ** row;
      const begins = this.#begins[row] ?? 0;
      const ends = begins + slots * width;
      for (let tick = begins; tick < ends; tick += width) {
        const amount = counts[slotOf(tick, row)];
        if (amount) yield [tick, amount];
      }
    }
  }

  /** Every two seconds or so, where something is opened: all is counted anew, seen from `now`. */
  #moveOn(now: number): void {
    const open = [...this.#open()];
    this.#begins = [];
    for (let row = 0; this.#begins.at(-1) !== 0; row += 1) {
      const width = 2 ** row;
      // The beginning of a slot of the next row.
      this.#begins.push(Math.max(0, Math.floor((now / width - kept) / 2) * 2 * width));
    }
    this.#rows = this.#begins.map((_begins, row) => this.#rows[row]?.fill(0) ?? new Float64Array(slots));
    this.#first = this.#rows[0] ?? this.#first;
    this.#firstBegins = this.#begins[0] ?? 0;
    for (const [tick, amount] of open) this.add(tick, amount);
  }
}
