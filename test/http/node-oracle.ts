/**
 * Node's own HTTP parser (llhttp, strict) as an oracle, through its public interface: a server or a client
 * whose socket is a Duplex that holds the bytes.
 */
import http, { type IncomingMessage, type Server } from 'node:http';
import { Duplex } from 'node:stream';
import type { Framed, Reading } from './reading.js';

/** What a `node:http` server reads from `bytes`, which are all that the client sends. */
export async function nodeServerReading(server: Server, chunks: readonly Buffer[]): Promise<Reading> {
  const wire = new Wire();
  const seen: { readonly start: string; readonly message: IncomingMessage; readonly body: Buffer[] }[] = [];
  wire.onRequest = (message) => {
    const body: Buffer[] = [];
    message.on('data', (piece: Buffer) => body.push(piece));
    message.on('error', ignored);
    seen.push({ start: `${message.method} ${message.url}`, message, body });
    // Node reads nothing after a request to switch protocols, though nobody switches.
    const { connection, upgrade } = message.headers;
    if (upgrade !== undefined && /upgrade/i.test(connection ?? '')) wire.onFault('HPE_CLOSED_CONNECTION');
  };
  let why: string | undefined;
  let end: Reading['end'] | undefined;
  wire.onFault = (code) => {
    why ??= code;
    end ??= code === 'switched' ? 'switched' : endOf(code);
  };
  server.emit('connection', wire);
  await wire.deliver(chunks);
  const all = seen.map(({ start, message, body }) => ({
    framed: { start, body: Buffer.concat(body).toString('latin1') },
    isComplete: message.complete,
  }));
  const last = all.at(-1);
  const open = last && !last.isComplete && end !== 'switched' ? last.framed : undefined;
  const messages = all.map(({ framed }) => framed);
  return { messages: open ? messages.slice(0, -1) : messages, open, end: end ?? 'clean', why };
}

/** A server for `nodeServerReading`; it does not listen, so it need not be closed. */
export function nodeServer(): Server {
  const server = http.createServer({
    insecureHTTPParser: false,
    requireHostHeader: false,
    maxHeaderSize: 128 * 1024,
  });
  server.maxHeadersCount = 0;
  const received = (message: IncomingMessage): void => wireOf(message.socket).onRequest(message);
  server.on('request', received);
  server.on('checkContinue', received);
  server.on('checkExpectation', received);
  server.on('connect', (message, socket) => {
    received(message);
    wireOf(socket).onFault('switched');
    socket.destroy();
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    wireOf(socket).onFault(error.code ?? error.message);
    socket.destroy();
  });
  return server;
}

/** What a `node:http` client reads of the answer to a request with `method`: one final response. */
export async function nodeClientReading(method: string, chunks: readonly Buffer[]): Promise<Reading> {
  const wire = new Wire();
  const messages: Framed[] = [];
  let end: Reading['end'] | undefined;
  let final:
    { readonly start: string; readonly message: IncomingMessage; readonly body: Buffer[] } | undefined;
  const request = http.request({
    method,
    createConnection: () => wire,
    insecureHTTPParser: false,
    maxHeaderSize: 128 * 1024,
  });
  // What comes after the final response belongs to no request of ours.
  request.on('information', ({ statusCode }) => {
    if (!final) messages.push({ start: `${statusCode}`, body: '' });
  });
  request.on('response', (message) => {
    const body: Buffer[] = [];
    message.on('data', (piece: Buffer) => body.push(piece));
    message.on('error', ignored);
    // The client reads no further, not even the end.
    message.on('end', () => wire.leave());
    final = { start: `${message.statusCode}`, message, body };
  });
  const switched = ({ statusCode }: IncomingMessage): void => {
    if (final) return;
    messages.push({ start: `${statusCode}`, body: '' });
    end ??= 'switched';
    wire.destroy();
  };
  request.on('upgrade', switched);
  // Any answer to CONNECT comes here.
  request.on('connect', switched);
  request.on('error', (error: NodeJS.ErrnoException) => {
    // A fault after a complete response is a fault of the next.
    if (!final?.message.complete) end ??= endOf(error.code ?? error.message);
  });
  request.end();
  await wire.deliver(chunks);
  if (!final) return { messages, open: undefined, end: end ?? 'clean' };
  const framed = { start: final.start, body: Buffer.concat(final.body).toString('latin1') };
  if (final.message.complete) return { messages: [...messages, framed], open: undefined, end: 'closed' };
  return { messages, open: framed, end: end ?? 'incomplete' };
}

function endOf(code: string): Reading['end'] {
  if (code === 'HPE_INVALID_EOF_STATE' || code === 'ECONNRESET') return 'incomplete';
  if (code === 'HPE_CLOSED_CONNECTION') return 'closed';
  return 'refused';
}

function ignored(): void {
  // The reading tells it.
}

function wireOf(socket: unknown): Wire {
  if (socket instanceof Wire) return socket;
  throw new TypeError('the socket is not a Wire');
}

/** A socket that holds what the peer sends and drops what is sent to it. */
class Wire extends Duplex {
  onRequest: (message: IncomingMessage) => void = ignored;
  onFault: (code: string) => void = ignored;
  #ended = false;

  constructor() {
    super({ autoDestroy: false });
    this.on('error', ignored);
    this.on('end', () => {
      this.#ended = true;
    });
  }

  override _read(): void {
    // Everything is pushed by `deliver`.
  }

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done();
  }

  /** Nobody reads any more. */
  leave(): void {
    this.#ended = true;
  }

  /** Pushes the chunks and waits until they were read, or nobody reads any more. */
  async deliver(chunks: readonly Buffer[]): Promise<void> {
    for (const chunk of chunks) {
      if (!this.destroyed) this.push(chunk);
    }
    if (!this.destroyed) this.push(null);
    for (let turns = 0; turns < 100 && !this.#ended && !this.destroyed; turns += 1) await turn();
    if (!this.#ended && !this.destroyed) throw new Error('the oracle does not read to the end');
    // The bodies flow in ticks of their own.
    await turn();
    this.destroy();
    await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
