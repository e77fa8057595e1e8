/** What servers and clients of `sallyport/tls` take beyond the options of `node:tls`. */
import { BufferBudget } from '../base/budget.js';
import type { Bytes } from '../base/bytes.js';
import { ReadMemory } from '../base/read-memory.js';
import { userBuffers } from '../base/user-buffer.js';
import type { LargeReads } from './transport.js';
import { fullWrite, WriteRules } from './writes.js';

export interface BufferOptions {
  /**
   * `'adaptive'` (default): the leanest that Node has, at most 64 KiB a read. A number from 4 KiB to 4 MiB: reads of up
   * to so much, from 64 KiB on as long as traffic fills them, and back; then one piece of memory of this size serves
   * all connections of a server, or of a `trust`. `ERR_OPTION_VALUE` for anything else.
   */
  readonly readBufferSize?: 'adaptive' | Bytes;
  /**
   * The most that is handed to TLS at a time, from 512 bytes; default 16,383, which leaves 16 KiB of buffers behind in a
   * connection that has sent much or a large message, and small messages of up to 8 KiB go in smaller pieces before.
   * `Infinity` saves CPU for bulk data (fewer system calls) and leaves most.
   */
  readonly writeBufferSize?: Bytes;
  /** A bound for what is held of all connections that share it: see `BufferBudget`. A number is one for these alone. */
  readonly budget?: Bytes | BufferBudget;
}

/** The same, checked, for all connections of a server or a client. */
export class Buffers {
  readonly reads: LargeReads | undefined;
  readonly writes: WriteRules;

  /** Throws `ERR_OPTION_VALUE`. `memoryOf`: where memory of a size comes from; of its own by default. */
  constructor(
    { readBufferSize = 'adaptive', writeBufferSize = fullWrite, budget: given }: BufferOptions,
    memoryOf: (size: Bytes) => ReadMemory = (size) => new ReadMemory(size),
  ) {
    const budget = BufferBudget.from(given);
    // Connections that come before it is known are read by `data` events.
    if (readBufferSize !== 'adaptive') void userBuffers.probe();
    this.reads = readBufferSize === 'adaptive' ? undefined : { memory: memoryOf(readBufferSize), budget };
    this.writes = new WriteRules(writeBufferSize, { budget });
  }
}
