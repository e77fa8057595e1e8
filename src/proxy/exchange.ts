/**
 * One exchange on its way: request in, verdict, connection, response out. It joins the two legs and watches
 * the clock; what bytes mean is decided in `http/`, where they go in `connect/` and `upstream/`.
 *
 * Every path ends in `#finish`, once: there the context closes and the end is told.
 */
import type { Duplex } from 'node:stream';
import type { Bytes } from '../base/bytes.js';
import type { CloseListener, Context } from '../base/context.js';
import { type ErrorCode, SallyportError, toSallyportError } from '../base/errors.js';
import type {
  AnswerVerdict,
  ClientLeg,
  Exchange,
  ExchangeRequest,
  ExchangeResponse,
  RefuseVerdict,
  RequestVerdict,
  ResponseVerdict,
  RewriteRequestVerdict,
  RewriteResponseVerdict,
  ServerLeg,
} from '../base/exchange.js';
import { bodyGone, type BodySource } from '../base/flow.js';
import type { Mark } from '../base/ledger-book.js';
import { authority, type Origin, originUrl } from '../base/message.js';
import type { ClientStream, RequestConnection, ResponseReceiver } from '../http/client-stream.js';
import {
  fieldLines,
  forwardedRequest,
  ownResponse,
  requestedUpgrade,
  rewrittenRequest,
  rewrittenResponse,
} from '../http/forward.js';
import type { H1RequestHead, H1ResponseHead } from '../http/head.js';
import type { ServerStream, StreamOwner } from '../http/server-stream.js';
import { decide } from '../rules/decide.js';
import { mayRetry } from '../upstream/retry.js';
import { type BodyKeeper, CollectedBody, DiscardedBody, smallBody } from './body.js';
import { OriginLeg } from './origin-certificates.js';
import { OriginConnection } from './origin-connection.js';
import { openOrigin, originKey } from './origins.js';
import { resolveTarget, withoutUserinfo } from './request-target.js';
import type { Leg, Services } from './services.js';
import { openTunnel } from './tunnel.js';

type AnsweredBy = 'origin' | 'hook' | 'proxy';

export class ExchangeRun implements Exchange, StreamOwner, ResponseReceiver, CloseListener, BodyKeeper {
  readonly #leg: Leg;
  readonly context: Context;
  readonly #services: Services;
  readonly #stream: ServerStream;
  readonly #number: number;
  readonly #started = performance.now();
  /** The request as it will be sent; a rewrite replaces it. */
  #head: H1RequestHead;
  #origin: Origin;
  #target: string;
  /** What Host must say where the client's own does not count. */
  #host: string | undefined;
  /** The body that a hook gave or collected. */
  #requestBody: Buffer | undefined;
  #connection: OriginConnection | undefined;
  #upstream: ClientStream | undefined;
  #key = '';
  #attempts = 0;
  #reused = false;
  #answeredBy: AnsweredBy = 'origin';
  #responseHead: H1ResponseHead | undefined;
  #status: number | undefined;
  #responseBody: BodySource | undefined;
  #ownBytes = 0;
  #collectedRequest: CollectedBody | undefined;
  #collectedResponse: CollectedBody | undefined;
  /** Whether the origin's response has a body. */
  #bodyComes = false;
  /** Whether the origin's response goes to the client as it comes. */
  #piped = false;
  #acquiring = false;
  #requestEnded = false;
  #finished = false;
  /** For the ledger: the exchange, its bodies while they are on their way, and what is kept of them. */
  readonly #mark: Mark;
  #requestMark: Mark | undefined;
  #responseMark: Mark | undefined;
  #keptMark: Mark | undefined;
  #kept: Bytes = 0;

  constructor(services: Services, leg: Leg, stream: ServerStream) {
    this.#services = services;
    this.#stream = stream;
    this.#number = services.nextExchange();
    this.#leg = leg;
    this.#head = stream.head;
    this.#target = stream.head.target;
    this.#origin = leg.origin ?? unknownOrigin;
    this.context = leg.context.withCancel();
    this.context.addCloseListener(this);
    stream.owner = this;
    const { ledger } = services;
    ledger.passed(this.#started);
    this.#mark = ledger.open('exchanges', this);
    if (stream.head.framing !== 'none') this.#requestMark = ledger.open('bodies');
  }

  // The exchange as hooks and events see it.

  get id(): string {
    return `${this.#services.events.proxy}-${this.#number}`;
  }

  get client(): ClientLeg {
    return this.#leg.client;
  }

  get origin(): Origin {
    return this.#origin;
  }

  get url(): string {
    // Before the target is understood, and where it cannot be, it is shown as it came.
    if (this.#origin === unknownOrigin) return withoutUserinfo(this.#head.target);
    return this.#target === '*' ? originUrl(this.#origin) : originUrl(this.#origin) + this.#target;
  }

  get server(): ServerLeg | undefined {
    return this.#connection && new OriginLeg(this.#connection, this.#reused);
  }

  get request(): ExchangeRequest {
    const { method, version, headers } = this.#head;
    const from = this.#stream.head.framing === 'none' ? undefined : this.#stream;
    const limit = this.#services.limits.collectedBody;
    const body = (this.#collectedRequest ??= new CollectedBody(
      from,
      limit,
      'ERR_REQUEST_BODY_TOO_LARGE',
      this,
    ));
    return { method, url: this.url, target: this.#target, version, headers, body };
  }

  get response(): ExchangeResponse | undefined {
    const head = this.#responseHead;
    if (!head) return undefined;
    const from = head.framing === 'none' ? undefined : this.#responseBody;
    const limit = this.#services.limits.collectedBody;
    const body = (this.#collectedResponse ??= new CollectedBody(
      from,
      limit,
      'ERR_RESPONSE_BODY_TOO_LARGE',
      this,
    ));
    const { status, reason, version, headers } = head;
    return { status, reason, version, headers, body };
  }

  /** While a hook collects a body it may not stand still; once it is complete the hook has the time it needs. */
  collecting(begins: boolean): void {
    if (begins) {
      this.progress();
      if (!this.#responseHead) this.#stream.continue();
    } else {
      this.context.setTimeout(Number.POSITIVE_INFINITY, 'ERR_CANCELLED');
    }
  }

  /** So many bytes of a body are kept until the exchange ends. */
  kept(bytes: Bytes): void {
    const { ledger } = this.#services;
    if (this.#finished || bytes === 0) return;
    if (this.#keptMark === undefined) this.#keptMark = ledger.open('bodyBytes', undefined, bytes);
    else ledger.grow('bodyBytes', this.#keptMark, bytes);
    this.#kept += bytes;
  }

  #requestBodyOver(): void {
    if (this.#requestMark === undefined) return;
    this.#services.ledger.close('bodies', this.#requestMark);
    this.#requestMark = undefined;
  }

  /** Begins. Called once. */
  start(): void {
    try {
      this.#resolve();
      const { events, hooks, limits } = this.#services;
      if (this.#head.section.contentLength > limits.requestBody) {
        throw new SallyportError('ERR_REQUEST_BODY_TOO_LARGE', `the limit is ${limits.requestBody} bytes`);
      }
      if (this.#forwardsUsedUp()) return;
      if (events.has('exchange.start')) events.emit('exchange.start', { exchange: this });
      if (!hooks.request) {
        this.#proceed();
        return;
      }
      const verdict = decide(hooks.request, this);
      if (verdict instanceof Promise)
        void this.#later(verdict, (made) => {
          this.#judged(made);
        });
      else this.#judged(verdict);
    } catch (error) {
      this.#fail(toSallyportError(error));
    }
  }

  #resolve(): void {
    const { origin, target, host } = resolveTarget(this.#head, this.#leg.origin, this.#services);
    this.#origin = origin;
    this.#target = target;
    this.#host = host;
  }

  /**
   * RFC 9110 §7.6.2: TRACE and OPTIONS are answered here when their forwards are used up; else one is taken
   * off. Whether that was the answer.
   */
  #forwardsUsedUp(): boolean {
    const head = this.#head;
    const { maxForwards } = head.section;
    if (maxForwards === undefined || (head.method !== 'TRACE' && head.method !== 'OPTIONS')) return false;
    if (maxForwards === 0) {
      this.#answer(finalRecipient(head), 'proxy');
      return true;
    }
    const headers = head.headers.clone().set('Max-Forwards', String(maxForwards - 1));
    this.#head = rewrittenRequest(head, { target: head.target, headers }, undefined, this.#services.limits);
    return false;
  }

  /** Goes on after a promise, unless the exchange ended meanwhile. */
  async #later<T>(promise: Promise<T>, then: (value: T) => void): Promise<void> {
    try {
      const value = await promise;
      if (!this.#finished) then(value);
    } catch (error) {
      this.#fail(toSallyportError(error));
    }
  }

  // The request.

  #judged(verdict: RequestVerdict): void {
    switch (verdict.kind) {
      case 'pass':
        this.#forward(undefined);
        break;
      case 'rewrite':
        this.#forward(verdict);
        break;
      case 'answer':
        this.#answer(verdict, 'hook');
        break;
      default:
        this.#refuse(verdict);
    }
  }

  /** A body that a hook collected or replaced is sent with its length; any other streams. */
  #forward(change: RewriteRequestVerdict | undefined): void {
    const collected = this.#stream.head.framing === 'none' ? undefined : this.#collectedRequest?.collected;
    if (change?.body !== undefined) {
      this.#discardRequest();
      const body = Buffer.from(change.body);
      this.kept(body.length);
      this.#forwardWith(change, body);
    } else if (collected) {
      void this.#later(collected, (body) => {
        this.#forwardWith(change, body);
      });
    } else {
      this.#forwardWith(change, undefined);
    }
  }

  #forwardWith(change: RewriteRequestVerdict | undefined, body: Buffer | undefined): void {
    this.#requestBody = body;
    const { limits } = this.#services;
    if (change) this.#rewrite(change, body?.length);
    else if (body) this.#head = rewrittenRequest(this.#head, { target: this.#target }, body.length, limits);
    // The client was told to continue, or will not be asked.
    if (body && this.#head.section.expectContinue) {
      const headers = this.#head.headers.clone();
      headers.delete('expect');
      this.#head = rewrittenRequest(this.#head, { target: this.#target, headers }, body.length, limits);
    }
    this.#proceed();
  }

  #rewrite(change: RewriteRequestVerdict, length: number | undefined): void {
    const { limits } = this.#services;
    const { method, headers, url } = change;
    let host = this.#host;
    if (url?.startsWith('/')) {
      this.#target = url;
    } else if (url !== undefined) {
      const wanted = { method: 'GET', target: url, section: this.#head.section };
      const moved = asVerdict(() => resolveTarget(wanted, undefined, this.#services));
      if (originUrl(moved.origin) !== originUrl(this.#origin)) host = authority(moved.origin);
      this.#origin = moved.origin;
      this.#target = moved.target;
    }
    const rewritten = {
      target: this.#target,
      ...(method !== undefined && { method }),
      ...(headers && { headers }),
      ...(host !== undefined && { host }),
    };
    if (method === 'CONNECT')
      throw new SallyportError('ERR_HOOK_VERDICT', 'a request cannot become a CONNECT');
    this.#head = asVerdict(() => rewrittenRequest(this.#head, rewritten, length, limits));
    this.#host = undefined;
  }

  /** Takes an idle connection, or waits for one. */
  #proceed(): void {
    const { pool, timeouts } = this.#services;
    const serverName = this.#origin === this.#leg.origin ? this.#leg.serverName : undefined;
    const key = originKey(this.#services, this.#origin, serverName);
    this.#key = key;
    const { pinned } = this.#leg;
    const own = pinned.key === key && pinned.connection?.usable ? pinned.connection : undefined;
    const idle = own ?? pool.takeIdle(key);
    if (idle) {
      this.#send(idle);
      return;
    }
    const first = this.#attempts === 0 && this.#origin === this.#leg.origin;
    const failed = first ? this.#leg.failedAhead?.take() : undefined;
    if (failed) {
      this.#fail(failed);
      return;
    }
    this.context.setTimeout(timeouts.connect + timeouts.upstreamHandshake, 'ERR_CONNECT_TIMEOUT');
    const origin = this.#origin;
    const open = (context: Context): Promise<OriginConnection> =>
      openOrigin(this.#services, origin, serverName, context);
    this.#acquiring = true;
    const acquired = pool.acquire(key, open, this.context).then((connection) => {
      // The exchange ended in the moment that the connection came.
      if (this.#finished) pool.release(connection);
      return connection;
    });
    void this.#later(acquired, (connection) => {
      this.#acquiring = false;
      this.#send(connection);
    });
  }

  #send(connection: OriginConnection): void {
    const head = this.#head;
    const upgrade = requestedUpgrade(head) !== undefined;
    const text = forwardedRequest(head, this.#target, this.#host, this.#viaLine(head.version));
    this.#connection = connection;
    this.#reused = connection.exchanges > 0;
    this.#attempts += 1;
    const upstream = connection.send({ method: head.method, text, framing: head.framing, upgrade }, this);
    this.#upstream = upstream;
    const body = this.#requestBody;
    if (body) {
      upstream.write(body);
      upstream.end([]);
      this.requestEnded();
    } else if (head.framing === 'none') {
      this.requestEnded();
    } else {
      this.progress();
      this.#stream.pipe(upstream);
    }
  }

  // What the client leg tells.

  requestEnded(): void {
    this.#requestEnded = true;
    this.#requestBodyOver();
    if (this.#upstream && !this.#responseHead) {
      this.context.setTimeout(this.#services.timeouts.responseHead, 'ERR_RESPONSE_HEAD_TIMEOUT');
    }
  }

  requestFailed(error: SallyportError): void {
    this.#fail(error);
  }

  progress(): void {
    // The last of an upload may leave after the clock of the response head has begun.
    if (this.#requestEnded && !this.#responseHead) return;
    const code: ErrorCode = this.#responseHead ? 'ERR_RESPONSE_BODY_TIMEOUT' : 'ERR_REQUEST_BODY_TIMEOUT';
    this.context.setTimeout(this.#services.timeouts.idleBody, code);
  }

  // What the upstream leg tells.

  interim(head: H1ResponseHead): void {
    this.#stream.inform(head, this.#viaLine(head.version));
  }

  final(received: H1ResponseHead, body: BodySource): void {
    const head = this.#answering(received);
    this.#bodyComes = received.framing !== 'none';
    if (this.#bodyComes && !this.#finished) this.#responseMark = this.#services.ledger.open('bodies');
    this.#responseHead = head;
    this.#responseBody = body;
    const hook = this.#services.hooks.response;
    if (!hook) {
      this.#respond(head);
      return;
    }
    this.context.setTimeout(Number.POSITIVE_INFINITY, 'ERR_CANCELLED');
    try {
      const verdict = decide(hook, this);
      if (verdict instanceof Promise)
        void this.#later(verdict, (made) => {
          this.#responseJudged(made);
        });
      else this.#responseJudged(verdict);
    } catch (error) {
      this.#fail(toSallyportError(error));
    }
  }

  /** What the response means to the client, where a hook made a HEAD of its request, or another of its HEAD. */
  #answering(head: H1ResponseHead): H1ResponseHead {
    const { method } = this.#stream.head;
    if ((method === 'HEAD') === (this.#head.method === 'HEAD')) return head;
    return rewrittenResponse(head, {}, method === 'HEAD' ? undefined : 0, method, this.#services.limits);
  }

  #responseJudged(verdict: ResponseVerdict): void {
    switch (verdict.kind) {
      case 'pass':
        this.#deliver(undefined);
        break;
      case 'rewrite':
        this.#deliver(verdict);
        break;
      case 'answer':
        this.#upstream?.cancel();
        this.#answer(verdict, 'hook');
        break;
      default:
        this.#refuse(verdict);
    }
  }

  #deliver(change: RewriteResponseVerdict | undefined): void {
    const collected = this.#responseHead?.framing === 'none' ? undefined : this.#collectedResponse?.collected;
    if (change?.body !== undefined) {
      const body = Buffer.from(change.body);
      this.kept(body.length);
      if (collected) this.#deliverWith(change, body);
      else
        this.#afterOriginsBody(() => {
          this.#deliverWith(change, body);
        });
    } else if (collected) {
      void this.#later(collected, (body) => {
        this.#deliverWith(change, body);
      });
    } else {
      this.#deliverWith(change, undefined);
    }
  }

  #deliverWith(change: RewriteResponseVerdict | undefined, body: Buffer | undefined): void {
    const head = this.#responseHead;
    if (!head) return;
    const { method } = this.#stream.head;
    if (!body && !change) {
      this.#respond(head);
      return;
    }
    const { limits } = this.#services;
    const make = (length: number | undefined): H1ResponseHead =>
      asVerdict(() => rewrittenResponse(head, change ?? {}, length, method, limits));
    const rewritten = make(body?.length);
    if (rewritten.framing === 'none') {
      // By its status or method it has no body, whatever the origin sends.
      if (!body) this.#endWithoutBody();
      this.#respondWith(rewritten, nothing);
    } else if (body) {
      this.#respondWith(rewritten, body);
    } else if (!this.#bodyComes) {
      // The origin's status had no body (304), the new one may have: none is on its way.
      this.#endWithoutBody();
      this.#respondWith(make(0), nothing);
    } else {
      this.#respond(rewritten);
    }
  }

  /** A small body that is replaced is read to its end, and its connection used again; any other is cut off. */
  #afterOriginsBody(respond: () => void): void {
    const head = this.#responseHead;
    if (head?.framing === 'length' && head.section.contentLength <= smallBody) {
      this.progress();
      this.#responseBody?.pipe(new DiscardedBody(respond));
    } else {
      this.#endWithoutBody();
      respond();
    }
  }

  /** The client gets no body of the origin's. A response that has none is over, and its connection used again. */
  #endWithoutBody(): void {
    if (this.#bodyComes) this.#upstream?.cancel();
    else this.#responseBody?.pipe(new DiscardedBody());
  }

  /** Sends the origin's response on, its body as it comes. */
  #respond(head: H1ResponseHead): void {
    if (head.framing === 'none' && this.#bodyComes) {
      // A hook made a HEAD into a GET, or a status that has a body into one that has none.
      this.#upstream?.cancel();
      this.#respondWith(head, nothing);
      return;
    }
    const sink = this.#stream.respond(head, this.#viaLine(head.version));
    this.#status = head.status;
    this.#piped = true;
    this.progress();
    this.#responseBody?.pipe(sink);
  }

  upgraded(head: H1ResponseHead, socket: Duplex, rest: Buffer): void {
    this.#responseHead = head;
    this.#status = head.status;
    const upgrade = head.section.upgrade ?? requestedUpgrade(this.#head) ?? '';
    const target = `${this.#origin.host}:${this.#origin.port}`;
    const leg = this.#leg;
    this.#stream.switchProtocols(head, upgrade, this.#viaLine(head.version), (clientSocket, clientRest) => {
      openTunnel(this.#services, leg, { target, reason: 'upgrade' }, clientSocket, clientRest, socket, rest);
    });
    this.#finish(undefined);
  }

  failed(error: SallyportError, untouched: boolean): void {
    if (this.#finished) return;
    const { method, framing } = this.#head;
    const bodySent = framing !== 'none' && !this.#requestBody;
    const failure = {
      method,
      reused: this.#reused || this.#connection?.ahead === true,
      responseStarted: !untouched,
      bodySent,
      attempts: this.#attempts,
    };
    if (mayRetry(failure)) {
      this.#upstream = undefined;
      this.#connection = undefined;
      // The connection used last was dead, so those that have been idle for longer are not to be trusted.
      this.#services.pool.closeIdle(this.#key);
      this.#proceed();
    } else {
      this.#fail(error);
    }
  }

  released(connection: RequestConnection): void {
    if (connection instanceof OriginConnection) this.#giveBack(connection);
    // A body that is collected, or replaced, ends before the response to the client does.
    if (this.#upstream?.complete && this.#piped) this.#finish(undefined);
  }

  #giveBack(connection: OriginConnection): void {
    const { pinned, context } = this.#leg;
    if (pinned.connection === connection) return;
    const authenticated =
      this.#head.section.connectionAuthentication ||
      this.#responseHead?.section.connectionAuthentication === true;
    if (!authenticated || !connection.usable) {
      this.#services.pool.release(connection);
      return;
    }
    pinned.connection?.close();
    pinned.connection = connection;
    pinned.key = this.#key;
    context.onClose(() => {
      connection.close();
    });
  }

  // Answers of our own.

  #answer(verdict: AnswerVerdict, by: AnsweredBy): void {
    const { method } = this.#stream.head;
    const body = Buffer.from(verdict.body ?? '');
    const { status, headers } = verdict;
    const wanted = { status, length: body.length, ...(headers && { headers }) };
    const head = asVerdict(() => ownResponse(wanted, method));
    this.#answeredBy = by;
    this.#afterSmallBody(() => {
      this.#respondWith(head, head.framing === 'none' ? nothing : body);
    });
  }

  #refuse({ reason, status }: RefuseVerdict): void {
    this.#fail(new SallyportError('ERR_REFUSED', reason ?? this.url), status);
  }

  /** A small body that nobody wants is read to its end first: so it does not cost the client its connection. */
  #afterSmallBody(respond: () => void): void {
    const { requestComplete, sink, head } = this.#stream;
    const { contentLength, expectContinue } = head.section;
    const small = head.framing === 'length' && contentLength <= smallBody;
    if (requestComplete || sink || !small || expectContinue) {
      this.#discardRequest();
      respond();
      return;
    }
    this.progress();
    this.#stream.pipe(new DiscardedBody(respond));
  }

  #respondWith(head: H1ResponseHead, body: Buffer): void {
    const sink = this.#stream.respond(head, '');
    this.#status = head.status;
    this.#ownBytes = body.length;
    if (body.length > 0) sink.write(body);
    sink.end([]);
    this.#finish(undefined);
  }

  /** What still comes is read and dropped: unread, it would become a reset when the connection is closed. */
  #discardRequest(): void {
    if (!this.#stream.sink && !this.#stream.requestComplete) this.#stream.pipe(new DiscardedBody());
  }

  /**
   * The exchange cannot go on. The client gets an error response if nothing was sent yet; otherwise its
   * connection is cut, so that it never takes a part for the whole.
   */
  #fail(error: SallyportError, status?: number): void {
    if (this.#finished) return;
    const stream = this.#stream;
    const upstream = this.#upstream;
    this.#upstream = undefined;
    upstream?.cancel();
    if (stream.responded || error.entry.status === undefined) {
      stream.abort(error);
      this.#finish(error);
      return;
    }
    if (this.#answeredBy === 'origin') this.#answeredBy = error.code === 'ERR_REFUSED' ? 'hook' : 'proxy';
    if (error.entry.phase !== 'request-body') this.#discardRequest();
    const sent = stream.refuse(error, status);
    this.#status = sent.status;
    this.#ownBytes = sent.bytes;
    this.#finish(error);
  }

  contextClosed(): void {
    // Whoever waits for a connection is told by the pool, which knows what was lacking.
    if (this.#acquiring && this.context.err?.code === 'ERR_CONNECT_TIMEOUT') return;
    this.#fail(this.context.err ?? new SallyportError('ERR_CANCELLED', 'the exchange was cancelled'));
  }

  #finish(error: SallyportError | undefined): void {
    if (this.#finished) return;
    this.#finished = true;
    this.context.removeCloseListener(this);
    // A hook that waits for a body must not wait for ever.
    const over = error ?? bodyGone;
    this.#collectedRequest?.giveUp(over);
    this.#collectedResponse?.giveUp(over);
    this.context.close(error);
    const { events, ledger } = this.#services;
    this.#requestBodyOver();
    if (this.#responseMark !== undefined) ledger.close('bodies', this.#responseMark);
    if (this.#keptMark !== undefined) ledger.close('bodyBytes', this.#keptMark, this.#kept);
    ledger.close('exchanges', this.#mark);
    if (!events.has('exchange.end')) return;
    const duration = performance.now() - this.#started;
    events.emit('exchange.end', {
      id: this.id,
      client: this.client,
      server: this.server,
      method: this.#head.method,
      url: this.url,
      status: this.#status,
      requestBytes: this.#stream.bytes,
      responseBytes: this.#ownBytes > 0 ? this.#ownBytes : (this.#responseBody?.bytes ?? 0),
      started: Date.now() - duration,
      duration,
      answeredBy: this.#answeredBy,
      error,
    });
  }

  /** RFC 9110 §7.6.3. */
  #viaLine(version: string): string {
    const { via } = this.#services;
    return via === undefined ? '' : `Via: ${version} ${via}\r\n`;
  }
}

const nothing = Buffer.alloc(0);

const unknownOrigin: Origin = { scheme: 'http', host: 'unknown.invalid', port: 80 };

/** RFC 9110 §9.3.7 and §9.3.8; TRACE leaves out what may be a secret. */
function finalRecipient(head: H1RequestHead): AnswerVerdict {
  if (head.method === 'OPTIONS') return { kind: 'answer', status: 204, headers: { Allow: 'OPTIONS, TRACE' } };
  const headers = head.headers.clone();
  for (const name of ['authorization', 'proxy-authorization', 'cookie']) headers.delete(name);
  const body = `TRACE ${head.target} HTTP/${head.version}\r\n${fieldLines(headers.raw)}\r\n`;
  return {
    kind: 'answer',
    status: 200,
    headers: { 'Content-Type': 'message/http' },
    body: Buffer.from(body, 'latin1'),
  };
}

/** What a hook asked for and cannot be sent is the hook's mistake, not the origin's. */
function asVerdict<T>(make: () => T): T {
  try {
    return make();
  } catch (thrown) {
    const error = toSallyportError(thrown);
    if (error.code === 'ERR_LOOP') throw error;
    throw new SallyportError('ERR_HOOK_VERDICT', error.detail, { cause: thrown });
  }
}
