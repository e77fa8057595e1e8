/**
 * How body bytes go from one leg to the other: pushed, with backpressure, without a stream object between.
 *
 * A source has one sink. Chunks belong to the sink once written; the source never touches them again.
 * `end` and `abort` are each called at most once, and exactly one of them, unless the sink cancelled.
 */
import type { SallyportError } from './errors.js';

export interface BodySink {
  /** One chunk. `false` asks the source to pause until `BodySource.resume` is called. */
  write(chunk: Buffer): boolean;
  /** Nothing more comes in this turn: what was held back to be sent in one piece goes out now. */
  flush(): void;
  /** The body is complete. `trailers` are raw pairs: name, value, … */
  end(trailers: readonly string[]): void;
  /** The body broke off: what was sent so far must never look complete. */
  abort(error: SallyportError): void;
}

export interface BodySource {
  /** Starts the flow. What has arrived already is written before this returns. */
  pipe(sink: BodySink): void;
  /** After a `write` that returned `false`: the sink can take more. */
  resume(): void;
  /** The sink wants no more: the source reads on and drops, or closes its connection; it says nothing more. */
  cancel(): void;
}
