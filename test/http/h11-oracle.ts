/**
 * h11 (python3-h11) as an oracle: one Python process that is asked over its standard streams, one line of
 * JSON a question and an answer.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type Interface, createInterface } from 'node:readline';
import type { Side } from './events.js';
import type { Reading } from './reading.js';

export class H11Oracle {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: Interface) {
    this.#child = child;
    this.#lines = lines;
    this.#answers = lines[Symbol.asyncIterator]();
  }

  /** Starts the process. Throws, and names the package, where Python or h11 is missing. */
  static async start(): Promise<H11Oracle> {
    // Debian's module belongs to Debian's Python, whichever comes first on PATH.
    const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
    // The tests are run from the directory of package.json.
    const child = spawn(python, ['-B', 'test/http/h11-oracle.py'], { stdio: ['pipe', 'pipe', 'pipe'] });
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      complaint += part;
    });
    child.on('error', (error) => {
      complaint += error.message;
    });
    child.stdin.on('error', (error) => {
      complaint += error.message;
    });
    const oracle = new H11Oracle(child, createInterface({ input: child.stdout }));
    const first = await oracle.#answers.next();
    if (first.done !== true) return oracle;
    throw new Error(
      `h11 cannot be asked: install the Debian package python3-h11 (apt-get install python3-h11)\n${complaint}`,
    );
  }

  /** What h11 reads of each of `streams`; `method` is that of the request that a response answers. */
  async read(side: Side, method: string, streams: readonly Buffer[]): Promise<readonly Reading[]> {
    const data = streams.map((bytes) => bytes.toString('base64'));
    this.#child.stdin?.write(`${JSON.stringify({ side, method, data })}\n`);
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error('the h11 process has ended');
    const answers = JSON.parse(value) as readonly Answer[];
    return answers.map((answer) => ({
      ...answer,
      open: answer.open ?? undefined,
      why: answer.why ?? undefined,
    }));
  }

  /** Ends the process. */
  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin?.end();
    await ended;
    this.#lines.close();
  }
}

/** A reading as JSON has it: `null` where there is nothing. */
interface Answer extends Omit<Reading, 'open' | 'why'> {
  readonly open: Reading['open'] | null;
  readonly why: string | null;
}
