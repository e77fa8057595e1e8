/**
 * Where contexts are made: stacks of a sample, so many a second that they cost next to nothing, or of all.
 *
 * A stack is kept as text, since an `Error` holds the receivers of its frames, and with them what is to be found
 * unreachable; equal texts are one string.
 */

/** `adaptive` is about eight a second, whatever the rate; a number N is one in N, 1 all, 0 none. */
export type StackSampling = 'adaptive' | number;

/** Leaked contexts that were made in one place. */
export interface ContextLeak {
  /** The frames, one a line; `undefined` for all that were not in the sample. */
  readonly stack: string | undefined;
  readonly count: number;
}

/** Stacks an interval of `adapt()` when nobody asked for more. */
const perInterval = 8;
/** Frames of a stack, and how many of the first may be our own. */
const frames = 8;
const ownFrames = 3;
const own = new URL('context', import.meta.url).href;
/** Different stacks that are kept: programs have few places that make contexts. */
const mostStacks = 1000;

export class StackSampler {
  #sampling: StackSampling = 'adaptive';
  /** One in so many; 0 for none. */
  #every = 1;
  #untilNext = 1;
  /** Offered since the last `adapt`. */
  #offered = 0;
  readonly #texts = new Map<string, string>();
  readonly #leaks = new Map<string | undefined, number>();

  set(sampling: StackSampling): void {
    if (sampling !== 'adaptive' && !(sampling >= 0)) throw new RangeError('sampling is one in N, N ≥ 0');
    this.#sampling = sampling;
    this.#every = sampling === 'adaptive' ? 1 : Math.ceil(sampling);
    this.#untilNext = this.#every;
  }

  /** The stack of those who called `below`, when it is in the sample. */
  sample(below: object): string | undefined {
    this.#offered += 1;
    if ((this.#untilNext -= 1) !== 0) return undefined;
    this.#untilNext = this.#every;
    // So a burst out of nowhere has no more than its share before `adapt` comes.
    if (this.#sampling === 'adaptive' && this.#offered >= perInterval) this.#untilNext = this.#offered;
    return this.#capture(below);
  }

  /** To be called now and then, once an interval: sets N by what was offered since. */
  adapt(): void {
    if (this.#sampling === 'adaptive') {
      this.#every = Math.max(1, Math.ceil(this.#offered / perInterval));
      this.#untilNext = Math.min(this.#untilNext, this.#every);
    }
    this.#offered = 0;
  }

  leaked(stack: string | undefined): void {
    this.#leaks.set(stack, (this.#leaks.get(stack) ?? 0) + 1);
  }

  /** Those with most leaks first. */
  leaks(): ContextLeak[] {
    return [...this.#leaks]
      .map(([stack, count]) => ({ stack, count }))
      .toSorted((one, other) => other.count - one.count);
  }

  #capture(below: object): string | undefined {
    const key = places(below as () => void);
    const known = this.#texts.get(key);
    if (known !== undefined || this.#texts.size >= mostStacks) return known;
    const text = textOf(below as () => void);
    this.#texts.set(key, text);
    return text;
  }
}

/** The frames above `below`: where they are, which is found at half the price of their text. */
function places(below: () => void): string {
  const before = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace');
  Error.prepareStackTrace = (_error, sites) =>
    sites.reduce((key, site) => `${key} ${site.getFileName() ?? ''}:${site.getPosition()}`, '');
  const key = stackOf(below);
  if (before) Object.defineProperty(Error, 'prepareStackTrace', before);
  else Reflect.deleteProperty(Error, 'prepareStackTrace');
  return key;
}

/** As the program shows its stacks, with source maps or whatever it has. */
function textOf(below: () => void): string {
  const lines = stackOf(below).split('\n').slice(1);
  const first = Math.max(
    0,
    lines.findIndex((line) => !line.includes(own)),
  );
  return lines
    .slice(first, first + frames)
    .map((line) => line.trim())
    .join('\n');
}

function stackOf(below: () => void): string {
  const holder: { stack?: unknown } = {};
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = frames + ownFrames;
  Error.captureStackTrace(holder, below);
  const { stack } = holder;
  Error.stackTraceLimit = stackTraceLimit;
  // A program may have a `prepareStackTrace` that makes something else of it.
  return typeof stack === 'string' ? stack : '';
}
