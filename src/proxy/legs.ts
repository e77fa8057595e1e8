/** The bytes of both legs of a proxy: how they are read, and what is counted of them. */
import { BufferBudget } from '../base/budget.js';
import type { Bytes } from '../base/bytes.js';
import { LegCounters, type LegsCounts } from '../base/leg-counters.js';
import { ReadMemory } from '../base/read-memory.js';
import { SharedReads } from '../base/shared-reads.js';
import { userBuffers } from '../base/user-buffer.js';
import { LegMeter } from '../tls/meter.js';
import type { LargeReads } from '../tls/transport.js';

/** What may be read ahead of slow clients, all together, before reads become small. */
const mostReadAhead: Bytes = 16 * 1024 * 1024;

export class Legs {
  readonly client = new LegMeter(new LegCounters());
  readonly upstream = new LegMeter(new LegCounters());
  /** How the plaintext of clients is read. */
  readonly clientReads = new SharedReads(this.client.counters.plaintext);
  /** How origins are read: http over the plain socket, and TLS where a size is set. */
  readonly memory: ReadMemory;
  readonly large: LargeReads | undefined;

  /** Throws `ERR_OPTION_VALUE` for a size that is not from 4 KiB to 4 MiB. */
  constructor(readBufferSize: 'adaptive' | Bytes) {
    const { counters } = this.upstream;
    const adaptive = readBufferSize === 'adaptive';
    this.memory = new ReadMemory(adaptive ? 256 * 1024 : readBufferSize);
    void userBuffers.probe();
    this.large = adaptive
      ? undefined
      : { memory: this.memory, counters, budget: new BufferBudget(mostReadAhead) };
  }

  /** A copy. */
  get counts(): LegsCounts {
    return { client: this.client.counters.counts, upstream: this.upstream.counters.counts };
  }
}
