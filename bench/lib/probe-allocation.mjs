/**
 * What a process allocates in its JavaScript heap.
 *
 * Bytes: the heap's growth between garbage collections, as V8 itself states the heap before and after each
 * (`v8.GCProfiler`), begun and ended by a collection. Objects: V8's sampling profiler told to sample at every
 * allocation. Compiled code may make several objects by one allocation, which then counts once.
 */
import { Session } from 'node:inspector/promises';
import { GCProfiler, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** @returns {import('./probe.mjs').Counter} */
export function bytesCounter() {
  setFlagsFromString('--expose-gc');
  const collect = /** @type {() => void} */ (runInNewContext('gc'));
  /** @type {GCProfiler} */
  let profiler;
  return {
    begin() {
      profiler = new GCProfiler();
      profiler.start();
      collect();
    },
    end() {
      collect();
      const { statistics } = profiler.stop();
      let count = 0;
      let last = statistics[0]?.afterGC.heapStatistics.usedHeapSize ?? Number.NaN;
      for (const { beforeGC, afterGC } of statistics.slice(1)) {
        count += beforeGC.heapStatistics.usedHeapSize - last;
        last = afterGC.heapStatistics.usedHeapSize;
      }
      return { count, collections: statistics.length };
    },
  };
}

/** @returns {import('./probe.mjs').Counter} */
export function objectsCounter() {
  const session = new Session();
  session.connect();
  return {
    begin: async () => {
      await session.post('HeapProfiler.startSampling', {
        samplingInterval: 1,
        includeObjectsCollectedByMajorGC: true,
        includeObjectsCollectedByMinorGC: true,
      });
    },
    end: async () => {
      const { profile } = await session.post('HeapProfiler.stopSampling');
      const { samples } = /** @type {{ samples: { size: number }[] }} */ (/** @type {unknown} */ (profile));
      return { count: samples.length, bytes: samples.reduce((sum, { size }) => sum + size, 0) };
    },
  };
}
