/**
 * The clients: `node clients.mjs PROXY_PORT ORIGIN_PORT CA.pem`. `{ open: N, path }` opens N more connections
 * through the proxy, each with one request, and answers when each has had what it waits for: the whole of
 * /small, the beginning of the others. `{ close: true }` closes all.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** At a time: a new connection is not to find all that the pool holds in use. */
const AT_ONCE = 8;
const EXPECTED = /** @type {Record<string, number>} */ ({ '/small': 1024, '/hold': 4096, '/bulk': 262_144 });

const [proxyPort = '', originPort = '', caFile = ''] = process.argv.slice(2);
const ca = readFileSync(caFile);
/** @type {Set<import('node:tls').TLSSocket>} */
const held = new Set();

process.on('message', (/** @type {{ open?: number, path?: string, close?: true }} */ message) => {
  void obey(message).then(
    () => process.send?.({ held: held.size }),
    (/** @type {unknown} */ error) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));

/** @param {{ open?: number, path?: string, close?: true }} message */
async function obey({ open = 0, path = '', close }) {
  let left = open;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left > 0) {
        left -= 1;
        await ask(path);
      }
    }),
  );
  if (close !== true) return;
  for (const socket of held) socket.destroy();
  held.clear();
}

/** @param {string} path */
async function ask(path) {
  const tunnel = connectTcp(Number(proxyPort), '127.0.0.1');
  tunnel.write(`CONNECT localhost:${originPort} HTTP/1.1\r\nHost: localhost:${originPort}\r\n\r\n`);
  const [answer] = await once(tunnel, 'data');
  if (!String(answer).startsWith('HTTP/1.1 200 ')) throw new Error(`CONNECT: ${String(answer)}`);
  const socket = connectTls({ socket: tunnel, servername: 'localhost', ca, ecdhCurve: 'X25519' });
  held.add(socket);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost:${originPort}\r\n\r\n`);
  await /** @type {Promise<void>} */ (
    new Promise((resolve, reject) => {
      let head = '';
      let body = -1;
      socket.on('data', (chunk) => {
        if (body < 0) {
          head += chunk.toString('latin1');
          const end = head.indexOf('\r\n\r\n');
          if (end < 0) return;
          if (!head.startsWith('HTTP/1.1 200 ')) reject(new Error(head.slice(0, end)));
          body = head.length - end - 4;
        } else {
          body += chunk.length;
        }
        if (body < (EXPECTED[path] ?? 0)) return;
        if (path === '/bulk') socket.pause();
        resolve();
      });
      socket.on('error', reject);
      socket.on('close', () => reject(new Error(`the proxy closed a connection (${path})`)));
    })
  );
}
