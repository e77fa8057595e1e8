/** What a client or an origin may use at the most, and how long each phase may take. */
import type { Bytes, Milliseconds } from './bytes.js';

export interface Limits {
  /** Client connections at one time; one more is told 503 and closed. */
  readonly connections: number;
  /** Bytes of a request or response head, start line included (431, 502). */
  readonly head: Bytes;
  /** Bytes of a request target (414). */
  readonly uri: Bytes;
  /** Fields in a head or a trailer section (431, 502). */
  readonly fields: number;
  /** Bytes of a request body (413); `Infinity` lets any size pass. */
  readonly requestBody: Bytes;
  /** Bytes that a hook may collect of a body when it gives no limit of its own (413, 502). */
  readonly collectedBody: Bytes;
  /** Bytes in flight between the two legs of one exchange before the faster one is paused. */
  readonly buffered: Bytes;
  /** Connections to one origin under one trust policy; the next request waits. */
  readonly upstreamPerOrigin: number;
  /** Connections to all origins; the next request waits. */
  readonly upstreamTotal: number;
  /** Idle connections kept to one origin. */
  readonly upstreamIdlePerOrigin: number;
  /** Requests that may wait for a connection at one time (503). */
  readonly upstreamWaiters: number;
}

export const defaultLimits: Limits = {
  connections: 20_000,
  head: 64 * 1024,
  uri: 16 * 1024,
  fields: 200,
  requestBody: Number.POSITIVE_INFINITY,
  collectedBody: 16 * 1024 * 1024,
  buffered: 128 * 1024,
  upstreamPerOrigin: 1024,
  upstreamTotal: 16_384,
  upstreamIdlePerOrigin: 256,
  upstreamWaiters: 10_000,
};

/** One deadline a phase; `Infinity` switches one off. No default is over 60 s. */
export interface Timeouts {
  /** Until the first byte of a client. */
  readonly sniff: Milliseconds;
  /** How long a silent client in a tunnel is waited for before the origin is given the first word. */
  readonly serverFirst: Milliseconds;
  /** From the first byte of the ClientHello to the end of the handshake. */
  readonly clientHandshake: Milliseconds;
  /** From the first byte of a request head to its end. */
  readonly requestHead: Milliseconds;
  /** How long a client connection may be idle between two requests. */
  readonly idleClient: Milliseconds;
  /** Name resolution and TCP connection, all addresses together; waiting for a free connection too. */
  readonly connect: Milliseconds;
  readonly upstreamHandshake: Milliseconds;
  /** From the end of the request to the end of the response head. */
  readonly responseHead: Milliseconds;
  /** How long a body may stand still, either way. */
  readonly idleBody: Milliseconds;
  /** How long a tunnel or an upgraded connection may stand still. */
  readonly idleTunnel: Milliseconds;
  /** How long an idle connection to an origin is kept. */
  readonly idleUpstream: Milliseconds;
}

export const defaultTimeouts: Timeouts = {
  sniff: 10_000,
  serverFirst: 500,
  clientHandshake: 10_000,
  requestHead: 30_000,
  idleClient: 60_000,
  connect: 10_000,
  upstreamHandshake: 10_000,
  responseHead: 60_000,
  idleBody: 60_000,
  idleTunnel: 60_000,
  idleUpstream: 30_000,
};
