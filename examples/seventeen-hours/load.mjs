/** Starts a server, asks it for cards, and says after every fifth of them what it holds. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const [, , kind = '', count = '20000'] = process.argv;
const rounds = 5;
const perRound = Math.ceil(Number(count) / rounds);
const atOnce = 16;
const agent = new Agent({ keepAlive: true });

const file = fileURLToPath(new URL('server.mjs', import.meta.url));
const server = fork(file, [kind], { execArgv: [], stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
const origin = await firstLine(server.stdout);

/** @param {import('node:stream').Readable | null} output */
async function firstLine(output) {
  if (output) for await (const line of createInterface(output)) return line;
  process.exit(1);
}

/** @param {string} path */
async function ask(path) {
  // The client that means a minute.
  const asked = get(`${origin}${path}`, { agent, headers: { 'request-timeout': '60000' } });
  const [response] = await once(asked, 'response');
  if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode}`);
  return await text(response);
}

/** @param {string} path */
const askJson = async (path) => JSON.parse(await ask(path));

async function round() {
  let left = perRound;
  const one = async () => {
    while (left > 0) {
      left -= 1;
      await ask(`/cards/${left}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
}

/** @param {readonly unknown[]} cells */
const row = (cells) => console.log(cells.map((cell) => String(cell).padStart(12)).join(''));
const megabytes = (/** @type {number} */ bytes) => (bytes / 1e6).toFixed(1);

/** @param {number} done rounds */
async function measure(done) {
  const { heapUsed, rss } = await askJson('/memory');
  const { counts, leaks } = await askJson('/contexts');
  row([done * perRound, megabytes(heapUsed), megabytes(rss), counts.outstanding]);
  return { heapUsed, counts, leaks };
}

row(['requests', 'heap MB', 'RSS MB', 'contexts']);
await round();
const first = await measure(1);
let last = first;
for (let done = 2; done <= rounds; done += 1) {
  await round();
  last = await measure(done);
}
// Contexts that were dropped are found when they are older than a second.
for (let tries = 0; last.counts.outstanding > 0 && tries < 10; tries += 1) {
  await setTimeout(1000);
  last = await measure(rounds);
}
const kept = (last.heapUsed - first.heapUsed) / (perRound * (rounds - 1));
const { created, closed, leaked, outstanding } = last.counts;
console.log(`${kind}: ${Math.round(kept)} bytes kept for each request that was answered`);
console.log(`contexts: created ${created} closed ${closed} leaked ${leaked} outstanding ${outstanding}`);
for (const { stack, count } of last.leaks) console.log(`leaked ${count}: ${stack ?? 'not in the sample'}`);
agent.destroy();
server.disconnect();
