/** Two sockets joined as they are: bytes both ways, with backpressure, half-close and one idle deadline. */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import type { Context } from '../base/context.js';
import type { SallyportError } from '../base/errors.js';

export interface RelayOptions {
  /** What had been read from each side before it was joined, to be sent on first. */
  readonly fromClient: Buffer;
  readonly fromOrigin: Buffer;
  /** The relay's own: closes with it, and ends it. */
  readonly context: Context;
  readonly idleTimeout: Milliseconds;
  /** Bytes that may wait to be sent on one side before the other is paused. */
  readonly buffered: Bytes;
}

export interface RelayEnd {
  /** Bytes from the client, and to the client. */
  readonly sent: Bytes;
  readonly received: Bytes;
  /** Set when the relay was cut: by its deadline, a reset, or a shutdown. */
  readonly error: SallyportError | undefined;
}

/**
 * Owns both sockets until both are closed. The end of one direction is passed on as a half-close and the
 * other goes on (RFC 9110 §9.3.6 allows to close both; peers such as `nc -N` and SSH need the half). A
 * reset of one side destroys the other.
 */
export function relay(client: Duplex, origin: Duplex, options: RelayOptions): Promise<RelayEnd> {
  const { context, idleTimeout } = options;
  return new Promise((resolve) => {
    let open = 2;
    let cut: SallyportError | undefined;
    const alive = (): void => {
      context.setTimeout(idleTimeout, 'ERR_TUNNEL_IDLE');
    };
    const closed = (): void => {
      open -= 1;
      if (open > 0) return;
      stop();
      context.close();
      resolve({ sent: up.bytes, received: down.bytes, error: cut });
    };
    const up = new Direction(client, origin, options.buffered, alive, closed);
    const down = new Direction(origin, client, options.buffered, alive, closed);
    const stop = context.onClose(() => {
      cut = context.err;
      client.destroy();
      origin.destroy();
    });
    alive();
    up.start(options.fromClient);
    down.start(options.fromOrigin);
  });
}

class Direction {
  bytes: Bytes = 0;
  readonly #from: Duplex;
  readonly #to: Duplex;
  readonly #buffered: Bytes;
  readonly #alive: () => void;
  readonly #closed: () => void;
  #over = false;

  constructor(from: Duplex, to: Duplex, buffered: Bytes, alive: () => void, closed: () => void) {
    this.#from = from;
    this.#to = to;
    this.#buffered = buffered;
    this.#alive = alive;
    this.#closed = closed;
    from.on('data', (chunk: Buffer) => {
      this.#pass(chunk);
    });
    to.on('drain', () => {
      alive();
      from.resume();
    });
    from.on('end', () => {
      to.end();
    });
    // `close` follows, and does the work.
    from.on('error', ignore);
    from.on('close', () => {
      this.#close();
    });
  }

  start(first: Buffer): void {
    if (first.length > 0) this.#pass(first);
    if (this.#from.closed) this.#close();
    else if (this.#from.readableEnded) this.#to.end();
    else if (!this.#to.writableNeedDrain || this.#to.writableLength < this.#buffered) this.#from.resume();
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    if (!this.#from.readableEnded) breakOff(this.#to);
    else if (!this.#to.writableEnded) this.#to.end();
    this.#closed();
  }

  #pass(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#alive();
    // `drain` comes only after a write that says no.
    const roomy = this.#to.write(chunk);
    if (!roomy && this.#to.writableLength >= this.#buffered) this.#from.pause();
  }
}

/** What broke off on one side must not end in order on the other. Over TLS the missing close_notify says so. */
function breakOff(socket: Duplex): void {
  if (socket instanceof Socket && !(socket instanceof TLSSocket)) socket.resetAndDestroy();
  else socket.destroy();
}

function ignore(): void {
  // The socket closes next.
}
