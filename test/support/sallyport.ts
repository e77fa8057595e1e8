/** The command `sallyport run` in a process of its own, as users have it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { within } from './patience.js';
import { Pki } from './pki.js';
import { environment } from './programs.js';
import { later, temporaryDirectory } from './stage.js';
import { Wire } from './wire.js';

/** The tests are run from the directory of package.json. */
const mainScript = join(process.cwd(), 'dist', 'cli', 'main.js');

export interface SallyportOptions {
  readonly args?: readonly string[];
  /** The most files that it may have open. */
  readonly openFiles?: number;
}

export class Sallyport {
  readonly child: ChildProcess;
  readonly port: number;
  readonly pki: Pki;
  /** The file with the CA that clients are to trust. */
  readonly caFile: string;
  readonly #t: TestContext;
  readonly #output: () => string;
  readonly #exited: Promise<number | NodeJS.Signals>;

  private constructor(
    t: TestContext,
    child: ChildProcess,
    port: number,
    pki: Pki,
    caFile: string,
    output: () => string,
    exited: Promise<number | NodeJS.Signals>,
  ) {
    this.#t = t;
    this.child = child;
    this.port = port;
    this.pki = pki;
    this.caFile = caFile;
    this.#output = output;
    this.#exited = exited;
  }

  /** Starts it on a free port, with a CA directory of its own, trusting the origins of a `Pki`. */
  static async start(t: TestContext, { args = [], openFiles }: SallyportOptions = {}): Promise<Sallyport> {
    const pki = await Pki.make(t);
    const caDir = join(await temporaryDirectory(t), 'ca');
    const run = ['run', '--port', '0', '--ca-dir', caDir, '--upstream-ca', pki.caFile, ...args];
    const command =
      openFiles === undefined
        ? [process.execPath, mainScript, ...run]
        : ['/bin/sh', '-c', `ulimit -n ${openFiles}; exec "$0" "$@"`, process.execPath, mainScript, ...run];
    const [program = '', ...rest] = command;
    const child = spawn(program, rest, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let news: () => void = () => undefined;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        news();
      });
    }
    const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals);
    later(t, async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
    });
    const listening = new Promise<number>((resolve, reject) => {
      news = () => {
        const found = /^listening on http:\/\/127\.0\.0\.1:(\d+)$/m.exec(output);
        if (found) resolve(Number(found[1]));
      };
      void exited.then((status) => {
        reject(new Error(`sallyport ended with ${status}: ${output}`));
      });
    });
    const port = await within(listening, 'sallyport to listen');
    return new Sallyport(t, child, port, pki, join(caDir, 'ca.pem'), () => output, exited);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What it has written to stdout and stderr. */
  get output(): string {
    return this.#output();
  }

  /** The status, or the signal, that it ended with. */
  exit(): Promise<number | NodeJS.Signals> {
    return within(this.#exited, 'sallyport to end', 30_000);
  }

  /** A client connection to it. */
  async client(): Promise<Wire> {
    const wire = await Wire.connect(this.port);
    later(this.#t, () => {
      wire.destroy();
    });
    return wire;
  }

  /** Bytes of memory that it has resident: now, and at the most so far. */
  async memory(): Promise<{ readonly now: number; readonly peak: number }> {
    const status = await readFile(`/proc/${this.child.pid}/status`, 'utf8');
    const kib = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
    return { now: kib('VmRSS') * 1024, peak: kib('VmHWM') * 1024 };
  }
}
