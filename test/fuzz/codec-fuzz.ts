/**
 * A mutation fuzzer of the HTTP/1.1 codec. Each input is parsed whole and in random splits with random
 * pauses, as payload and as wire, and its framing is compared with that of Node's own parser. Inputs whose
 * outcome is new are kept and changed further.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  type RunOptions,
  type Transcript,
  asWire,
  bytes,
  defaultLimits,
  everyByte,
  split,
  transcribe,
} from '../http/events.js';
import { nodeClientReading, nodeServer, nodeServerReading } from '../http/node-oracle.js';
import { disagreement, ownReading } from '../http/reading.js';
import { type Seed, changed, seeds } from './corpus.js';
import { Random } from './random.js';

export interface FuzzOptions {
  readonly seed: number;
  /** How long new inputs are made. */
  readonly seconds: number;
  /** Told about once a second. */
  readonly progress?: (result: FuzzResult) => void;
}

export interface FuzzResult {
  readonly inputs: number;
  /** Runs of a parser of ours. */
  executions: number;
  /** Inputs that Node's parser framed too, and did not refuse. */
  agreed: number;
  /** Kinds of outcome that were seen. */
  readonly outcomes: number;
  readonly failures: readonly Failure[];
}

export interface Failure {
  readonly what: string;
  readonly side: string;
  readonly method: string;
  readonly limits: RunOptions['limits'];
  /** Latin-1. */
  readonly text: string;
}

const batchSize = 32;
const mostFailures = 20;
const mostKept = 3000;

/** Makes inputs for the time given; the same seed makes the same inputs in the same order. */
export async function fuzz({ seed, seconds, progress }: FuzzOptions): Promise<FuzzResult> {
  const run = new Run(new Random(seed));
  const end = performance.now() + seconds * 1000;
  let nextReport = performance.now() + 1000;
  do {
    await run.batch();
    if (progress && performance.now() >= nextReport) {
      nextReport = performance.now() + 1000;
      progress(run.result);
    }
  } while (performance.now() < end && run.failures.length < mostFailures);
  return run.result;
}

/** One input with everything that its check needs. */
interface Input extends Seed {
  readonly method: string;
  readonly limits: NonNullable<RunOptions['limits']>;
}

class Run {
  readonly failures: Failure[] = [];
  readonly #random: Random;
  readonly #corpus = seeds();
  readonly #outcomes = new Set<string>();
  readonly #server = nodeServer();
  #inputs = 0;
  #executions = 0;
  #agreed = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  get result(): FuzzResult {
    return {
      inputs: this.#inputs,
      executions: this.#executions,
      agreed: this.#agreed,
      outcomes: this.#outcomes.size,
      failures: this.failures,
    };
  }

  async batch(): Promise<void> {
    const inputs = Array.from({ length: batchSize }, () => this.#make());
    const sound = inputs.filter((input) => this.#checkAlone(input));
    await Promise.all(sound.map(async (input) => await this.#checkBeside(input)));
  }

  #make(): Input {
    const random = this.#random;
    this.#inputs += 1;
    const seed = changed(random.pick(this.#corpus), this.#corpus, random);
    const isTight = random.oneIn(4);
    return {
      ...seed,
      method: seed.side === 'response' ? random.pick(['GET', 'GET', 'POST', 'HEAD']) : 'GET',
      limits: isTight
        ? { head: 4 + random.below(120), uri: 1 + random.below(40), fields: random.below(5) }
        : defaultLimits,
    };
  }

  /** Whether every way to read the input gives the same. */
  #checkAlone(input: Input): boolean {
    const { side, method, limits } = input;
    const random = this.#random;
    const options: RunOptions = { methods: [method], limits };
    const whole = bytes(input.text);
    try {
      const expected = this.#run(input, [whole], options);
      this.#keep(input, expected);
      for (let round = 0; round < 3; round += 1) {
        const chunks = round === 0 && whole.length < 400 ? everyByte(whole) : split(whole, this.#cuts());
        const waits = Array.from({ length: 5 }, () => Math.max(0, random.below(5) - 2));
        const pauses = (index: number): number => waits[index % waits.length] ?? 0;
        const wire = random.oneIn(2);
        const found = this.#run(input, chunks, { ...options, pauses, wire });
        if (isDeepStrictEqual(found, wire ? asWire(expected) : expected)) continue;
        const lengths = chunks.map(({ length }) => length).join(',');
        this.#fail(input, `split ${lengths} (${side}, wire ${wire}): ${JSON.stringify({ expected, found })}`);
        return false;
      }
      return true;
    } catch (error) {
      this.#fail(input, error instanceof Error ? (error.stack ?? error.message) : String(error));
      return false;
    }
  }

  #run({ side }: Input, chunks: readonly Buffer[], options: RunOptions): Transcript {
    this.#executions += 1;
    return transcribe(side, chunks, options);
  }

  /** Compares with Node's parser. */
  async #checkBeside(input: Input): Promise<void> {
    const whole = bytes(input.text);
    const own = ownReading(input.side, [whole], { methods: [input.method], limits: input.limits });
    const node =
      input.side === 'request'
        ? await nodeServerReading(this.#server, [whole])
        : await nodeClientReading(input.method, [whole]);
    const contradiction = disagreement(own, node);
    if (contradiction !== undefined) this.#fail(input, `${contradiction}: ${JSON.stringify({ own, node })}`);
    else if (own.end !== 'refused' && node.end !== 'refused') this.#agreed += 1;
  }

  /** An input with a new outcome is worth changing further. */
  #keep({ side, text }: Input, { messages, error }: Transcript): void {
    const shapes = messages.map(({ framing, ended, trailers, persistent }) =>
      [framing, ended, Math.min(trailers.length, 4), persistent].join('/'),
    );
    const outcome = `${side} ${error ?? ''} ${shapes.slice(0, 6).join(' ')}`;
    if (this.#outcomes.has(outcome)) return;
    this.#outcomes.add(outcome);
    if (this.#corpus.length < mostKept) this.#corpus.push({ side, text });
  }

  #cuts(): number[] {
    return Array.from({ length: 1 + this.#random.below(8) }, () => this.#random.below(5000));
  }

  #fail({ side, method, limits, text }: Input, what: string): void {
    this.failures.push({ what, side, method, limits, text });
  }
}
