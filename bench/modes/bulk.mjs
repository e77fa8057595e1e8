/** Large bodies over held connections, down and up. */
import { matchesPattern, patternAt } from '../lib/payload.mjs';
import { openAll, runOperations } from './tally.mjs';

/** How much of an upload is written at a time, in bytes. */
const WRITE = 65_536;
/** From this size of a body on, the origin writes a MiB at a time: so that it is not what is slow in a long download. */
const LONG = 2 ** 28;

/** @type {import('./index.mjs').Mode} */
export const bulk = {
  per: 'gigabyte',
  unit: 's/GB down',
  prepare: (job) =>
    prepare(job, async (connection) => {
      const write = job.size < LONG ? '' : '&write=1048576';
      const { length } = await connection.get(`/bulk?size=${job.size}${write}`, matchesPattern);
      if (length !== job.size) throw new Error(`${length} bytes instead of ${job.size}`);
      return length;
    }),
};

/** @type {import('./index.mjs').Mode} */
export const upload = {
  per: 'gigabyte',
  unit: 's/GB up',
  prepare: (job) =>
    prepare(job, async (connection) => {
      const piece = (/** @type {number} */ offset) => patternAt(offset, Math.min(WRITE, job.size - offset));
      let said = '';
      await connection.post('/upload', job.size, piece, (body) => {
        said += body.toString('latin1');
        return true;
      });
      if (said !== JSON.stringify({ bytes: job.size, ok: true })) throw new Error(`the origin got ${said}`);
      return job.size;
    }),
};

/**
 * @param {import('../load.mjs').Job} job
 * @param {(connection: import('../lib/client.mjs').Connection) => Promise<number>} transfer
 * @returns {Promise<import('./index.mjs').Running>}
 */
async function prepare(job, transfer) {
  const connections = await openAll(job);
  return {
    go: () =>
      runOperations(job, async (client) => {
        const connection = connections[client];
        if (connection === undefined) throw new Error(`no connection ${client}`);
        return await transfer(connection);
      }),
    finish: async () => {
      await Promise.all(connections.map((connection) => connection.close()));
    },
  };
}
