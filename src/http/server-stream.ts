/** One request of HTTP/1.1 and the response to it, as two bodies that flow: see `base/flow.ts`. */
import type { Duplex } from 'node:stream';
import { SallyportError } from '../base/errors.js';
import { bodyGone, type BodySink, type BodySource } from '../base/flow.js';
import type { Limits } from '../base/limits.js';
import { errorResponse } from './error-response.js';
import { fieldLines, forwardedResponse, type ResponseCoding, responseCoding } from './forward.js';
import type { H1RequestHead, H1ResponseHead } from './head.js';
import type { Outbox } from './outbox.js';
import type { RequestParser } from './parser.js';

/** Takes a socket over, with the bytes that arrived and belong to the new protocol. */
export type SocketTaker = (socket: Duplex, rest: Buffer) => void;

/** Who is told when the client of a stream leaves, or its request turns out broken. */
export interface StreamOwner {
  /** The request cannot be completed. A response may still be sent unless the client is gone. */
  requestFailed(error: SallyportError): void;
  /** Body bytes arrived, or the client took some: the exchange is alive. */
  progress(): void;
  /** All of the request has arrived. */
  requestEnded(): void;
}

/** What a stream needs of the connection that it is on. */
export interface StreamConnection {
  readonly outbox: Outbox;
  readonly parser: RequestParser;
  readonly limits: Limits;
  /** Whether the connection will be closed after the running exchange. */
  readonly closing: boolean;
  pauseInput(): void;
  resumeInput(): void;
  /** The body is wanted now. */
  resumeBody(): void;
  /** The response is complete. */
  streamEnded(stream: ServerStream, reusable: boolean): void;
  /** Nothing that was sent may look complete. */
  streamAborted(stream: ServerStream, lastsUntilClose: boolean): void;
  /** Hands the socket on; the connection is over. */
  takeOver(taker: SocketTaker): void;
}

/** One request and the response to it. */
export class ServerStream implements BodySource, BodySink {
  readonly head: H1RequestHead;
  readonly #connection: StreamConnection;
  owner: StreamOwner | undefined;
  /** Where the request body goes. */
  sink: BodySink | undefined;
  /** Where the response body comes from. */
  source: BodySource | undefined;
  /** Whether all of the request has arrived. */
  requestComplete: boolean;
  #requestTrailers: readonly string[] = [];
  #coding: ResponseCoding | undefined;
  #reusable = false;
  #ended = false;
  #waitsForDrain = false;
  bytes = 0;

  constructor(connection: StreamConnection, head: H1RequestHead) {
    this.#connection = connection;
    this.head = head;
    this.requestComplete = head.framing === 'none';
  }

  /** Whether a final response head was sent. */
  get responded(): boolean {
    return this.#coding !== undefined;
  }

  get takesChunked(): boolean {
    return this.#coding === 'chunked';
  }

  // The request body, as a source.

  get taken(): boolean {
    return this.sink !== undefined || this.#ended;
  }

  pipe(sink: BodySink): void {
    if (this.taken) {
      sink.abort(bodyGone());
      return;
    }
    this.sink = sink;
    sink.source = this;
    if (this.head.framing === 'chunked' && sink.takesChunked) this.#connection.parser.wire = true;
    if (this.requestComplete) sink.end(this.#requestTrailers);
    else this.#connection.resumeBody();
  }

  resume(): void {
    this.#connection.resumeInput();
  }

  /** For the connection. */
  receive(chunk: Buffer, encoded: boolean): void {
    const { sink } = this;
    this.bytes = this.#connection.parser.bodyBytes;
    if (!sink) return;
    this.owner?.progress();
    if (this.bytes > this.#connection.limits.requestBody) {
      throw new SallyportError(
        'ERR_REQUEST_BODY_TOO_LARGE',
        `the limit is ${this.#connection.limits.requestBody} bytes`,
      );
    }
    const roomy = encoded ? sink.writeEncoded(chunk) : sink.write(chunk);
    if (!roomy) this.#connection.pauseInput();
  }

  /** For the connection. */
  receiveEnd(trailers: readonly string[]): void {
    this.bytes = this.#connection.parser.bodyBytes;
    this.requestComplete = true;
    this.#requestTrailers = trailers;
    if (this.head.framing !== 'none') this.owner?.requestEnded();
    this.sink?.end(trailers);
  }

  /** For the connection: the request broke, or the client left. */
  fail(error: SallyportError): void {
    const { owner } = this;
    if (this.#ended) return;
    if (owner) owner.requestFailed(error);
    else this.abort(error);
  }

  // The response.

  /** Asks the client for the body that it holds back (RFC 9110 §10.1.1): on behalf of a hook that collects it. */
  continue(): void {
    if (this.responded || this.head.version === '1.0' || !this.head.section.expectContinue || this.bytes > 0)
      return;
    this.#connection.outbox.text('HTTP/1.1 100 Continue\r\n\r\n');
    this.#connection.outbox.flush();
  }

  /** Sends an interim response (RFC 9110 §15.2); not to an HTTP/1.0 client, which knows none. */
  inform(head: H1ResponseHead, extra: string): void {
    if (this.responded || this.head.version === '1.0') return;
    this.#connection.outbox.text(forwardedResponse(head, 'none', '', extra));
    this.#connection.outbox.flush();
  }

  /**
   * Sends a final response head; the stream is then the sink of its body, and leaves with its first bytes.
   * The connection ends with the response when either side wants it, or the request is not complete.
   */
  respond(head: H1ResponseHead, extra: string): BodySink {
    const { version, persistent } = this.head;
    const coding = responseCoding(head, version);
    this.#coding = coding;
    this.#reusable = persistent && coding !== 'close' && this.requestComplete && !this.#connection.closing;
    let connection = '';
    if (!this.#reusable) connection = 'close';
    else if (version === '1.0') connection = 'keep-alive';
    this.#connection.outbox.text(forwardedResponse(head, coding, connection, extra, version));
    return this;
  }

  /** Answers with an error response of ours (the table's status, or `status`); what it has sent then. */
  refuse(error: SallyportError, status?: number): { readonly status: number; readonly bytes: number } {
    const { method, headers } = this.head;
    const options = {
      accept: headers.get('accept'),
      method,
      ...(status !== undefined && { status }),
    };
    const { head, body } = errorResponse(error, options);
    const sink = this.respond(head, '');
    const sent = head.framing === 'none' ? 0 : body.length;
    if (sent > 0) sink.write(body);
    sink.end([]);
    return { status: head.status, bytes: sent };
  }

  /** Sends a 101 and hands the socket on. */
  switchProtocols(head: H1ResponseHead, upgrade: string, extra: string, taker: SocketTaker): void {
    this.#coding = 'none';
    this.#ended = true;
    const connection = `Upgrade\r\nUpgrade: ${upgrade}`;
    this.#connection.outbox.text(forwardedResponse(head, 'none', connection, extra));
    this.#connection.outbox.flush();
    this.#connection.takeOver(taker);
  }

  /** Answers CONNECT with 200 (RFC 9110 §9.3.6) and hands the socket on. */
  acceptTunnel(taker: SocketTaker): void {
    this.#coding = 'none';
    this.#ended = true;
    this.#connection.outbox.text('HTTP/1.1 200 Connection Established\r\n\r\n');
    this.#connection.outbox.flush();
    this.#connection.takeOver(taker);
  }

  write(chunk: Buffer): boolean {
    const { outbox } = this.#connection;
    if (this.#coding === 'chunked') {
      outbox.text(`${chunk.length.toString(16)}\r\n`);
      outbox.bytes(chunk);
      outbox.text('\r\n');
    } else {
      outbox.bytes(chunk);
    }
    return this.#roomy();
  }

  writeEncoded(chunk: Buffer): boolean {
    this.#connection.outbox.bytes(chunk);
    return this.#roomy();
  }

  flush(): void {
    this.#connection.outbox.flush();
  }

  end(trailers: readonly string[]): void {
    if (this.#ended) return;
    this.#ended = true;
    const { outbox } = this.#connection;
    if (this.#coding === 'chunked') outbox.text(`0\r\n${fieldLines(trailers)}\r\n`);
    outbox.flush();
    this.#connection.streamEnded(this, this.#reusable && this.requestComplete);
  }

  /** What was sent must not look complete: the connection is cut. */
  abort(_error: SallyportError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#connection.streamAborted(this, this.#coding === 'close');
  }

  /** For the connection. */
  drained(): void {
    if (!this.#waitsForDrain) return;
    this.#waitsForDrain = false;
    this.owner?.progress();
    this.source?.resume();
  }

  #roomy(): boolean {
    if (this.#connection.outbox.roomy(this.#connection.limits.buffered)) return true;
    this.#waitsForDrain = true;
    return false;
  }
}
