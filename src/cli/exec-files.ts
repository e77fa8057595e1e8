/** The files that make a command trust the CA, and what of the user's own trust goes into them. */
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Authority } from '../certs/index.js';
import { defaultRoots } from '../tls/roots.js';
import { outsideRootFiles, type RootFiles } from './exec-environment.js';
import { reasonOf } from './proxy-options.js';
import { bundle, certificateBlocks, difference, isCertificate, systemRoots } from './roots.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** What the user's environment makes programs trust, by how it does. */
export interface Outside {
  /** Trusted in addition to other roots. */
  readonly additional: readonly string[];
  /** Trusted instead of other roots. */
  readonly complete: readonly string[];
  /** The settings of wget, where there are any. */
  readonly wgetrc: string;
}

/**
 * The command is told to trust our files instead of the user's: ours have what theirs have. A file that cannot
 * be read is left out, and `notice` told.
 */
export async function readOutsideRoots(
  environment: Environment,
  notice: (text: string) => void,
): Promise<Outside> {
  const additional: string[] = [];
  const complete: string[] = [];
  for (const file of outsideRootFiles(environment)) {
    try {
      const blocks = certificateBlocks(await readFile(file.path, 'utf8'));
      (file.additional ? additional : complete).push(...blocks.filter(isCertificate));
    } catch (error) {
      notice(`${file.name} of your environment is left out: ${file.path}: ${reasonOf(error)}`);
    }
  }
  // Most people have none, and wget itself goes on without one that it cannot read.
  const wgetrc = await readFile(environment['WGETRC'] ?? join(homedir(), '.wgetrc'), 'utf8').catch(() => '');
  return { additional, complete, wgetrc };
}

/**
 * What the user's environment trusts, the proxy must trust for the command; but for what it trusts anyway, as
 * a list of roots of its own costs it time and memory.
 */
export function beyondDefaults({ additional, complete }: Outside): string[] {
  return difference([...additional, ...complete], defaultRoots());
}

/** Runs `work` with the files in a private directory (0700, each 0600), which is gone afterwards in every path. */
export async function withRootFiles<T>(
  ca: Authority,
  { additional, complete, wgetrc }: Outside,
  work: (files: RootFiles) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-exec-'));
  const remove = (): void => {
    rmSync(directory, { recursive: true, force: true });
  };
  // For an end that no `finally` sees, such as an uncaught error.
  process.once('exit', remove);
  try {
    // An imported CA need not be a root: then those above it are needed too.
    const own = ca.certificates.map(String);
    const { certificates: system } = await systemRoots();
    const files: RootFiles = {
      caFile: ca.paths.certificate,
      extraFile: join(directory, 'extra-roots.pem'),
      bundleFile: join(directory, 'roots.pem'),
      wgetrcFile: join(directory, 'wgetrc'),
    };
    const mode = 0o600;
    await writeFile(files.extraFile, bundle([...own, ...additional]), { mode });
    await writeFile(files.bundleFile, bundle([...own, ...additional, ...complete, ...system]), { mode });
    await writeFile(files.wgetrcFile, `${wgetrc}\nca_certificate = ${files.bundleFile}\n`, { mode });
    return await work(files);
  } finally {
    process.off('exit', remove);
    remove();
  }
}
