/** Waits for as many first bytes of a socket as it takes to decide what they are. */
import type { Duplex } from 'node:stream';
import type { Context } from '../base/context.js';

export interface FirstBytes<T> {
  /** All that was read, in one piece. */
  readonly bytes: Buffer;
  /** `silent`, `undecided`: nothing, or not enough, came in time. `ended`: the peer closed its side before. */
  readonly kind: T | 'silent' | 'undecided' | 'ended';
}

/**
 * Reads from `socket` until `decide` gives something other than `more`; then the socket is paused, and the
 * bytes are the caller's to pass on. `decide` gets each chunk as it comes, `received` first unless it is
 * empty, and can ask for all so far. The wait ends when `context` closes. What `decide` throws rejects the promise.
 */
export function firstBytes<T extends string>(
  socket: Duplex,
  received: Buffer,
  context: Context,
  decide: (chunk: Buffer, all: () => Buffer) => T | 'more',
): Promise<FirstBytes<T>> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let waiting = true;
    let stopWaiting = (): void => undefined;
    const all = (): Buffer => {
      if (chunks.length > 1) chunks.splice(0, chunks.length, Buffer.concat(chunks));
      return chunks[0] ?? received;
    };
    const stop = (): void => {
      waiting = false;
      socket.pause();
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onEnd);
      stopWaiting();
    };
    const settle = (kind: T | 'silent' | 'undecided' | 'ended'): void => {
      stop();
      resolve({ bytes: all(), kind });
    };
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      try {
        const kind = decide(chunk, all);
        if (kind !== 'more') settle(kind);
      } catch (error) {
        stop();
        reject(error);
      }
    };
    const onEnd = (): void => {
      settle('ended');
    };
    socket.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onEnd);
    stopWaiting = context.onClose(() => {
      settle(chunks.length === 0 ? 'silent' : 'undecided');
    });
    if (!waiting) stopWaiting();
    else if (received.length > 0) onData(received);
    if (!waiting) return;
    if (socket.destroyed || socket.readableEnded) onEnd();
    else socket.resume();
  });
}
