/** Our own two processes beside the proxies: the origin, and the load generator, with whom we talk by messages. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** How much longer than its own limits the load generator may take to answer, in milliseconds. */
const PATIENCE = 120_000;

/**
 * @param {string} keyFile @param {string} certFile
 * @returns {Promise<{ pid: number, port: number, stop: () => void }>}
 */
export async function startOrigin(keyFile, certFile) {
  const child = fork(fileURLToPath(new URL('../origin.mjs', import.meta.url)), [keyFile, certFile]);
  const ended = failure(child, 'the origin');
  ended.catch(() => undefined);
  const [{ port }] = await Promise.race([once(child, 'message'), ended]);
  return { pid: child.pid ?? 0, port, stop: () => child.kill('SIGKILL') };
}

export class LoadGenerator {
  #child;
  #ended;
  #seconds;

  /** @param {number} seconds the longest measurement */
  constructor(seconds) {
    this.#seconds = seconds;
    this.#child = fork(fileURLToPath(new URL('../load.mjs', import.meta.url)));
    this.#ended = failure(this.#child, 'the load generator');
    // It is also ended on purpose, when nobody waits for an answer.
    this.#ended.catch(() => undefined);
  }

  get pid() {
    return this.#child.pid ?? 0;
  }

  /** @param {import('../load.mjs').Job} job */
  async prepare(job) {
    await this.#ask({ prepare: job });
  }

  /** @returns {Promise<import('../load.mjs').Result>} */
  async go() {
    return (await this.#ask({ go: true })).result;
  }

  async finish() {
    await this.#ask({ finish: true });
  }

  stop() {
    this.#child.kill('SIGKILL');
  }

  /** @param {object} message */
  async #ask(message) {
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const late = new Promise((_resolve, reject) => {
      const limit = this.#seconds * 1000 + PATIENCE;
      timer = setTimeout(() => reject(new Error('the load generator does not answer')), limit);
    });
    try {
      const answered = once(this.#child, 'message');
      this.#child.send(message);
      const [answer] = await Promise.race([answered, late, this.#ended]);
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Rejects when a child ends. @param {import('node:child_process').ChildProcess} child @param {string} who @returns {Promise<never>} */
function failure(child, who) {
  return new Promise((_resolve, reject) => {
    child.once('exit', (code, signal) => reject(new Error(`${who} ended with ${code ?? signal}`)));
  });
}
