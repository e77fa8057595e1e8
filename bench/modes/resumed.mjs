/**
 * As `fresh`, but each handshake resumes a TLS session (RFC 8446 §2.2) with a ticket of its own, as browsers do. The
 * tickets are got before, outside of what is measured; a connection that was not resumed is a failure.
 */
import { clientContext, Connection } from '../lib/client.mjs';
import { KNOWN_HOST } from '../lib/names.mjs';
import { getSmall, runOperations } from './tally.mjs';

/** @type {import('./index.mjs').Mode} */
export const resumed = {
  per: 'operation',
  unit: 'ms/resumed',
  async prepare(job) {
    const context = clientContext(job.target);
    /** @param {{ session?: Buffer | undefined, collect?: boolean }} how */
    const open = (how) => Connection.open(job.target, context, KNOWN_HOST, job.originPort, how);
    const tickets = await collect(job, () => open({ collect: true }));
    return {
      go: () =>
        runOperations(job, async (_client, operation) => {
          const connection = await open({ session: tickets[operation] });
          try {
            if (!connection.resumed)
              throw new Error('the handshake was a full one: the session was not resumed');
            return await getSmall(connection, `r${operation}`);
          } finally {
            await connection.close();
          }
        }),
      finish: async () => undefined,
    };
  },
};

/**
 * A ticket for each operation; servers give one, two or more in a handshake.
 * @param {import('../load.mjs').Job} job @param {() => Promise<Connection>} open
 */
async function collect(job, open) {
  /** @type {Buffer[]} */
  const tickets = [];
  const connect = async () => {
    while (tickets.length < job.count) {
      const connection = await open();
      // They come after the handshake, but before the answer.
      await getSmall(connection, 'ticket');
      if (connection.sessions.length === 0) throw new Error('offers no session to resume');
      tickets.push(...connection.sessions);
      await connection.close();
    }
  };
  await Promise.all(Array.from({ length: job.clients }, connect));
  return tickets;
}
