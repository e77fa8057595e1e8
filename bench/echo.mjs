/**
 * The test case of 2011: an echo server, many TLS clients that are mostly silent, and what each costs the server in
 * resident memory; then the same after each has had 256 KiB echoed.
 *
 *     npm run build && node bench/echo.mjs [--node NODE]… [--clients 200,5000] [--interval 5] [--rounds N]
 *         [--servers sallyport,node,go] [--dist DIR] [--json FILE]
 *
 * Each server is a process of its own that has served a few hundred connections one after another before and holds
 * a hundred, so that what is made once is made, and the growth from there is what one more connection takes. The
 * clients are two other processes. Each client sends `hello` every `--interval`
 * seconds. Every byte that comes back is checked, and one wrong or missing answer means that there is no number.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Crowd } from './echo/crowd.mjs';
import { figure, renderColumns } from './lib/columns.mjs';
import { environment } from './lib/environment.mjs';
import { Children, sleep } from './lib/launch.mjs';
import { makeAuthority, makeLeaf, makeLeafKey } from './lib/mint.mjs';
import { KNOWN_HOST } from './lib/names.mjs';
import { treeRss } from './lib/proc.mjs';
import { median } from './lib/stats.mjs';
import { judge, renderVerdicts } from './lib/verdicts.mjs';
import { output } from './peers/programs.mjs';
import { ECHO_TARGETS } from './targets.mjs';

/** @typedef {{ node: string, clients: number, server: string, round: number, hello?: number, large?: number, error?: string }} Cell KiB */
/** @typedef {'hello' | 'large'} Phase */

const HERE = dirname(fileURLToPath(import.meta.url));
const READY = /listening on port (\d+)/;
/** Connections one after another before the first reading. */
const WARM_UP = 300;
/** Connections that are held before the first reading: the warm-up's freed memory is theirs, not the others'. */
const ASIDE = 100;
/** For what the server gives back by itself, in milliseconds. */
const SETTLE = 2_000;
/** Bytes that each connection has echoed in the second part. */
const LARGE = 262_144;
const SERVERS = ['sallyport', 'node', 'go'];

const { values } = parseArgs({
  options: {
    node: { type: 'string', multiple: true, default: [process.execPath] },
    clients: { type: 'string', default: '200,5000' },
    interval: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    servers: { type: 'string', default: SERVERS.join(',') },
    dist: { type: 'string', default: join(HERE, '..', 'dist') },
    json: { type: 'string' },
  },
});
const interval = Number(values.interval);
const rounds = Number(values.rounds);
const sizes = values.clients.split(',').map(Number);
const servers = values.servers.split(',');
for (const number of [interval, rounds, ...sizes]) {
  if (!(number > 0)) throw new Error('--clients, --interval and --rounds take numbers above 0');
}
for (const name of servers)
  if (!SERVERS.includes(name)) throw new Error(`--servers knows ${SERVERS.join(', ')}`);

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
  process.on(signal, () => process.exit(1));
const about = environment(process.argv.slice(2), join(HERE, '..'));
about.command = `node bench/echo.mjs ${process.argv.slice(2).join(' ')}`.trim();
const dir = mkdtempSync(join(tmpdir(), 'sallyport-echo-'));
const children = new Children();
process.once('exit', () => {
  children.killAll();
  rmSync(dir, { recursive: true, force: true });
});
const authority = makeAuthority('echo CA');
const { certPem, keyPem } = makeLeaf(authority, makeLeafKey(), [KNOWN_HOST]);
writeFileSync(join(dir, 'cert.pem'), certPem);
writeFileSync(join(dir, 'key.pem'), keyPem, { mode: 0o600 });

/** @type {Cell[]} */
const cells = [];
try {
  const go = servers.includes('go') ? buildGo() : undefined;
  for (const node of values.node) {
    for (let round = 1; round <= rounds; round += 1) {
      for (const clients of sizes) {
        for (const server of servers) {
          const cell = { node, clients, server, round };
          try {
            cells.push({ ...cell, ...(await measure(commandOf(server, node, go), clients)) });
          } catch (error) {
            cells.push({ ...cell, error: error instanceof Error ? error.message : String(error) });
          }
        }
      }
    }
  }
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
report();
process.exit(cells.some(({ error }) => error !== undefined) ? 1 : 0);

/** @param {string} server @param {string} node @param {string | undefined} go @returns {[string, string[]]} */
function commandOf(server, node, go) {
  const pems = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  if (server === 'go') return [go ?? '', pems];
  const library = join(resolve(values.dist), 'tls/index.js');
  if (server === 'sallyport' && !existsSync(library)) throw new Error('dist/ is missing: npm run build');
  return [node, [join(HERE, 'echo', 'server.mjs'), ...pems, ...(server === 'sallyport' ? [library] : [])]];
}

function buildGo() {
  const binary = join(dir, 'echo-go');
  const env = { ...process.env, GO111MODULE: 'off', GOFLAGS: '', GOPROXY: 'off' };
  execFileSync('go', ['build', '-o', binary, join(HERE, 'echo', 'main.go')], { env, stdio: 'pipe' });
  return binary;
}

/** @param {[string, string[]]} command @param {number} clients @returns {Promise<Record<Phase, number>>} */
async function measure([program, args], clients) {
  const server = await children.launch(program, args, { ready: READY });
  const crowd = new Crowd({ port: Number(server.ready), caPem: authority.certPem, interval });
  try {
    await crowd.warm(WARM_UP);
    await crowd.aside(ASIDE);
    await sleep(interval * 1000 + SETTLE);
    const before = treeRss(server.pid);
    const each = () => (treeRss(server.pid) - before) / 1024 / clients;
    await crowd.open(clients);
    await sleep(2 * interval * 1000 + SETTLE);
    await crowd.check(2);
    const hello = each();
    await crowd.large(LARGE);
    await sleep(2 * interval * 1000 + SETTLE);
    await crowd.check(2);
    return { hello, large: each() };
  } finally {
    await crowd.stop();
    await server.stop();
  }
}

/** @param {Partial<Cell>} which @returns {Cell[]} */
function those(which) {
  return cells.filter((cell) =>
    Object.entries(which).every(([name, value]) => cell[/** @type {keyof Cell} */ (name)] === value),
  );
}

/** @param {Partial<Cell>} which @param {Phase} phase @returns {number[]} */
function numbers(which, phase) {
  return those(which).flatMap((cell) => cell[phase] ?? []);
}

/** Within each round. @param {Partial<Cell>} which @param {string} than @param {Phase} phase */
function ratioTo(which, than, phase) {
  const ratios = those(which).flatMap((cell) => {
    const [other] = numbers({ ...which, server: than, round: cell.round }, phase);
    return cell[phase] === undefined || other === undefined ? [] : [cell[phase] / other];
  });
  return ratios.length === 0 ? undefined : median(ratios);
}

function report() {
  const header = ['Node', 'clients', 'server'];
  for (const part of ['hello', 'after 256 KiB'])
    header.push(`${part}, KiB`, 'least – most', '× node', '× go');
  /** @type {string[][]} */
  const lines = [];
  /** @type {Set<string>} */
  const errors = new Set();
  /** @type {object[]} */
  const summary = [];
  for (const node of values.node) {
    const version = output(node, ['--version'])?.trim() ?? 'unknown';
    for (const clients of sizes) {
      for (const server of servers) {
        const which = { node, clients, server };
        const failed = those(which).find(({ error }) => error !== undefined);
        if (failed !== undefined) errors.add(`${version}, ${clients} clients, ${server}: ${failed.error}`);
        const line = [version, String(clients), server];
        for (const phase of /** @type {const} */ (['hello', 'large'])) {
          const seen = failed === undefined ? numbers(which, phase) : [];
          line.push(
            failed === undefined ? figure(median(seen)) : 'error',
            seen.length === 0 ? '' : `${figure(Math.min(...seen))} – ${figure(Math.max(...seen))}`,
            failed === undefined ? (ratioTo(which, 'node', phase)?.toFixed(2) ?? '') : '',
            failed === undefined ? (ratioTo(which, 'go', phase)?.toFixed(2) ?? '') : '',
          );
          if (failed === undefined) summary.push({ version, clients, server, phase, kib: median(seen) });
        }
        lines.push(line);
      }
    }
  }
  console.log(renderColumns(header, lines, 1));
  console.log(
    `\nKiB of RSS a connection, \`hello\` every ${interval} s; medians of ${rounds} rounds.\n` +
      `${about.command}\n${about.date}, commit ${about.commit}, load ${about.load.join(' ')}\n${about.cpu}, ${about.system}`,
  );
  for (const error of errors) console.log(error);
  const targets = values.node.flatMap((node) => {
    const version = output(node, ['--version'])?.trim() ?? 'unknown';
    const verdicts = judge(
      ECHO_TARGETS,
      (target) => seenOf(node, target),
      () => 'KiB',
      version,
    );
    console.log(`\n${renderVerdicts(verdicts, version)}`);
    return verdicts.map((verdict) => ({ version, ...verdict }));
  });
  if (values.json !== undefined) {
    const document = { environment: about, summary, targets, cells };
    writeFileSync(values.json, `${JSON.stringify(document, undefined, 2)}\n`);
  }
}

/** @param {string} node @param {import('./targets.mjs').Target} target */
function seenOf(node, { mode, than }) {
  const which = { node, server: 'sallyport', clients: Number(/(\d+) clients/.exec(mode)?.[1]) };
  const phase = mode.startsWith('hello') ? 'hello' : 'large';
  const seen = numbers(which, phase);
  if (seen.length === 0 || those(which).some(({ error }) => error !== undefined)) return undefined;
  return than === undefined ? median(seen) : ratioTo(which, than, phase);
}
