/**
 * Counting within a process that is measured: `node --import probe.mjs?kind=…&socket=… program`. It listens on a Unix
 * socket, and answers each line: `begin` with `{}`, `end` with what was counted in between. Without a query it is the
 * module that asks.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** @typedef {'bytes' | 'objects' | 'contexts' | 'roots'} Kind */

/**
 * @typedef {object} Counter
 * @property {() => Promise<void> | void} begin
 * @property {() => Promise<Counts> | Counts} end
 */

/** @typedef {{ count: number, [detail: string]: number }} Counts `count` is what the mode's cost is made of */

/** How long the process may take to count, in milliseconds. */
const PATIENCE = 60_000;

/** @param {Kind} kind @param {string} socket @returns {string[]} flags for Node */
export function probeFlags(kind, socket) {
  const url = new URL(import.meta.url);
  url.search = String(new URLSearchParams({ kind, socket }));
  return ['--import', url.href];
}

/** @param {string} socket @param {'begin' | 'end'} command @returns {Promise<Counts>} */
export async function askProbe(socket, command) {
  const connection = connect(socket);
  connection.setTimeout(PATIENCE, () => connection.destroy(new Error('the probe does not answer')));
  connection.write(`${command}\n`);
  let text = '';
  for await (const chunk of connection.setEncoding('latin1')) text += chunk;
  const answer = JSON.parse(text);
  if (answer.error !== undefined) throw new Error(`the probe: ${answer.error}`);
  return answer;
}

/** @param {Kind} kind @returns {Promise<Counter>} */
async function counterOf(kind) {
  if (kind === 'bytes' || kind === 'objects') {
    const { bytesCounter, objectsCounter } = await import('./probe-allocation.mjs');
    return kind === 'bytes' ? bytesCounter() : objectsCounter();
  }
  const { contextsCounter } = await import('./probe-contexts.mjs');
  return contextsCounter(kind);
}

/** @param {Kind} kind @param {string} path */
async function serve(kind, path) {
  const counter = await counterOf(kind);
  /** @param {import('node:net').Socket} connection */
  const answer = async (connection) => {
    try {
      const [line] = await once(connection, 'data');
      const begins = String(line).startsWith('begin');
      const counted = begins ? await counter.begin() : await counter.end();
      connection.end(JSON.stringify(counted ?? {}));
    } catch (error) {
      connection.end(JSON.stringify({ error: String(error) }));
    }
  };
  const server = createServer((connection) => {
    connection.on('error', () => undefined);
    void answer(connection);
  });
  server.listen(path);
  server.unref();
  await once(server, 'listening');
}

const query = new URL(import.meta.url).searchParams;
const path = query.get('socket');
if (path !== null) await serve(/** @type {Kind} */ (query.get('kind')), path);
