/** The modes by name: what each does with a proxy, and in what its cost is counted. */
import { bulk, upload } from './bulk.mjs';
import { cold, fresh } from './fresh.mjs';
import { held, idle } from './idle.mjs';
import { keepalive } from './keepalive.mjs';

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
 * @property {'operation' | 'gigabyte' | 'connection'} per what the cost is divided by
 * @property {string} unit of the cost
 */

/** @type {Readonly<Record<string, Mode>>} */
export const MODES = { keepalive, fresh, cold, bulk, upload, idle, held };
