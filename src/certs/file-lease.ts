/**
 * The right to write one entry, among processes that share a directory and may stop, stall or die anywhere.
 *
 * A lease is a directory, `<name>.lock`, with one file in it. The name of the file says who holds the lease,
 * and no two are ever the same. Every step that decides something is one system call on names, so that there
 * is never a moment between looking and acting:
 *
 * - Taken: a directory with the file in it is made under a name of its own and renamed to `<name>.lock`, which
 *   fails where a directory is that is not empty, and replaces one that is.
 * - Taken over: the file of the dead holder is unlinked. Whoever judged it dead too finds nothing to unlink; a
 *   holder that came after it has another file. The empty directory is free for all.
 * - Written: the holder puts the entry into its own file, flushes it and renames that file to the entry's name.
 *   This replaces the entry, gives the lease back and proves that it was still held, all at once: had somebody
 *   taken it over, the file would be gone and the rename would fail. So a holder that was stopped for an hour
 *   between any two steps writes nothing over what came after it.
 *
 * A holder is dead when its process has ended (`file-process.ts`), or when its file did not change for its
 * lease's time, watched by the clock of the watcher: clocks of others, and clocks that are set, do not
 * matter.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  unlink,
  utimes,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Milliseconds } from '../base/bytes.js';
import { ignoring, makeDirectory, systemCode } from './authority-files.js';
import { type EntryPaths, attempt, ignoringAll, temporaryPath } from './file-paths.js';
import { type ProcessIdentity, hasEnded } from './file-process.js';
import type { Lease, StoredFailure } from './store-backend.js';

/** A holder's file as it was first seen in its present state. */
interface Sighting {
  readonly holder: string;
  /** The times of the file: what is renewed differs in one of them, however coarse the system's clock is. */
  readonly changed: string;
  readonly since: Milliseconds;
}

/**
 * Keys whose leases are watched at a time; of more, those watched for longest are forgotten and begin anew.
 */
const mostSightings = 10_000;
/** Rounds of finding the lease free, or making it so, and losing it to another. */
const mostRounds = 4;

export class FileLeases {
  readonly #self: ProcessIdentity;
  /** Milliseconds of a clock that is never set. */
  readonly #clock: () => Milliseconds;
  readonly #written: (bytes: number) => void;
  readonly #sightings = new Map<string, Sighting>();

  constructor(options: {
    readonly self: ProcessIdentity;
    readonly clock: () => Milliseconds;
    /** Hears of each entry and each failure that was written. */
    readonly written: (bytes: number) => void;
  }) {
    this.#self = options.self;
    this.#clock = options.clock;
    this.#written = options.written;
  }

  /** The lease, or `undefined` when a living process holds it. Rejects with `ERR_STORE_UNAVAILABLE`. */
  async acquire(paths: EntryPaths, lease: Milliseconds): Promise<Lease | undefined> {
    return attempt(`take the lease ${basename(paths.lock)}`, async () => {
      for (let round = 0; round < mostRounds; round++) {
        if (!(await this.freed(paths.lock))) return undefined;
        const taken = await this.#take(paths, lease);
        if (taken !== undefined) return new FileLease(paths, taken, this.#written);
      }
      return undefined;
    });
  }

  /** Whether nobody holds the lease at `lock`, after a dead holder was removed. */
  async freed(lock: string): Promise<boolean> {
    const holder = await holderOf(lock);
    if (holder === undefined) {
      this.#sightings.delete(lock);
      return true;
    }
    const path = join(lock, holder);
    if (!(await this.#isDead(lock, holder))) return false;
    this.#sightings.delete(lock);
    // Its name is nobody else's, so this never hits a holder that came after it. Recursive: what others put.
    await rm(path, { recursive: true, force: true });
    return true;
  }

  /** The path of our file, or `undefined` when somebody was faster. */
  async #take(paths: EntryPaths, lease: Milliseconds): Promise<string | undefined> {
    const token = randomBytes(12).toString('hex');
    const { pid, start, place } = this.#self;
    const holder = [Math.ceil(lease), pid, start, place, token].join('.');
    const temporary = temporaryPath(paths, token);
    await mkdir(temporary, 0o700).catch(async (error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error;
      await makeDirectory(paths.directory);
      await mkdir(temporary, 0o700);
    });
    try {
      const file = await open(join(temporary, holder), 'wx', 0o600);
      await file.close();
      await rename(temporary, paths.lock);
      return join(paths.lock, holder);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      if (!isOccupiedError(error)) throw error;
      // Not everywhere does a directory replace an empty one.
      await removeIfEmpty(paths.lock);
      return undefined;
    }
  }

  async #isDead(lock: string, name: string): Promise<boolean> {
    const holder = parseHolder(name);
    if (holder && (await hasEnded(holder.process, this.#self))) return true;
    const stats = await ignoring('ENOENT', () => lstat(join(lock, name), { bigint: true }));
    if (!stats) return false;
    const changed = `${stats.ctimeNs} ${stats.mtimeNs}`;
    const now = this.#clock();
    const seen = this.#sightings.get(lock);
    if (seen?.holder === name && seen.changed === changed) {
      return now - seen.since >= (holder?.lease ?? longestLease);
    }
    this.#sightings.delete(lock);
    this.#sightings.set(lock, { holder: name, changed, since: now });
    if (this.#sightings.size > mostSightings) {
      for (const first of this.#sightings.keys()) {
        this.#sightings.delete(first);
        break;
      }
    }
    return false;
  }
}

class FileLease implements Lease {
  readonly #paths: EntryPaths;
  /** Our file in the lock's directory. While it is there, the lease is ours. */
  readonly #held: string;
  readonly #written: (bytes: number) => void;

  constructor(paths: EntryPaths, held: string, written: (bytes: number) => void) {
    this.#paths = paths;
    this.#held = held;
    this.#written = written;
  }

  async renew(): Promise<boolean> {
    const now = new Date();
    return attempt(`renew the lease ${basename(this.#paths.lock)}`, () =>
      unlessLost(() => utimes(this.#held, now, now)),
    );
  }

  async commit(entry: Buffer, { notAfter }: { readonly notAfter: number }): Promise<boolean> {
    const { entry: target, failure } = this.#paths;
    return this.#publish(entry, target, {
      stamp: Math.ceil(notAfter / 1000),
      // Before the entry is there, so that nobody finds it with a failure from before it.
      first: () => rm(failure, { recursive: true, force: true }),
    });
  }

  async fail(failure: StoredFailure): Promise<void> {
    await this.#publish(Buffer.from(JSON.stringify(failure)), this.#paths.failure);
  }

  async release(): Promise<void> {
    await attempt(`give back the lease ${basename(this.#paths.lock)}`, async () => {
      await unlessLost(() => unlink(this.#held));
      await removeIfEmpty(this.#paths.lock);
    });
  }

  /** Makes `bytes` the contents of `target` and gives the lease back; `false` when it was lost. */
  async #publish(
    bytes: Buffer,
    target: string,
    options?: { readonly stamp: number; readonly first: () => Promise<void> },
  ): Promise<boolean> {
    return attempt(`write ${basename(target)}`, async () => {
      try {
        const published = await unlessLost(async () => {
          const file = await open(this.#held, constants.O_WRONLY | constants.O_NOFOLLOW);
          await closing(file, async () => {
            await file.writeFile(bytes);
            // See `file-sweep.ts` for what the two times of an entry mean.
            if (options) await file.utimes(Date.now() / 1000, options.stamp);
            await file.sync();
          });
          await options?.first();
          await renameOver(this.#held, target, temporaryPath(this.#paths, randomBytes(12).toString('hex')));
        });
        if (!published) return false;
        await syncDirectory(this.#paths.directory);
        this.#written(bytes.length);
        return true;
      } finally {
        // Also when it could not be written: somebody else may be able to, and need not wait for us.
        await unlessLost(() => unlink(this.#held));
        await removeIfEmpty(this.#paths.lock);
      }
    });
  }
}

/** Runs `work` on our file; `false` when that is gone. */
async function unlessLost(work: () => Promise<void>): Promise<boolean> {
  const done = await ignoring('ENOENT', async () => {
    await work();
    return true;
  });
  return done ?? false;
}

/** Renames a file, also over a directory that somebody put in its place. */
async function renameOver(from: string, to: string, aside: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (systemCode(error) !== 'EISDIR') throw error;
    // With the slash it fails if that is a file by now, from a holder that came after us (POSIX, pathname
    // resolution).
    await ignoringAll(['ENOENT', 'ENOTDIR'], () => rename(`${to}/`, aside));
    await rm(aside, { recursive: true, force: true });
    await rename(from, to);
  }
}

/** The name of the file in the lock; `undefined` when there is none. */
async function holderOf(lock: string): Promise<string | undefined> {
  try {
    const [name] = await readdir(lock);
    return name;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTDIR') {
      // None of ours: a lock never is a file.
      await rm(lock, { force: true });
      return undefined;
    }
    if (code !== 'ENOENT') throw error;
    return undefined;
  }
}

const longestLease: Milliseconds = 10 * 60 * 1000;

function parseHolder(
  name: string,
): { readonly lease: Milliseconds; readonly process: ProcessIdentity } | undefined {
  const [lease, pid, start, place] = name.split('.');
  if (start === undefined || place === undefined || !/^\d{1,15}$/.test(lease ?? '')) return undefined;
  if (!/^[1-9]\d{0,9}$/.test(pid ?? '')) return undefined;
  return {
    lease: Math.min(Number(lease), longestLease),
    process: { pid: Number(pid), start, place },
  };
}

async function removeIfEmpty(directory: string): Promise<void> {
  await ignoringAll(['ENOENT', 'ENOTEMPTY', 'EEXIST'], () => rmdir(directory));
}

/** Windows has no handles of directories to flush, and needs none. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  await closing(handle, () => handle.sync());
}

async function closing(file: FileHandle, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } finally {
    await file.close();
  }
}

function isOccupiedError(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOTEMPTY' || code === 'EEXIST' || (code === 'EPERM' && process.platform === 'win32');
}
