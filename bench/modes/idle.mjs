/**
 * Connections that are held and do nothing. `count` of them are opened by a few clients at a time; the cost is the
 * proxy's growth in resident memory, which run.mjs reads before `go` and after it.
 */
import { clientContext, Connection } from '../lib/client.mjs';
import { KNOWN_HOST } from '../lib/names.mjs';
import { HOLD_SENT } from '../lib/payload.mjs';
import { getSmall, runOperations } from './tally.mjs';

/** Connections made and closed again before the first reading, so that what is made once is not counted. */
const WARM_UP = 64;
/** Between the last answer and the reading, in milliseconds: for what the proxy gives back by itself. */
const SETTLE = 2_000;

/** One small answer each, then silence. @type {import('./index.mjs').Mode} */
export const idle = {
  per: 'connection',
  unit: 'KiB/idle connection',
  alone: true,
  prepare: (job) => prepare(job, (connection, id) => getSmall(connection, id)),
};

/** An answer that never goes on, so that the upstream connection is held too. @type {import('./index.mjs').Mode} */
export const held = {
  per: 'connection',
  unit: 'KiB/held connection',
  alone: true,
  prepare: (job) => prepare(job, async (connection) => (await connection.getPart('/hold', HOLD_SENT)).length),
};

/**
 * @param {import('../load.mjs').Job} job
 * @param {(connection: Connection, id: string) => Promise<number>} occupy
 * @returns {Promise<import('./index.mjs').Running>}
 */
async function prepare(job, occupy) {
  const context = clientContext(job.target);
  /** @type {Connection[]} */
  const connections = [];
  const open = () => Connection.open(job.target, context, KNOWN_HOST, job.originPort);
  const closeAll = async () => {
    await Promise.all(connections.splice(0).map((connection) => connection.close()));
  };
  const warmed = await runOperations({ ...job, count: WARM_UP }, async (_client, operation) => {
    const connection = await open();
    const length = await getSmall(connection, `w${operation}`);
    // Not held: what many of them leave behind would serve the ones that are counted.
    await connection.close();
    return length;
  });
  if (warmed.failures > 0) throw new Error(warmed.reasons.join('; '));
  await settle();
  return {
    go: async () => {
      const result = await runOperations(job, async (_client, operation) => {
        const connection = await open();
        connections.push(connection);
        return await occupy(connection, `i${operation}`);
      });
      await settle();
      const closed = connections.filter((connection) => connection.closing).length;
      if (closed > 0) result.reasons.push(`closes: ${closed} of ${connections.length} were not held`);
      result.failures += closed;
      return result;
    },
    finish: closeAll,
  };
}

/** Gives the proxy time to give back what it does not need any more. */
export function settle() {
  return new Promise((resolve) => setTimeout(resolve, SETTLE));
}
