/**
 * The client leg of HTTP/1.1: one connection, its requests one after the other (RFC 9112 §9.3).
 *
 * A request becomes a `ServerStream`, given to the handler as soon as its head is complete. Pipelined
 * requests wait in the parser until the response before them has ended. The connection owns its socket until
 * `takeOver` hands it on; closing the connection's context destroys it.
 */
import type { Duplex } from 'node:stream';
import type { Context } from '../base/context.js';
import { SallyportError, toSallyportError } from '../base/errors.js';
import type { Limits, Timeouts } from '../base/limits.js';
import { errorResponse } from './error-response.js';
import { forwardedResponse } from './forward.js';
import type { H1RequestHead } from './head.js';
import { Outbox, type SlabPool } from './outbox.js';
import { RequestParser } from './parser.js';
import { ServerStream, type SocketTaker, type StreamConnection } from './server-stream.js';

export interface ServerConnectionOptions {
  /** The connection's context: its deadline is set here; when it closes, the socket is destroyed. */
  readonly context: Context;
  readonly limits: Limits;
  readonly slabs: SlabPool;
  readonly timeouts: Timeouts;
  /** Whether the end of the client's bytes may be a half-close (TCP) or means that it left (TLS). */
  readonly halfClose: boolean;
  /** Ends the TCP connection with a reset, in a turn of its own; the socket closes with it. */
  readonly reset: () => void;
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
}

/** How long a closing connection waits for the client to take the last response (RFC 9112 §9.6). */
const lingerTime = 2_000;

export class ServerConnection implements StreamConnection {
  readonly socket: Duplex;
  readonly outbox: Outbox;
  readonly #options: ServerConnectionOptions;
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
  readonly #onData = (chunk: Buffer): void => {
    this.push(chunk);
  };
  readonly #onEnd = (): void => {
    this.#ended();
  };
  readonly #onError = (error: Error): void => {
    this.#gone(error);
  };
  readonly #onClose = (): void => {
    this.#gone(undefined);
  };
  /** Its deadline is that of the next request head; it outlives no connection. */
  readonly #waiting: Context;
  readonly #stopContext: () => void;

  constructor(socket: Duplex, options: ServerConnectionOptions) {
    this.socket = socket;
    this.outbox = new Outbox(socket, options.slabs, () => {
      this.#room();
    });
    this.#options = options;
    this.#parser = new RequestParser(
      {
        begin: () => {
          this.#waiting.setTimeout(options.timeouts.requestHead, 'ERR_REQUEST_HEAD_TIMEOUT');
        },
        head: (head) => {
          this.#begin(head);
        },
        data: (chunk) => {
          this.#current?.receive(chunk, this.#parser.wire);
        },
        end: (trailers) => {
          // Answered within `head` already: the next request is served at once.
          if (!this.#current) return;
          this.#parser.pause();
          this.#current.receiveEnd(trailers);
        },
      },
      options.limits,
    );
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    this.#waiting = options.context.withCancel();
    this.#waiting.onClose((waiting) => {
      this.#waitedTooLong(waiting);
    });
    this.#stopContext = options.context.onClose((context) => this.#contextClosed(context));
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

  get limits(): Limits {
    return this.#options.limits;
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
      this.#waiting.setTimeout(this.#options.timeouts.idleBody, 'ERR_RESPONSE_BODY_TIMEOUT');
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

  /** Everything that was handed over has left. */
  #room(): void {
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
    this.#options.reset();
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
    if (this.outbox.backlog > 0) this.#options.reset();
    else this.socket.destroy();
  }

  #begin(head: H1RequestHead): void {
    this.#waiting.setTimeout(Number.POSITIVE_INFINITY, 'ERR_REQUEST_HEAD_TIMEOUT');
    const stream = new ServerStream(this, head);
    this.#current = stream;
    this.#options.handler.exchange(stream);
    // Not answered yet and nobody takes the body: wait, so that nothing is buffered.
    if (this.#current === stream && !stream.sink && head.framing !== 'none') this.#parser.pause();
  }

  #waitForRequest(): void {
    this.#waiting.setTimeout(this.#options.timeouts.idleClient, 'ERR_REQUEST_HEAD_TIMEOUT');
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

  #ended(): void {
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
    else if (!this.#options.halfClose || current.responded) this.#gone(undefined);
  }

  #broken(error: SallyportError): void {
    this.#closing = true;
    const current = this.#current;
    if (current) current.fail(error);
    else this.#options.handler.failed(error, this);
  }

  #gone(cause: Error | undefined): void {
    if (this.#done) return;
    const current = this.#current;
    this.destroy();
    const detail = cause ? cause.message : 'it closed its connection';
    current?.fail(new SallyportError('ERR_CLIENT_GONE', detail, { cause }));
  }

  /** A head that began and did not end in time is told so; silence between requests is no error. */
  #waitedTooLong(waiting: Context): void {
    if (this.#done || this.#current) return;
    const { err } = waiting;
    if (err?.code === 'ERR_RESPONSE_BODY_TIMEOUT') this.destroy();
    if (err?.code !== 'ERR_REQUEST_HEAD_TIMEOUT') return;
    if (this.#parser.midMessage) this.#options.handler.failed(err, this);
    else this.#finish();
  }

  #contextClosed(context: Context): void {
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
    const { context } = this.#options;
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
    context.setTimeout(this.#options.timeouts.idleBody, 'ERR_RESPONSE_BODY_TIMEOUT');
    socket.once('finish', () => {
      context.setTimeout(lingerTime, 'ERR_CANCELLED');
    });
    socket.resume();
  }

  #detach(): void {
    this.#done = true;
    const { socket } = this;
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
    this.#stopContext();
    this.#waiting.close();
    this.#current = undefined;
  }
}

function ignoreAfterDestroy(): void {
  // The connection is over and was reported; a late reset of its socket has nobody left to tell.
}
