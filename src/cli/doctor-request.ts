/**
 * One request through a proxy, all of it on this machine: an origin of our own with a certificate that nobody
 * else trusts, a proxy of our own, and a client that speaks raw HTTP and trusts the CA only.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import { type AddressInfo, connect as connectSocket, type LookupFunction, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError } from '../base/errors.js';
import { type Authority, Identities, openAuthority } from '../certs/index.js';
import { createProxy } from '../proxy/proxy.js';

export interface InterceptedRequest {
  readonly duration: Milliseconds;
  /** The TLS version between client and proxy. */
  readonly tls: string;
}

const timeLimit: Milliseconds = 15_000;
/** A name that no resolver knows (RFC 6761 §6.2): the proxy is told where it is. */
const originHost = 'origin.sallyport.test';

/**
 * Makes the request with the CA in `caDir`, or with one made for the occasion. Rejects with what went wrong:
 * an error of the table from the proxy's answer, or of the client's TLS.
 */
export async function interceptedRequest(caDir: string | undefined): Promise<InterceptedRequest> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-doctor-'));
  try {
    using context = Context.background.withTimeout(timeLimit);
    const dir = join(directory, 'origin');
    const authority = await openAuthority({ dir, name: 'sallyport doctor: origin' });
    return await withOrigin(authority, async (port, secret) => {
      const lookup = fixedLookup();
      const options = { port: 0, caDir: caDir ?? join(directory, 'ca'), upstreamCa: authority.pem, lookup };
      const proxy = createProxy(options);
      try {
        await proxy.listen();
        return await ask(context, proxy.port, port, proxy.ca, secret);
      } finally {
        await proxy.close({ drainTimeout: 0 });
      }
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function withOrigin<T>(
  authority: Authority,
  work: (port: number, secret: string) => Promise<T>,
): Promise<T> {
  const identities = new Identities({ authority });
  const { chainPem: cert, privateKeyPem: key } = await identities.get(originHost);
  const secret = randomBytes(16).toString('hex');
  const origin = createServer({ cert, key }, (_request, response) => {
    response.end(secret);
  });
  try {
    origin.listen(0, '127.0.0.1');
    await once(origin, 'listening');
    return await work((origin.address() as AddressInfo).port, secret);
  } finally {
    origin.closeAllConnections();
    origin.close();
    await identities.close();
  }
}

/** Every name is this machine. */
function fixedLookup(): LookupFunction {
  return (_hostname, options, callback) => {
    if (options.all === true) callback(null, [{ address: '127.0.0.1', family: 4 }]);
    else callback(null, '127.0.0.1', 4);
  };
}

async function ask(
  context: Context,
  proxyPort: number,
  originPort: number,
  ca: Authority,
  secret: string,
): Promise<InterceptedRequest> {
  const started = performance.now();
  const tunnel = connectSocket(proxyPort, '127.0.0.1');
  const stop = context.onClose(({ err }) => tunnel.destroy(err));
  try {
    const authority = `${originHost}:${originPort}`;
    tunnel.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    expectStatus(await readHead(tunnel, context), 'CONNECT');
    const client = connectTls({
      socket: tunnel,
      servername: originHost,
      ca: ca.certificates.map(String),
      // An imported CA need not be a root.
      allowPartialTrustChain: true,
      rejectUnauthorized: true,
    });
    await once(client, 'secureConnect', { signal: context.signal });
    const tls = client.getProtocol() ?? 'unknown';
    client.write(`GET / HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`);
    const answer = await readAll(client);
    expectStatus(answer, 'GET');
    if (!answer.includes(secret)) {
      throw new SallyportError('ERR_DOCTOR', 'the body that came back is not what the origin sent');
    }
    return { duration: performance.now() - started, tls };
  } catch (error) {
    if (!context.closed) throw error;
    throw new SallyportError('ERR_DOCTOR', `it took more than ${timeLimit / 1000} s`, { cause: error });
  } finally {
    stop();
    tunnel.destroy();
  }
}

function expectStatus(answer: string, what: string): void {
  if (/^HTTP\/1\.[01] 200[ \r]/.test(answer)) return;
  const shown = answer.slice(0, 300).replace(/\s+/g, ' ');
  throw new SallyportError('ERR_DOCTOR', `${what} was answered with: ${shown === '' ? 'nothing' : shown}`);
}

/** Reads up to the empty line; nothing comes after it until we speak. */
async function readHead(socket: Socket, context: Context): Promise<string> {
  let head = '';
  while (!head.includes('\r\n\r\n') && !socket.readableEnded) {
    const chunk: unknown = socket.read();
    if (chunk instanceof Buffer) head += chunk.toString('latin1');
    else await once(socket, 'readable', { signal: context.signal });
  }
  return head;
}

async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) if (chunk instanceof Buffer) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}
