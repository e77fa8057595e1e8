/**
 * The floor: TLS is ended on one side and begun on the other, and bytes go across, one upstream connection for each
 * client connection. It understands CONNECT and nothing of HTTP after it, so it has no pool and no features.
 *
 *   node relay.mjs CA_CERT.pem CA_KEY.pem UPSTREAM_CA.pem
 */
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import { authorityFromPem, makeLeaf, makeLeafKey } from '../../lib/mint.mjs';

const [caCert = '', caKey = '', upstreamCa = ''] = process.argv.slice(2);
const authority = authorityFromPem(readFileSync(caCert, 'utf8'), createPrivateKey(readFileSync(caKey)));
const leafKey = makeLeafKey();
const upstreamContext = createSecureContext({ ca: readFileSync(upstreamCa) });

/** @type {Map<string, import('node:tls').SecureContext>} */
const contexts = new Map();
/** The newest TLS session with each origin, to resume. @type {Map<string, Buffer>} */
const sessions = new Map();

/** @param {string} host */
function contextFor(host) {
  let context = contexts.get(host);
  if (context === undefined) {
    const { certPem, keyPem } = makeLeaf(authority, leafKey, [host]);
    context = createSecureContext({ cert: certPem, key: keyPem });
    contexts.set(host, context);
  }
  return context;
}

/** @param {TLSSocket} from @param {TLSSocket} to */
function relay(from, to) {
  from.on('data', (chunk) => {
    if (!to.write(chunk)) from.pause();
  });
  to.on('drain', () => from.resume());
  from.on('end', () => to.end());
  from.on('close', () => to.destroySoon());
  from.on('error', () => to.destroy());
}

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  let head = '';
  socket.on('data', function read(chunk) {
    head += chunk.toString('latin1');
    if (!head.includes('\r\n\r\n')) return;
    socket.off('data', read);
    const { hostname, port } = new URL(`http://${head.split(' ')[1]}`);
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    const client = new TLSSocket(socket, { isServer: true, secureContext: contextFor(hostname) });
    const session = sessions.get(hostname);
    const upstream = connect({
      host: hostname,
      port: Number(port),
      servername: hostname,
      secureContext: upstreamContext,
      ...(session !== undefined && { session }),
    });
    upstream.setNoDelay(true);
    upstream.on('session', (newest) => sessions.set(hostname, newest));
    relay(client, upstream);
    relay(upstream, client);
  });
});

process.on('SIGTERM', () => process.exit(0));
server.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`listening on http://127.0.0.1:${port}`);
});
