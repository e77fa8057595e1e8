/** The origins of the chaos: what they are asked for says what they do. */
import { once } from 'node:events';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { type Authority, certificateName, Minter } from '../../src/certs/index.js';
import { dns, selfSigned } from '../support/origin-ca.js';
import { answerFor, bodyOf, fin, rst, stall, type Step } from './answers.js';

const day = 86_400_000;
const domain = '.chaos.test';

export class Origins {
  /** HTTP and tunnels; TLS; nobody. */
  readonly ports: { readonly plain: number; readonly secure: number; readonly nobody: number };
  readonly #servers: readonly net.Server[];
  readonly #open: ReadonlySet<net.Socket>;
  readonly #certificates: Certificates;

  private constructor(
    ports: Origins['ports'],
    servers: readonly net.Server[],
    open: ReadonlySet<net.Socket>,
    certificates: Certificates,
  ) {
    this.ports = ports;
    this.#servers = servers;
    this.#open = open;
    this.#certificates = certificates;
  }

  static async start(authority: Authority): Promise<Origins> {
    const open = new Set<net.Socket>();
    const certificates = new Certificates(authority);
    const secure = tls.createServer({ SNICallback: certificates.sni, noDelay: true });
    // By the port of the other end: of a TLS connection only what lies below can be reset.
    const below = new Map<number | undefined, net.Socket>();
    secure.on('connection', (socket: net.Socket) => {
      const { remotePort } = socket;
      below.set(remotePort, socket);
      socket.on('close', () => below.delete(remotePort));
    });
    secure.on('tlsClientError', ignore).on('secureConnection', (socket: tls.TLSSocket) => {
      serve(socket, () => below.get(socket.remotePort)?.resetAndDestroy());
    });
    const inner = await listen(secure, open);
    const gate = net.createServer({ noDelay: true }, (socket) => {
      admit(socket, inner, open);
    });
    const plain = net.createServer({ noDelay: true }, (socket) => {
      serve(socket, () => socket.resetAndDestroy());
    });
    const nobody = net.createServer();
    const ports = {
      plain: await listen(plain, open),
      secure: await listen(gate, open),
      nobody: await listen(nobody, open),
    };
    nobody.close();
    return new Origins(ports, [secure, gate, plain], open, certificates);
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#open.size;
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await Promise.all(
      this.#servers.map(async (server) => {
        server.close();
        await once(server, 'close');
      }),
    );
    this.#certificates.close();
  }
}

async function listen(server: net.Server, open: Set<net.Socket>): Promise<number> {
  server.on('connection', (socket: net.Socket) => {
    open.add(socket);
    socket.on('error', ignore).on('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

/** Good certificates for all but those whose names say otherwise. */
class Certificates {
  readonly #minter: Minter;
  readonly #contexts = new Map<string, Promise<tls.SecureContext>>();

  constructor(authority: Authority) {
    this.#minter = new Minter({ issuer: authority });
  }

  close(): void {
    this.#minter.close();
  }

  readonly sni = (host: string, done: (error: Error | null, context?: tls.SecureContext) => void): void => {
    let context = this.#contexts.get(host);
    if (!context) {
      context = this.#make(host);
      this.#contexts.set(host, context);
    }
    context.then((made) => {
      done(null, made);
    }, done);
  };

  async #make(host: string): Promise<tls.SecureContext> {
    const names = [dns(host)];
    if (host === `untrusted${domain}`) return tls.createSecureContext(await selfSigned({ names }));
    if (host === `expired${domain}`) {
      const notAfter = Date.now() - day;
      return tls.createSecureContext(await selfSigned({ names, notAfter }));
    }
    const shown = host === `misnamed${domain}` ? `other${domain}` : host;
    const { certificatePem: cert, privateKeyPem: key } = await this.#minter.mint(certificateName(shown));
    return tls.createSecureContext({ cert, key });
  }
}

/** Stands before the TLS server: reads the name that the client asks for, and does as it says. */
function admit(socket: net.Socket, inner: number, open: Set<net.Socket>): void {
  socket.once('data', (hello) => {
    const host = /([a-z0-9-]+)\.chaos\.test/.exec(hello.toString('latin1'))?.[1] ?? 'good';
    const cut = /^cut-(\d+)-(\w+)$/.exec(host);
    if (cut) return through(socket, hello, inner, open, Number(cut[1]), ends[cut[2] ?? ''] ?? stall);
    const steps = refusals[host];
    if (steps) return void play(socket.resume(), steps, () => socket.resetAndDestroy());
    return through(socket, hello, inner, open, Number.POSITIVE_INFINITY, stall);
  });
}

const ends: Readonly<Record<string, Step>> = { stall, fin, rst };

const refusals: Readonly<Record<string, readonly Step[]>> = {
  silent: [stall],
  garbage: [`\x16\x03\x03\x40\0${bodyOf(300)}`, stall],
  plaintext: ['HTTP/1.1 400 Bad Request\r\n\r\n', fin],
  fin: [fin],
  rst: [rst],
};

/** To the TLS server and back; what comes back only up to `bytes`. */
function through(
  socket: net.Socket,
  first: Buffer,
  inner: number,
  open: Set<net.Socket>,
  bytes: number,
  end: Step,
): void {
  const server = net.connect({ host: '127.0.0.1', port: inner, noDelay: true });
  open.add(server);
  let left = bytes;
  server.on('error', ignore).on('close', () => {
    open.delete(server);
    // The server ended in order, or it did not; a cut ends as it is to.
    if (left > 0 && !socket.writableEnded) socket.resetAndDestroy();
  });
  server.write(first);
  socket.on('data', (chunk) => {
    if (!server.write(chunk)) socket.pause();
  });
  server.on('drain', () => socket.resume());
  socket.on('end', () => server.end()).on('close', () => server.destroy());
  server.on('end', () => {
    if (left > 0) socket.end();
  });
  socket.on('drain', () => server.resume());
  server.on('data', (chunk: Buffer) => {
    if (left <= 0) return;
    if (!socket.write(chunk.subarray(0, Math.min(left, chunk.length)))) server.pause();
    left -= chunk.length;
    if (left <= 0) void play(socket, [end], () => socket.resetAndDestroy());
  });
}

/** Requests one after the other; whoever begins with a NUL gets what it asks for without HTTP. */
function serve(socket: Duplex, reset: () => void): void {
  let received = '';
  let busy = false;
  let closed = false;
  const next = (): void => {
    if (busy || closed) return;
    const asked = parseAsked(received);
    if (!asked) return;
    received = received.slice(asked.length);
    busy = true;
    void play(socket, asked.steps, reset).then((goesOn) => {
      busy = false;
      if (goesOn) next();
    });
  };
  socket.on('error', ignore);
  socket.on('data', (bytes: Buffer) => {
    received += bytes.toString('latin1');
    next();
  });
  socket.on('end', () => {
    closed = true;
    if (!busy && !socket.writableEnded) socket.end();
  });
}

interface Asked {
  readonly steps: readonly Step[];
  /** How much of what came belongs to it. */
  readonly length: number;
}

function parseAsked(text: string): Asked | undefined {
  const raw = /^\0([^\n]*) (\d+)\n/.exec(text);
  if (raw) return { steps: tunnelSteps(raw[1] ?? '', Number(raw[2])), length: text.length };
  const end = text.indexOf('\r\n\r\n') + 4;
  if (end < 4) return undefined;
  const head = text.slice(0, end);
  const asked = /^\w+ \/([^/ ]+)\/(\d+) /.exec(head);
  const { steps, early } = answerFor(decodeURIComponent(asked?.[1] ?? ''), Number(asked?.[2]));
  if (early === true) return { steps, length: text.length };
  const length = /\r\ncontent-length: *(\d+)/i.exec(head);
  if (length) {
    const total = end + Number(length[1]);
    return text.length < total ? undefined : { steps, length: total };
  }
  if (!/\r\ntransfer-encoding:/i.test(head)) return { steps, length: end };
  const last = text.indexOf('\r\n0\r\n\r\n', end - 2);
  return last === -1 ? undefined : { steps, length: last + 7 };
}

/** The same answers; a tunnel ends after each. */
function tunnelSteps(name: string, size: number): readonly Step[] {
  const { steps } = answerFor(name, size);
  const last = steps.at(-1);
  return last === stall || last === rst || last === fin ? steps : [...steps, fin];
}

/** Whether the connection goes on afterwards. */
async function play(socket: Duplex, steps: readonly Step[], reset: () => void): Promise<boolean> {
  for (const step of steps) {
    if (socket.destroyed || socket.writableEnded) return false;
    if (step === stall) return false;
    if (step === fin) {
      socket.end();
      return false;
    }
    if (step === rst) {
      // Not within a callback of the TLS socket: Node 20 does not survive that.
      setImmediate(reset);
      return false;
    }
    if (typeof step === 'string') socket.write(step, 'latin1');
    else await trickle(socket, step.trickle);
  }
  return !socket.destroyed;
}

async function trickle(socket: Duplex, text: string): Promise<void> {
  for (const byte of text) {
    if (socket.destroyed) return;
    socket.write(byte, 'latin1');
    await new Promise(setImmediate);
  }
}

function ignore(): void {
  // `close` follows.
}
