/**
 * `npm run bench`: measures intercepting proxies side by side. See README.md beside this file.
 *
 * The origin, the load generator and each proxy are processes of their own. Every round visits each mode, and in it
 * each peer in turn, so that whatever else the machine does falls on all of them alike.
 */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { environment } from './lib/environment.mjs';
import { parseOptions } from './lib/options.mjs';
import { Rig } from './lib/rig.mjs';
import { MODES } from './modes/index.mjs';
import { PEERS } from './peers/index.mjs';
import { manyHosts } from './hosts.mjs';
import { storeExperiment } from './store.mjs';
import { profilingFlags, renderProfiles } from './profile.mjs';
import { judge, renderVerdicts } from './lib/verdicts.mjs';
import { NOT_APPLICABLE, renderTable, seenIn, summarize } from './table.mjs';
import { TARGETS } from './targets.mjs';
import { output } from './peers/programs.mjs';

/** @typedef {import('./peers/index.mjs').Peer} Peer */
/** @typedef {import('./peers/index.mjs').Running} Running */
/** @typedef {{ name: string, about: string, version?: string, absent?: string }} Presence */

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
/** What part of a measurement warms a peer up in each mode before the first round. */
const WARM_UP = 0.25;

for (const [signal, status] of /** @type {const} */ ([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
])) {
  process.on(signal, () => process.exit(status));
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (typeof options === 'string') console.log(options);
  else if (options.modes.includes('store')) await storeExperiment(options, ROOT, process.argv.slice(2));
  else if (options.modes.includes('hosts')) await manyHosts(options, ROOT, process.argv.slice(2));
  else await run(options);
} catch (error) {
  console.error(`bench: ${reason(error)}`);
  process.exitCode = 1;
}
// A child's pipe or a timer that somebody forgot must not hold the terminal.
process.exit();

/** @param {import('./lib/options.mjs').Options} options */
async function run(options) {
  const host = { node: options.node, root: resolve(options.root ?? ROOT) };
  const about = environment(process.argv.slice(2), ROOT);
  const rig = await Rig.build(options);
  const { peers, presence } = await findPeers(options.peers, host);
  if (options.profile === undefined) {
    const { cells, stillPresent } = await compare(rig, options, host, peers, presence);
    report(options, about, stillPresent, cells);
  } else {
    for (const { absent } of presence)
      if (absent !== undefined) throw new Error(`${options.profile}: ${absent}`);
    for (const peer of peers) await profile(rig, options, host, peer);
  }
  rig.close();
}

/**
 * @param {readonly string[]} names @param {import('./peers/index.mjs').Host} host
 * @returns {Promise<{ peers: Peer[], presence: Presence[] }>}
 */
async function findPeers(names, host) {
  const peers = names.map((name) => /** @type {Peer} */ (PEERS.find((peer) => peer.name === name)));
  const presence = await Promise.all(
    peers.map(async (peer) => {
      const { name, about } = peer;
      const absent = await peer.available(host);
      return absent === undefined
        ? { name, about, version: await peer.version(host) }
        : { name, about, absent };
    }),
  );
  return { peers: peers.filter((_, index) => presence[index]?.absent === undefined), presence };
}

/**
 * @param {Rig} rig @param {import('./lib/options.mjs').Options} options
 * @param {import('./peers/index.mjs').Host} host
 * @param {readonly Peer[]} peers @param {readonly Presence[]} presence
 */
async function compare(rig, options, host, peers, presence) {
  /** @type {import('./table.mjs').Cell[]} */
  const cells = [];
  /** @type {Map<string, Running>} */
  const running = new Map();
  let stillPresent = presence;
  for (const peer of peers) {
    try {
      running.set(peer.name, await rig.start(peer, host));
      if (options.modes.includes('cold') && peer.modes?.includes('cold') !== false) {
        running.set(`${peer.name} cold`, await rig.start(peer, host, { newHosts: true }));
      }
    } catch (error) {
      const absent = `does not start: ${reason(error)}`;
      stillPresent = stillPresent.map((one) => (one.name === peer.name ? { ...one, absent } : one));
    }
  }
  const started = peers.filter(({ name }) => running.has(name));
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const mode of options.modes) {
      const alone = MODES[mode]?.alone === true;
      // Memory is measured in instances of their own, for which there is nothing to warm up here.
      if (round === 0 && alone) continue;
      for (const peer of rotated(started, round)) {
        const proxy = running.get(mode === 'cold' ? `${peer.name} cold` : peer.name);
        const why = applies(peer, mode) ? rig.unavailable(mode) : NOT_APPLICABLE;
        if (why !== undefined || proxy === undefined) {
          if (round > 0) cells.push({ mode, peer: peer.name, round, error: why ?? 'is not running' });
          continue;
        }
        progress(`${round === 0 ? 'warm-up' : `round ${round}`}  ${mode}  ${peer.name}`);
        const cell = alone
          ? await attempt(() => measureAlone(rig, host, peer, mode, round))
          : await attempt(() => rig.measure(mode, proxy, { round, share: round === 0 ? WARM_UP : 1 }));
        if (round > 0) cells.push({ mode, peer: peer.name, round, ...cell });
      }
    }
  }
  progress('');
  await Promise.all([...running.values()].map((proxy) => proxy.stop()));
  return { cells: inOrder(cells, options.modes, started), stillPresent };
}

/**
 * In an instance that has done nothing else: what an earlier mode left in the heap would hide what a connection takes.
 * @param {Rig} rig @param {import('./peers/index.mjs').Host} host @param {Peer} peer @param {string} mode @param {number} round
 */
async function measureAlone(rig, host, peer, mode, round) {
  const proxy = await rig.start(peer, host, { probe: MODES[mode]?.probe });
  try {
    return await rig.measure(mode, proxy, { round });
  } finally {
    await proxy.stop();
  }
}

/** @param {Rig} rig @param {import('./lib/options.mjs').Options} options @param {import('./peers/index.mjs').Host} host @param {Peer} peer */
async function profile(rig, options, host, peer) {
  for (const mode of options.modes) {
    if (MODES[mode]?.probe !== undefined)
      throw new Error(`${mode} has no profile: it counts within the process`);
    const dir = join(ROOT, 'bench', 'results', `profile-${peer.name}-${mode}-${process.pid}`);
    const proxy = await rig.start(peer, host, { nodeArgs: profilingFlags(dir), newHosts: mode === 'cold' });
    await rig.measure(mode, proxy, { round: 0, share: WARM_UP });
    const measurement = await rig.measure(mode, proxy, { round: 1 });
    await proxy.stop();
    console.log(
      `\n${mode}  ${peer.name}  ${measurement.cost.toPrecision(3)} ${MODES[mode]?.unit} while profiled`,
    );
    console.log(renderProfiles(dir, measurement, ROOT));
  }
}

/**
 * @param {import('./lib/options.mjs').Options} options
 * @param {import('./lib/environment.mjs').Environment} about
 * @param {readonly Presence[]} presence
 * @param {readonly import('./table.mjs').Cell[]} cells
 */
function report(options, about, presence, cells) {
  const rows = summarize(cells);
  console.log(renderTable(cells, rows, options.baseline));
  const node = output(options.node, ['--version'])?.trim() ?? 'unknown';
  const unitOf = (/** @type {string} */ mode) => MODES[mode]?.unit ?? '';
  const asked = TARGETS.filter(({ mode }) => options.modes.includes(mode));
  const verdicts = options.targets ? judge(asked, seenIn(cells, rows), unitOf, node) : undefined;
  if (verdicts !== undefined) console.log(`\n${renderVerdicts(verdicts, node)}`);
  console.log(
    '\ncost: CPU of the whole process tree, or what the unit says; medians of the rounds.\n' +
      `${about.command}\n${about.date}, commit ${about.commit}, load ${about.load.join(' ')}\n` +
      `${about.cpu}, ${about.memory}, ${about.system}; origin and load on Node ${about.node}`,
  );
  for (const { name, version, absent } of presence) {
    console.log(absent === undefined ? `${name}: ${version}` : `${name}: absent, ${absent}`);
  }
  if (options.json !== undefined) {
    const document = {
      environment: about,
      options,
      peers: presence,
      summary: rows,
      targets: verdicts,
      cells,
    };
    writeFileSync(options.json, `${JSON.stringify(document, undefined, 2)}\n`);
  }
  if (rows.some(({ error }) => error !== undefined && error !== NOT_APPLICABLE)) process.exitCode = 1;
}

/** @param {Peer} peer @param {string} mode */
function applies(peer, mode) {
  return peer.modes?.includes(mode) !== false && (MODES[mode]?.probe === undefined || peer.onNode === true);
}

/** @param {() => Promise<import('./lib/rig.mjs').Measurement>} measure */
async function attempt(measure) {
  try {
    return { measurement: await measure() };
  } catch (error) {
    return { error: reason(error) };
  }
}

/** @param {unknown} error */
function reason(error) {
  return error instanceof Error ? error.message.replace(/\s+/g, ' ') : String(error);
}

/** @template T @param {readonly T[]} items @param {number} by */
function rotated(items, by) {
  const at = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

/** @param {import('./table.mjs').Cell[]} cells @param {readonly string[]} modes @param {readonly Peer[]} peers */
function inOrder(cells, modes, peers) {
  const place = (/** @type {import('./table.mjs').Cell} */ cell) =>
    modes.indexOf(cell.mode) * peers.length + peers.findIndex(({ name }) => name === cell.peer);
  return cells.toSorted((a, b) => place(a) - place(b) || a.round - b.round);
}

/** One line on a terminal that the next replaces; elsewhere nothing. @param {string} text */
function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
