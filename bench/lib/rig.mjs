/** The bench that the peers are put on: certificates, names, the origin, the load generator, and one measurement. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MODES } from '../modes/index.mjs';
import { LoadGenerator, startOrigin } from './generator.mjs';
import { Children, sleep } from './launch.mjs';
import { makeAuthority, makeLeaf, makeLeafKey } from './mint.mjs';
import { KNOWN_HOST, prepareNames, WILDCARD } from './names.mjs';
import { askProbe, probeFlags } from './probe.mjs';
import { treeCpu, treeRss } from './proc.mjs';

/**
 * @typedef {object} Measurement
 * @property {number} cost in the mode's unit
 * @property {number} operations
 * @property {number} rate operations a second, or MB a second
 * @property {number} p50 milliseconds
 * @property {number} p99 milliseconds
 * @property {number} rss bytes, at the end
 * @property {number} cpu milliseconds of the proxy's whole process tree
 * @property {number} loadCpu the same of the load generator
 * @property {number} originCpu the same of the origin
 * @property {[number, number]} window when it was made, in microseconds of the monotonic clock
 * @property {number[]} [series] bytes of RSS after each burst
 * @property {import('./probe.mjs').Counts} [counts] what was counted within the process
 */

/** @typedef {import('../peers/index.mjs').Running & { probe?: string }} Proxy `probe`: the socket of lib/probe.mjs */

/** What a proxy still does after the last answer, such as closing connections, belongs to the cost. Milliseconds. */
const AFTERMATH = 100;
/** The bodies of the mode `slow`, in bytes. */
const SLOW_BODY = 512e6;
/** How often the memory is read where its peak counts, in milliseconds. */
const SAMPLING = 250;

export class Rig {
  /** @type {() => void} */
  #dispose;
  #options;
  #children;
  #dir;
  #files;
  #origin;
  #names;
  #load;
  #instances = 0;

  /** @param {import('./options.mjs').Options} options */
  static async build(options) {
    const dir = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
    process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
    const files = writeCertificates(dir);
    const names = await prepareNames(dir, options.hosts * (options.rounds + 1));
    const origin = await startOrigin(files.originKey, files.originCert);
    return new Rig(options, dir, files, names, origin);
  }

  /**
   * @param {import('./options.mjs').Options} options
   * @param {string} dir
   * @param {ReturnType<typeof writeCertificates>} files
   * @param {import('./names.mjs').Names} names
   * @param {Awaited<ReturnType<typeof startOrigin>>} origin
   */
  constructor(options, dir, files, names, origin) {
    this.#options = options;
    this.#dir = dir;
    this.#files = files;
    this.#names = names;
    this.#origin = origin;
    this.#children = new Children();
    this.#load = new LoadGenerator(options.seconds * 6);
    this.#dispose = () => {
      this.#children.killAll();
      this.#origin.stop();
      this.#load.stop();
    };
    // However this process ends, short of SIGKILL, nothing of it stays.
    process.once('exit', this.#dispose);
  }

  /** Where what is written goes until `close`. */
  get dir() {
    return this.#dir;
  }

  /** Why a mode cannot be measured here at all. @param {string} mode */
  unavailable(mode) {
    return mode === 'cold' ? this.#names.unavailable : undefined;
  }

  /**
   * @param {import('../peers/index.mjs').Peer} peer
   * @param {import('../peers/index.mjs').Host} host
   * @param {{ nodeArgs?: readonly string[], newHosts?: boolean, probe?: import('./probe.mjs').Kind | undefined }} [how]
   *   `newHosts`: it will be asked for those, which may take an /etc/hosts of its own, whose length would make every
   *   other lookup dearer too; `probe`: what is to be counted within
   * @returns {Promise<Proxy>}
   */
  async start(peer, host, { nodeArgs = [], newHosts = false, probe } = {}) {
    this.#instances += 1;
    const dir = join(this.#dir, `${peer.name}-${this.#instances}`);
    mkdirSync(dir, { mode: 0o700 });
    const socket = join(dir, 'probe.sock');
    const running = await peer.start({
      host,
      dir,
      nodeArgs: probe === undefined ? nodeArgs : [...nodeArgs, ...probeFlags(probe, socket)],
      upstreamCa: this.#files.originCa,
      caCert: this.#files.caCert,
      caKey: this.#files.caKey,
      leafCert: this.#files.leafCert,
      leafKey: this.#files.leafKey,
      originPort: this.#origin.port,
      launch: (command, args, rest) => {
        const [wrapped, wrappedArgs] = newHosts ? this.#names.wrap(command, args) : [command, args];
        return this.#children.launch(wrapped, wrappedArgs, { cwd: dir, ...rest });
      },
    });
    return probe === undefined ? running : { ...running, probe: socket };
  }

  /**
   * @param {string} modeName
   * @param {Proxy} proxy
   * @param {{ round: number, share?: number }} when `share`: what part of the full measurement to make
   * @returns {Promise<Measurement>}
   * @throws {Error} if any answer failed: then there is no number
   */
  async measure(modeName, proxy, { round, share = 1 }) {
    const mode = MODES[modeName];
    if (mode === undefined) throw new Error(`no mode ${modeName}`);
    const job = this.#job(modeName, proxy, round, share);
    try {
      await this.#load.prepare(job);
      // Compiled code allocates less than code that is not warm.
      if (mode.per === 'counted') await this.#go();
      if (proxy.probe !== undefined) await askProbe(proxy.probe, 'begin');
      const rssBefore = treeRss(proxy.pid);
      const cpuBefore = this.#cpu(proxy.pid);
      const from = microseconds();
      const peak = mode.per === 'growth' ? peakRss(proxy.pid) : undefined;
      /** @type {number[]} */
      const series = [];
      let result = await this.#go().finally(() => peak?.stop());
      for (series.push(treeRss(proxy.pid)); mode.per === 'bursts' && series.length < this.#options.bursts;) {
        result = sum(result, await this.#go());
        series.push(treeRss(proxy.pid));
      }
      const counts = proxy.probe === undefined ? undefined : await askProbe(proxy.probe, 'end');
      // Each of them has an upstream connection, but for a few that the pool had left from the warm-up.
      if (mode.per === 'count' && (counts?.['connections'] ?? 0) < result.operations * 0.9)
        throw new Error(
          `only ${counts?.['connections']} upstream connections of ${result.operations} were seen`,
        );
      await sleep(AFTERMATH);
      const to = microseconds();
      const [cpu, loadCpu, originCpu] = this.#cpu(proxy.pid).map(
        (after, index) => after - (cpuBefore[index] ?? 0),
      );
      const rss = treeRss(proxy.pid);
      if (rss === 0 || cpu === undefined) throw new Error('the proxy has ended');
      await this.#load.finish();
      const cost = {
        operation: () => cpu / result.operations,
        gigabyte: () => cpu / 1000 / (result.bytes / 1e9),
        connection: () => (rss - rssBefore) / 1024 / result.operations,
        growth: () => ((peak?.most() ?? Number.NaN) - rssBefore) / 2 ** 20,
        bursts: () => (series.at(-1) ?? Number.NaN) / (series[1] ?? Number.NaN),
        counted: () => (counts?.count ?? Number.NaN) / result.operations,
        count: () => counts?.count ?? Number.NaN,
      }[mode.per]();
      if (!Number.isFinite(cost)) throw new Error('there is nothing to divide by');
      const done = mode.per === 'gigabyte' ? result.bytes / 1e6 : result.operations;
      return {
        cost,
        operations: result.operations,
        rate: done / (result.elapsed / 1000),
        p50: result.p50,
        p99: result.p99,
        rss,
        cpu,
        loadCpu: loadCpu ?? 0,
        originCpu: originCpu ?? 0,
        window: [from, to],
        ...(mode.per === 'bursts' && { series }),
        ...(counts !== undefined && { counts }),
      };
    } catch (error) {
      // It may hold connections of the measurement that failed: a new one begins with none.
      this.#load.stop();
      this.#load = new LoadGenerator(this.#options.seconds * 6);
      throw error;
    }
  }

  /** One measured part; a single failure in it means that there is no number. */
  async #go() {
    const result = await this.#load.go();
    if (result.failures > 0) throw new Error(`${result.failures} failed: ${result.reasons.join('; ')}`);
    return result;
  }

  /**
   * Offers new connections at a rate, come what may.
   * @param {import('../peers/index.mjs').Running} proxy
   * @param {{ hosts: number, firstHost: number, rate: number, seconds: number }} work
   * @returns {Promise<import('../modes/store.mjs').Outcome & { cpu: number }>} `cpu`: milliseconds of the proxy
   */
  async offer(proxy, { hosts, firstHost, rate, seconds }) {
    const job = { ...this.#job('cold', proxy, 0, 1), mode: 'store', count: hosts, firstHost, rate, seconds };
    await this.#load.prepare(job);
    const [before = 0] = this.#cpu(proxy.pid);
    const outcome = /** @type {import('../modes/store.mjs').Outcome} */ (
      /** @type {unknown} */ (await this.#load.go())
    );
    const [after = 0] = this.#cpu(proxy.pid);
    await this.#load.finish();
    return { ...outcome, cpu: after - before };
  }

  /** Ends every child and removes what was written. */
  close() {
    process.off('exit', this.#dispose);
    this.#dispose();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** @param {string} mode @param {import('../peers/index.mjs').Running} proxy @param {number} round @param {number} share */
  #job(mode, proxy, round, share) {
    const options = this.#options;
    const { clients, transfers, requests, connections, hosts, megabytes, body, idle, upstreams } = options;
    const large = mode === 'bulk' || mode === 'upload';
    const counts = {
      keepalive: requests,
      allocated: requests / 4,
      objects: requests / 8,
      fresh: connections,
      resumed: connections,
      cold: hosts,
      idle,
      held: idle,
      slow: options.readers,
      bursts: options.burst,
      contexts: upstreams,
      roots: upstreams,
    };
    const count = large ? megabytes / body : counts[/** @type {keyof typeof counts} */ (mode)];
    const atATime = large ? transfers : clients;
    const url = new URL(proxy.proxyUrl ?? proxy.targetUrl ?? '');
    return {
      mode,
      target: {
        host: url.hostname,
        port: Number(url.port),
        tunnel: proxy.proxyUrl !== undefined,
        caPem: proxy.caPem,
      },
      originPort: this.#origin.port,
      clients: atATime,
      count: Math.max(atATime, Math.ceil(count * share)),
      // A burst is whole or it is none.
      seconds: options.seconds * (mode === 'bursts' ? 6 : 1),
      size: mode === 'slow' ? SLOW_BODY : body * 1e6,
      firstHost: round * hosts,
    };
  }

  /** @param {number} proxy */
  #cpu(proxy) {
    return [treeCpu(proxy), treeCpu(this.#load.pid), treeCpu(this.#origin.pid)];
  }
}

/** One authority for the origin, another that intercepting peers may use, and a leaf of it for those that do not mint. */
function writeCertificates(/** @type {string} */ dir) {
  const leafKey = makeLeafKey();
  const originAuthority = makeAuthority('bench origin CA');
  const origin = makeLeaf(originAuthority, leafKey, [KNOWN_HOST, '127.0.0.1', '::1', WILDCARD]);
  const authority = makeAuthority('bench proxy CA');
  const leaf = makeLeaf(authority, leafKey, [KNOWN_HOST]);
  const contents = {
    originCa: originAuthority.certPem,
    originCert: origin.certPem,
    originKey: origin.keyPem,
    caCert: authority.certPem,
    caKey: authority.keyPem,
    leafCert: leaf.certPem,
    leafKey: leaf.keyPem,
  };
  const paths = Object.entries(contents).map(([name, pem]) => {
    const path = join(dir, `${name}.pem`);
    writeFileSync(path, pem, { mode: 0o600 });
    return [name, path];
  });
  return /** @type {Record<keyof typeof contents, string>} */ (Object.fromEntries(paths));
}

/** Reads a tree's resident memory again and again. @param {number} pid */
function peakRss(pid) {
  let most = treeRss(pid);
  const read = () => (most = Math.max(most, treeRss(pid)));
  const timer = setInterval(read, SAMPLING);
  return {
    most: () => most,
    stop: () => {
      clearInterval(timer);
      read();
    },
  };
}

/** @param {import('../load.mjs').Result} one @param {import('../load.mjs').Result} other */
function sum(one, other) {
  return {
    ...other,
    operations: one.operations + other.operations,
    bytes: one.bytes + other.bytes,
    elapsed: one.elapsed + other.elapsed,
  };
}

function microseconds() {
  return Number(process.hrtime.bigint() / 1000n);
}
