/**
 * Reads a socket into memory that is used again: the `onread` option of `net.connect` and `tls.connect`.
 *
 * A `data` event comes with a buffer of its own, made and thrown away for every 16 KiB of a TLS connection. An
 * `onread` buffer is read before the callback returns, so one buffer serves all connections of a proxy.
 */
import type { OnReadOpts, Socket } from 'node:net';

/** What a full TLS record holds (RFC 8446 §5.1). */
const recordSize = 16_384;

export class SocketReader {
  /** To be given as `onread` to `connect`. */
  readonly onread: OnReadOpts;
  /** Takes what was read, valid until it returns. While unset, bytes go into the socket's own stream. */
  receive: ((bytes: Buffer) => void) | undefined;
  #socket: Socket | undefined;

  /** `buffer` may be shared by any number of readers of one thread. */
  constructor(buffer: Buffer) {
    const record = buffer.subarray(0, recordSize);
    this.onread = {
      buffer,
      callback: (length) => {
        // In bulk every call has a full TLS record: one view of it serves them all.
        const bytes = length === recordSize ? record : buffer.subarray(0, length);
        if (this.receive) {
          this.receive(bytes);
          return true;
        }
        return this.#socket?.push(Buffer.from(bytes)) ?? true;
      },
    };
  }

  /** The socket that `connect` returned with this reader's `onread`. */
  attach(socket: Socket): void {
    this.#socket = socket;
  }
}
