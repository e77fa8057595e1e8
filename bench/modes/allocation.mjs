/**
 * What a request makes the JavaScript heap allocate, on a connection that is kept alive: bytes, and objects. Counted
 * within the process by lib/probe-allocation.mjs, for the peers that run on Node.
 */
import { keepalive } from './keepalive.mjs';

/** @type {import('./index.mjs').Mode} */
export const allocated = {
  per: 'counted',
  unit: 'bytes/request',
  alone: true,
  probe: 'bytes',
  prepare: (job) => keepalive.prepare(job),
};

/** @type {import('./index.mjs').Mode} */
export const objects = {
  per: 'counted',
  unit: 'objects/request',
  alone: true,
  probe: 'objects',
  prepare: (job) => keepalive.prepare(job),
};
