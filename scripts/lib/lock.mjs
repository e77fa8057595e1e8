/**
 * One set-up at a time in one checkout: two `npm start` at the same moment in a fresh clone must not
 * install over each other.
 *
 * The lock is a directory (making one is atomic everywhere) with the owner's process id in it. A lock
 * whose owner no longer lives is broken by the first that waits for it.
 */
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { at, say } from './project.mjs';

const directory = at('.setup.lock');
const self = `${process.pid} ${hostname()}`;

/** A lock without an owner's name is one that is being taken this moment, or that was left half-made. */
const namelessMs = 5_000;
/** No set-up takes this long; the owner is on another machine, or its process id has a new user. */
const oldMs = 15 * 60_000;
const pollMs = 200;

/**
 * Runs `work` while nobody else in this checkout runs theirs.
 *
 * @template T @param {() => Promise<T>} work @returns {Promise<T>}
 */
export async function withLock(work) {
  for (let told = false; !(await take());) {
    const owner = await readOwner(directory);
    if (await isStale(owner)) {
      await breakLock(owner);
      continue;
    }
    if (!told) say('sallyport: another process is setting up this checkout; waiting for it');
    told = true;
    await sleep(pollMs);
  }
  try {
    return await work();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function take() {
  try {
    await mkdir(directory);
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
  await writeFile(join(directory, 'owner'), self);
  return true;
}

/** Who holds the lock; empty where no name stands in it (yet). @param {string} lock */
async function readOwner(lock) {
  try {
    return await readFile(join(lock, 'owner'), 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return '';
    throw error;
  }
}

/** @param {string} owner */
async function isStale(owner) {
  const made = await stat(directory).catch(() => undefined);
  if (made === undefined) return false;
  const age = Date.now() - made.mtimeMs;
  if (owner === '') return age > namelessMs;
  const [pid, host] = owner.split(' ');
  return age > oldMs || (host === hostname() && !isAlive(Number(pid)));
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, 'EPERM');
  }
}

/**
 * Renames the lock away and removes it. Where another waiter was quicker, what was renamed is that
 * waiter's new lock, and goes back.
 *
 * @param {string} owner the dead owner
 */
async function breakLock(owner) {
  const aside = `${directory}.stale-${process.pid}`;
  try {
    await rename(directory, aside);
    if ((await readOwner(aside)) !== owner) return await rename(aside, directory);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  await rm(aside, { recursive: true, force: true });
}

/** @param {unknown} error @param {string} code */
const hasCode = (error, code) => error instanceof Error && 'code' in error && error.code === code;
