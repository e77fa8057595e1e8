/**
 * Many clients that read large bodies slowly: what the proxy takes from the origin before a client wants it stays in
 * its memory. The cost is the most that its resident memory grows by while they read, which run.mjs samples.
 */
import { clientContext, Connection } from '../lib/client.mjs';
import { KNOWN_HOST } from '../lib/names.mjs';
import { matchesPattern } from '../lib/payload.mjs';
import { settle } from './idle.mjs';
import { getSmall, runOperations } from './tally.mjs';

/** A reader takes so many bytes, and then none for so many milliseconds. */
const SIP = 65_536;
const PAUSE = 500;
/** What is made once is made before. */
const WARM_UP = 64;
/** How long without a byte, beyond its pauses, makes a reader a starved one, in milliseconds. */
const STARVED = 5_000;

/** @type {import('./index.mjs').Mode} */
export const slow = {
  per: 'growth',
  unit: 'MiB RSS growth',
  alone: true,
  async prepare(job) {
    const context = clientContext(job.target);
    const open = () => Connection.open(job.target, context, KNOWN_HOST, job.originPort);
    const warmed = await runOperations(
      { ...job, count: WARM_UP, clients: 16 },
      async (_client, operation) => {
        const connection = await open();
        const length = await getSmall(connection, `w${operation}`);
        await connection.close();
        return length;
      },
    );
    if (warmed.failures > 0) throw new Error(warmed.reasons.join('; '));
    await settle();
    /** @type {Reader[]} */
    const readers = [];
    return {
      go: async () => {
        const began = performance.now();
        const opened = await runOperations({ ...job, clients: 16 }, async () => {
          readers.push(new Reader(await open(), job.size));
          return 0;
        });
        const left = job.seconds * 1000 - (performance.now() - began);
        await new Promise((resolve) => setTimeout(resolve, Math.max(left, 2 * STARVED)));
        const reasons = new Set([
          ...opened.reasons,
          ...readers.flatMap((reader) => reader.complaint() ?? []),
        ]);
        const bad = readers.filter((reader) => reader.complaint() !== undefined).length;
        return {
          ...opened,
          bytes: readers.reduce((sum, { received }) => sum + received, 0),
          elapsed: performance.now() - began,
          failures: opened.failures + bad + (job.count - opened.operations - opened.failures),
          reasons: [...reasons].slice(0, 3),
        };
      },
      finish: async () => {
        for (const reader of readers.splice(0)) reader.stop();
      },
    };
  },
};

class Reader {
  #connection;
  #since = 0;
  #last = performance.now();
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  /** @type {string | undefined} */
  #failure;
  received = 0;

  /** @param {Connection} connection @param {number} size */
  constructor(connection, size) {
    this.#connection = connection;
    connection
      .get(`/bulk?size=${size}`, (piece, offset) => this.#take(piece, offset))
      .then(
        () => (this.#failure ??= 'read the whole body: it was not slow'),
        (/** @type {unknown} */ error) => {
          this.#failure ??= error instanceof Error ? error.message : String(error);
        },
      );
  }

  /** What is wrong with what it got. */
  complaint() {
    if (this.#failure !== undefined) return this.#failure;
    if (this.received < 2 * SIP) return `a reader got ${this.received} bytes in all`;
    const silent = performance.now() - this.#last;
    return silent > STARVED ? 'a reader got nothing for seconds' : undefined;
  }

  stop() {
    clearTimeout(this.#timer);
    this.#failure ??= 'stopped';
    this.#connection.destroy();
  }

  /** @param {Buffer} piece @param {number} offset */
  #take(piece, offset) {
    if (!matchesPattern(piece, offset)) return false;
    this.received += piece.length;
    this.#since += piece.length;
    this.#last = performance.now();
    if (this.#since >= SIP) {
      this.#since = 0;
      this.#connection.pause();
      this.#timer = setTimeout(() => this.#connection.resume(), PAUSE);
    }
    return true;
  }
}
