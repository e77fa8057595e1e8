/**
 * Keeps a `file:` store within its bytes, failures with the entries, and takes away what dead processes left.
 *
 * An entry's two times say what is needed without opening it: the access time is when it was last used, and
 * the modification time, as an entry never is modified, is when its certificate ends, in whole seconds. A
 * time that is not in whole seconds was not set by us (the entry was copied or changed): nothing is known of
 * such an entry's end, and whoever reads it will find out.
 */
import type { BigIntStats } from 'node:fs';
import { lstat, rm } from 'node:fs/promises';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { ignoring } from './authority-files.js';
import type { FileLeases } from './file-lease.js';
import { type FoundFile, walk } from './file-paths.js';

/** Nobody needs a temporary file or the memory of a failure for longer than seconds. */
const leftoverAge: Milliseconds = 10 * 60 * 1000;
const batchSize = 16;

export interface SweepOptions {
  readonly root: string;
  readonly capacity: Bytes;
  /** The time in epoch milliseconds, which ends are compared with. */
  readonly now: () => number;
  readonly leases: FileLeases;
  /** Ends the sweep early. */
  readonly signal: AbortSignal;
}

interface Candidate {
  readonly kind: 'entry' | 'failure';
  readonly path: string;
  readonly bytes: Bytes;
  readonly used: number;
}

/**
 * Removes expired entries, then failures from the oldest, then the entries unused for longest, until nine tenths of
 * `capacity` are left. Resolves with how many entries were removed for their room. Any number of processes may do so at once: each entry is counted
 * once at the most. Rejects with the errors of the file system.
 */
export async function sweep(options: SweepOptions): Promise<number> {
  const { root, capacity, signal } = options;
  const candidates: Candidate[] = [];
  await inBatches(walk(root), signal, async (found) => {
    const candidate = await examine(found, options);
    if (candidate) candidates.push(candidate);
  });
  let total = candidates.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total <= capacity) return 0;
  candidates.sort((a, b) => Number(a.kind === 'entry') - Number(b.kind === 'entry') || a.used - b.used);
  const leaving: Candidate[] = [];
  for (const candidate of candidates) {
    if (total <= capacity * 0.9) break;
    leaving.push(candidate);
    total -= candidate.bytes;
  }
  let evicted = 0;
  await inBatches(leaving, signal, async ({ kind, path }) => {
    const removed = await ignoring('ENOENT', async () => {
      await rm(path, { recursive: true });
      return true;
    });
    if (removed && kind === 'entry') evicted += 1;
  });
  return evicted;
}

/** Removes what is of no use any more; `undefined` for that, and for what takes no room. */
async function examine(
  { kind, path }: FoundFile,
  { now, leases }: SweepOptions,
): Promise<Candidate | undefined> {
  if (kind === 'lock') {
    // Not removed when free: an empty one is the next holder's to replace, and takes next to nothing.
    await leases.freed(path);
    return undefined;
  }
  const stats = await ignoring('ENOENT', () => lstat(path, { bigint: true }));
  if (!stats) return undefined;
  const modified = Number(stats.mtimeNs / 1_000_000n);
  const isOld = kind === 'entry' ? hasExpired(stats, now()) : Date.now() - modified > leftoverAge;
  if (isOld) {
    await rm(path, { recursive: true, force: true });
    return undefined;
  }
  if (kind === 'temporary') return undefined;
  const used = kind === 'entry' ? Number(stats.atimeNs / 1_000_000n) : modified;
  return { kind, path, bytes: occupied(stats), used };
}

/** Several at a time, so that a sweep keeps up with those who write meanwhile; until `signal` aborts. */
async function inBatches<T>(
  items: AsyncIterable<T> | Iterable<T>,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let batch: Promise<void>[] = [];
  const failures: unknown[] = [];
  for await (const item of items) {
    if (signal.aborted) break;
    batch.push(work(item).catch((error: unknown) => void failures.push(error)));
    if (batch.length < batchSize) continue;
    await Promise.all(batch);
    batch = [];
    if (failures.length > 0) break;
  }
  await Promise.all(batch);
  if (failures.length > 0) throw failures[0];
}

/** What a file takes on its disk: most are smaller than the smallest piece that is given out. */
function occupied(stats: BigIntStats): Bytes {
  // Windows does not tell the blocks.
  return Math.max(Number(stats.size), Number(stats.blocks ?? 0) * 512);
}

function hasExpired(stats: BigIntStats, now: number): boolean {
  return stats.mtimeNs % 1_000_000_000n === 0n && Number(stats.mtimeNs / 1_000_000n) <= now;
}
