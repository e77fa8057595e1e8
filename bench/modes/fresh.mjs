/** A new connection for each request: CONNECT, a full TLS handshake, one small answer, and closed. */
import { clientContext, Connection } from '../lib/client.mjs';
import { KNOWN_HOST, newHost } from '../lib/names.mjs';
import { getSmall, runOperations } from './tally.mjs';

/** To the known host, again and again. @type {import('./index.mjs').Mode} */
export const fresh = {
  per: 'operation',
  unit: 'ms/connection',
  prepare: (job) => prepare(job, () => KNOWN_HOST),
};

/** Each to a host that the proxy has never heard of. @type {import('./index.mjs').Mode} */
export const cold = {
  per: 'operation',
  unit: 'ms/host',
  prepare: (job) => prepare(job, (operation) => newHost(job.firstHost + operation)),
};

/**
 * @param {import('../load.mjs').Job} job
 * @param {(operation: number) => string} hostOf
 * @returns {Promise<import('./index.mjs').Running>}
 */
async function prepare(job, hostOf) {
  const context = clientContext(job.target);
  return {
    go: () =>
      runOperations(job, async (_client, operation) => {
        const connection = await Connection.open(job.target, context, hostOf(operation), job.originPort);
        const length = await getSmall(connection, `f${operation}`).catch((/** @type {unknown} */ error) => {
          connection.destroy();
          throw error;
        });
        await connection.close();
        return length;
      }),
    finish: async () => undefined,
  };
}
