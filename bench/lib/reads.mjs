/** Counting reads from what `strace` wrote, and from what `sallyport run --show-reads` printed. */

/**
 * @typedef {object} Reads
 * @property {number} count
 * @property {number} bytes
 * @property {number} largeBytes of them in large reads
 * @property {Record<string, number>} buckets how many by powers of two: the least size of each in bytes
 * @property {number} [calls] every call that did not fail, of every kind of file, as `strace -c` counts them
 */

/**
 * Reads of TCP sockets that brought bytes.
 * @param {string} log of `strace -f -C -yy -s 0` @param {number} large bytes
 * @returns {Reads}
 */
export function countTraced(log, large) {
  const reads = {
    count: 0,
    bytes: 0,
    largeBytes: 0,
    buckets: /** @type {Record<string, number>} */ ({}),
    calls: 0,
  };
  /** Threads in the middle of a call on a TCP socket. @type {Set<string>} */
  const within = new Set();
  for (const line of log.split('\n')) {
    const summary = /^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(\d+)? +(?:read|readv|recvfrom|recvmsg)$/.exec(line);
    if (summary !== null) {
      reads.calls += Number(summary[1]) - Number(summary[2] ?? 0);
      continue;
    }
    const call = /^(\d+) +(<\.\.\. )?(?:read|readv|recvfrom|recvmsg)(\(\d+<TCP(?:v6)?:|\(| resumed>)/.exec(
      line,
    );
    if (call === null) continue;
    const [, thread = '', resumed, rest = ''] = call;
    const tcp = resumed === undefined ? rest.includes('<TCP') : within.delete(thread);
    if (!tcp) continue;
    if (line.endsWith('<unfinished ...>')) {
      within.add(thread);
      continue;
    }
    const size = Number(/ = (\d+)$/.exec(line)?.[1] ?? 0);
    if (size > 0) add(reads, 2 ** Math.floor(Math.log2(size)), 1, size, size >= large);
  }
  return reads;
}

/**
 * The histograms `reads (system calls)` of both legs; a line a bucket: its least size, how many, their bytes, and %.
 * @param {string} text @param {number} large bytes
 * @returns {Reads | undefined} undefined where there is none
 */
export function countShown(text, large) {
  const reads = { count: 0, bytes: 0, largeBytes: 0, buckets: /** @type {Record<string, number>} */ ({}) };
  let within = false;
  for (const line of text.split('\n')) {
    const bucket = /^ +([\d.,]+) ?(\w*B)(?: up)? +(\d+) +([\d.,]+) ?(\w*B) +[\d.]+ %$/.exec(line);
    if (bucket === null) within = /^ +reads \(system calls\)/.test(line);
    else if (within) {
      const [, least = '', unit = 'B', count = '', amount = '', amountUnit = 'B'] = bucket;
      const size = plain(least) * scale(unit);
      add(reads, size, plain(count), plain(amount) * scale(amountUnit), size >= large);
    }
  }
  return reads.count === 0 ? undefined : reads;
}

/** @param {Reads} reads @param {number} bucket @param {number} count @param {number} bytes @param {boolean} large */
function add(reads, bucket, count, bytes, large) {
  reads.count += count;
  reads.bytes += bytes;
  if (large) reads.largeBytes += bytes;
  reads.buckets[bucket] = (reads.buckets[bucket] ?? 0) + count;
}

/** @param {string} number */
function plain(number) {
  return Number(number.replaceAll(',', ''));
}

/** @param {string} unit */
function scale(unit) {
  const base = unit.includes('i') ? 1024 : 1000;
  return base ** Math.max(0, 'BKMG'.indexOf(unit.charAt(0).toUpperCase()));
}
