/** The clients of the echo server, in two processes (clients.mjs), as one. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const PROCESSES = 2;

/** @typedef {{ port: number, caPem: string, interval: number }} Place `interval`: seconds between two hellos */
/** @typedef {{ place?: Place, warm?: number, aside?: number, open?: number, large?: number, check?: number }} Order */

export class Crowd {
  #children;

  /** @param {Place} place */
  constructor(place) {
    this.#children = Array.from({ length: PROCESSES }, () => {
      const child = fork(fileURLToPath(new URL('clients.mjs', import.meta.url)));
      child.send({ place });
      return child;
    });
  }

  /** Opens and closes connections one after another. @param {number} count */
  async warm(count) {
    await this.#ask(0, { warm: count });
  }

  /** Opens connections that are held but have nothing large echoed. @param {number} count */
  async aside(count) {
    await this.#askAll((index) => ({ aside: Math.floor((count + index) / PROCESSES) }));
  }

  /** @param {number} count */
  async open(count) {
    await this.#askAll((index) => ({ open: Math.floor((count + index) / PROCESSES) }));
  }

  /** Has so many bytes echoed on each connection. @param {number} bytes */
  async large(bytes) {
    await this.#askAll(() => ({ large: bytes }));
  }

  /** Throws unless every connection is there, and has had so many hellos answered since the last time. @param {number} hellos */
  async check(hellos) {
    await this.#askAll(() => ({ check: hellos }));
  }

  async stop() {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.kill('SIGKILL');
        await ended;
      }),
    );
  }

  /** @param {(index: number) => Order} orderOf */
  async #askAll(orderOf) {
    await Promise.all(this.#children.map((_, index) => this.#ask(index, orderOf(index))));
  }

  /** @param {number} index @param {Order} order */
  async #ask(index, order) {
    const child = this.#children[index];
    if (child === undefined) return;
    const answered = Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`the clients ended with ${code}`))),
    ]);
    child.send(order);
    const [{ error }] = await answered;
    if (error !== undefined) throw new Error(error);
  }
}
