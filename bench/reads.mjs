/**
 * What `--read-buffer-size` does: one large download from a fast origin through sallyport for each size.
 *
 *     npm run build && node bench/reads.mjs [--node NODE] [--sizes 64KiB,256KiB,1MiB] [--gigabytes 4] [--rounds 3]
 *         [--traced-gigabytes 1] [--root DIR] [--json FILE]
 *
 * CPU a GB is that of plain runs, medians of the rounds, in which the sizes take turns. The reads are counted in one more run
 * for each size under `strace`, where `sallyport run --show-reads` prints its own histogram: the two must agree. Every
 * byte is checked.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { figure, renderColumns } from './lib/columns.mjs';
import { environment } from './lib/environment.mjs';
import { parseOptions } from './lib/options.mjs';
import { countShown, countTraced } from './lib/reads.mjs';
import { Rig } from './lib/rig.mjs';
import { median } from './lib/stats.mjs';
import { judge, renderVerdicts } from './lib/verdicts.mjs';
import { output } from './peers/programs.mjs';
import { sallyport } from './peers/sallyport.mjs';
import { READS_TARGETS } from './targets.mjs';

/** @typedef {import('./lib/reads.mjs').Reads} Reads */
/** @typedef {{ size: string, cpu: number[], traced?: Reads, shown?: Reads | undefined, errors: string[] }} Row `cpu`: s/GB */

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const LARGE = 262_144;

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    sizes: { type: 'string', default: '64KiB,256KiB,1MiB' },
    gigabytes: { type: 'string', default: '4' },
    'traced-gigabytes': { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
    root: { type: 'string', default: ROOT },
    json: { type: 'string' },
  },
});
const gigabytes = Number(values.gigabytes);
const tracedGigabytes = Number(values['traced-gigabytes']);
const rounds = Number(values.rounds);
if (!(gigabytes > 0 && tracedGigabytes > 0 && rounds >= 1))
  throw new Error('--gigabytes, --traced-gigabytes and --rounds take numbers above 0');
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
  process.on(signal, () => process.exit(1));
const host = { node: values.node, root: resolve(values.root) };
const about = environment(process.argv.slice(2), ROOT);
about.command = `node bench/reads.mjs ${process.argv.slice(2).join(' ')}`.trim();

/** @type {Row[]} */
const rows = values.sizes.split(',').map((size) => ({ size, cpu: [], errors: [] }));
try {
  const absent = await sallyport.available(host);
  if (absent !== undefined) throw new Error(absent);
  const rig = await buildRig(gigabytes);
  for (let round = 0; round < rounds; round += 1) {
    for (const row of rows) await guarded(row, async () => row.cpu.push(await download(rig, row.size)));
  }
  rig.close();
  const tracedRig = await buildRig(tracedGigabytes);
  for (const row of rows) await guarded(row, () => trace(tracedRig, row));
  tracedRig.close();
  report();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
process.exit();

/** @param {Row} row @param {() => Promise<unknown>} work */
async function guarded(row, work) {
  try {
    await work();
  } catch (error) {
    row.errors.push(error instanceof Error ? error.message.replace(/\s+/g, ' ') : String(error));
  }
}

/** @param {number} amount GB */
function buildRig(amount) {
  const megabytes = String(Math.round(amount * 1000));
  const args = ['--megabytes', megabytes, '--body', megabytes, '--transfers', '1', '--seconds', '600'];
  const options = parseOptions(args);
  if (typeof options === 'string') throw new Error(options);
  return Rig.build(options);
}

/** CPU seconds a GB. @param {Rig} rig @param {string} size */
async function download(rig, size) {
  const proxy = await rig.start(withSize(size), host);
  try {
    return (await rig.measure('bulk', proxy, { round: 1 })).cost;
  } finally {
    await proxy.stop();
  }
}

/** @param {Rig} rig @param {Row} row */
async function trace(rig, row) {
  if (output('strace', ['--version']) === undefined)
    throw new Error('strace is not installed (Debian: apt-get install strace)');
  const log = join(rig.dir, 'strace.log');
  /** @type {import('./lib/launch.mjs').Launched | undefined} */
  let launched;
  const calls = 'trace=read,readv,recvfrom,recvmsg';
  const wrap = ['-f', '-C', '-yy', '-s', '0', '-e', calls, '-e', 'signal=none', '-o', log];
  const peer = withSize(row.size, async (launch, command, args, rest) => {
    launched = await launch('strace', [...wrap, command, ...args, '--show-reads'], rest);
    return launched;
  });
  const proxy = await rig.start(peer, host);
  try {
    await rig.measure('bulk', proxy, { round: 1 });
  } finally {
    // strace does not end by the signal, but when the program does.
    await proxy.stop();
  }
  row.traced = countTraced(readFileSync(log, 'latin1'), LARGE);
  const share = row.traced.bytes / (tracedGigabytes * 1e9);
  if (share < 0.98) throw new Error(`strace has seen ${(100 * share).toFixed(0)} % of the bytes`);
  row.shown = countShown(`${launched?.said()}\n${launched?.complaint()}`, LARGE);
  rmSync(log);
}

/**
 * @typedef {import('./peers/index.mjs').Setup['launch']} Launch
 * @typedef {(launch: Launch, command: string, args: readonly string[], rest: Parameters<Launch>[2]) => ReturnType<Launch>} Launcher
 */

/** @param {string} size @param {Launcher} [launcher] @returns {import('./peers/index.mjs').Peer} */
function withSize(size, launcher = (launch, command, args, rest) => launch(command, args, rest)) {
  return {
    ...sallyport,
    start: (setup) =>
      sallyport.start({
        ...setup,
        launch: (command, args, rest) =>
          launcher(setup.launch, command, [...args, '--read-buffer-size', size], rest),
      }),
  };
}

function report() {
  const header = [
    'buffer',
    'CPU s/GB',
    'least – most',
    'reads/GB',
    '≥ 256 KiB, %',
    'shown/GB',
    'shown ≥ 256 KiB, %',
    'difference, %',
  ];
  const percent = (/** @type {Reads | undefined} */ reads) =>
    reads === undefined ? '' : ((100 * reads.largeBytes) / reads.bytes).toFixed(1);
  const lines = rows.map((row) => [
    row.size,
    row.cpu.length === 0 ? 'error' : figure(median(row.cpu)),
    row.cpu.length === 0 ? '' : `${figure(Math.min(...row.cpu))} – ${figure(Math.max(...row.cpu))}`,
    figure(perGigabyte(row.traced)),
    percent(row.traced),
    figure(perGigabyte(row.shown)),
    percent(row.shown),
    figure(difference(row) === undefined ? undefined : 100 * Number(difference(row))),
  ]);
  console.log(renderColumns(header, lines, 1));
  for (const { size, traced, errors } of rows) {
    if (traced !== undefined) {
      const sizes = Object.entries(traced.buckets).map(([least, count]) => `${least}: ${count}`);
      console.log(
        `${size}: strace saw ${traced.calls} reads of any file; of TCP, by the least size: ${sizes.join(', ')}`,
      );
    }
    for (const error of errors) console.log(`${size}: ${error}`);
  }
  const version = output(values.node, ['--version'])?.trim() ?? 'unknown';
  const verdicts = judge(READS_TARGETS, seenOf, () => '', version);
  console.log(`\n${renderVerdicts(verdicts, version)}`);
  console.log(
    `\n${gigabytes} GB a run, ${rounds} rounds; reads by strace (${tracedGigabytes} GB) and by --show-reads in the same run.\n` +
      `${about.command}\n${about.date}, commit ${about.commit}, load ${about.load.join(' ')}\n${about.cpu}, ${about.system}`,
  );
  if (values.json !== undefined) {
    const document = { environment: about, targets: verdicts, rows };
    writeFileSync(values.json, `${JSON.stringify(document, undefined, 2)}\n`);
  }
  if (rows.some(({ errors }) => errors.length > 0)) process.exitCode = 1;
}

/** @param {Reads | undefined} reads */
function perGigabyte(reads) {
  return reads === undefined ? undefined : reads.count / tracedGigabytes;
}

/** By how much the number of reads that was shown is off. @param {Row | undefined} row */
function difference(row) {
  if (row?.traced === undefined || row.shown === undefined) return undefined;
  return Math.abs(row.shown.count - row.traced.count) / row.traced.count;
}

/** @param {import('./targets.mjs').Target} target */
function seenOf({ mode }) {
  const [small, large] = ['64KiB', '1MiB'].map((size) => rows.find((row) => row.size === size));
  if (mode.startsWith('histogram')) return difference(large);
  if (mode.startsWith('share'))
    return large?.traced === undefined ? undefined : large.traced.largeBytes / large.traced.bytes;
  if (small === undefined || large === undefined) return undefined;
  if (mode.startsWith('reads'))
    return small.traced === undefined || large.traced === undefined
      ? undefined
      : large.traced.count / small.traced.count;
  const ratios = large.cpu.map((cpu, round) => cpu / (small.cpu[round] ?? Number.NaN));
  return ratios.length === 0 || small.errors.length + large.errors.length > 0 ? undefined : median(ratios);
}
