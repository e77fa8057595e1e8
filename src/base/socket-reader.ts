/**
 * Reads a socket into memory that is used again: the `onread` option of `net.connect` and `tls.connect`.
 *
 * A `data` event comes with a buffer of its own, made and thrown away for every 16 KiB of a TLS connection. An
 * `onread` buffer is read before the callback returns, so one buffer serves all connections of a proxy.
 */
import type { OnReadOpts, Socket } from 'node:net';
import type { Bytes } from './bytes.js';
import type { Histogram } from './histogram.js';
import { ReadMemory } from './read-memory.js';
import { userBuffers } from './user-buffer.js';

/** In the place of an argument that no callback here looks at. */
const nothing = new Uint8Array(0);

/** What a full TLS record holds (RFC 8446 §5.1). */
const recordSize = 16_384;

export class SocketReader {
  /** To be given as `onread` to `connect`. */
  readonly onread: OnReadOpts;
  /** Takes what was read, valid until it returns. While unset, bytes go into the socket's own stream. */
  receive: ((bytes: Buffer) => void) | undefined;
  /** Whether it reads a socket: false where `adopt` could not be had, and `data` events are to be used. */
  attached = false;
  #socket: Socket | undefined;

  /**
   * `buffer` may be shared by any number of readers of one thread; of a `ReadMemory` each read takes as much as the
   * traffic fills. The sizes of the reads go into `histogram`.
   */
  constructor(buffer: Buffer | ReadMemory, histogram?: Histogram) {
    this.onread =
      buffer instanceof ReadMemory ? this.#adaptive(buffer, histogram) : this.#fixed(buffer, histogram);
  }

  /** The socket that `connect` returned with this reader's `onread`. */
  attach(socket: Socket): void {
    this.#socket = socket;
    this.attached = true;
  }

  /** Reads a socket that `connect` gave no `onread`, such as TLS over a stream. Returns whether that can be had. */
  adopt(socket: Socket): boolean {
    const { onread } = this;
    const buffer = onread.buffer as Buffer | (() => Buffer);
    this.#socket = socket;
    this.attached = userBuffers.read(socket, buffer, (length) => onread.callback(length, nothing));
    return this.attached;
  }

  #fixed(buffer: Buffer, histogram: Histogram | undefined): OnReadOpts {
    const record = buffer.subarray(0, recordSize);
    return {
      buffer,
      callback: (length) => {
        histogram?.record(length);
        // In bulk every call has a full TLS record: one view of it serves them all.
        return this.#pass(length === recordSize ? record : buffer.subarray(0, length));
      },
    };
  }

  #adaptive(memory: ReadMemory, histogram: Histogram | undefined): OnReadOpts {
    let step = 0;
    return {
      buffer: () => memory.view(step),
      callback: (length: Bytes) => {
        histogram?.record(length);
        const going = this.#pass(memory.view(step).subarray(0, length));
        step = memory.nextStep(step, length, this.#socket?.isPaused() === true);
        return going;
      },
    };
  }

  #pass(bytes: Buffer): boolean {
    if (this.receive) {
      this.receive(bytes);
      return true;
    }
    return this.#socket?.push(Buffer.from(bytes)) ?? true;
  }
}
