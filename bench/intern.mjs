/**
 * What interning saves: 5,000 live connections to an origin with a chain of three certificates, whose chain somebody
 * looks at on each, with interning and without, with session resumption and without.
 *
 *     npm run build && node bench/intern.mjs [--node NODE]… [--connections N] [--dist DIR] [--json FILE]
 *
 * `chain` is the library's way, `per connection` what any program does that keeps `new X509Certificate` for each
 * certificate of each connection, and `nobody looks` what the connections cost by themselves. Each is a process of
 * its own, and the origin another; it counts that process alone. Resumed connections show no certificates: interned
 * ones are taken from the bytes that the full handshake left, and those of the other way from the same bytes.
 */
import { execFileSync, fork } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import tls from 'node:tls';

const file = fileURLToPath(import.meta.url);
const WAYS = /** @type {const} */ (['nobody looks', 'chain', 'per connection']);

/**
 * @typedef {object} Result
 * @property {string} node @property {string} way @property {boolean} resumed @property {number} connections
 * @property {number} parses @property {number} objects @property {number} left interned after close and GC
 * @property {number} heap @property {number} external @property {number} rss bytes a connection
 * @property {number} cpu µs a connection
 */

/** @param {string} dir */
function makeChain(dir) {
  const at = (/** @type {string} */ name) => join(dir, name);
  const extra = [
    'authorityInfoAccess = OCSP;URI:http://ocsp.authority.example/responder',
    'crlDistributionPoints = URI:http://crl.authority.example/issuing/intermediate-g2.crl',
    'certificatePolicies = 2.23.140.1.2.2',
    `1.3.6.1.4.1.11129.2.4.2 = DER:04:82:01:6e${':5a'.repeat(366)}`,
  ].join('\n');
  const ca = `basicConstraints = critical,CA:TRUE\n${extra}\n`;
  const leaf = `basicConstraints = CA:FALSE\nsubjectAltName = DNS:shop.test\n${extra}\n`;
  writeFileSync(at('x.cnf'), `[req]\ndistinguished_name = dn\n[dn]\n[ca]\n${ca}[leaf]\n${leaf}`);
  const run = (/** @type {string[]} */ ...args) => execFileSync('openssl', args, { stdio: 'ignore' });
  const rsa = ['-newkey', 'rsa:2048', '-nodes'];
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const config = ['-config', at('x.cnf')];
  const subject = (/** @type {string} */ name) => ['-subj', `/C=XX/O=An Organization of Tests/CN=${name}`];
  run(
    'req',
    '-x509',
    ...config,
    '-extensions',
    'ca',
    ...rsa,
    '-keyout',
    at('root.key'),
    '-out',
    at('root.pem'),
    ...subject('root'),
  );
  for (const [name, issuer, key, section] of /** @type {const} */ ([
    ['intermediate', 'root', rsa, 'ca'],
    ['leaf', 'intermediate', ec, 'leaf'],
  ])) {
    run('req', ...config, ...key, '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`), ...subject(name));
    run(
      'x509',
      '-req',
      '-in',
      at(`${name}.csr`),
      '-out',
      at(`${name}.pem`),
      '-days',
      '9',
      '-CA',
      at(`${issuer}.pem`),
      '-CAkey',
      at(`${issuer}.key`),
      '-CAcreateserial',
      '-extfile',
      at('x.cnf'),
      '-extensions',
      section,
    );
  }
}

/** The origin: its own process. @param {string} dir */
function origin(dir) {
  const read = (/** @type {string} */ name) => readFileSync(join(dir, name));
  const cert = Buffer.concat([read('leaf.pem'), read('intermediate.pem'), read('root.pem')]);
  const server = tls.createServer({ cert, key: read('leaf.key') }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.write('!');
  });
  server.listen({ port: 0, host: '127.0.0.1', backlog: 511 }, () => {
    const address = server.address();
    if (address !== null && typeof address === 'object') process.send?.(address.port);
  });
  process.on('disconnect', () => process.exit());
}

/** @param {number} times */
async function collect(times = 6) {
  const gc = globalThis.gc ?? (() => undefined);
  for (let time = 0; time < times; time += 1) {
    gc();
    await new Promise((done) => setTimeout(done, 30));
  }
}

/**
 * One row: its own process.
 *
 * @param {{ dir: string, dist: string, port: number, way: string, resumed: boolean, connections: number }} asked
 */
async function measure({ dir, dist, port, way, resumed, connections }) {
  /** @type {any} */
  const certs = await import(pathToFileURL(join(dist, 'certs/index.js')).href);
  const { internChain, internCounters, internPeerCertificates } = certs;
  const secureContext = tls.createSecureContext({ ca: readFileSync(join(dir, 'root.pem')) });
  /** @type {Buffer | undefined} */
  let session;
  /** @type {Buffer[]} */
  let kept = [];
  const open = async () => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port,
      servername: 'shop.test',
      secureContext,
      ...(resumed && session !== undefined && { session }),
    });
    if (session === undefined) socket.once('session', (ticket) => (session = ticket));
    // Node builds the whole chain to check the name otherwise, whichever way it is looked at afterwards.
    const whole = socket.getPeerCertificate.bind(socket);
    socket.getPeerCertificate = /** @type {any} */ (() => whole(false));
    await once(socket, 'secureConnect');
    socket.getPeerCertificate = whole;
    await once(socket, 'data');
    return socket;
  };
  const ders = (/** @type {tls.TLSSocket} */ socket) => {
    const found = [];
    /** @type {any} */
    let shown = socket.getPeerCertificate(true);
    for (; shown?.raw; shown = shown.issuerCertificate === shown ? undefined : shown.issuerCertificate)
      found.push(shown.raw);
    return found;
  };
  let parses = 0;
  /** @param {tls.TLSSocket} socket @returns {X509Certificate[]} */
  const look = (socket) => {
    const reused = socket.isSessionReused();
    if (way === 'nobody looks') return [];
    if (way === 'chain') {
      const handles = reused ? internChain(kept) : internPeerCertificates(socket);
      return handles.map((/** @type {any} */ { certificate }) => certificate);
    }
    return (reused ? kept : ders(socket)).map((der) => {
      parses += 1;
      return new X509Certificate(der);
    });
  };
  // Warm, and with a session to resume.
  await (async () => {
    const first = await open();
    kept = ders(first).map((der) => Buffer.from(der));
    first.destroy();
    for (let count = 0; count < 100; count += 1) {
      const socket = await open();
      look(socket);
      socket.destroy();
    }
  })();
  await collect();
  const before = process.memoryUsage();
  const parsedBefore = internCounters().parses;
  const cpuBefore = process.cpuUsage();
  /** @type {{ socket: tls.TLSSocket, certificates: X509Certificate[] }[]} */
  const live = [];
  while (live.length < connections) {
    const batch = Math.min(8, connections - live.length);
    await Promise.all(
      Array.from({ length: batch }, async () => {
        const socket = await open();
        live.push({ socket, certificates: look(socket) });
      }),
    );
  }
  const cpu = process.cpuUsage(cpuBefore);
  await collect();
  const after = process.memoryUsage();
  const objects = new Set(live.flatMap(({ certificates }) => certificates)).size;
  const reused = live.filter(({ socket }) => socket.isSessionReused()).length;
  if (reused !== (resumed ? connections : 0)) throw new Error(`${reused} of ${connections} were resumed`);
  const each = (/** @type {'heapUsed' | 'external' | 'rss'} */ name) =>
    (after[name] - before[name]) / connections;
  const result = {
    node: process.version,
    way,
    resumed,
    connections,
    objects,
    parses:
      way === 'chain'
        ? internCounters().parses - parsedBefore
        : 0 + (way === 'nobody looks' ? 0 : parses - 300),
    heap: each('heapUsed'),
    external: each('external'),
    rss: each('rss'),
    cpu: (cpu.user + cpu.system) / connections,
    left: 0,
  };
  await Promise.all(live.map(async ({ socket }) => once(socket.destroy(), 'close')));
  live.length = 0;
  await collect(10);
  result.left = internCounters().distinct + internCounters().references;
  process.send?.(result, () => process.exit());
}

/** @param {readonly Result[]} results */
function table(results) {
  const lines = [
    '| Node | sessions | certificates | parses | objects | left after close, GC | JS heap B | native (RSS − heap) B | RSS B | CPU µs |',
    '| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
  ];
  for (const { node, way, resumed, parses, objects, left, heap, rss, cpu } of results) {
    const numbers = [parses, objects, left, heap, rss - heap, rss, cpu].map((value) =>
      Math.round(value).toLocaleString('en'),
    );
    lines.push(
      `| ${node} | ${resumed ? 'resumed' : 'full'} | ${way === 'chain' ? 'interned' : way} | ${numbers.join(' | ')} |`,
    );
  }
  return lines.join('\n');
}

async function main() {
  const { values } = parseArgs({
    options: {
      node: { type: 'string', multiple: true, default: [process.execPath] },
      connections: { type: 'string', default: '5000' },
      dist: { type: 'string', default: join(dirname(file), '..', 'dist') },
      json: { type: 'string' },
    },
  });
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
  /** @type {Result[]} */
  const results = [];
  try {
    makeChain(dir);
    for (const execPath of values.node) {
      for (const resumed of [false, true]) {
        for (const way of WAYS) {
          const server = fork(file, ['--origin', dir], { execPath });
          try {
            const [port] = /** @type {[number]} */ (await once(server, 'message'));
            const asked = {
              dir,
              dist: resolve(values.dist),
              port,
              way,
              resumed,
              connections: Number(values.connections),
            };
            const child = fork(file, ['--measure', JSON.stringify(asked)], {
              execPath,
              execArgv: ['--expose-gc'],
            });
            const told = /** @type {Promise<[Result]>} */ (once(child, 'message'));
            const ended = /** @type {Promise<[number | null]>} */ (once(child, 'exit'));
            const [result] = await Promise.race([
              told,
              ended.then(([code]) => Promise.reject(new Error(`${way}: ended with ${code}`))),
            ]);
            results.push(result);
          } finally {
            server.disconnect();
          }
        }
      }
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
  console.log(
    `${values.connections} live connections, a chain of three; bytes and CPU are those of one connection.\n`,
  );
  console.log(table(results));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, undefined, 2)}\n`);
}

const [mode, argument = ''] = process.argv.slice(2);
if (mode === '--origin') origin(argument);
else if (mode === '--measure') await measure(JSON.parse(argument));
else await main();
