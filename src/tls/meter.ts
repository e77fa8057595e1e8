/** Sizes of what a TLS socket gives and takes, for sockets that are read by events. */
import { Socket } from 'node:net';
import type { LegCounters } from '../base/leg-counters.js';
import { WriteRules } from './writes.js';

/** Made once for a leg: a socket gets two functions that it shares with all others, and no listener. */
export class LegMeter {
  readonly counters: LegCounters;
  readonly #writes: WriteRules;
  readonly #push: Socket['push'];

  constructor(counters: LegCounters) {
    this.counters = counters;
    this.#writes = new WriteRules(Number.POSITIVE_INFINITY, { histogram: counters.writes });
    const { plaintext } = counters;
    this.#push = function (this: Socket, chunk: Buffer | null, encoding?: BufferEncoding) {
      if (chunk) plaintext.record(chunk.length);
      return Socket.prototype.push.call(this, chunk, encoding);
    };
  }

  writes(socket: Socket): void {
    this.#writes.apply(socket);
  }

  reads(socket: Socket): void {
    socket.push = this.#push;
  }
}
