/** The command line of run.mjs. */
import { parseArgs } from 'node:util';
import { COMPANIONS, MODES } from '../modes/index.mjs';
import { DEFAULT_PEERS, PEERS } from '../peers/index.mjs';

/**
 * @typedef {object} Options
 * @property {string[]} peers
 * @property {string[]} modes
 * @property {number} rounds
 * @property {string[]} baseline the peers that the others are compared with
 * @property {boolean} targets whether to print what was promised, and whether it was seen
 * @property {string} node executable of the peers that run on Node
 * @property {number} seconds
 * @property {number} rate
 * @property {number} many
 * @property {number} clients
 * @property {number} transfers
 * @property {number} requests
 * @property {number} connections
 * @property {number} hosts
 * @property {number} megabytes
 * @property {number} body
 * @property {number} idle
 * @property {number} readers
 * @property {number} burst
 * @property {number} bursts
 * @property {number} upstreams
 * @property {string | undefined} json
 * @property {string | undefined} profile
 * @property {string | undefined} root of the sallyport that is measured
 */

const NUMBERS = /** @type {const} */ ({
  rounds: [3, 'rounds; each visits every peer in every mode'],
  requests: [8000, 'keepalive: requests a round'],
  connections: [400, 'fresh, resumed: connections a round'],
  hosts: [100, 'cold: new hosts a round'],
  megabytes: [256, 'bulk, upload: MB a round'],
  body: [16, 'bulk, upload: MB of one body'],
  idle: [1000, 'idle: connections that are held'],
  readers: [200, 'slow: clients that read bodies of 512 MB slowly'],
  burst: [2000, 'bursts: connections of one'],
  bursts: [10, 'bursts: how many'],
  upstreams: [1000, 'contexts: upstream connections'],
  clients: [16, 'clients at a time where nothing else is said'],
  transfers: [4, 'clients at a time in bulk and upload'],
  seconds: [10, 'the longest that one peer is measured in one mode and round'],
  rate: [50, 'store: new connections a second'],
  many: [100_000, 'hosts: how many are visited'],
});

const DEFAULT_MODES = ['keepalive', 'fresh', 'bulk', 'upload'];
const NAMED_MODES = [
  ...Object.keys(MODES).filter((mode) => !Object.values(COMPANIONS).flat().includes(mode)),
  ...Object.keys(COMPANIONS),
];
/** Experiments of their own, each run alone. */
const EXPERIMENTS = ['store', 'hosts'];

/**
 * @param {string[]} args
 * @returns {Options | string} a text to show instead of a run, where help was asked for
 * @throws {Error} for what it does not know, with what it does
 */
export function parseOptions(args) {
  const numbers = Object.fromEntries(
    Object.keys(NUMBERS).map((name) => [name, { type: /** @type {const} */ ('string') }]),
  );
  const { values } = parseArgs({
    args,
    options: {
      ...numbers,
      peers: { type: 'string' },
      modes: { type: 'string' },
      baseline: { type: 'string', default: 'plain' },
      targets: { type: 'boolean', default: false },
      node: { type: 'string', default: process.execPath },
      json: { type: 'string' },
      profile: { type: 'string' },
      root: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) return help();

  const known = PEERS.map(({ name }) => name);
  const alone = EXPERIMENTS.filter((name) => name === values.modes);
  const modes = alone.length > 0 ? alone : list('modes', values.modes, DEFAULT_MODES, NAMED_MODES);
  if (values.profile !== undefined) list('profile', values.profile, [], known);
  const amounts = Object.entries(NUMBERS).map(([name, [fallback]]) => {
    const given = /** @type {Record<string, string | boolean | undefined>} */ (values)[name];
    const number = given === undefined ? fallback : Number(given);
    if (!Number.isInteger(number) || number < 1)
      throw new Error(`--${name} takes a whole number from 1, not "${given}"`);
    return [name, number];
  });
  return {
    .../** @type {Record<keyof typeof NUMBERS, number>} */ (Object.fromEntries(amounts)),
    peers: list('peers', values.profile ?? values.peers, DEFAULT_PEERS, known),
    modes: modes.flatMap((mode) => COMPANIONS[mode] ?? [mode]),
    baseline: list('baseline', values.baseline, [], known),
    targets: values.targets,
    node: values.node,
    json: values.json,
    profile: values.profile,
    root: values.root,
  };
}

/**
 * @param {string} option @param {string | undefined} given
 * @param {readonly string[]} fallback @param {readonly string[]} known
 */
function list(option, given, fallback, known) {
  if (given === undefined) return [...fallback];
  if (given === 'all') return [...known];
  const names = given.split(',').filter((name) => name !== '');
  for (const name of names) {
    if (!known.includes(name)) throw new Error(`--${option} knows ${known.join(', ')}; not "${name}"`);
  }
  return names;
}

function help() {
  const lines = Object.entries(NUMBERS).map(
    ([name, [fallback, what]]) => `  --${name} N`.padEnd(22) + `${what} (${fallback})`,
  );
  const peers = PEERS.map(({ name, about }) => `  ${name.padEnd(12)}${about}`);
  return `npm run bench -- [options]

  --peers A,B         who is measured, or "all" (${DEFAULT_PEERS.join(',')})
  --modes A,B         ${NAMED_MODES.join(',')},
                      or "all" (${DEFAULT_MODES.join(',')});
                      or one of these alone, on their own terms:
                      store: certificates under load, with a store and without
                      hosts: very many hosts, each visited once
  --baseline A,B      the ratios are to these peers' cost in the same round (plain)
  --targets           what was promised, and whether it was seen (targets.mjs)
  --node PATH         Node for the peers that run on it (the one that runs this)
  --root DIR          measures the sallyport that is built there, in place of this one
  --json FILE         every measurement, with the environment
  --profile PEER      profiles this peer alone in each mode, and prints where its time goes
${lines.join('\n')}

Peers
${peers.join('\n')}
`;
}
