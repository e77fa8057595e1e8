/**
 * The two files of a CA directory, read with care and written so that they always belong together.
 *
 * How a pair comes into being, for any number of processes at the same moment and a crash at any point: the
 * pair is written to a file of its own, flushed, and linked to one name, the pending file. Linking fails when
 * the name is taken, so of all the pairs that were made only one becomes pending. Everybody, the winner, the
 * losers and whoever comes after a crash, then links the pending pair's two files to their final names, where
 * a name that is taken is left as it is, and removes the pending file. As the pending file goes only after
 * both names are taken, the two files always come from the same pair.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, link, mkdir, open, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Bytes } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';
import { pemBlocks } from './pem.js';
import type { AuthorityPair } from './root.js';

export interface AuthorityPaths {
  readonly directory: string;
  /** `ca.pem`: the CA certificate, and its chain after it. Mode 0644. */
  readonly certificate: string;
  /** `ca-key.pem`: its private key, PKCS #8. Mode 0600. */
  readonly key: string;
}

/** The absolute paths of the CA in `directory`. */
export function authorityPaths(directory: string): AuthorityPaths {
  const absolute = resolve(directory);
  return {
    directory: absolute,
    certificate: join(absolute, 'ca.pem'),
    key: join(absolute, 'ca-key.pem'),
  };
}

/**
 * The pair in the directory, `undefined` when it holds none. Finishes a pair that another process has begun
 * or left unfinished. Rejects with `ERR_CA_PERMISSIONS` when others can read the key, `ERR_CA_BROKEN` when
 * one of the files is missing or no file, `ERR_CA_DIR` when they cannot be read.
 */
export async function readPair(paths: AuthorityPaths): Promise<AuthorityPair | undefined> {
  let before = await readBoth(paths);
  while (!isPair(before)) {
    // Somebody may be between the first file and the second, or have finished both since we looked.
    await finishPending(paths);
    const files = await readBoth(paths);
    if (isPair(files)) return files;
    if (files.certificatePem === undefined && files.keyPem === undefined) return undefined;
    const [found, missing] =
      files.keyPem === undefined ? [paths.certificate, paths.key] : [paths.key, paths.certificate];
    // Only a file that was there before the pending one was looked for has lost its other half. One that
    // came after belongs to a pair that somebody is putting in place at this moment: the next look tells.
    if (before.certificatePem !== undefined || before.keyPem !== undefined) {
      throw new SallyportError('ERR_CA_BROKEN', `${found} is there, but ${missing} is missing`);
    }
    before = files;
  }
  return before;
}

/**
 * Writes `pair`, unless there is one already; which of the two it was, `readPair` tells. Makes the directory
 * (0700) if need be. Rejects with `ERR_CA_DIR` when something cannot be written.
 */
export async function installPair(paths: AuthorityPaths, pair: AuthorityPair): Promise<void> {
  await attempt(`make the directory ${paths.directory}`, () => makeDirectory(paths.directory));
  await linkExclusively(paths, pendingPath(paths), pair.keyPem + pair.certificatePem, 0o600);
  await finishPending(paths);
}

type Found = { readonly [File in keyof AuthorityPair]: string | undefined };

async function readBoth(paths: AuthorityPaths): Promise<Found> {
  return { certificatePem: await readFile(paths.certificate), keyPem: await readKey(paths.key) };
}

function isPair(files: Found): files is AuthorityPair {
  return files.certificatePem !== undefined && files.keyPem !== undefined;
}

function pendingPath(paths: AuthorityPaths): string {
  return join(paths.directory, '.ca-pending.pem');
}

/** Puts the pending pair, if there is one, in its place. Any number of processes may do this at once. */
async function finishPending(paths: AuthorityPaths): Promise<void> {
  const pending = pendingPath(paths);
  const text = await readKey(pending);
  if (text === undefined) return;
  const [key, ...certificates] = pemBlocks(text);
  if (key === undefined || certificates.length === 0) {
    throw new SallyportError('ERR_CA_BROKEN', `${pending} is damaged: remove it`);
  }
  await linkExclusively(paths, paths.key, key.text, 0o600);
  await linkExclusively(paths, paths.certificate, certificates.map((block) => block.text).join(''), 0o644);
  await attempt(`remove ${pending}`, () => rm(pending, { force: true }));
  await syncDirectory(paths.directory);
}

/**
 * `mkdir -p`. Node's own never ends where a directory can be seen but nothing can be made in it and the
 * system says ENOENT, as in `/proc`.
 */
export async function makeDirectory(path: string): Promise<void> {
  const make = (): Promise<unknown> => ignoring('EEXIST', () => mkdir(path, 0o700));
  try {
    await make();
  } catch (error) {
    const parent = dirname(path);
    if (systemCode(error) !== 'ENOENT' || parent === path) throw error;
    await makeDirectory(parent);
    await make();
  }
}

/** Makes `path` with this text, whole and on the disk, or leaves the file that is there. */
async function linkExclusively(
  paths: AuthorityPaths,
  path: string,
  text: string,
  mode: number,
): Promise<void> {
  const temporary = join(paths.directory, `.ca-${process.pid}-${randomBytes(8).toString('hex')}.tmp`);
  await attempt(`write ${path}`, async () => {
    try {
      await writeDurably(temporary, text, mode);
      await ignoring('EEXIST', () => link(temporary, path));
    } finally {
      await rm(temporary, { force: true });
    }
  });
  await syncDirectory(paths.directory);
}

async function writeDurably(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    // The mode given to `open` is cut by the umask.
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Puts the names of a directory on the disk. Windows does that by itself and opens no directories. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  await attempt(`write to ${directory}`, async () => {
    const handle = await open(directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/** Larger than any chain of certificates that is one. */
const largestFile: Bytes = 1024 * 1024;

/** The text of a key file that nobody else can read; `undefined` when there is none. */
async function readKey(path: string): Promise<string | undefined> {
  return readFile(path, async (file) => {
    // Windows has no such modes; there the user's profile directory is what protects the key.
    if (process.platform === 'win32') return;
    const { mode } = await file.stat();
    if ((mode & 0o077) === 0) return;
    const octal = (mode & 0o777).toString(8).padStart(4, '0');
    throw new SallyportError(
      'ERR_CA_PERMISSIONS',
      `${path} has mode ${octal}; run: chmod 600 ${shellQuoted(path)}`,
    );
  });
}

async function readFile(
  path: string,
  check?: (file: FileHandle) => Promise<void>,
): Promise<string | undefined> {
  return attempt(`read ${path}`, () =>
    ignoring('ENOENT', async () => {
      const file = await open(path, 'r');
      try {
        const stats = await file.stat();
        if (!stats.isFile()) throw new SallyportError('ERR_CA_BROKEN', `${path} is not a file`);
        if (stats.size > largestFile) {
          throw new SallyportError('ERR_CA_BROKEN', `${path} has ${stats.size} bytes, which is no PEM file`);
        }
        await check?.(file);
        return await file.readFile('utf8');
      } finally {
        await file.close();
      }
    }),
  );
}

/** `undefined` when `work` fails with this code of the system. */
export async function ignoring<T>(code: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (systemCode(error) === code) return undefined;
    throw error;
  }
}

/** Failures of the file system as `ERR_CA_DIR`, with what was being done. */
async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined || error instanceof SallyportError) throw error;
    throw new SallyportError('ERR_CA_DIR', `cannot ${what}: ${reasons[code] ?? code}`, { cause: error });
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied (EACCES)',
  EPERM: 'not permitted (EPERM)',
  ENOTDIR: 'a part of the path is not a directory (ENOTDIR)',
  EEXIST: 'a file is in its place (EEXIST)',
  EROFS: 'the file system is read-only (EROFS)',
  ENOSPC: 'the disk is full (ENOSPC)',
  ENOENT: 'no such file or directory (ENOENT)',
};

export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return error.code;
}

function shellQuoted(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
