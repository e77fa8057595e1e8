/**
 * The upstream leg of HTTP/1.1: one connection to an origin, one exchange at a time.
 *
 * The pool owns the connection; an exchange borrows it from `send` until `ResponseReceiver.released`. Only
 * then may it carry another exchange, and only if it is `usable`.
 */
import type { Duplex } from 'node:stream';
import { SallyportError, toSallyportError } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { SocketReader } from '../base/socket-reader.js';
import {
  ClientStream,
  type OutgoingRequest,
  type RequestConnection,
  type ResponseReceiver,
} from './client-stream.js';
import type { H1ResponseHead } from './head.js';
import { Outbox, type OutboxOwner } from './outbox.js';
import { type ParserHandler, ResponseParser } from './parser.js';
import type { SlabPool } from './slab-pool.js';

/** Interim responses to one request: an origin without end would fill the memory between the legs. */
const maxInterims = 64;

/** Whose a socket is: its listeners are shared by all connections, as a closure for each would be kept with it. */
const owner = Symbol('owner');

type OwnedSocket = Duplex & { [owner]?: ClientConnection | undefined };

export class ClientConnection implements RequestConnection, ParserHandler<H1ResponseHead>, OutboxOwner {
  readonly socket: Duplex;
  /** Exchanges begun on this connection. */
  exchanges = 0;
  /** Told once when the connection is over, whoever ended it: the pool's. */
  onClosed: (() => void) | undefined;
  readonly outbox: Outbox;
  readonly limits: Limits;
  readonly parser: ResponseParser;
  readonly #reader: SocketReader | undefined;
  #current: ClientStream | undefined;
  #closed = false;
  #parsing = false;
  #inputPaused = false;
  #upgradedTo: (() => void) | undefined;

  /**
   * Takes ownership of a connected socket. What it reads comes by `reader`, in memory that is used again, or
   * where there is none, by `data` events.
   */
  constructor(socket: Duplex, limits: Limits, slabs: SlabPool, reader?: SocketReader) {
    this.socket = socket;
    this.#reader = reader;
    this.limits = limits;
    this.outbox = new Outbox(socket, slabs, this);
    this.parser = new ResponseParser(this, limits);
    (socket as OwnedSocket)[owner] = this;
    if (reader) {
      reader.receive = (bytes) => {
        this.received(bytes);
      };
    } else {
      socket.on('data', onData);
    }
    socket.on('end', onEnd);
    socket.on('error', onGone);
    socket.on('close', onClose);
  }

  /** For the socket: bytes of the origin. */
  received(chunk: Buffer): void {
    this.#parse(chunk);
  }

  /** For the outbox: everything that was handed over has left. */
  room(): void {
    this.#current?.drained();
  }

  /** For the pool: nothing is to be done, as reading goes on and finds out when the origin closes. */
  onIdle(): void {
    this.resumeInput();
  }

  /** Whether it is open and idle. */
  get usable(): boolean {
    // Bytes in the stream came before anybody asked: they belong to no response.
    const unasked = this.#reader !== undefined && this.socket.readableLength > 0;
    return !this.#closed && !this.#current && !this.parser.midMessage && !unasked;
  }

  /** Sends a request; the result takes its body. Only on a `usable` connection. */
  send(request: OutgoingRequest, receiver: ResponseReceiver): ClientStream {
    this.exchanges += 1;
    this.parser.requestMethod = request.method;
    const stream = new ClientStream(this, request, receiver);
    this.#current = stream;
    this.outbox.text(request.text);
    if (request.framing === 'none') this.outbox.flush();
    return stream;
  }

  close(): void {
    if (this.#closed) return;
    this.#detach();
    this.socket.on('error', ignoreAfterClose);
    this.socket.destroy();
  }

  pauseInput(): void {
    if (this.#inputPaused || this.#closed) return;
    this.#inputPaused = true;
    this.socket.pause();
  }

  resumeInput(): void {
    if (!this.#inputPaused || this.#closed) return;
    this.#inputPaused = false;
    this.socket.resume();
  }

  /** For the stream: the body is wanted now. */
  resumeBody(): void {
    if (!this.parser.paused) return;
    this.resumeInput();
    this.#parse(undefined);
  }

  /** For the stream: both directions are over. */
  streamEnded(stream: ClientStream, reusable: boolean): void {
    if (this.#current !== stream) return;
    this.#current = undefined;
    if (reusable) this.resumeInput();
    else this.close();
    stream.receiver.released(this);
  }

  #parse(chunk: Buffer | undefined): void {
    this.#parsing = true;
    try {
      if (chunk) this.#receive(chunk);
      else this.parser.resume();
    } catch (error) {
      this.#parsing = false;
      this.#fail(toSallyportError(error));
      return;
    }
    this.#parsing = false;
    this.#current?.sink?.flush();
    const upgrade = this.#upgradedTo;
    this.#upgradedTo = undefined;
    if (upgrade) upgrade();
    else if (this.parser.waiting) this.pauseInput();
  }

  #receive(chunk: Buffer): void {
    if (!this.#current) throw unasked();
    this.#current.touched = true;
    this.parser.push(chunk);
  }

  /** For the parser. */
  data(chunk: Buffer): void {
    this.#current?.receive(chunk, this.parser.wire);
  }

  /** For the parser. */
  end(trailers: readonly string[]): void {
    this.#current?.receiveEnd(trailers);
  }

  /** For the parser. */
  head(head: H1ResponseHead): void {
    const stream = this.#current;
    if (!stream) throw unasked();
    const { receiver } = stream;
    if (head.status === 101) {
      if (!stream.upgrade) {
        throw new SallyportError('ERR_UPGRADE_UNEXPECTED', 'it answered 101 to a request without Upgrade');
      }
      this.parser.stop();
      const hand = (): void => {
        this.#current = undefined;
        this.socket.pause();
        this.outbox.flushAll();
        this.#detach();
        receiver.upgraded(head, this.socket, this.parser.takeRest());
      };
      if (this.#parsing) this.#upgradedTo = hand;
      else hand();
    } else if (head.status < 200) {
      stream.interims += 1;
      if (stream.interims > maxInterims) {
        throw new SallyportError('ERR_RESPONSE_HEAD_TOO_LARGE', `more than ${maxInterims} interim responses`);
      }
      receiver.interim(head);
    } else {
      stream.head = head;
      receiver.final(head, stream);
      if (this.#current === stream && !stream.sink) this.parser.pause();
    }
  }

  /** For the socket: the origin's bytes have ended. */
  ended(): void {
    const stream = this.#current;
    if (!stream) {
      this.close();
      return;
    }
    if (this.parser.paused) {
      stream.inputEnded = true;
      return;
    }
    this.finishInput();
  }

  /** For the stream: the origin had closed its side before the body was asked for. */
  finishInput(): void {
    const stream = this.#current;
    try {
      this.parser.finish();
    } catch (error) {
      this.#fail(toSallyportError(error));
      return;
    }
    stream?.sink?.flush();
    // The body that lasts until the close is complete, or nothing had arrived at all.
    if (this.#current) this.lost(undefined);
  }

  /** For the socket: it has closed, or failed. */
  lost(cause: Error | undefined): void {
    if (this.#closed) return;
    const detail = cause ? cause.message : 'it closed the connection';
    const inBody = this.#current?.head !== undefined;
    const code = inBody ? 'ERR_RESPONSE_TRUNCATED' : 'ERR_UPSTREAM_RESET';
    this.#fail(new SallyportError(code, detail, { cause }));
  }

  #fail(error: SallyportError): void {
    const stream = this.#current;
    this.#current = undefined;
    this.close();
    stream?.fail(error);
  }

  #detach(): void {
    this.#closed = true;
    const { socket } = this;
    if (this.#reader) this.#reader.receive = undefined;
    else socket.off('data', onData);
    socket.off('end', onEnd);
    socket.off('error', onGone);
    socket.off('close', onClose);
    (socket as OwnedSocket)[owner] = undefined;
    this.onClosed?.();
  }
}

/** RFC 9112 §9.2: bytes that answer no request, such as a 408 that announces a time-out. */
function unasked(): SallyportError {
  return new SallyportError('ERR_RESPONSE_SYNTAX', 'the origin sent bytes without being asked');
}

function onData(this: OwnedSocket, chunk: Buffer): void {
  this[owner]?.received(chunk);
}

function onEnd(this: OwnedSocket): void {
  this[owner]?.ended();
}

function onGone(this: OwnedSocket, error: Error): void {
  this[owner]?.lost(error);
}

function onClose(this: OwnedSocket): void {
  this[owner]?.lost(undefined);
}

function ignoreAfterClose(): void {
  // The connection is over and was reported; a late reset of its socket has nobody left to tell.
}
