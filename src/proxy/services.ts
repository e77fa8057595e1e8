/** What the stations of one proxy share. Made by `Proxy.listen`, given back by `Proxy.close`. */
import type { LookupFunction } from 'node:net';
import type { Context } from '../base/context.js';
import type { Events } from '../base/events.js';
import type { ClientLeg, Hooks } from '../base/exchange.js';
import type { Ledger } from '../base/ledger.js';
import type { Limits, Timeouts } from '../base/limits.js';
import type { Origin } from '../base/message.js';
import type { Identities, Identity } from '../certs/index.js';
import type { LocalAddress } from '../connect/loop.js';
import type { SlabPool } from '../http/outbox.js';
import type { TrustContext } from '../tls/trust.js';
import type { Pool } from '../upstream/pool.js';
import type { OriginConnection } from './origin-connection.js';
import type { OpenTunnels } from './open-tunnels.js';

export interface Services {
  /** The proxy's own; closing it cuts everything. */
  readonly context: Context;
  readonly events: Events;
  readonly ledger: Ledger;
  readonly limits: Limits;
  readonly timeouts: Timeouts;
  readonly hooks: Hooks;
  readonly identities: Identities;
  readonly trust: TrustContext;
  readonly pool: Pool<OriginConnection>;
  readonly tunnels: OpenTunnels;
  /** Memory that is used again and again: what is sent, and what is read from origins. */
  readonly slabs: SlabPool;
  readonly readBuffer: Buffer;
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
  /** Held for as long as the connection uses it. */
  readonly identity: Identity | undefined;
}
