/** The store in a directory, which any number of processes of one machine share. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';
import { makeDirectory, systemCode } from './authority-files.js';
import { FileBackend } from './file-backend.js';
import { SharedStore } from './shared-store.js';
import type { InspectableStore, StoreContext } from './store.js';

export interface FileStoreOptions {
  /**
   * Made with mode 0700 if need be. Others may read what is there, as keys are sealed, but must not write.
   */
  readonly dir: string;
  /** What the entries may take on the disk; default 256 MiB, which is about 60,000 P-256 leaves. */
  readonly capacity?: Bytes;
  /** The time in epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
  /** How long a process may show no sign of life while it generates; default that of `SharedStore`. */
  readonly lease?: Milliseconds;
}

/**
 * Opens the store in `dir`. The directory stays; what the store holds in this process is the caller's to
 * close. Rejects with `ERR_STORE` when the directory cannot be made, read or written, or when somebody else
 * can write to it. What fails later is reported as `degraded`, and fails nobody.
 */
export async function openFileStore({
  dir,
  capacity = 256 * 1024 * 1024,
  now = Date.now,
  lease,
  ...context
}: FileStoreOptions & StoreContext): Promise<InspectableStore> {
  const root = resolve(dir);
  await prepare(root);
  const backend = new FileBackend({ root, capacity, now });
  // Nobody waits for it.
  void backend.sweep();
  return new SharedStore({ ...context, backend, now, ...(lease === undefined ? {} : { lease }) });
}

async function prepare(root: string): Promise<void> {
  try {
    await makeDirectory(root);
    const stats = await stat(root);
    if (!stats.isDirectory()) throw new SallyportError('ERR_STORE', `${root} is not a directory`);
    checkOwner(root, stats);
    await access(root, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined || error instanceof SallyportError) throw error;
    throw new SallyportError('ERR_STORE', `the directory ${root} cannot be used: ${code}`, { cause: error });
  }
}

/** Leaves that somebody else could have put there would be served to clients. */
function checkOwner(root: string, { mode, uid }: { readonly mode: number; readonly uid: number }): void {
  // Windows has no such modes; there the user's profile directory is what protects the store.
  if (process.platform === 'win32') return;
  if ((mode & 0o022) !== 0) {
    const octal = (mode & 0o777).toString(8).padStart(4, '0');
    throw new SallyportError(
      'ERR_STORE',
      `others can write to ${root}, which has mode ${octal}; make it 0700`,
    );
  }
  if (uid !== 0 && uid !== process.getuid?.()) {
    throw new SallyportError('ERR_STORE', `${root} belongs to another user (uid ${uid})`);
  }
}
