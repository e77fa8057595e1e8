/**
 * The echo server: `node server.mjs CERT.pem KEY.pem [LIBRARY]`. It is the same program on `node:tls` and, where a
 * module is named that exports `createTlsServer`, on that.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:tls';
import { pathToFileURL } from 'node:url';
import { TLS_OPTIONS } from '../lib/payload.mjs';

const [certFile = '', keyFile = '', library] = process.argv.slice(2);
const options = { cert: readFileSync(certFile), key: readFileSync(keyFile), ...TLS_OPTIONS };

/** @param {import('node:tls').TLSSocket} socket */
function echo(socket) {
  socket.on('data', (chunk) => {
    if (socket.write(chunk)) return;
    socket.pause();
    socket.once('drain', () => socket.resume());
  });
  socket.on('error', () => socket.destroy());
}

/** @returns {Promise<typeof createServer>} */
async function maker() {
  if (library === undefined) return createServer;
  const { createTlsServer } = await import(pathToFileURL(library).href);
  if (createTlsServer === undefined) throw new Error(`${library} exports no createTlsServer`);
  return createTlsServer;
}

const make = await maker();
const server = make(options, echo);
server.on('tlsClientError', () => undefined);
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.on('SIGTERM', () => process.exit(0));
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
console.log(`listening on port ${port}`);
