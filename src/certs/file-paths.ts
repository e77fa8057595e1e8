/** Where a `file:` store keeps what: `<authority>/<profile>/<2 hex>/<host>-<digest>` and a suffix. */
import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SallyportError } from '../base/errors.js';
import { ignoring, systemCode } from './authority-files.js';
import type { CertificateKey } from './store.js';

export interface EntryPaths {
  readonly directory: string;
  /** The part that all names of one key begin with. */
  readonly name: string;
  /** The entry: a file. */
  readonly entry: string;
  /** The last failure: a file. */
  readonly failure: string;
  /** The lease: a directory with one file, whose name says who holds it. */
  readonly lock: string;
}

const suffixes = { entry: '.json', failure: '.failed', lock: '.lock', temporary: '.tmp' } as const;

/** The host is in the name for people, its digest to tell hosts apart that look the same when cut. */
export function entryPaths(root: string, { authority, profile, host }: CertificateKey): EntryPaths {
  const digest = createHash('sha256').update(host).digest('hex').slice(0, 32);
  const readable = host
    .slice(0, 64)
    .replaceAll(/[^A-Za-z0-9._-]/g, '_')
    // A name that begins with a dot is hidden.
    .replace(/^\./, '_');
  const group = authority.replaceAll(':', '').slice(0, 32).toLowerCase();
  const directory = join(root, group, profile, digest.slice(0, 2));
  const name = `${readable}-${digest}`;
  const base = join(directory, name);
  return {
    directory,
    name,
    entry: base + suffixes.entry,
    failure: base + suffixes.failure,
    lock: base + suffixes.lock,
  };
}

/** A name beside the others that nobody else has. */
export function temporaryPath(paths: EntryPaths, token: string): string {
  return join(paths.directory, `${paths.name}.${token}${suffixes.temporary}`);
}

export interface FoundFile {
  readonly kind: keyof typeof suffixes;
  readonly path: string;
}

/**
 * All that is in the places of a store, in no order; what is not the store's is left out. Follows no links.
 */
export async function* walk(root: string): AsyncGenerator<FoundFile, void, undefined> {
  for (const authority of await directories(root, /^[0-9a-f]{32}$/)) {
    for (const profile of await directories(authority, /^[a-z0-9-]+$/)) {
      for (const bucket of await directories(profile, /^[0-9a-f]{2}$/)) {
        for (const { name } of await contents(bucket)) {
          const kind = kindOf(name);
          if (kind) yield { kind, path: join(bucket, name) };
        }
      }
    }
  }
}

async function directories(path: string, pattern: RegExp): Promise<string[]> {
  return (await contents(path))
    .filter((found) => found.isDirectory() && pattern.test(found.name))
    .map(({ name }) => join(path, name));
}

async function contents(path: string): Promise<readonly Dirent[]> {
  return (await ignoring('ENOENT', () => readdir(path, { withFileTypes: true }))) ?? [];
}

function kindOf(name: string): FoundFile['kind'] | undefined {
  if (name.endsWith(suffixes.entry)) return 'entry';
  if (name.endsWith(suffixes.failure)) return 'failure';
  if (name.endsWith(suffixes.lock)) return 'lock';
  return name.endsWith(suffixes.temporary) ? 'temporary' : undefined;
}

/**
 * Failures of the system as `ERR_STORE_UNAVAILABLE`. `what` says what was done, with the end of a path at
 * most.
 */
export async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined || error instanceof SallyportError) throw error;
    throw new SallyportError('ERR_STORE_UNAVAILABLE', `cannot ${what}: ${code}`, { cause: error });
  }
}

/** `undefined` when `work` fails with one of these codes of the system. */
export async function ignoringAll<T>(
  codes: readonly string[],
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (codes.includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}
