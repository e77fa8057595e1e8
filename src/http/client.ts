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
import { Outbox, type SlabPool } from './outbox.js';
import { ResponseParser } from './parser.js';

/** Interim responses to one request: an origin without end would fill the memory between the legs. */
const maxInterims = 64;

export class ClientConnection implements RequestConnection {
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
  readonly #onData = (chunk: Buffer): void => {
    this.#parse(chunk);
  };
  readonly #onEnd = (): void => {
    this.#ended();
  };
  readonly #onError = (error: Error): void => {
    this.#lost(error);
  };
  readonly #onClose = (): void => {
    this.#lost(undefined);
  };

  /**
   * Takes ownership of a connected socket. What it reads comes by `reader`, in memory that is used again, or
   * where there is none, by `data` events.
   */
  constructor(socket: Duplex, limits: Limits, slabs: SlabPool, reader?: SocketReader) {
    this.socket = socket;
    this.#reader = reader;
    this.limits = limits;
    this.outbox = new Outbox(socket, slabs, () => this.#current?.drained());
    this.parser = new ResponseParser(
      {
        head: (head) => {
          this.#head(head);
        },
        data: (chunk) => {
          this.#current?.receive(chunk, this.parser.wire);
        },
        end: (trailers) => {
          this.#current?.receiveEnd(trailers);
        },
      },
      limits,
    );
    if (reader) reader.receive = this.#onData;
    else socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
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

  #head(head: H1ResponseHead): void {
    const stream = this.#current;
    if (!stream) throw unasked();
    const { receiver } = stream;
    if (head.status === 101) {
      if (!stream.request.upgrade) {
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

  #ended(): void {
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
    if (this.#current) this.#lost(undefined);
  }

  #lost(cause: Error | undefined): void {
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
    else socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
    this.onClosed?.();
  }
}

/** RFC 9112 §9.2: bytes that answer no request, such as a 408 that announces a time-out. */
function unasked(): SallyportError {
  return new SallyportError('ERR_RESPONSE_SYNTAX', 'the origin sent bytes without being asked');
}

function ignoreAfterClose(): void {
  // The connection is over and was reported; a late reset of its socket has nobody left to tell.
}
