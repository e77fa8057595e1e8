/**
 * One end of a connection, for tests that are transcripts: send these bytes, expect those.
 *
 * Text is Latin-1: one character is one byte.
 */
import { once } from 'node:events';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { within } from './patience.js';

/** How the other side ended: by closing its direction in order, or by breaking the connection. */
export type Ending = 'end' | 'reset';

export class Wire {
  readonly socket: Duplex;
  #received = '';
  #ending: Ending | undefined;
  #wake: () => void = nobodyWaits;
  readonly #onData = (chunk: Buffer): void => {
    this.#received += chunk.toString('latin1');
    this.#wake();
  };
  readonly #onEnd = (): void => {
    this.#over('end');
  };
  readonly #onError = (): void => {
    this.#over('reset');
  };
  readonly #onClose = (): void => {
    this.#over('reset');
  };

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on('error', this.#onError).on('end', this.#onEnd).on('close', this.#onClose);
    socket.on('data', this.#onData);
  }

  /** A TCP connection to a port of this machine. It closes its side when the other has, as most programs do. */
  static async connect(port: number, options: Partial<net.TcpNetConnectOpts> = {}): Promise<Wire> {
    const socket = net.connect({ host: '127.0.0.1', noDelay: true, ...options, port });
    await within(once(socket, 'connect'), `a connection to port ${port}`);
    return new Wire(socket);
  }

  /** Speaks TLS from now on, over this connection. Rejects when the handshake fails. */
  async secure(options: tls.ConnectionOptions): Promise<Wire> {
    const { socket } = this;
    socket.off('data', this.#onData).off('end', this.#onEnd);
    const secured = tls.connect({ ...options, socket });
    await within(once(secured, 'secureConnect'), 'the TLS handshake');
    return new Wire(secured);
  }

  /** From now on everything that arrives, and has arrived, goes to `take` (`null`: the end), not to this wire. */
  handOver(take: (bytes: Buffer | null) => void): void {
    const { socket } = this;
    socket.off('data', this.#onData).off('end', this.#onEnd);
    const arrived = this.#take(this.#received.length);
    if (arrived !== '') take(Buffer.from(arrived, 'latin1'));
    socket.on('data', take).on('end', () => {
      take(null);
    });
  }

  /** The TLS side of it. */
  get tls(): tls.TLSSocket {
    if (this.socket instanceof tls.TLSSocket) return this.socket;
    throw new Error('this wire does not speak TLS');
  }

  send(...parts: readonly (string | Uint8Array)[]): this {
    this.socket.write(Buffer.concat(parts.map(bytesOf)));
    return this;
  }

  /** Sends each byte in a segment of its own. */
  async sendSlowly(bytes: string | Uint8Array): Promise<void> {
    for (const byte of bytesOf(bytes)) {
      this.socket.write(Uint8Array.of(byte));
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }

  /** What arrives up to and with `text`. */
  until(text: string): Promise<string> {
    return this.#wait(JSON.stringify(text), () => {
      const at = this.#received.indexOf(text);
      return at === -1 ? undefined : this.#take(at + text.length);
    });
  }

  /** A head, with its empty line. */
  head(): Promise<string> {
    return this.until('\r\n\r\n');
  }

  /** The next `length` bytes. */
  bytes(length: number): Promise<string> {
    return this.#wait(`${length} bytes`, () => {
      return this.#received.length < length ? undefined : this.#take(length);
    });
  }

  /** A response or request with a Content-Length: head and body. */
  async message(): Promise<{ readonly head: string; readonly body: string }> {
    const head = await this.head();
    const length = Number(/^content-length: *(\d+)\r$/im.exec(head)?.[1] ?? 0);
    return { head, body: await this.bytes(length) };
  }

  /** All that comes until the other side closes in order. Rejects when it breaks the connection. */
  async rest(): Promise<string> {
    const ending = await this.ending();
    if (ending === 'reset') throw new Error(`the connection was reset after ${shown(this.#received)}`);
    return this.#take(this.#received.length);
  }

  /** Waits for the end, drops what came before it, and says how it ended. */
  ending(): Promise<Ending> {
    return this.#wait('the end of the connection', () => this.#ending);
  }

  /** What has arrived and was not taken. */
  get arrived(): string {
    return this.#received;
  }

  get ended(): Ending | undefined {
    return this.#ending;
  }

  /** Half-close: no more will be sent. */
  end(): this {
    this.socket.end();
    return this;
  }

  /** Breaks the connection so that the other side sees a reset. */
  reset(): void {
    if (this.socket instanceof net.Socket && !(this.socket instanceof tls.TLSSocket)) {
      this.socket.resetAndDestroy();
    } else {
      throw new Error('only a TCP connection can be reset');
    }
  }

  destroy(): void {
    this.socket.destroy();
  }

  #over(ending: Ending): void {
    this.#ending ??= ending;
    this.#wake();
  }

  #take(length: number): string {
    const taken = this.#received.slice(0, length);
    this.#received = this.#received.slice(length);
    return taken;
  }

  async #wait<T>(what: string, attempt: () => T | undefined): Promise<T> {
    for (;;) {
      const found = attempt();
      if (found !== undefined) return found;
      if (this.#ending) {
        throw new Error(`expected ${what}, got ${this.#ending} after ${shown(this.#received)}`);
      }
      const news = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      try {
        await within(news, what);
      } catch (error) {
        throw new Error(`${String(error)}; arrived: ${shown(this.#received)}`, { cause: error });
      }
    }
  }
}

function bytesOf(part: string | Uint8Array): Uint8Array {
  return typeof part === 'string' ? Buffer.from(part, 'latin1') : part;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 2000 ? `${text.slice(0, 2000)}…` : text);
}

function nobodyWaits(): void {
  // Until somebody does.
}
