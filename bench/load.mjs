/**
 * The load generator: a process of its own, told by messages from run.mjs what to do.
 *
 *   { prepare: Job } → { ready: true }       connections are open and warm
 *   { go: true }     → { result: Result }    the measured part
 *   { finish: true } → { finished: true }    everything is closed again
 * Any of them is answered with { error: string } when it fails.
 */
import { MODES } from './modes/index.mjs';
import { prepareStore } from './modes/store.mjs';

/**
 * @typedef {object} Job
 * @property {string} mode
 * @property {import('./lib/client.mjs').Target} target
 * @property {number} originPort
 * @property {number} clients connections at a time
 * @property {number} count operations, at most
 * @property {number} seconds no operation begins after this
 * @property {number} size bytes of one large body
 * @property {number} firstHost the first new host that has not been asked for yet
 * @property {number} [rate] store: new connections a second
 */

/**
 * @typedef {object} Result
 * @property {number} operations
 * @property {number} bytes of bodies
 * @property {number} elapsed milliseconds
 * @property {number} p50 milliseconds
 * @property {number} p99 milliseconds
 * @property {number} failures
 * @property {string[]} reasons of the failures, the first of each kind
 */

/** @typedef {{ prepare?: Job, go?: true, finish?: true }} Message */

/** @type {{ go: () => Promise<object>, finish: () => Promise<void> } | undefined} */
let running;

process.on('message', (/** @type {Message} */ message) => void obey(message));
process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => undefined);

/** @param {Message} message */
async function obey(message) {
  try {
    if (message.prepare !== undefined) {
      const prepare = message.prepare.mode === 'store' ? prepareStore : MODES[message.prepare.mode]?.prepare;
      if (prepare === undefined) throw new Error(`no mode ${message.prepare.mode}`);
      running = await prepare(message.prepare);
      process.send?.({ ready: true });
    } else if (message.go === true && running !== undefined) {
      process.send?.({ result: await running.go() });
    } else if (message.finish === true) {
      await running?.finish();
      running = undefined;
      process.send?.({ finished: true });
    }
  } catch (error) {
    process.send?.({ error: error instanceof Error ? error.message : String(error) });
  }
}
