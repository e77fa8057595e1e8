/** The programs in examples/, as somebody runs them: with an empty HOME. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { within } from './patience.js';
import { environment } from './programs.js';
import { later, temporaryDirectory } from './stage.js';

export class Example {
  readonly child: ChildProcess;
  #output = '';
  #news: () => void = () => undefined;
  readonly #exited: Promise<unknown>;

  private constructor(child: ChildProcess) {
    this.child = child;
    this.#exited = once(child, 'exit');
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
        this.#news();
      });
    }
  }

  /** The tests are run from the directory of package.json. */
  static async start(t: TestContext, path: string, ...args: readonly string[]): Promise<Example> {
    const HOME = await temporaryDirectory(t);
    const file = join(process.cwd(), 'examples', path);
    const child = spawn(process.execPath, [file, ...args], { env: environment({ HOME }) });
    const example = new Example(child);
    later(t, async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await example.#exited;
    });
    return example;
  }

  /** What it has printed. */
  get output(): string {
    return this.#output;
  }

  /** Waits until it has printed something that matches. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#output);
      if (found) return found;
      const news = new Promise<void>((resolve) => {
        this.#news = resolve;
      });
      await within(news, `${String(pattern)} in ${JSON.stringify(this.#output)}`);
    }
  }

  /** Ends it as Ctrl-C does; its exit status. */
  async interrupt(): Promise<number | null> {
    this.child.kill('SIGINT');
    await within(this.#exited, 'the example to end');
    return this.child.exitCode;
  }
}
