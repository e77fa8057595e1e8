/**
 * jemalloc in place of the C library's allocator: where the library is, and the environment that has the loader
 * put it first. Nothing here starts a process but `ldconfig -p`.
 */
import { execFile } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import { promisify } from 'node:util';
import { SallyportError } from '../base/errors.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** Holds the library that was put in front of LD_PRELOAD: it is tried once, and taken out again for children. */
export const preloadedBy = 'SALLYPORT_ALLOCATOR_PRELOAD';
/** Holds the setting of jemalloc that is ours and not the user's. */
const configuredBy = 'SALLYPORT_ALLOCATOR_CONF';
/**
 * jemalloc gives memory back while others allocate; a proxy that has become idle does not. Its own thread does
 * it then too.
 */
const settings = 'background_thread:true';

const libraryName = 'libjemalloc.so.2';

/** The machines of Node's Linux builds: Debian's directory, and the number in an ELF file (`e_machine`). */
const machines: Readonly<Record<string, { readonly triplet: string; readonly elf: number }>> = {
  arm: { triplet: 'arm-linux-gnueabihf', elf: 40 },
  arm64: { triplet: 'aarch64-linux-gnu', elf: 183 },
  ia32: { triplet: 'i386-linux-gnu', elf: 3 },
  loong64: { triplet: 'loongarch64-linux-gnu', elf: 258 },
  ppc64: { triplet: 'powerpc64le-linux-gnu', elf: 21 },
  riscv64: { triplet: 'riscv64-linux-gnu', elf: 243 },
  s390x: { triplet: 's390x-linux-gnu', elf: 22 },
  x64: { triplet: 'x86_64-linux-gnu', elf: 62 },
};

/** What decides whether jemalloc can be used; all of it can be read from this process. */
export interface Machine {
  readonly platform: string;
  /** As `process.arch`. */
  readonly arch: string;
  /** Whether Node runs on glibc: other C libraries keep their allocator to themselves. */
  readonly glibc: boolean;
  /** Paths of the library that may be there, the likeliest first. */
  readonly candidates: () => Promise<readonly string[]>;
}

export function thisMachine(): Machine {
  const { platform, arch } = process;
  return {
    platform,
    arch,
    get glibc() {
      return isGlibc();
    },
    candidates: async () => [...wellKnown(arch), ...fromLoader(await loaderCache())],
  };
}

/** jemalloc's path, or why there is none, with what to do about it. */
export type Found =
  { readonly path: string } | { readonly missing: string; readonly advice: string | undefined };

/** Looks for a library that this very process could load. */
export async function findJemalloc(machine: Machine): Promise<Found> {
  const { platform, arch, glibc } = machine;
  if (platform !== 'linux') {
    return { missing: `needs Linux; this is ${platform}`, advice: undefined };
  }
  if (!glibc) {
    return { missing: 'needs a Node.js for glibc; this one is for another C library', advice: undefined };
  }
  for (const path of await machine.candidates()) {
    if (await isFor(path, arch)) return { path };
  }
  return { missing: `${libraryName} was not found`, advice: installCommand(await osRelease()) };
}

/** The command that installs the library, by the text of /etc/os-release. */
export function installCommand(release: string): string {
  const like = /^ID(?:_LIKE)?=.*/gm;
  const family = (release.match(like) ?? []).join(' ').toLowerCase();
  if (/debian|ubuntu/.test(family)) return 'sudo apt-get install libjemalloc2';
  if (/suse/.test(family)) return 'sudo zypper install libjemalloc2';
  if (/fedora|rhel|centos/.test(family)) return 'sudo dnf install jemalloc';
  if (/arch/.test(family)) return 'sudo pacman -S jemalloc';
  return 'the package manager of this system (Debian calls it libjemalloc2, Fedora jemalloc)';
}

/** `outside` for a process whose loader is to take `path` first. */
export function withAllocator(outside: Environment, path: string): Record<string, string | undefined> {
  const { LD_PRELOAD: before = '', MALLOC_CONF: configured } = outside;
  return {
    ...outside,
    LD_PRELOAD: before === '' ? path : `${path}:${before}`,
    [preloadedBy]: path,
    ...(configured === undefined ? { MALLOC_CONF: settings, [configuredBy]: settings } : {}),
  };
}

/** The environment as it was before `withAllocator`: for processes that are not ours. */
export function withoutAllocator(environment: Environment): Record<string, string | undefined> {
  const {
    [preloadedBy]: path,
    [configuredBy]: configured,
    LD_PRELOAD: preload,
    MALLOC_CONF: conf,
    ...rest
  } = environment;
  const others = path !== undefined && preload?.startsWith(path) ? preload.slice(path.length + 1) : preload;
  const keepsConf = conf !== undefined && conf !== configured;
  return {
    ...rest,
    ...(others === undefined || (others === '' && path !== undefined) ? {} : { LD_PRELOAD: others }),
    ...(keepsConf ? { MALLOC_CONF: conf } : {}),
  };
}

/** Whether jemalloc is in this process, whoever put it there. */
export async function isLoaded(): Promise<boolean> {
  const maps = await readFile('/proc/self/maps', 'utf8').catch(() => '');
  return /\/libjemalloc\.so[^/\n]*$/m.test(maps);
}

export function allocatorError(detail: string): SallyportError {
  return new SallyportError('ERR_ALLOCATOR', `--allocator jemalloc ${detail}`);
}

function wellKnown(arch: string): readonly string[] {
  const triplet = machines[arch]?.triplet;
  const directories = [
    ...(triplet === undefined ? [] : [`/usr/lib/${triplet}`, `/lib/${triplet}`, `/usr/local/lib/${triplet}`]),
    '/usr/lib64',
    '/usr/lib',
    '/lib64',
    '/usr/local/lib64',
    '/usr/local/lib',
  ];
  return directories.map((directory) => `${directory}/${libraryName}`);
}

/** The paths in what `ldconfig -p` prints: `libjemalloc.so.2 (libc6,x86-64) => /lib/…/libjemalloc.so.2`. */
export function fromLoader(cache: string): readonly string[] {
  const lines = cache.matchAll(/^\s*libjemalloc\.so\.2 .*=> (\/.+)$/gm);
  return [...lines].map(([, path = '']) => path);
}

async function loaderCache(): Promise<string> {
  for (const ldconfig of ['/sbin/ldconfig', '/usr/sbin/ldconfig', 'ldconfig']) {
    try {
      return (await promisify(execFile)(ldconfig, ['-p'], { maxBuffer: 16 * 1024 * 1024 })).stdout;
    } catch {
      // Not there, or one that knows no -p: the next, and at last the well-known directories alone.
      continue;
    }
  }
  return '';
}

/** Whether `path` is a library for `arch`: of another it is a warning of the loader, and not loaded. */
async function isFor(path: string, arch: string): Promise<boolean> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(20), 0, 20, 0);
    if (bytesRead < 20 || buffer.toString('latin1', 0, 4) !== '\x7fELF') return false;
    const machine = endianness() === 'LE' ? buffer.readUInt16LE(18) : buffer.readUInt16BE(18);
    const known = machines[arch];
    return known === undefined || known.elf === machine;
  } catch {
    // Not there, or not for us to read: then not for the loader either.
    return false;
  }
}

function isGlibc(): boolean {
  const report: unknown = process.report?.getReport();
  if (typeof report !== 'object' || report === null || !('header' in report)) return false;
  const { header } = report;
  return typeof header === 'object' && header !== null && 'glibcVersionRuntime' in header;
}

async function osRelease(): Promise<string> {
  return await readFile('/etc/os-release', 'utf8').catch(() => '');
}
