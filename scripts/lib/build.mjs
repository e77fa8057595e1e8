/**
 * The production build: src/ → dist/, made again when its inputs have changed.
 *
 * Staleness is judged by content, not by time: a checkout of another branch and back costs nothing,
 * and a file that was removed from src/ cannot live on in dist/.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { at, Failure, say, tool } from './project.mjs';

/** What a build depends on beside src/. The lock file stands for the version of the compiler. */
const inputs = ['tsconfig.json', 'package.json', 'package-lock.json'];

/** Whether dist/ is what src/ would give. */
export async function isBuilt() {
  return (await readStamp()) === (await fingerprint());
}

/**
 * Builds where needed. A failed build leaves the old dist/ as it was.
 *
 * To be called while holding the lock.
 *
 * @param {{ showAll?: boolean }} [options] print all that the compiler says, not only its first line
 */
export async function ensureBuilt({ showAll = false } = {}) {
  const wanted = await fingerprint();
  if ((await readStamp()) === wanted) return;

  say('sallyport: building');
  const fresh = at(`dist.new-${process.pid}`);
  try {
    const args = ['-p', 'tsconfig.json', '--noEmitOnError', '--pretty', 'false', '--outDir', fresh];
    const { code, output } = await tool('tsc', args, { quiet: true });
    if (code !== 0) {
      if (showAll) say(output.trimEnd());
      throw new Failure(`the build failed: ${firstError(output)}. Run \`npm run build\` to see all of it.`);
    }
    await writeFile(`${fresh}/.stamp`, wanted);
    await rm(at('dist'), { recursive: true, force: true });
    await rename(fresh, at('dist'));
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

const readStamp = () => readFile(at('dist', '.stamp'), 'utf8').catch(() => '');

async function fingerprint() {
  const entries = await readdir(at('src'), { recursive: true, withFileTypes: true });
  const sources = entries
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`);
  const hash = createHash('sha256');
  for (const file of [...inputs.map((name) => at(name)), ...sources.toSorted()]) {
    const content = await readFile(file);
    hash.update(`${file.slice(at('').length)}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/** @param {string} output what tsc printed */
function firstError(output) {
  const errors = output.split('\n').filter((line) => line.includes('error TS'));
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return `${errors[0] ?? output.trim().split('\n')[0] ?? 'the compiler said nothing'}${more}`;
}
