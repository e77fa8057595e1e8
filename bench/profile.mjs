/** Where a peer's time goes: reads what `node --cpu-prof` wrote, and prints the functions that took most. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Flags that make Node write a profile when it ends; the interval is in microseconds. */
export function profilingFlags(/** @type {string} */ dir) {
  mkdirSync(dir, { recursive: true });
  return ['--cpu-prof', `--cpu-prof-dir=${dir}`, '--cpu-prof-interval=250'];
}

/**
 * @typedef {object} CpuProfile
 * @property {{ id: number, callFrame: { functionName: string, url: string, lineNumber: number }, children?: number[] }[]} nodes
 * @property {number} startTime microseconds of the monotonic clock
 * @property {number[]} samples
 * @property {number[]} timeDeltas microseconds
 */

/** Lines in each of the lists. */
const TOP = 40;

/**
 * @param {string} dir
 * @param {import('./lib/rig.mjs').Measurement} measurement only samples within its window count
 * @param {string} root paths are shown from here
 * @returns {string}
 */
export function renderProfiles(dir, measurement, root) {
  const files = readdirSync(dir).filter((name) => name.endsWith('.cpuprofile'));
  if (files.length === 0) return `no profile in ${dir}: did the program end by itself on SIGTERM?`;
  return files
    .map((name) => {
      const file = join(dir, name);
      return `${file}\n${render(JSON.parse(readFileSync(file, 'utf8')), measurement, root)}`;
    })
    .join('\n\n');
}

/** @param {CpuProfile} profile @param {import('./lib/rig.mjs').Measurement} measurement @param {string} root */
function render(profile, { window: [from, to], operations }, root) {
  /** @type {Map<number, number>} */
  const parents = new Map();
  /** @type {Map<number, string>} */
  const labels = new Map();
  for (const node of profile.nodes) {
    for (const child of node.children ?? []) parents.set(child, node.id);
    labels.set(node.id, label(node.callFrame, root));
  }
  /** @type {Map<string, number>} */
  const self = new Map();
  /** @type {Map<string, number>} */
  const whole = new Map();
  /** @type {Map<string, number>} */
  const files = new Map();
  let busy = 0;
  let idle = 0;
  let at = profile.startTime;
  profile.samples.forEach((id, index) => {
    const spent = profile.timeDeltas[index] ?? 0;
    at += spent;
    if (at < from || at > to) return;
    const name = labels.get(id) ?? '?';
    if (name === '(idle)') {
      idle += spent;
      return;
    }
    busy += spent;
    add(self, name, spent);
    add(files, /\s(\S+):\d+$/.exec(name)?.[1] ?? name, spent);
    // A function that is on the stack twice has spent the time once.
    /** @type {Set<string>} */
    const stack = new Set();
    for (let node = /** @type {number | undefined} */ (id); node !== undefined; node = parents.get(node)) {
      stack.add(labels.get(node) ?? '?');
    }
    for (const each of stack) if (each !== '(root)') add(whole, each, spent);
  });
  const list = (/** @type {string} */ title, /** @type {Map<string, number>} */ times) => {
    const top = [...times].toSorted((a, b) => b[1] - a[1]).slice(0, TOP);
    const lines = top.map(([name, spent]) => {
      const share = ((100 * spent) / busy).toFixed(1).padStart(6);
      return `${share} % ${(spent / operations).toFixed(2).padStart(9)}  ${name}`;
    });
    return `\n${title}: % of busy time, µs an operation\n${lines.join('\n')}`;
  };
  const total = `${(busy / 1000).toFixed(0)} ms busy, ${(idle / 1000).toFixed(0)} ms idle, ${operations} operations`;
  return [total, list('Self', self), list('With what it calls', whole), list('By file', files)].join('\n');
}

/** @param {{ functionName: string, url: string, lineNumber: number }} frame @param {string} root */
function label({ functionName, url, lineNumber }, root) {
  const name = functionName || '(anonymous)';
  if (url === '') return name;
  const path = url.replace('file://', '').replace(`${root}/`, '');
  return `${name}  ${path}:${lineNumber + 1}`;
}

/** @param {Map<string, number>} times @param {string} name @param {number} spent */
function add(times, name, spent) {
  times.set(name, (times.get(name) ?? 0) + spent);
}
