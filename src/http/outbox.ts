/**
 * What one leg is about to send in this turn of the event loop: a head and the first bytes of a body leave
 * in one write (one TLS record, one system call), a large body leaves without being copied.
 */
import type { Duplex } from 'node:stream';

/** Up to this size copying into one buffer is cheaper than a gathered write. */
const joinLimit = 16 * 1024;

export class Outbox {
  readonly #socket: Duplex;
  /** Text that goes first. Everything after it is in `#chunks`. */
  #text = '';
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  /** Bytes that were handed over and have not left for the kernel. */
  get backlog(): number {
    return this.#socket.writableLength + this.#bytes;
  }

  /** Latin-1 text: heads, sizes of chunks. */
  text(text: string): void {
    if (this.#chunks.length === 0) {
      this.#text += text;
      return;
    }
    const bytes = Buffer.from(text, 'latin1');
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
  }

  bytes(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  flush(): void {
    const text = this.#text;
    const chunks = this.#chunks;
    const socket = this.#socket;
    if (chunks.length === 0) {
      if (text === '') return;
      this.#text = '';
      socket.write(text, 'latin1');
      return;
    }
    const bytes = this.#bytes;
    this.#text = '';
    this.#chunks = [];
    this.#bytes = 0;
    const [first] = chunks;
    if (text === '' && chunks.length === 1 && first) {
      socket.write(first);
    } else if (bytes + text.length <= joinLimit) {
      socket.write(joined(text, chunks, bytes));
    } else {
      socket.cork();
      if (text !== '') socket.write(text, 'latin1');
      for (const chunk of chunks) socket.write(chunk);
      socket.uncork();
    }
  }
}

function joined(text: string, chunks: readonly Buffer[], bytes: number): Buffer {
  const all = Buffer.allocUnsafe(text.length + bytes);
  let at = text === '' ? 0 : all.write(text, 0, 'latin1');
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
