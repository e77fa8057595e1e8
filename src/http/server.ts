/**
 * The client leg of HTTP/1.1: one connection, its requests one after the other (RFC 9112 §9.3).
 *
 * A request becomes a `ServerStream`, given to the handler as soon as its head is complete. Pipelined
 * requests wait in the parser until the response before them has ended. The connection owns its socket until
 * `takeOver` hands it on; closing the connection's context destroys it.
 */
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { CloseListener, Context } from '../base/context.js';
import { Deadline, type Expiring } from '../base/deadlines.js';
import { type ErrorCode, SallyportError, toSallyportError } from '../base/errors.js';
import type { Limits, Timeouts } from '../base/limits.js';
import { type ReadTaker, type SharedReads, readTaker } from '../base/shared-reads.js';
import { errorResponse } from './error-response.js';
import { forwardedResponse } from './forward.js';
import type { H1RequestHead } from './head.js';
import { Outbox, type OutboxOwner } from './outbox.js';
import { type ParserHandler, RequestParser } from './parser.js';
import { ServerStream, type SocketTaker, type StreamConnection } from './server-stream.js';
import type { SlabPool } from './slab-pool.js';

export interface ServerConnectionOptions {
  /** The connection's context: its deadline is set here; when it closes, the socket is destroyed. */
  readonly context: Context;
  readonly limits: Limits;
  readonly slabs: SlabPool;
  readonly timeouts: Timeouts;
  /** How TLS is read; by `data` events where it is left out. */
  readonly reads?: SharedReads;
  /** Whether the end of the client's bytes may be a half-close (TCP) or means that it left (TLS). */
  readonly halfClose: boolean;
  readonly handler: ServerHandler;
}

export interface ServerHandler {
  /** A request head has arrived. The handler answers by `respond`, now or later. */
  exchange(stream: ServerStream): void;
  /**
   * What arrived is no request: `connection.refuse(error)` answers it and closes the connection.
   * Not called for a client that leaves or falls silent between two requests.
   */
  failed(error: SallyportError, connection: ServerConnection): void;
  /** Ends the TCP connection with a reset, in a turn of its own; the socket closes with it. */
  reset(): void;
}

/** How long a closing connection waits for the client to take the last response (RFC 9112 §9.6). */
const lingerTime = 2_000;

/** Whose a socket is: its listeners are shared by all connections, as a closure for each would be kept with it. */
type OwnedSocket = Duplex & { [readTaker]?: ServerConnection | undefined };

/** It is its own parser handler, close listener and so on: an idle connection should be few objects. */
export class ServerConnection
  implements StreamConnection, ParserHandler<H1RequestHead>, OutboxOwner, CloseListener, Expiring, ReadTaker
{
  readonly socket: Duplex;
  readonly outbox: Outbox;
  readonly limits: Limits;
  readonly #context: Context;
  readonly #timeouts: Timeouts;
  readonly #halfClose: boolean;
  readonly #handler: ServerHandler;
  readonly #parser: RequestParser;
  #current: ServerStream | undefined;
  #closing = false;
  #inputEnded = false;
  #inputPaused = false;
  #parsing = false;
  /** No further request is read until the client has taken what it was sent. */
  #crowded = false;
  #taker: SocketTaker | undefined;
  #done = false;
  /** That of the next request head, or of a client that does not take its responses. */
  readonly #waiting = new Deadline(this);
  #waitingFor: ErrorCode = 'ERR_REQUEST_HEAD_TIMEOUT';

  constructor(socket: Duplex, options: ServerConnectionOptions) {
    this.socket = socket;
    this.limits = options.limits;
    this.#context = options.context;
    this.#timeouts = options.timeouts;
    this.#halfClose = options.halfClose;
    this.#handler = options.handler;
    this.outbox = new Outbox(socket, options.slabs, this);
    this.#parser = new RequestParser(this, options.limits);
    (socket as OwnedSocket)[readTaker] = this;
    if (socket instanceof TLSSocket) options.reads?.begin(socket);
    // What was read before, and where reads are not shared, what comes.
    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('error', onGone);
    socket.on('close', onClose);
    this.#context.addCloseListener(this);
  }

  /** Begins with bytes that were read before (none: an empty buffer). */
  start(firstBytes: Buffer): void {
    this.#waitForRequest();
    if (firstBytes.length > 0) this.push(firstBytes);
    if (!this.#done && !this.#inputPaused) this.socket.resume();
  }

  /** No further request: closes at once when idle, else after the running exchange. */
  shutdown(): void {
    this.#closing = true;
    if (!this.#current && !this.#parser.midMessage) this.#finish();
  }

  /** Whether the connection will be closed after the running exchange. */
  get closing(): boolean {
    return this.#closing || this.#inputEnded;
  }

  /** Takes bytes of the client. */
  push(chunk: Buffer): void {
    if (!this.#done) this.#parse(chunk);
  }

  /** Parses `chunk`, or goes on with what waits. */
  #parse(chunk: Buffer | undefined): void {
    this.#parsing = true;
    try {
      if (chunk) this.#parser.push(chunk);
      else this.#parser.resume();
      this.#current?.sink?.flush();
    } catch (error) {
      this.#broken(toSallyportError(error));
    }
    this.#parsing = false;
    if (this.#taker) this.#handOver(this.#taker);
    // Bytes that nobody can take yet must not pile up.
    else if (this.#parser.waiting) this.pauseInput();
  }

  /** Answers what is no request with an error response, and closes. */
  refuse(error: SallyportError): void {
    if (this.#done) return;
    const { head, body } = errorResponse(error, { accept: undefined, method: 'GET' });
    this.outbox.text(forwardedResponse(head, 'length', 'close', ''));
    this.outbox.bytes(body);
    this.outbox.flush();
    this.#finish();
  }

  /** For the stream: reading goes on. */
  resumeInput(): void {
    if (!this.#inputPaused || this.#done) return;
    this.#inputPaused = false;
    this.socket.resume();
  }

  pauseInput(): void {
    if (this.#inputPaused || this.#done) return;
    this.#inputPaused = true;
    this.socket.pause();
  }

  get parser(): RequestParser {
    return this.#parser;
  }

  /** For the stream: its response is complete. */
  streamEnded(stream: ServerStream, reusable: boolean): void {
    if (this.#current !== stream || this.#done) return;
    this.#current = undefined;
    if (!reusable || this.closing) {
      this.#finish();
      return;
    }
    // A client that sends requests and does not read the responses must not have them pile up here.
    if (this.outbox.backlog >= this.limits.buffered) {
      this.#crowded = true;
      this.#wait(this.#timeouts.idleBody, 'ERR_RESPONSE_BODY_TIMEOUT');
      this.pauseInput();
      return;
    }
    this.#nextRequest();
  }

  #nextRequest(): void {
    this.#waitForRequest();
    this.resumeInput();
    this.#resumeParser();
    if (this.#inputEnded && !this.#current) this.#finish();
  }

  /** For the outbox: everything that was handed over has left. */
  room(): void {
    if (this.#current) {
      this.#current.drained();
    } else if (this.#crowded) {
      this.#crowded = false;
      if (this.#closing) this.#finish();
      else this.#nextRequest();
    }
  }

  /** For the stream: nothing that was sent may look complete. */
  streamAborted(stream: ServerStream, lastsUntilClose: boolean): void {
    if (this.#current !== stream || this.#done) return;
    // To a body that lasts until the close, a close is its end: only a reset says that it is not. Over TLS the
    // missing close_notify says so too (RFC 9112 §9.8), but curl and others look over it.
    if (!lastsUntilClose) {
      this.destroy();
      return;
    }
    this.#detach();
    this.socket.on('error', ignoreAfterDestroy);
    this.#handler.reset();
  }

  /**
   * Hands the socket on, paused, with what arrived after the head, once the parser has let go of it. The
   * taker must listen for `error` at once. The connection is over; its context is not.
   */
  takeOver(taker: SocketTaker): void {
    this.#parser.stop();
    this.socket.pause();
    this.#taker = taker;
    if (!this.#parsing) this.#handOver(taker);
  }

  #handOver(taker: SocketTaker): void {
    this.#taker = undefined;
    if (this.#done) return;
    this.outbox.flushAll();
    this.#detach();
    taker(this.socket, this.#parser.takeRest());
  }

  destroy(): void {
    if (this.#done) return;
    this.#detach();
    this.socket.on('error', ignoreAfterDestroy);
    this.#cut();
  }

  /** What has not left must not look as if it had: a reset says so where a FIN would be a clean end. */
  #cut(): void {
    if (this.outbox.backlog > 0) this.#handler.reset();
    else this.socket.destroy();
  }

  /** For the parser. */
  begin(): void {
    this.#wait(this.#timeouts.requestHead, 'ERR_REQUEST_HEAD_TIMEOUT');
  }

  /** For the parser. */
  head(head: H1RequestHead): void {
    this.#context.arm(this.#waiting, Number.POSITIVE_INFINITY);
    const stream = new ServerStream(this, head);
    this.#current = stream;
    this.#handler.exchange(stream);
    // Not answered yet and nobody takes the body: wait, so that nothing is buffered.
    if (this.#current === stream && !stream.sink && head.framing !== 'none') this.#parser.pause();
  }

  /** For the parser. */
  data(chunk: Buffer): void {
    this.#current?.receive(chunk, this.#parser.wire);
  }

  /** For the parser. */
  end(trailers: readonly string[]): void {
    // Answered within `head` already: the next request is served at once.
    if (!this.#current) return;
    this.#parser.pause();
    this.#current.receiveEnd(trailers);
  }

  #waitForRequest(): void {
    this.#wait(this.#timeouts.idleClient, 'ERR_REQUEST_HEAD_TIMEOUT');
  }

  #wait(ms: number, code: ErrorCode): void {
    // A deadline outlives no connection.
    if (this.#done) return;
    this.#waitingFor = code;
    this.#context.arm(this.#waiting, ms);
  }

  /** For the stream: the body is wanted now. */
  resumeBody(): void {
    this.resumeInput();
    this.#resumeParser();
    if (this.#inputEnded) this.#finishInput();
  }

  /** Within an event of the parser, the loop that runs goes on by itself. */
  #resumeParser(): void {
    if (this.#parsing) this.#parser.resume();
    else if (this.#parser.paused) this.#parse(undefined);
  }

  /** For the socket: the client's bytes have ended. */
  ended(): void {
    this.#inputEnded = true;
    if (this.#parser.paused && this.#current && !this.#current.requestComplete) return;
    this.#finishInput();
  }

  #finishInput(): void {
    const current = this.#current;
    try {
      if (!this.#parser.paused) this.#parser.finish();
    } catch (error) {
      if (current) current.fail(toSallyportError(error));
      else this.destroy();
      return;
    }
    if (!current) this.#finish();
    // Whoever stops sending while a response comes in has left; before it, the half-close of TCP is honoured.
    else if (!this.#halfClose || current.responded) this.gone(undefined);
  }

  #broken(error: SallyportError): void {
    this.#closing = true;
    const current = this.#current;
    if (current) current.fail(error);
    else this.#handler.failed(error, this);
  }

  /** For the socket: it has closed, or failed. */
  gone(cause: Error | undefined): void {
    if (this.#done) return;
    const current = this.#current;
    this.destroy();
    const detail = cause ? cause.message : 'it closed its connection';
    current?.fail(new SallyportError('ERR_CLIENT_GONE', detail, { cause }));
  }

  /** A head that began and did not end in time is told so; silence between requests is no error. */
  expired(): void {
    if (this.#done || this.#current) return;
    const code = this.#waitingFor;
    if (code === 'ERR_RESPONSE_BODY_TIMEOUT') this.destroy();
    else if (this.#parser.midMessage) {
      this.#handler.failed(new SallyportError(code, 'its deadline passed'), this);
    } else this.#finish();
  }

  contextClosed(context: Context): void {
    if (this.#done) return;
    const { err } = context;
    const current = this.#current;
    this.destroy();
    current?.fail(err ?? new SallyportError('ERR_CANCELLED', 'the connection was closed'));
  }

  /** The last byte was sent: closes without a reset that would take the response from the client. */
  #finish(): void {
    if (this.#done) return;
    const { socket } = this;
    const context = this.#context;
    this.#detach();
    socket.on('error', ignoreAfterDestroy);
    this.outbox.flushAll();
    // Destroyed by itself once both directions have ended.
    socket.end();
    const stop = context.onClose(() => {
      this.#cut();
    });
    socket.once('close', stop);
    // A slow client takes its time to take what was handed over; only then does the wait for its close begin.
    context.setTimeout(this.#timeouts.idleBody, 'ERR_RESPONSE_BODY_TIMEOUT');
    socket.once('finish', () => {
      context.setTimeout(lingerTime, 'ERR_CANCELLED');
    });
    socket.resume();
  }

  #detach(): void {
    this.#done = true;
    const { socket } = this;
    socket.off('data', onData);
    socket.off('end', onEnd);
    socket.off('error', onGone);
    socket.off('close', onClose);
    (socket as OwnedSocket)[readTaker] = undefined;
    this.#context.removeCloseListener(this);
    this.#context.arm(this.#waiting, Number.POSITIVE_INFINITY);
    this.#current = undefined;
  }
}

function onData(this: OwnedSocket, chunk: Buffer): void {
  this[readTaker]?.push(chunk);
}

function onEnd(this: OwnedSocket): void {
  this[readTaker]?.ended();
}

function onGone(this: OwnedSocket, error: Error): void {
  this[readTaker]?.gone(error);
}

function onClose(this: OwnedSocket): void {
  this[readTaker]?.gone(undefined);
}

function ignoreAfterDestroy(): void {
  // The connection is over and was reported; a late reset of its socket has nobody left to tell.
}
