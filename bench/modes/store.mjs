/**
 * The experiment of goproxy's pull request 330: new connections come at a fixed rate, whether or not earlier ones
 * have been answered (an open loop), to a few hosts whose certificates cost an RSA key. A proxy that makes one per
 * connection falls behind and never recovers; one that makes one a host does not notice.
 */
import { clientContext, Connection } from '../lib/client.mjs';
import { newHost } from '../lib/names.mjs';
import { percentile } from '../lib/stats.mjs';
import { getSmall } from './tally.mjs';

/**
 * @typedef {object} Outcome
 * @property {number} offered connections
 * @property {number} succeeded with the right answer, within 30 s
 * @property {number} mean milliseconds of those that began after the first second, as are the others
 * @property {number} p50
 * @property {number} p99
 * @property {string[]} reasons of the failures, the first of each kind
 */

/** An answer that takes longer is a failure, in milliseconds. */
const PATIENCE = 30_000;
/** Certificates may still be made for the first time in this long, in milliseconds. */
const SETTLED = 1_000;

/**
 * @param {import('../load.mjs').Job} job `count` hosts, `rate` connections a second, for `seconds`
 * @returns {Promise<{ go: () => Promise<Outcome>, finish: () => Promise<void> }>}
 */
export async function prepareStore(job) {
  const context = clientContext(job.target);
  const offered = Math.ceil((job.rate ?? 1) * job.seconds);
  return {
    finish: async () => undefined,
    go: async () => {
      /** @type {number[]} */
      const latencies = [];
      /** @type {Set<string>} */
      const reasons = new Set();
      let succeeded = 0;
      const began = performance.now();
      /** @param {number} index */
      const visit = async (index) => {
        const start = performance.now();
        try {
          await withPatience(ask(index));
          succeeded += 1;
          if (start - began >= SETTLED) latencies.push(performance.now() - start);
        } catch (error) {
          if (reasons.size < 3) reasons.add(error instanceof Error ? error.message : String(error));
        }
      };
      /** @param {number} index */
      const ask = async (index) => {
        const host = newHost(job.firstHost + (index % job.count));
        const connection = await Connection.open(job.target, context, host, job.originPort);
        try {
          await getSmall(connection, `s${index}`);
        } finally {
          connection.destroy();
        }
      };
      /** @type {Promise<void>[]} */
      const visits = [];
      for (let index = 0; index < offered; index += 1) {
        const due = began + (index * 1000) / (job.rate ?? 1);
        const wait = due - performance.now();
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
        visits.push(visit(index));
      }
      await Promise.all(visits);
      const sorted = Float64Array.from(latencies).toSorted();
      const sum = latencies.reduce((total, latency) => total + latency, 0);
      return {
        offered,
        succeeded,
        mean: latencies.length === 0 ? Number.NaN : sum / latencies.length,
        p50: percentile(sorted, 0.5),
        p99: percentile(sorted, 0.99),
        reasons: [...reasons],
      };
    },
  };
}

/** @param {Promise<void>} work */
async function withPatience(work) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE / 1000} s`)), PATIENCE);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
