/**
 * The baseline: an intercepting proxy as a good Node engineer writes it in an afternoon, with nothing but Node's own
 * modules. It keeps connections alive on both sides, streams both ways, and makes each host's certificate and
 * secure context once. It has no limits, no deadlines and no care for odd input, which makes it quick.
 *
 *   node proxy.mjs CA_CERT.pem CA_KEY.pem UPSTREAM_CA.pem [none|store]
 *
 * The last argument is for the store experiment: leaves then have an RSA-2048 key each, and are made at each
 * connection, or kept in the store that this project exports.
 */
import { createPrivateKey, generateKeyPair, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { createSecureContext, TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { authorityFromPem, makeLeaf, makeLeafKey } from '../../lib/mint.mjs';

const [caCert = '', caKey = '', upstreamCa = '', experiment] = process.argv.slice(2);
const authority = authorityFromPem(readFileSync(caCert, 'utf8'), createPrivateKey(readFileSync(caKey)));
const leafKey = makeLeafKey();
const agent = new Agent({
  keepAlive: true,
  maxSockets: Infinity,
  maxFreeSockets: 1024,
  // Not `ca`, which the agent would parse again for each connection and make part of the key of each request.
  secureContext: createSecureContext({ ca: readFileSync(upstreamCa) }),
});

/** @type {Map<string, import('node:tls').SecureContext>} */
const contexts = new Map();
/** @type {WeakMap<object, { host: string, port: string }>} */
const origins = new WeakMap();

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

const makeKey = promisify(generateKeyPair);
const { MemoryStore } = experiment === 'store' ? await import('../../../dist/certs/index.js') : {};
const store = MemoryStore && new MemoryStore();

/** @param {string} host */
async function rsaContextFor(host) {
  const generate = async () => {
    const { publicKey, privateKey } = await makeKey('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'der' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const { certPem, keyPem } = makeLeaf(authority, { spki: publicKey, keyPem: privateKey }, [host]);
    const { serialNumber, validFrom, validTo } = new X509Certificate(certPem);
    return {
      certificatePem: certPem,
      privateKeyPem: keyPem,
      serial: serialNumber.toLowerCase(),
      notBefore: Date.parse(validFrom),
      notAfter: Date.parse(validTo),
    };
  };
  const key = { host, authority: 'bench', profile: /** @type {const} */ ('rsa-2048') };
  const leaf = await (store ? store.fetch(key, generate) : generate());
  return createSecureContext({ cert: leaf.certificatePem, key: leaf.privateKeyPem });
}

const intercepted = createServer((req, res) => {
  const origin = origins.get(req.socket);
  if (origin === undefined) throw new Error('a request without a tunnel');
  const { connection: _hop, 'proxy-connection': _proxy, 'keep-alive': _keep, ...headers } = req.headers;
  const upstream = httpsRequest(
    { agent, host: origin.host, port: origin.port, method: req.method, path: req.url, headers },
    (answer) => {
      const { connection: _close, 'keep-alive': _idle, ...answerHeaders } = answer.headers;
      res.writeHead(answer.statusCode ?? 502, answer.statusMessage, answerHeaders);
      answer.pipe(res);
    },
  );
  upstream.on('error', () => {
    if (res.headersSent) res.destroy();
    else res.writeHead(502).end();
  });
  res.on('close', () => {
    if (!res.writableFinished) upstream.destroy();
  });
  req.pipe(upstream);
});
intercepted.keepAliveTimeout = 60_000;

const proxy = createServer((_req, res) => res.writeHead(501).end());
proxy.on('connect', (req, socket, head) => {
  intercept(req, socket, head).catch(() => socket.destroy());
});

/** @param {import('node:http').IncomingMessage} req @param {import('node:stream').Duplex} socket @param {Buffer} head */
async function intercept(req, socket, head) {
  const { hostname, port } = new URL(`http://${req.url}`);
  socket.on('error', () => socket.destroy());
  const secureContext = experiment ? await rsaContextFor(hostname) : contextFor(hostname);
  socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
  if (head.length > 0) socket.unshift(head);
  const secure = new TLSSocket(socket, { isServer: true, secureContext });
  secure.on('error', () => secure.destroy());
  origins.set(secure, { host: hostname, port: port || '443' });
  intercepted.emit('connection', secure);
}

process.on('SIGTERM', () => process.exit(0));
proxy.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (proxy.address());
  console.log(`listening on http://127.0.0.1:${port}`);
});
