/**
 * Connections that each hold one upstream TLS connection: how many secure contexts those use, and how often the root
 * that was parsed most was parsed into them. Counted within the process by lib/probe-contexts.mjs.
 */
import { held } from './idle.mjs';

/** @type {import('./index.mjs').Mode} */
export const contexts = {
  per: 'count',
  unit: 'upstream contexts',
  alone: true,
  probe: 'contexts',
  prepare: (job) => held.prepare(job),
};

/** @type {import('./index.mjs').Mode} */
export const roots = { ...contexts, unit: 'times a root was parsed', probe: 'roots' };
