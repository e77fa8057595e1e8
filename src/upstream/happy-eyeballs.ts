/**
 * Connecting to the one of several addresses that answers first: RFC 8305, §4 (order) and §5 (race).
 *
 * Node's `autoSelectFamily` gives an address up when it has not answered within 250 ms and goes on to the next
 * one, so a far origin with several addresses fails wherever its last address is a broken one. Here an
 * attempt goes on while later ones are started, as the RFC has it, and the first to connect wins.
 */
import { type Socket, isIPv6 } from 'node:net';
import type { Milliseconds } from '../base/bytes.js';
import type { Context } from '../base/context.js';

/** RFC 8305 §5, Connection Attempt Delay: the recommended value. */
const defaultAttemptDelay: Milliseconds = 250;

/**
 * Families in turn, beginning with that of the first address; within a family the resolver's order, which is
 * that of RFC 6724. Pure.
 */
export function interleaveFamilies(addresses: readonly string[]): string[] {
  const [first] = addresses;
  if (first === undefined) return [];
  const family = isIPv6(first);
  const same = addresses.filter((address) => isIPv6(address) === family);
  const other = addresses.filter((address) => isIPv6(address) !== family);
  const turns = Array.from({ length: Math.max(same.length, other.length) }, (_, at) => [same[at], other[at]]);
  return turns.flat().filter((address) => address !== undefined);
}

/**
 * Starts an attempt per address with `connect`, the next one when the one before failed or `delay` after its
 * start, and resolves to the first socket that emits `connect`. The others are destroyed, and no listener of
 * this function stays on the one that won. Rejects with the only error, or an `AggregateError` in the order
 * of failure; with `context.err`, all sockets destroyed, when that closes first.
 */
export function raceAddresses(
  addresses: readonly string[],
  connect: (address: string) => Socket,
  context: Context,
  delay: Milliseconds = defaultAttemptDelay,
): Promise<Socket> {
  return new Promise<Socket>((resolve, reject) => {
    context.throwIfClosed();
    const remaining = [...addresses];
    const attempts = new Map<Socket, () => void>();
    const errors: Error[] = [];
    let pause: Context | undefined;

    const endPause = (): void => {
      const ended = pause;
      pause = undefined;
      ended?.close();
    };
    const finish = (): void => {
      stop();
      endPause();
      for (const [socket, forget] of attempts) {
        forget();
        // It may have failed already, with its `error` still to be emitted.
        socket.on('error', ignoreError).destroy();
      }
    };
    const failed = (error: Error): void => {
      errors.push(error);
      if (remaining.length > 0) {
        startNext();
      } else if (attempts.size === 0) {
        finish();
        reject(errors.length === 1 ? error : new AggregateError(errors, 'no address could be connected to'));
      }
    };
    const startNext = (): void => {
      endPause();
      const address = remaining.shift();
      if (address === undefined) return;
      const socket = connect(address);
      const onConnect = (): void => {
        forget();
        finish();
        resolve(socket);
      };
      const onError = (error: Error): void => {
        forget();
        failed(error);
      };
      const forget = (): void => {
        attempts.delete(socket);
        socket.off('connect', onConnect).off('error', onError);
      };
      attempts.set(socket, forget);
      socket.on('connect', onConnect).on('error', onError);
      if (remaining.length > 0) startPause();
    };
    const startPause = (): void => {
      const started = context.withTimeout(delay);
      pause = started;
      started.onClose(() => {
        // It closes when it is over, when it is ended before, and with its parent, which is not ours to race.
        if (pause === started && !context.closed) startNext();
      });
    };

    const stop = context.onClose((closed) => {
      finish();
      reject(closed.err);
    });
    try {
      startNext();
    } catch (error) {
      finish();
      throw error;
    }
  });
}

function ignoreError(): void {
  // Of an attempt that nobody waits for any more.
}
