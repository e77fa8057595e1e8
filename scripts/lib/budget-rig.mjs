/** The processes of `npm run test:budget`: origin, proxy and clients, and what is alive in the proxy. */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { at, Failure } from './project.mjs';

/** @typedef {import('node:child_process').ChildProcess} ChildProcess */

/**
 * @typedef {object} Setting
 * @property {string} node the proxy's Node
 * @property {string} main the built command
 * @property {string} [jemalloc] the library that counts; without it only `heap` and `rss` are known
 */

/**
 * What is alive in the proxy.
 *
 * @typedef {object} Alive
 * @property {number} bytes of V8's heap and of malloc; NaN without jemalloc
 * @property {number} heap bytes of V8's heap
 * @property {number} rss bytes
 */

/** One thread's arena and no caches: what is counted as allocated is allocated. It prints when the probe asks. */
const COUNTS = 'narenas:1,tcache:false,stats_interval:1073741824,stats_interval_opts:gmdablxeh';

/** Deadlines do not fall into the measurement. */
const PATIENT = ['idle-client', 'idle-body', 'idle-upstream', 'response-head'].flatMap((name) => [
  '--timeout',
  `${name}=1h`,
]);

/** How long any one step may take, in milliseconds: a step of the slowest takes a tenth of it. */
const STEP_LIMIT = 60_000;

export class Rig {
  /** @type {ChildProcess[]} */
  #children = [];
  #directory = '';
  #errors = '';
  #asked = 0;
  /** @type {ChildProcess | undefined} */ #proxy;
  /** @type {ChildProcess | undefined} */ #clients;
  /** @type {ChildProcess | undefined} */ #origin;

  /** @param {Setting} setting */
  async start({ node, main, jemalloc }) {
    this.#directory = await mkdtemp(join(tmpdir(), 'sallyport-budget-'));
    const { key, cert, caFile } = await this.#originIdentity(main);
    const origin = this.#fork('origin.mjs', [key, cert]);
    this.#origin = origin;
    const { port } = await hear(origin);

    const caDir = join(this.#directory, 'ca');
    const probe = pathToFileURL(at('test', 'budget', 'probe.mjs')).href;
    const options = ['--port', '0', '--quiet', '--ca-dir', caDir, '--upstream-ca', caFile, ...PATIENT];
    const proxy = spawn(node, ['--expose-gc', '--import', probe, main, 'run', ...options], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        PATH: process.env['PATH'],
        HOME: this.#directory,
        ...(jemalloc === undefined ? {} : { LD_PRELOAD: jemalloc, MALLOC_CONF: COUNTS }),
      },
    });
    this.#children.push(proxy);
    this.#proxy = proxy;
    proxy.stderr?.setEncoding('utf8').on('data', (text) => (this.#errors += text));
    const proxyPort = await this.#listening(proxy);
    this.#clients = this.#fork('clients.mjs', [proxyPort, String(port), join(caDir, 'ca.pem')]);
  }

  /** Opens connections, each with one request, and waits until each has its answer. @param {number} count @param {string} path */
  async open(count, path) {
    await this.#tell({ open: count, path });
    if (path === '/bulk') await this.#full();
  }

  async closeAll() {
    await this.#tell({ close: true });
  }

  /** @returns {Promise<Alive>} */
  async alive() {
    const proxy = this.#proxy;
    if (proxy === undefined) throw new Error('not started');
    const id = (this.#asked += 1);
    proxy.send({ measure: id });
    const { heap, rss } = await hear(proxy, () => this.#errors);
    const mark = `\nbudget ${id}\n`;
    while (!this.#errors.includes(mark)) await sleep(10);
    const printed = [...this.#errors.slice(0, this.#errors.indexOf(mark)).matchAll(/^Allocated: (\d+),/gm)];
    this.#errors = '';
    const allocated = Number(printed.at(-1)?.[1] ?? Number.NaN);
    return { bytes: heap + allocated, heap, rss };
  }

  /** How many nodes a heap snapshot has. Nothing can be said about bytes after that. @returns {Promise<number>} */
  async objects() {
    const proxy = this.#proxy;
    if (proxy === undefined) throw new Error('not started');
    proxy.send({ count: 0 });
    const { objects } = await hear(proxy, () => this.#errors);
    return objects;
  }

  async stop() {
    for (const child of this.#children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    if (this.#directory !== '') await rm(this.#directory, { recursive: true, force: true });
  }

  /** Until every buffer between origin and clients is full. */
  async #full() {
    const origin = this.#origin;
    if (origin === undefined) throw new Error('not started');
    let before = -1;
    for (let same = 0; same < 4; await sleep(200)) {
      origin.send({});
      const { written } = await hear(origin);
      same = written === before ? same + 1 : 0;
      before = written;
    }
  }

  /** @param {object} message */
  async #tell(message) {
    const clients = this.#clients;
    if (clients === undefined) throw new Error('not started');
    clients.send(message);
    const { error } = await hear(clients, () => this.#errors);
    if (error !== undefined) throw new Failure(`the budget's clients failed: ${error}\n${this.#errors}`);
  }

  /** @param {string} file @param {string[]} args */
  #fork(file, args) {
    const child = fork(at('test', 'budget', file), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#children.push(child);
    return child;
  }

  /** @param {string} main */
  async #originIdentity(main) {
    /** @type {typeof import('../../src/certs/index.js')} */
    const { Identities, openAuthority } = await import(
      pathToFileURL(join(dirname(main), '..', 'certs', 'index.js')).href
    );
    const authority = await openAuthority({ dir: join(this.#directory, 'origin'), name: 'Budget origin' });
    const identities = new Identities({ authority });
    const { chainPem, privateKeyPem } = await identities.get('localhost');
    await identities.close();
    const key = join(this.#directory, 'key.pem');
    const cert = join(this.#directory, 'cert.pem');
    await writeFile(key, privateKeyPem, { mode: 0o600 });
    await writeFile(cert, chainPem);
    return { key, cert, caFile: authority.paths.certificate };
  }

  /** @param {ChildProcess} proxy @returns {Promise<string>} its port */
  async #listening(proxy) {
    let text = '';
    if (proxy.stdout === null) throw new Error('stdout is a pipe');
    for await (const chunk of proxy.stdout.iterator({ destroyOnReturn: false })) {
      text += String(chunk);
      const port = /^listening on http:\/\/.*:(\d+)$/m.exec(text)?.[1];
      if (port === undefined) continue;
      proxy.stdout.resume();
      return port;
    }
    throw new Failure(`the proxy did not start: ${this.#errors}`);
  }
}

/** The next message of a child. @param {ChildProcess} child @param {() => string} [errors] @returns {Promise<any>} */
async function hear(child, errors = () => '') {
  const over = new AbortController();
  const { signal } = over;
  const timer = setTimeout(() => over.abort(), STEP_LIMIT);
  try {
    const ended = once(child, 'exit', { signal }).then(() => {
      throw new Failure(`a process of the budget ended by itself\n${errors()}`);
    });
    const [message] = await Promise.race([once(child, 'message', { signal }), ended]);
    return message;
  } catch (error) {
    if (!signal.aborted || error instanceof Failure) throw error;
    throw new Failure(`the budget waited ${STEP_LIMIT / 1000} s for an answer\n${errors()}`);
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}
