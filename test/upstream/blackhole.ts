/**
 * A port of 127.0.0.1 that neither accepts nor refuses: a process that listens and then stands still, with
 * its queue of connections filled, so that the kernel answers no further SYN.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

const script = `
  const server = require('node:net').createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

export class Blackhole {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #fillers: readonly Socket[];

  private constructor(port: number, process: ChildProcess, fillers: readonly Socket[]) {
    this.port = port;
    this.#process = process;
    this.#fillers = fillers;
  }

  static async open(): Promise<Blackhole> {
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
    const port = Number(chunk.toString());
    const fillers: Socket[] = [];
    // A backlog of 1 holds two, and a third may be half open; more do no harm.
    for (let at = 0; at < 8; at += 1) {
      const filler = connect(port, '127.0.0.1');
      filler.on('error', () => undefined);
      fillers.push(filler);
    }
    const [first] = fillers;
    if (first?.connecting) await once(first, 'connect');
    return new Blackhole(port, child, fillers);
  }

  async close(): Promise<void> {
    for (const filler of this.#fillers) filler.destroy();
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}
