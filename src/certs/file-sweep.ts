/**
 * Keeps a `file:` store within its bytes, and takes away what dead processes left.
 *
 * An entry's two times say what is needed without opening it: the access time is when it was last used, and the
 * modification time, as an entry never is modified, is when its certificate ends, in whole seconds. A time that
 * is not in whole seconds was not set by us (the entry was copied or changed): nothing is known of such an
 * entry's end, and whoever reads it will find out.
 */
import type { BigIntStats } from 'node:fs';
import { lstat, rm } from 'node:fs/promises';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { ignoring } from './authority-files.js';
import type { FileLeases } from './file-lease.js';
import { walk } from './file-paths.js';

/** Nobody needs a temporary file or the memory of a failure for longer than seconds. */
const leftoverAge: Milliseconds = 10 * 60 * 1000;

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
  readonly path: string;
  readonly bytes: Bytes;
  readonly used: number;
}

/**
 * Removes expired entries, then those unused for longest until nine tenths of `capacity` are left. Resolves
 * with how many were removed for their room. Any number of processes may do so at once: each entry is counted
 * once at the most. Rejects with the errors of the file system.
 */
export async function sweep({ root, capacity, now, leases, signal }: SweepOptions): Promise<number> {
  const candidates: Candidate[] = [];
  let total = 0;
  for await (const { kind, path } of walk(root)) {
    if (signal.aborted) return 0;
    if (kind === 'lock') {
      // Not removed when free: an empty one is the next holder's to replace, and takes next to nothing.
      await leases.freed(path);
      continue;
    }
    const stats = await ignoring('ENOENT', () => lstat(path, { bigint: true }));
    if (!stats) continue;
    const isOld =
      kind === 'entry'
        ? hasExpired(stats, now())
        : Date.now() - Number(stats.mtimeNs / 1_000_000n) > leftoverAge;
    if (isOld) await rm(path, { recursive: true, force: true });
    else if (kind === 'entry') {
      const bytes = occupied(stats);
      total += bytes;
      candidates.push({ path, bytes, used: Number(stats.atimeNs / 1_000_000n) });
    }
  }
  if (total <= capacity) return 0;
  candidates.sort((a, b) => a.used - b.used);
  let evicted = 0;
  for (const { path, bytes } of candidates) {
    if (total <= capacity * 0.9 || signal.aborted) break;
    const removed = await ignoring('ENOENT', async () => {
      await rm(path, { recursive: true });
      return true;
    });
    total -= bytes;
    if (removed) evicted += 1;
  }
  return evicted;
}

/** What a file takes on its disk: most are smaller than the smallest piece that is given out. */
function occupied(stats: BigIntStats): Bytes {
  // Windows does not tell the blocks.
  return Math.max(Number(stats.size), Number(stats.blocks ?? 0) * 512);
}

function hasExpired(stats: BigIntStats, now: number): boolean {
  return stats.mtimeNs % 1_000_000_000n === 0n && Number(stats.mtimeNs / 1_000_000n) <= now;
}
