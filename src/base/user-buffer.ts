/**
 * Reads a socket that exists already into memory that is used again: what the option `onread` does for sockets that
 * are connected by `net.connect`, for accepted ones, and for TLS over a stream, where Node drops the option.
 *
 * The one place that touches Node's insides (the option's own fields, and the handle's method that they are given
 * to). It looks for each first and changes nothing where one is missing; and nothing is read this way before bytes
 * have gone through a connection of its own and come out right. Measured: 2 GB over TLS on a stream took
 * 1.37 s of CPU by `data` events and 1.07 s by this on Node 20, 1.5 and 0.9 on Node 24; a buffer for each record
 * is what the rest went to. test/base/user-buffer.test.ts runs both ways on every Node that is supported.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Milliseconds } from './bytes.js';
import { Context } from './context.js';

interface Handle {
  readonly useUserBuffer?: (buffer: Uint8Array) => void;
}

/**
 * Has `callback` called, as a method of the socket, with the number of bytes that a read put into `buffer`, and with
 * that, which may be used again once it returns; `false` stops reading until `resume`. No `data` events come any more. Returns whether it can be had; to
 * be called once, before anything is read.
 */
export type ReadIntoBuffer = (
  socket: Socket,
  buffer: Buffer | (() => Buffer),
  callback: (this: Socket, length: number, bytes: Buffer) => boolean,
) => boolean;

/** Reads and loopback take far less; whatever takes longer does not work. */
const patience: Milliseconds = 2_000;

/** What this Node can do, found out once. */
export class UserBuffers {
  readonly #adopt: ReadIntoBuffer;
  #probed: Promise<boolean> | undefined;
  #works = false;

  constructor(adopt: ReadIntoBuffer = adoptByFields) {
    this.#adopt = adopt;
  }

  /** Whether `read` is of use: bytes go through a loopback connection the first time. Never rejects. */
  async probe(): Promise<boolean> {
    this.#probed ??= bytesComeRight(this.#adopt).then((works) => (this.#works = works));
    return await this.#probed;
  }

  /** See `ReadIntoBuffer`. Until `probe` has found that it works, it returns `false` and leaves the socket alone. */
  readonly read: ReadIntoBuffer = (socket, buffer, callback) => {
    if (this.#works) return this.#adopt(socket, buffer, callback);
    void this.probe();
    return false;
  };
}

/** Of this process: Node is the same for all. */
export const userBuffers = new UserBuffers();

function adoptByFields(...[socket, buffer, callback]: Parameters<ReadIntoBuffer>): boolean {
  const handle = (socket as { readonly _handle?: Handle | null })._handle;
  if (!handle || typeof handle.useUserBuffer !== 'function') return false;
  const symbols = Object.getOwnPropertySymbols(socket);
  const find = (name: string): symbol | undefined => symbols.find(({ description }) => description === name);
  const [bufferField, callbackField, nextField] = [find('kBuffer'), find('kBufferCb'), find('kBufferGen')];
  if (!bufferField || !callbackField || !nextField) return false;
  const first = typeof buffer === 'function' ? buffer() : buffer;
  Object.assign(socket, {
    [bufferField]: first,
    [callbackField]: callback,
    [nextField]: typeof buffer === 'function' ? buffer : null,
  });
  handle.useUserBuffer(first);
  return true;
}

/** Two buffers take turns and reading stops after each, as it does where a reader is slow; then comes the end. */
async function bytesComeRight(adopt: ReadIntoBuffer): Promise<boolean> {
  const server = createServer({ pauseOnConnect: true });
  const sockets: Socket[] = [];
  try {
    using context = Context.background.withTimeout(patience);
    server.listen(0, '127.0.0.1').unref();
    await once(server, 'listening', context);
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1').unref();
    sockets.push(client);
    const [socket] = (await once(server, 'connection', context)) as [Socket];
    sockets.push(socket.unref());
    const buffers = [Buffer.alloc(5), Buffer.alloc(3)] as const;
    let turn = false;
    let got = '';
    const next = (): Buffer => buffers[turn ? 1 : 0];
    const adopted = adopt(socket, next, function (length, bytes) {
      if (this === socket && bytes === next()) got += bytes.toString('latin1', 0, length);
      turn = !turn;
      setImmediate(() => socket.resume());
      return false;
    });
    if (!adopted) return false;
    const sent = 'every byte, once and in order';
    socket.resume();
    client.end(sent);
    await once(socket, 'end', context);
    return got === sent;
  } catch {
    // Whatever goes wrong here would go wrong for a connection.
    return false;
  } finally {
    for (const socket of sockets) socket.on('error', ignore).destroy();
    server.close();
  }
}

function ignore(): void {
  // Of connections that were for the probe alone.
}
