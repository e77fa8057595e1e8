/**
 * Bursts of connections: each opens `count`, has one answer on each, closes all and waits. The cost is what stays:
 * the resident memory after the last burst over that after the second, which run.mjs reads.
 */
import { clientContext, Connection } from '../lib/client.mjs';
import { KNOWN_HOST } from '../lib/names.mjs';
import { settle } from './idle.mjs';
import { getSmall, runOperations } from './tally.mjs';

/** Handshakes at a time: more than the proxy can do at once, so that a burst is one. */
const AT_A_TIME = 64;

/** @type {import('./index.mjs').Mode} */
export const bursts = {
  per: 'bursts',
  unit: 'RSS last/2nd burst',
  alone: true,
  async prepare(job) {
    const context = clientContext(job.target);
    /** @type {Connection[]} */
    const connections = [];
    return {
      go: async () => {
        const result = await runOperations({ ...job, clients: AT_A_TIME }, async (_client, operation) => {
          const connection = await Connection.open(job.target, context, KNOWN_HOST, job.originPort);
          connections.push(connection);
          return await getSmall(connection, `b${operation}`);
        });
        const closed = connections.filter((connection) => connection.closing).length;
        if (closed > 0) result.reasons.push(`closes: ${closed} of ${connections.length} were not held`);
        result.failures += closed;
        if (result.failures === 0 && result.operations < job.count) {
          result.failures += job.count - result.operations;
          result.reasons.push(
            `too slow: ${result.operations} of ${job.count} connections in ${job.seconds} s`,
          );
        }
        await Promise.all(connections.splice(0).map((connection) => connection.close()));
        await settle();
        return result;
      },
      finish: async () => undefined,
    };
  },
};
