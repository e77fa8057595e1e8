/** One request and its response, as rules, hooks, events and recordings see them. */
import type { X509Certificate } from 'node:crypto';
import type { Bytes } from './bytes.js';
import type { Context } from './context.js';
import type { FieldsInit, HttpVersion, Origin, ReadonlyFields } from './message.js';

/**
 * A body that a hook may ask for. It is collected only then; otherwise it streams through untouched. The
 * first call decides the limit (default `limits.collectedBody`); a larger body fails the exchange with 413
 * or 502. Content codings are not decoded.
 */
export interface CollectableBody {
  bytes(options?: { readonly limit?: Bytes }): Promise<Buffer>;
  text(options?: { readonly limit?: Bytes }): Promise<string>;
  json(options?: { readonly limit?: Bytes }): Promise<unknown>;
}

export interface ExchangeRequest {
  readonly method: string;
  /** The absolute URL: scheme and authority of the origin that the connection goes to, and the target. */
  readonly url: string;
  readonly target: string;
  readonly version: HttpVersion;
  readonly headers: ReadonlyFields;
  readonly body: CollectableBody;
}

export interface ExchangeResponse {
  readonly status: number;
  readonly reason: string;
  readonly version: HttpVersion;
  readonly headers: ReadonlyFields;
  readonly body: CollectableBody;
}

/** The client leg, as far as it is known. */
export interface ClientLeg {
  /** Number of the connection within its proxy, from 1. */
  readonly connection: number;
  readonly address: string;
  readonly port: number;
  readonly tls: LegTls | undefined;
}

/** The leg to the origin; `undefined` until there is one, and where we answered ourselves. */
export interface ServerLeg {
  readonly address: string;
  readonly port: number;
  /** Whether the connection had served an earlier exchange. */
  readonly reused: boolean;
  readonly tls: LegTls | undefined;
  /**
   * What the origin showed, leaf first, then each issuer as far as it was sent, and the root where it was
   * sent or is trusted here; empty for http. Parsed when somebody looks, then once for the whole process: the
   * same certificate is the same object on every connection. Not enumerable, so logging or copying the leg
   * neither parses nor shows it.
   *
   * The same on resumed connections, which bring no certificates: with hooks, or a listener for
   * `tls.upstream`, the chain is noted at each full handshake. Without them nobody is expected to look, and
   * it is the leaf alone where no one did while the connection of the full handshake was open.
   */
  readonly certificates: readonly X509Certificate[];
}

export interface LegTls {
  /** `TLSv1.3` … as OpenSSL names it. */
  readonly version: string;
  readonly cipher: string;
  readonly alpn: string | undefined;
  readonly serverName: string | undefined;
  readonly resumed: boolean;
}

export interface Exchange {
  /** Unique within the process; ends up in log lines. */
  readonly id: string;
  /** Closes when the exchange ends, for whatever reason. Give its signal to work started in a hook. */
  readonly context: Context;
  readonly client: ClientLeg;
  readonly server: ServerLeg | undefined;
  readonly origin: Origin;
  readonly request: ExchangeRequest;
  /** In response hooks and after. */
  readonly response: ExchangeResponse | undefined;
}

/** What a hook decides. Made by `pass()`, `rewrite()`, `answer()` and `refuse()`. */
export type RequestVerdict = PassVerdict | RewriteRequestVerdict | AnswerVerdict | RefuseVerdict;
export type ResponseVerdict = PassVerdict | RewriteResponseVerdict | AnswerVerdict | RefuseVerdict;

export interface PassVerdict {
  readonly kind: 'pass';
}

/** Everything left out stays as it was. */
export interface RewriteRequestVerdict {
  readonly kind: 'rewrite';
  readonly method?: string;
  /** Absolute (`https://other/path`: the request goes there, and Host follows) or a path. */
  readonly url?: string;
  readonly headers?: FieldsInit;
  readonly body?: string | Uint8Array;
}

export interface RewriteResponseVerdict {
  readonly kind: 'rewrite';
  readonly status?: number;
  readonly headers?: FieldsInit;
  readonly body?: string | Uint8Array;
}

/** A response of our own: the origin is not asked, or its response is dropped. */
export interface AnswerVerdict {
  readonly kind: 'answer';
  readonly status: number;
  readonly headers?: FieldsInit;
  readonly body?: string | Uint8Array;
}

/** An error response, 403 unless `status` says otherwise, in the form that the client accepts. */
export interface RefuseVerdict {
  readonly kind: 'refuse';
  readonly status?: number;
  readonly reason?: string;
}

type Decision<V> = V | undefined | void;

/**
 * Called for every exchange. Returning nothing is `pass()`. A hook that throws, or whose promise rejects,
 * fails the exchange with `ERR_HOOK_FAILED`: a broken rule is never taken for a pass.
 */
export interface Hooks {
  readonly request?: (exchange: Exchange) => Decision<RequestVerdict> | Promise<Decision<RequestVerdict>>;
  readonly response?: (exchange: Exchange) => Decision<ResponseVerdict> | Promise<Decision<ResponseVerdict>>;
}
