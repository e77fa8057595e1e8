/** Serves cards in one of three ways, and says what it holds: /memory after a collection, /contexts. */
import { createServer } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Context } from 'sallyport/context';
import { context } from './context.mjs';
import { forgetful } from './forgetful.mjs';
import { plain } from './plain.mjs';

/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {import('node:http').ServerResponse} ServerResponse */
/** @typedef {(request: IncomingMessage, response: ServerResponse) => Promise<void>} Answer */

const answers = new Map(Object.entries({ plain, context, forgetful }));
const [, , kind = ''] = process.argv;
const answer = answers.get(kind) ?? usage();

/** @returns {never} */
function usage() {
  console.error(`usage: server.mjs ${[...answers.keys()].join(' | ')}`);
  process.exit(1);
}

setFlagsFromString('--expose-gc');
const collectGarbage = /** @type {() => void} */ (runInNewContext('gc'));

async function memory() {
  // What was touched in this turn of the event loop is no garbage yet; finalizers come in the next.
  await setImmediate();
  collectGarbage();
  await setImmediate();
  collectGarbage();
  const { rss, heapUsed } = process.memoryUsage();
  return { rss, heapUsed };
}

function contexts() {
  const { ledger } = Context.background;
  const outstanding = Context.background.outstanding();
  return { counts: ledger.counts(), outstanding: outstanding.slice(0, 3), leaks: ledger.leaks() };
}

/** @type {Answer} */
async function serve(request, response) {
  if (request.url === '/memory') response.end(JSON.stringify(await memory()));
  else if (request.url === '/contexts') response.end(JSON.stringify(contexts(), undefined, 2));
  else await answer(request, response);
}

const server = createServer((request, response) => {
  serve(request, response).catch((/** @type {unknown} */ error) =>
    response.writeHead(504).end(String(error)),
  );
});

// When load.mjs has started it, it does not outlive that.
process.once('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') console.log(`http://127.0.0.1:${address.port}`);
});
