/** What the stations of one proxy share. Made by `Proxy.listen`, given back by `Proxy.close`. */
import type { LookupFunction } from 'node:net';
import type { Context } from '../base/context.js';
import type { SallyportError } from '../base/errors.js';
import type { Events } from '../base/events.js';
import type { ClientLeg, Hooks } from '../base/exchange.js';
import type { Ledger } from '../base/ledger.js';
import type { Limits, Timeouts } from '../base/limits.js';
import type { Origin } from '../base/message.js';
import type { Identities, Identity } from '../certs/index.js';
import type { LocalAddress } from '../connect/loop.js';
import type { SlabPool } from '../http/slab-pool.js';
import type { TrustContext } from '../tls/trust.js';
import type { Pool } from '../upstream/pool.js';
import type { Mirror } from './mirror.js';
import type { Legs } from './legs.js';
import type { OriginConnection } from './origin-connection.js';
import type { OpenTunnels } from './open-tunnels.js';
import type { UpstreamTls } from './upstream-tls.js';

export interface Services {
  /** The proxy's own; closing it cuts everything. */
  readonly context: Context;
  readonly events: Events;
  readonly ledger: Ledger;
  readonly limits: Limits;
  readonly timeouts: Timeouts;
  readonly hooks: Hooks;
  readonly identities: Identities;
  /** Where leaves mirror the certificates of origins. */
  readonly mirror: Mirror | undefined;
  readonly trust: TrustContext;
  readonly pool: Pool<OriginConnection>;
  readonly tunnels: OpenTunnels;
  /** TLS connections to origins, pooled and tunnelled. */
  readonly upstreamTls: UpstreamTls;
  /** Memory that is used again and again: what is sent, and what is read from origins. */
  readonly slabs: SlabPool;
  readonly readBuffer: Buffer;
  /** How the bytes of both legs are read and counted. */
  readonly legs: Legs;
  readonly lookup: LookupFunction | undefined;
  /** Where the proxy listens. */
  readonly local: LocalAddress;
  /** The name of this proxy in `Via`, `undefined` to add none. Unique, so that it finds loops. */
  readonly via: string | undefined;
  /** Numbers for exchanges and tunnels. */
  readonly nextExchange: () => number;
  readonly nextTunnel: () => number;
}

/**
 * NTLM and Negotiate authenticate a connection, not a request (RFC 4559 §6): such a connection to an origin must
 * never carry the requests of another client. It stays with the client connection that it began with.
 */
export interface PinnedConnection {
  connection: OriginConnection | undefined;
  /** The pool's key that it was made under. */
  key: string;
}

/** What a connection to an origin failed with when no request was there yet. */
export interface FailedAhead {
  /**
   * The error, to whoever asks first and soon; `undefined` to the others, who try again. So an origin that does not
   * answer costs a client one deadline, not two.
   */
  take(): SallyportError | undefined;
}

/** A client connection on its way down the road: what the stations found out so far. */
export interface Leg {
  /** What hooks and events see of it. */
  readonly client: ClientLeg;
  /** Closes with the connection. */
  readonly context: Context;
  /** Where the tunnel leads; `undefined` outside one, where each request names its origin. */
  readonly origin: Origin | undefined;
  /** The name for SNI and verification upstream, where it is not the origin's host. */
  readonly serverName: string | undefined;
  /** The connection to an origin that is this client's alone: see `PinnedConnection`. */
  readonly pinned: PinnedConnection;
  /** What the origin failed with before the client's handshake, where it was connected to then. */
  readonly failedAhead?: FailedAhead | undefined;
  /** Held for as long as the connection uses it. */
  readonly identity: Identity | undefined;
}
