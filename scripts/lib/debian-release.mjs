/**
 * A package that Debian has in a newer release than this machine's. apt-get fetches it by this machine's own
 * sources with the name of the other release in them, read into a folder that is removed afterwards: the sources
 * and lists of the machine stay as they are, and signatures are checked as ever. What it depends on must be in the
 * release that is here.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { run } from './project.mjs';

/**
 * @param {string} name of the package
 * @param {string} release code name of the release that has it
 * @param {(file: string) => Promise<string | undefined>} install installs the file of a package; what went wrong
 * @returns {Promise<string | undefined>} what went wrong
 */
export async function installFromRelease(name, release, install) {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-apt-'));
  try {
    for (const part of ['sources', 'lists/partial', 'cache/archives/partial']) {
      await mkdir(join(folder, part), { recursive: true });
    }
    await copySources(join(folder, 'sources'), release);
    const options = Object.entries({
      'Dir::Etc::sourcelist': '/dev/null',
      'Dir::Etc::sourceparts': join(folder, 'sources'),
      'Dir::State::lists': join(folder, 'lists'),
      'Dir::Cache': join(folder, 'cache'),
    }).flatMap(([option, value]) => ['-o', `${option}=${value}`]);
    // Where one of the sources is not there under the other name, the rest may do.
    await run('apt-get', [...options, 'update'], { quiet: true, cwd: folder });
    const { output } = await run('apt-get', [...options, 'download', name], { quiet: true, cwd: folder });
    const file = (await readdir(folder)).find((entry) => entry.endsWith('.deb'));
    return file === undefined ? output.trim() : await install(join(folder, file));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @param {string} folder @param {string} release */
async function copySources(folder, release) {
  const system = await readFile('/etc/os-release', 'utf8');
  const [, here = release] = /^VERSION_CODENAME="?([\w-]+)/m.exec(system) ?? [];
  const parts = '/etc/apt/sources.list.d';
  const names = existsSync(parts) ? await readdir(parts) : [];
  const paths = ['/etc/apt/sources.list', ...names.map((name) => join(parts, name))];
  for (const path of paths.filter((each) => existsSync(each))) {
    const text = await readFile(path, 'utf8');
    await writeFile(join(folder, basename(path)), text.replaceAll(new RegExp(`\\b${here}\\b`, 'g'), release));
  }
}
