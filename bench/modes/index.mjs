/** The modes by name: what each does with a proxy, and in what its cost is counted. */
import { allocated, objects } from './allocation.mjs';
import { bulk, upload } from './bulk.mjs';
import { bursts } from './bursts.mjs';
import { contexts, roots } from './contexts.mjs';
import { cold, fresh } from './fresh.mjs';
import { held, idle } from './idle.mjs';
import { keepalive } from './keepalive.mjs';
import { resumed } from './resumed.mjs';
import { slow } from './slow.mjs';

/** @typedef {import('../load.mjs').Job} Job */
/** @typedef {import('../load.mjs').Result} Result */

/**
 * @typedef {object} Running
 * @property {() => Promise<Result>} go
 * @property {() => Promise<void>} finish
 */

/**
 * @typedef {object} Mode
 * @property {(job: Job) => Promise<Running>} prepare
 * @property {Per} per what the cost is, or is divided by
 * @property {string} unit of the cost
 * @property {boolean} [alone] whether it takes an instance of the proxy that has done nothing else
 * @property {import('../lib/probe.mjs').Kind} [probe] what is counted within the process, which has to run on Node
 */

/**
 * `operation`, `gigabyte`: CPU of one. `connection`: growth of resident memory for one, in KiB. `growth`: the most that
 * it grew by, in MiB. `bursts`: its ratio after the last to that after the second. `counted`: what the probe counted,
 * for one operation. `count`: in all.
 *
 * @typedef {'operation' | 'gigabyte' | 'connection' | 'growth' | 'bursts' | 'counted' | 'count'} Per
 */

/** @type {Readonly<Record<string, Mode>>} */
export const MODES = {
  keepalive,
  allocated,
  objects,
  fresh,
  resumed,
  cold,
  bulk,
  upload,
  idle,
  held,
  slow,
  bursts,
  contexts,
  roots,
};

/** Modes that come with another, as `held` with `idle`, and are not asked for by name. */
export const COMPANIONS = /** @type {Readonly<Record<string, readonly string[]>>} */ ({
  allocation: ['allocated', 'objects'],
  idle: ['idle', 'held'],
  contexts: ['contexts', 'roots'],
});
