/**
 * A directory as the place that processes of one machine share: see `file-lease.ts` for how they keep apart.
 */
import { type Stats, constants } from 'node:fs';
import { type FileHandle, lstat, open, rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import { ignoring, systemCode } from './authority-files.js';
import { FileLeases } from './file-lease.js';
import { attempt, entryPaths, walk } from './file-paths.js';
import { currentProcess } from './file-process.js';
import { sweep } from './file-sweep.js';
import type { Lease, ListedEntry, StoreBackend, StoredFailure, StoredState } from './store-backend.js';
import type { CertificateKey } from './store.js';

export interface FileBackendOptions {
  /** An absolute path; the directory is there. */
  readonly root: string;
  /** What the entries and the failures may take on the disk. */
  readonly capacity: Bytes;
  /** The time in epoch milliseconds, for the ends of certificates. */
  readonly now: () => number;
}

/** Larger than any entry; what is larger is not read. */
const largestEntry: Bytes = 64 * 1024;
/** What an entry that is there but cannot be read is read as: no entry is empty. */
const unreadable = Buffer.alloc(0);
/** How exactly the times of use are kept. */
const usePrecision: Milliseconds = 60 * 1000;
const shortestPoll: Milliseconds = 5;
const longestPoll: Milliseconds = 50;
const longestWait: Milliseconds = 250;
/** A disk gives out no less than this for a file. */
const block: Bytes = 4096;

export class FileBackend implements StoreBackend {
  readonly name: string;
  readonly #root: string;
  readonly #capacity: Bytes;
  readonly #now: () => number;
  readonly #leases: FileLeases;
  /** Open as long as the backend. */
  readonly #context = Context.background.withCancel();
  #sweeping: Promise<void> | undefined;
  /** Written by this process since the last sweep. */
  #written: Bytes = 0;
  #evicted = 0;

  constructor({ root, capacity, now }: FileBackendOptions) {
    this.name = `file:${root}`;
    this.#root = root;
    this.#capacity = capacity;
    this.#now = now;
    this.#leases = new FileLeases({
      self: currentProcess(),
      clock: () => performance.now(),
      written: (bytes) => {
        this.#written += Math.ceil(bytes / block) * block;
        this.#sweepIfDue();
      },
    });
  }

  get evicted(): number {
    return this.#evicted;
  }

  async read(key: CertificateKey): Promise<StoredState> {
    const paths = entryPaths(this.#root, key);
    // The entry first: a commit forgets the failure before it writes the entry.
    const entry = await attempt(`read ${basename(paths.entry)}`, () => readKept(paths.entry));
    const failure = await attempt(`read ${basename(paths.failure)}`, () => readKept(paths.failure));
    return { entry, failure: failure && parseFailure(failure) };
  }

  acquire(key: CertificateKey, lease: Milliseconds): Promise<Lease | undefined> {
    return this.#leases.acquire(entryPaths(this.#root, key), lease);
  }

  /**
   * Looks at the lock alone: whatever a holder writes, it gives the lease back in the same step, and that
   * changes the lock's directory. A holder that dies changes nothing, so the wait is a short one.
   */
  async changed(
    key: CertificateKey,
    { signal, attempt: count }: { readonly signal: AbortSignal; readonly attempt: number },
  ): Promise<void> {
    const { lock } = entryPaths(this.#root, key);
    using context = this.#context.withCancel();
    const stop = (): void => {
      context.close(
        new SallyportError('ERR_CANCELLED', 'nobody waits for the store any more', { cause: signal.reason }),
      );
    };
    signal.addEventListener('abort', stop, { once: true });
    try {
      if (signal.aborted) stop();
      const look = (): Promise<string | undefined> =>
        attempt(`look at ${basename(lock)}`, () => identity(lock));
      const before = await look();
      // Given back since the caller looked.
      if (before === undefined && count === 0) return;
      let poll = shortestPoll;
      let left = Math.min(shortestPoll * 2 ** Math.min(count, 10), longestWait);
      while (left > 0) {
        await context.sleep(poll);
        if ((await look()) !== before) return;
        left -= poll;
        poll = Math.min(poll * 2, longestPoll);
      }
      context.throwIfClosed();
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async *list(): AsyncGenerator<ListedEntry, void, undefined> {
    const found = walk(this.#root);
    for (;;) {
      const next = await attempt(`list ${basename(this.#root)}`, () => found.next());
      if (next.done === true) return;
      const { kind, path } = next.value;
      if (kind !== 'entry') continue;
      const entry = await attempt(`read ${basename(path)}`, () => lookAt(path));
      if (!entry) continue;
      const stats = await attempt(`read ${basename(path)}`, () => ignoring('ENOENT', () => lstat(path)));
      if (!stats) continue;
      yield { key: undefined, entry, bytes: stats.size, remove: () => remove(path) };
    }
  }

  async delete(key: CertificateKey): Promise<boolean> {
    const { entry, failure } = entryPaths(this.#root, key);
    await remove(failure);
    return remove(entry);
  }

  /**
   * Makes room; resolves when that is done, also when it went on already. What fails is tried again next
   * time. `close` ends it early.
   */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = undefined;
      this.#sweepIfDue();
    });
    return this.#sweeping;
  }

  #sweepIfDue(): void {
    if (this.#written > this.#capacity / 16 && !this.#context.closed) void this.sweep();
  }

  async #sweep(): Promise<void> {
    this.#written = 0;
    const { signal } = this.#context;
    const leases = this.#leases;
    try {
      this.#evicted += await sweep({
        root: this.#root,
        capacity: this.#capacity,
        now: this.#now,
        leases,
        signal,
      });
    } catch (error) {
      // A directory that cannot be read or written is reported by those who need an entry.
      if (systemCode(error) === undefined) throw error;
    }
  }

  async close(): Promise<void> {
    this.#context.close(new SallyportError('ERR_CANCELLED', 'the store was closed'));
    await this.#sweeping;
  }
}

/** As `readKept`, and it is no use of it. Where the system has no such way to read, its own notes of use are made. */
async function lookAt(path: string): Promise<Buffer | undefined> {
  const unnoticed: number | undefined = constants.O_NOATIME;
  return await readKept(path, unnoticed ?? 0);
}

/**
 * The file at `path`, `unreadable` when it is none that we can read; `undefined` when nothing is there. With `flags`,
 * no use is noted.
 */
async function readKept(path: string, flags?: number): Promise<Buffer | undefined> {
  // Not blocking: somebody may have put a pipe there.
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | (flags ?? 0));
  } catch (error) {
    const code = systemCode(error) ?? '';
    if (code === 'ENOENT') return undefined;
    // A symbolic link is ELOOP (EMLINK on FreeBSD), a socket ENXIO.
    if (['ELOOP', 'EMLINK', 'ENXIO', 'EISDIR'].includes(code)) return unreadable;
    // This file alone, or the way to it?
    const isDenied = code === 'EACCES' || code === 'EPERM';
    // Who is not its owner may not read it unnoticed.
    if (isDenied && flags) return await readKept(path, 0);
    if (isDenied && (await ignoring('ENOENT', () => lstat(path)))) return unreadable;
    throw error;
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > largestEntry) return unreadable;
    if (flags === undefined) await noteUse(file, stats);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** Most systems note by themselves that a file was read; where neither can be, the order of use is lost. */
async function noteUse(file: FileHandle, { atimeMs, mtimeMs }: Stats): Promise<void> {
  const now = Date.now();
  if (now - atimeMs <= usePrecision) return;
  try {
    await file.utimes(now / 1000, mtimeMs / 1000);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
  }
}

function parseFailure(bytes: Buffer): StoredFailure | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(bytes.toString());
  } catch {
    // Not written by us: as good as none.
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const { code, detail, count, until } = parsed as Readonly<Record<string, unknown>>;
  if (typeof code !== 'string' || typeof detail !== 'string') return undefined;
  if (typeof count !== 'number' || typeof until !== 'number') return undefined;
  return { code, detail, count, until };
}

/** What differs between two states of the directory at `path`; `undefined` when there is none. */
async function identity(path: string): Promise<string | undefined> {
  const stats = await ignoring('ENOENT', () => lstat(path, { bigint: true }));
  return stats && `${stats.ino} ${stats.mtimeNs}`;
}

async function remove(path: string): Promise<boolean> {
  const removed = await attempt(`remove ${basename(path)}`, () =>
    ignoring('ENOENT', async () => {
      await rm(path, { recursive: true });
      return true;
    }),
  );
  return removed ?? false;
}
