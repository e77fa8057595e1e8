/** Small requests, one after another, over intercepted connections that are held. */
import { getSmall, openAll, runOperations } from './tally.mjs';

/** Requests a connection makes before it counts. */
const WARM_UP = 25;

/** @type {import('./index.mjs').Mode} */
export const keepalive = {
  per: 'operation',
  unit: 'ms/request',
  async prepare(job) {
    const connections = await openAll(job);
    await Promise.all(
      connections.map(async (connection, client) => {
        for (let index = 0; index < WARM_UP; index += 1) await ask(connection, `w${client}-${index}`);
      }),
    );
    return {
      go: () =>
        runOperations(job, (client, operation) => {
          const connection = connections[client];
          if (connection === undefined) throw new Error(`no connection ${client}`);
          return ask(connection, `k${operation}`);
        }),
      finish: async () => {
        await Promise.all(connections.map((connection) => connection.close()));
      },
    };
  },
};

/**
 * A client that honours `Connection: close` would have to open another connection: that is the mode `fresh`.
 * @param {import('../lib/client.mjs').Connection} connection @param {string} id
 */
async function ask(connection, id) {
  const length = await getSmall(connection, id);
  if (connection.closing) throw new Error('closes after each answer');
  return length;
}
