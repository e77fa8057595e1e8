/** CPU and memory of a process and everything below it, read from Linux's /proc (proc(5)). */
import { readdirSync, readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';

/** Milliseconds of one clock tick. */
const TICK = 1000 / Number(execFileSync('getconf', ['CLK_TCK']).toString());

/** @typedef {{ pid: number, parent: number, ticks: number }} Stat */

/**
 * Milliseconds of CPU (user and system) that the tree rooted at `pid` has used since it began, including children
 * that have ended and were waited for.
 * @param {number} pid
 */
export function treeCpu(pid) {
  let ticks = 0;
  for (const stat of tree(pid)) ticks += stat.ticks;
  return ticks * TICK;
}

/**
 * Resident bytes of the tree rooted at `pid`. Pages that its processes share are counted in each.
 * @param {number} pid
 */
export function treeRss(pid) {
  let kilobytes = 0;
  for (const stat of tree(pid)) {
    const status = readOrEmpty(`/proc/${stat.pid}/status`);
    kilobytes += Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return kilobytes * 1024;
}

/** @param {number} root @returns {Stat[]} */
function tree(root) {
  /** @type {Map<number, Stat[]>} */
  const children = new Map();
  /** @type {Stat[]} */
  const found = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = parseStat(readOrEmpty(`/proc/${name}/stat`));
    if (stat === undefined) continue;
    if (stat.pid === root) found.push(stat);
    const siblings = children.get(stat.parent);
    if (siblings === undefined) children.set(stat.parent, [stat]);
    else siblings.push(stat);
  }
  for (let at = 0; at < found.length; at += 1) {
    found.push(...(children.get(/** @type {Stat} */ (found[at]).pid) ?? []));
  }
  return found;
}

/** @param {string} line @returns {Stat | undefined} */
function parseStat(line) {
  // The command's name may hold spaces and parentheses: the fields begin after its last parenthesis.
  const end = line.lastIndexOf(')');
  if (end < 0) return undefined;
  const fields = line
    .slice(end + 2)
    .split(' ')
    .map(Number);
  // Fields 14 to 17 of proc(5): utime, stime, cutime, cstime.
  const ticks = fields.slice(11, 15).reduce((sum, value) => sum + value, 0);
  return { pid: Number.parseInt(line, 10), parent: fields[1] ?? 0, ticks };
}

/** @param {string} path */
function readOrEmpty(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    // The process ended between the listing and the reading.
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code === 'ENOENT' || code === 'ESRCH') return '';
    throw error;
  }
}
