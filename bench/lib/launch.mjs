/**
 * Starting other programs and making sure that none outlives the run. Each gets a process group of its own, so that
 * a program's children go with it, and a terminal's Ctrl-C reaches only us, who then end them in order.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * @typedef {object} Launched
 * @property {number} pid
 * @property {string} ready what the program printed when it was ready (the first group of `ready`)
 * @property {() => Promise<void>} stop asks it to end, then makes it; resolves when it is gone
 * @property {() => string} complaint the last that it wrote to stderr
 * @property {() => string} said the last that it wrote to stdout
 */

/** How long a program has to become ready, and how long to end by itself, in milliseconds. */
const START_LIMIT = 30_000;
const STOP_LIMIT = 8_000;
/** How much of what a program says is kept for error messages, in characters. */
const KEPT = 4_000;

export class Children {
  /** @type {Set<number>} */
  #groups = new Set();

  /**
   * @param {string} command
   * @param {readonly string[]} args
   * @param {{ env?: Record<string, string>, cwd?: string, ready: RegExp | number }} options
   *   `ready`: a line of stdout, or a port that answers
   * @returns {Promise<Launched>}
   */
  async launch(command, args, { env = {}, cwd, ready }) {
    const child = spawn(command, args, {
      cwd,
      env: { ...cleanEnvironment(), ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    /** @type {Error | undefined} */
    let failure;
    child.on('error', (error) => (failure = error));
    const { pid } = child;
    if (pid === undefined) {
      if (failure === undefined) await once(child, 'error').catch(() => undefined);
      throw failure ?? new Error(`${command} could not be started`);
    }
    this.#groups.add(pid);
    const ended = once(child, 'close').then(() => this.#groups.delete(pid));

    let complaint = '';
    let output = '';
    let said = '';
    child.stderr.on('data', (chunk) => (complaint = (complaint + chunk).slice(-KEPT)));
    child.stdout.on('data', (chunk) => {
      if (output.length < KEPT) output += chunk;
      said = (said + chunk).slice(-KEPT);
    });
    const gone = () => child.exitCode !== null || child.signalCode !== null;
    const stop = async () => {
      this.#kill(pid, 'SIGTERM');
      await Promise.race([ended, sleep(STOP_LIMIT)]);
      this.#kill(pid, 'SIGKILL');
      await ended;
    };

    const deadline = performance.now() + START_LIMIT;
    for (;;) {
      const answer = typeof ready === 'number' ? await answers(ready) : ready.exec(output)?.[1];
      if (answer !== undefined)
        return { pid, ready: answer, stop, complaint: () => complaint, said: () => said };
      if (gone() || failure !== undefined || performance.now() > deadline) {
        const why = gone() ? `ended with ${child.exitCode ?? child.signalCode}` : 'did not become ready';
        await stop();
        throw new Error(
          `${command} ${why}: ${(complaint || output).trim().split('\n').slice(-3).join(' | ')}`,
        );
      }
      await sleep(25);
    }
  }

  /** Ends everything at once, without waiting; for the last moments of this process. */
  killAll() {
    for (const pid of this.#groups) this.#kill(pid, 'SIGKILL');
  }

  /** @param {number} pid the leader of a group @param {NodeJS.Signals} signal */
  #kill(pid, signal) {
    if (!this.#groups.has(pid)) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error;
    }
  }
}

/** A port of 127.0.0.1 that was free a moment ago, for programs that cannot be told to choose one. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}

/** @param {number} milliseconds @returns {Promise<void>} */
export function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** @param {number} port @returns {Promise<string | undefined>} */
function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(String(port));
    });
    socket.on('error', () => resolve(undefined));
  });
}

/** Our own environment without what would send a proxy's traffic elsewhere or change how it verifies. */
function cleanEnvironment() {
  /** @type {Record<string, string>} */
  const kept = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (/proxy$|^npm_|^(node_|ssl_cert_)/i.test(name) || value === undefined) continue;
    kept[name] = value;
  }
  return kept;
}
