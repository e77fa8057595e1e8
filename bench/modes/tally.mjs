/** Counting operations: how many, how long each took, and what went wrong. */
import { clientContext, Connection } from '../lib/client.mjs';
import { KNOWN_HOST } from '../lib/names.mjs';
import { smallBody } from '../lib/payload.mjs';
import { percentile } from '../lib/stats.mjs';

/**
 * @param {import('../load.mjs').Job} job
 * @param {(client: number, operation: number) => Promise<number>} operate resolves with the bytes of the body
 * @returns {Promise<import('../load.mjs').Result>}
 */
export async function runOperations(job, operate) {
  const latencies = new Float64Array(job.count);
  /** @type {Set<string>} */
  const reasons = new Set();
  const began = performance.now();
  const until = began + job.seconds * 1000;
  let next = 0;
  let operations = 0;
  let failures = 0;
  let bytes = 0;
  /** @param {number} client */
  const work = async (client) => {
    while (next < job.count) {
      const operation = next;
      next += 1;
      const start = performance.now();
      // A row with failures is no number, so there is no use in going on for long.
      if (start > until || failures > job.clients) return;
      try {
        // Not `bytes += await …`: that would read the sum before waiting, and lose what others add meanwhile.
        const length = await operate(client, operation);
        bytes += length;
        latencies[operations] = performance.now() - start;
        operations += 1;
      } catch (error) {
        failures += 1;
        if (reasons.size < 3) reasons.add(error instanceof Error ? error.message : String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: job.clients }, (_, client) => work(client)));
  const sorted = latencies.subarray(0, operations).toSorted();
  return {
    operations,
    bytes,
    elapsed: performance.now() - began,
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    failures,
    reasons: [...reasons],
  };
}

/**
 * Opens `job.clients` connections to the known host.
 * @param {import('../load.mjs').Job} job
 */
export async function openAll(job) {
  const context = clientContext(job.target);
  return await Promise.all(
    Array.from({ length: job.clients }, () =>
      Connection.open(job.target, context, KNOWN_HOST, job.originPort),
    ),
  );
}

/** @param {Connection} connection @param {string} id */
export async function getSmall(connection, id) {
  const body = smallBody(id);
  const answer = await connection.get(`/small/${id}`, (piece, offset) =>
    piece.equals(body.subarray(offset, offset + piece.length)),
  );
  if (answer.length !== body.length) throw new Error(`${answer.length} bytes instead of ${body.length}`);
  return answer.length;
}
