/** One request on its way to an origin, and the response to it, as two bodies that flow: see `base/flow.ts`. */
import type { Duplex } from 'node:stream';
import type { SallyportError } from '../base/errors.js';
import { bodyGone, type BodySink, type BodySource } from '../base/flow.js';
import type { Limits } from '../base/limits.js';
import { fieldLines } from './forward.js';
import type { Framing, H1ResponseHead } from './head.js';
import type { Outbox } from './outbox.js';
import type { ResponseParser } from './parser.js';

/** What an exchange hears of its response, in this order. After `failed` nothing more comes. */
export interface ResponseReceiver {
  /** 1xx, any number of them (RFC 9110 §15.2). */
  interim(head: H1ResponseHead): void;
  /** The final head. Take the body by `body.pipe`, now or later; it waits. */
  final(head: H1ResponseHead, body: BodySource): void;
  /** The origin agreed to another protocol: the socket, paused, and what it sent already. */
  upgraded(head: H1ResponseHead, socket: Duplex, rest: Buffer): void;
  /** Body bytes arrived, or the origin took some: the exchange is alive. */
  progress(): void;
  /**
   * The exchange cannot be completed, and the connection is closed. `untouched`: not a byte of a response
   * had arrived. The sink of a body is not told: the receiver knows what its client may be made to believe.
   */
  failed(error: SallyportError, untouched: boolean): void;
  /** The exchange is over for this connection. */
  released(connection: RequestConnection): void;
}

export interface OutgoingRequest {
  readonly method: string;
  /** Start line and fields, to the empty line. */
  readonly text: string;
  readonly framing: Framing;
  /** Whether a 101 may come. */
  readonly upgrade: boolean;
}

/** What a stream needs of the connection that it is on. */
export interface RequestConnection {
  readonly outbox: Outbox;
  readonly parser: ResponseParser;
  readonly limits: Limits;
  pauseInput(): void;
  resumeInput(): void;
  /** The body is wanted now. */
  resumeBody(): void;
  /** The origin had closed its side before the body was asked for. */
  finishInput(): void;
  /** Both directions are over. */
  streamEnded(stream: ClientStream, reusable: boolean): void;
}

/** One request on its way out, and the response on its way in. */
export class ClientStream implements BodySink, BodySource {
  /** How the request's body is sent. Its text is not kept. */
  readonly framing: Framing;
  /** Whether a 101 may come. */
  readonly upgrade: boolean;
  readonly receiver: ResponseReceiver;
  readonly #connection: RequestConnection;
  /** Where the response body goes. */
  sink: BodySink | undefined;
  /** Where the request body comes from. */
  source: BodySource | undefined;
  /** The final response head. */
  head: H1ResponseHead | undefined;
  /** Whether a byte of a response has arrived. */
  touched = false;
  inputEnded = false;
  /** Interim responses so far. */
  interims = 0;
  bytes = 0;
  #requestSent: boolean;
  #responseComplete = false;
  #waitsForDrain = false;
  #over = false;

  constructor(connection: RequestConnection, request: OutgoingRequest, receiver: ResponseReceiver) {
    this.#connection = connection;
    this.framing = request.framing;
    this.upgrade = request.upgrade;
    this.receiver = receiver;
    this.#requestSent = request.framing === 'none';
  }

  /** Gives the exchange up: the connection is closed, and the receiver hears only `released`. */
  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#connection.streamEnded(this, false);
  }

  // The request body, as a sink.

  get takesChunked(): boolean {
    return this.framing === 'chunked';
  }

  write(chunk: Buffer): boolean {
    if (this.#over) return true;
    const { outbox } = this.#connection;
    if (this.framing === 'chunked') {
      outbox.text(`${chunk.length.toString(16)}\r\n`);
      outbox.bytes(chunk);
      outbox.text('\r\n');
    } else {
      outbox.bytes(chunk);
    }
    return this.#roomy();
  }

  writeEncoded(chunk: Buffer): boolean {
    if (this.#over) return true;
    this.#connection.outbox.bytes(chunk);
    return this.#roomy();
  }

  flush(): void {
    if (!this.#over) this.#connection.outbox.flush();
  }

  end(trailers: readonly string[]): void {
    if (this.#over || this.#requestSent) return;
    const { outbox } = this.#connection;
    if (this.framing === 'chunked') outbox.text(`0\r\n${fieldLines(trailers)}\r\n`);
    outbox.flush();
    this.#requestSent = true;
  }

  /** The request broke off: the origin must not take what it has for the whole. */
  abort(_error: SallyportError): void {
    this.cancel();
  }

  // The response body, as a source.

  get taken(): boolean {
    return this.sink !== undefined || this.#over;
  }

  pipe(sink: BodySink): void {
    // Once over, the connection is another exchange's.
    if (this.taken) {
      sink.abort(bodyGone());
      return;
    }
    this.sink = sink;
    sink.source = this;
    if (this.head?.framing === 'chunked' && sink.takesChunked) this.#connection.parser.wire = true;
    this.#connection.resumeBody();
    if (this.inputEnded && !this.#over) this.#connection.finishInput();
  }

  resume(): void {
    this.#connection.resumeInput();
  }

  /** For the connection. */
  receive(chunk: Buffer, encoded: boolean): void {
    const { sink } = this;
    if (!sink) return;
    this.bytes = this.#connection.parser.bodyBytes;
    this.receiver.progress();
    const roomy = encoded ? sink.writeEncoded(chunk) : sink.write(chunk);
    if (!roomy) this.#connection.pauseInput();
  }

  /** For the connection. */
  receiveEnd(trailers: readonly string[]): void {
    if (this.#over) return;
    this.#over = true;
    this.#responseComplete = true;
    this.bytes = this.#connection.parser.bodyBytes;
    // The connection is free before the client hears the end: its next request may come within this call.
    // Bytes behind the response answer no request: such a connection is not used again.
    const { parser } = this.#connection;
    const reusable = this.#requestSent && this.head?.persistent === true && !parser.waiting;
    this.#connection.streamEnded(this, reusable);
    this.sink?.end(trailers);
  }

  /** For the connection. */
  fail(error: SallyportError): void {
    if (this.#over) return;
    this.#over = true;
    this.receiver.failed(error, !this.touched);
    this.receiver.released(this.#connection);
  }

  /** For the connection. */
  drained(): void {
    if (!this.#waitsForDrain) return;
    this.#waitsForDrain = false;
    this.receiver.progress();
    this.source?.resume();
  }

  get complete(): boolean {
    return this.#responseComplete;
  }

  #roomy(): boolean {
    if (this.#connection.outbox.roomy(this.#connection.limits.buffered)) return true;
    this.#waitsForDrain = true;
    return false;
  }
}
