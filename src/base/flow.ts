/**
 * How body bytes go from one leg to the other: pushed, with backpressure, without a stream object between.
 *
 * A source has one sink. A chunk may be read until `flush`, which every source calls before it returns to the
 * event loop; a sink that keeps bytes for longer copies them, as their memory is used again.
 * `end` and `abort` are each called at most once, and exactly one of them, unless the sink cancelled.
 */
import type { Bytes } from './bytes.js';
import { SallyportError } from './errors.js';

export interface BodySink {
  /** Set by the source that is piped here: whom to tell when there is room again, or no interest. */
  source: BodySource | undefined;
  /** Whether `writeEncoded` may be used: this leg sends the body in the chunked coding too. */
  readonly takesChunked: boolean;
  /** Payload. `false` asks the source to pause until `BodySource.resume` is called. */
  write(chunk: Buffer): boolean;
  /** Checked chunks as they were on the wire (RFC 9112 §7.1), without the last one and the trailers. */
  writeEncoded(chunk: Buffer): boolean;
  /** Nothing more comes in this turn: what was held back to be sent in one piece goes out now. */
  flush(): void;
  /** The body is complete. `trailers` are raw pairs: name, value, … */
  end(trailers: readonly string[]): void;
  /** The body broke off: what was sent so far must never look complete. */
  abort(error: SallyportError): void;
}

export interface BodySource {
  /** Payload bytes that went through so far. */
  readonly bytes: Bytes;
  /** Whether the body went to a sink already, or is over: it cannot be had again. */
  readonly taken: boolean;
  /**
   * Starts the flow; a sink of a body that is `taken` is aborted at once. What has arrived already may be
   * written before this returns.
   */
  pipe(sink: BodySink): void;
  /** After a `write` that returned `false`: the sink can take more. */
  resume(): void;
}

/** What the sink of a body that is `taken` is told. */
export function bodyGone(): SallyportError {
  return new SallyportError('ERR_BODY_GONE', 'it is read once, by whoever asks first');
}
