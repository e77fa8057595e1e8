/** A proxy from `listen` to `close`: assembles what the stations share, and gives everything back. */
import { randomBytes } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { SallyportError, toSallyportError } from '../base/errors.js';
import { type EventMessage, type EventName, Events } from '../base/events.js';
import { Ledger, type LedgerLines } from '../base/ledger.js';
import { isSettled, joinLedgers } from '../base/ledger-process.js';
import { defaultLimits, defaultTimeouts } from '../base/limits.js';
import { hostPort } from '../base/message.js';
import {
  type Authority,
  type CertificateStore,
  Identities,
  type WildcardGroups,
  loadWildcardGroups,
  openAuthority,
} from '../certs/index.js';
import { SlabPool, slabSize } from '../http/slab-pool.js';
import { Listener } from '../listener/listener.js';
import { parseCertificates } from '../tls/roots.js';
import { TrustContext } from '../tls/trust.js';
import { Pool } from '../upstream/pool.js';
import { ClientConnections } from './connections.js';
import { type OpenedStore, openStore, type ProxyCounters, proxyCounters } from './certificates.js';
import { makeMirror } from './mirror.js';
import type { ProxyOptions } from './options.js';
import type { OriginConnection } from './origin-connection.js';
import { Legs } from './legs.js';
import { Pipeline } from './pipeline.js';
import type { Services } from './services.js';
import { OpenTunnels } from './open-tunnels.js';
import { provideReadings } from './ledger-readings.js';
import { UpstreamTls } from './upstream-tls.js';

const defaultDrainTimeout: Milliseconds = 10_000;

/** How long sockets that were destroyed may take to close, which is a turn of the event loop. */
const closingTime: Milliseconds = 1000;

/** Makes a proxy; `listen` starts it. Nothing is shared with any other proxy of the process. */
export function createProxy(options: ProxyOptions = {}): Proxy {
  return new Proxy(options);
}

interface Running {
  readonly authority: Authority;
  readonly listener: Listener;
  readonly services: Services;
  readonly connections: ClientConnections;
  readonly store: OpenedStore;
  readonly host: string;
  readonly port: number;
}

export class Proxy implements AsyncDisposable {
  readonly #options: ProxyOptions;
  readonly #events: Events;
  readonly #ledger = new Ledger({ recent: () => Context.background.ledger.wheel.recent });
  #leaveLedgers: (() => void) | undefined;
  #running: Running | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#events = new Events(`sallyport-${randomBytes(4).toString('hex')}`, this.#ledger);
  }

  /**
   * Opens the CA (made on first use) and starts to accept; resolves with this proxy. Rejects with
   * `ERR_PORT_IN_USE`, `ERR_PORT_FORBIDDEN`, `ERR_LISTEN`, `ERR_CA_*`, `ERR_OPTION_DEPENDENCY`
   * or `ERR_UPSTREAM_CA`, or with what the `store` function threw; nothing is open then.
   */
  async listen(): Promise<this> {
    if (this.#running || this.#closed)
      throw new SallyportError('ERR_INTERNAL', 'listen() can be called once');
    const { caDir = join(homedir(), '.sallyport'), host = '127.0.0.1', port = 0 } = this.#options;
    const trust = makeTrust(this.#options);
    const wildcards = this.#options.wildcardLeaves === true ? await loadWildcardGroups() : undefined;
    const authority = this.#options.authority ?? (await openAuthority({ dir: caDir }));
    const store = await openStore(this.#options.store, authority, this.#events);
    // A root of its own, so that its contexts are counted apart; the clock and the wheel are those of the process.
    const context = Context.root(Context.background.ledger.wheel);
    let services: Services;
    try {
      services = this.#makeServices(context, trust, authority, wildcards, store.store);
    } catch (error) {
      context.close();
      await store.close();
      throw error;
    }
    const connections = new ClientConnections(services);
    const pipeline = new Pipeline(services, connections);
    const listener = new Listener({
      context,
      ledger: this.#ledger,
      limit: services.limits.connections,
      onConnection: (socket) => {
        pipeline.accept(socket).catch((thrown: unknown) => {
          this.#events.emit('failure', { error: toSallyportError(thrown) });
          socket.destroy();
        });
      },
      onClosed: (socket) => {
        connections.closed(socket);
      },
      onRefused: (socket) => {
        const detail = `${services.limits.connections} are open; ${socket.remoteAddress ?? 'a client'} was refused`;
        this.#events.emit('failure', { error: new SallyportError('ERR_CONNECTION_LIMIT', detail) });
      },
      onFailure: (error) => {
        this.#events.emit('failure', { error });
      },
    });
    try {
      // Whether one TLS context serves all hosts is found out before the first client comes.
      await services.identities.prepare();
      const where = await listener.listen({ host, port });
      Object.assign(services.local, where);
      this.#running = {
        authority,
        listener,
        services,
        connections,
        store,
        host: where.address,
        port: where.port,
      };
    } catch (error) {
      await giveBack(services, store);
      throw error;
    }
    this.#leaveLedgers = joinLedgers(this.#ledger);
    this.#events.emit('listening', { host: this.host, port: this.port });
    return this;
  }

  #makeServices(
    context: Context,
    trust: TrustContext,
    authority: Authority,
    wildcards: WildcardGroups | undefined,
    store: CertificateStore,
  ): Services {
    const { hooks = {}, leafProfile: profile = 'p256', lookup, ticketKeys, via = true } = this.#options;
    const { readBufferSize = 'adaptive' } = this.#options;
    const limits = { ...defaultLimits, ...this.#options.limits };
    const timeouts = { ...defaultTimeouts, ...this.#options.timeouts };
    const events = this.#events;
    const ledger = this.#ledger;
    let exchanges = 0;
    let tunnels = 0;
    const identities = new Identities({
      authority,
      events,
      profile,
      store,
      ...(wildcards && { wildcards }),
      ...(ticketKeys && { ticketKeys }),
    });
    provideReadings(ledger, context, identities);
    return {
      context,
      events,
      ledger,
      limits,
      timeouts,
      hooks,
      identities,
      mirror: makeMirror(this.#options),
      trust,
      pool: new Pool<OriginConnection>({ context, ledger, limits, idleTimeout: timeouts.idleUpstream }),
      tunnels: new OpenTunnels(),
      upstreamTls: new UpstreamTls(ledger),
      slabs: new SlabPool(),
      readBuffer: Buffer.allocUnsafeSlow(slabSize),
      legs: new Legs(readBufferSize),
      lookup,
      // Known once the listener listens, and not asked before.
      local: { address: '', port: 0 },
      via: via ? events.proxy : undefined,
      nextExchange: () => (exchanges += 1),
      nextTunnel: () => (tunnels += 1),
    };
  }

  get #open(): Running {
    if (!this.#running)
      throw new SallyportError('ERR_INTERNAL', 'the proxy does not listen yet: await listen() first');
    return this.#running;
  }

  /** `http://host:port`, as clients are to be given it. */
  get url(): string {
    return `http://${hostPort(this.host, this.port)}`;
  }

  /** The address that it listens on. */
  get host(): string {
    return this.#open.host;
  }

  get port(): number {
    return this.#open.port;
  }

  /** The CA that clients have to trust. */
  get ca(): Authority {
    return this.#open.authority;
  }

  /** Listens to this proxy's events; the function that comes back stops listening. Ends with `close`. */
  on<K extends EventName>(name: K, listener: (message: EventMessage<K>) => void): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * What was opened and closed; after `close` nothing is outstanding, but what others of the process have of the
   * kinds that all share: `deadlines` and `internedCertificates`.
   */
  ledger(): LedgerLines {
    return this.#ledger.lines();
  }

  /** What became of certificates and connections, as plain numbers; also after `close`. */
  counters(): ProxyCounters {
    const { services, store } = this.#open;
    return proxyCounters(services.identities, store.store, this.ledger(), services.legs.counts);
  }

  /**
   * Drops the certificates of these hosts (as `CertificateKey.host` spells them), or of all, wherever this process
   * has them, the memory of the store included. Resolves when connections that come get others: new ones, with a new
   * key, unless a store that is shared with other processes still has the old ones, which are to be removed there
   * before. Open connections keep what they have. Rejects as the store does.
   */
  async forgetCertificates(hosts?: readonly string[]): Promise<void> {
    await this.#open.services.identities.forget(hosts);
  }

  /**
   * Stops accepting, lets running exchanges and tunnels end for up to `drainTimeout`, cuts the rest, and
   * gives everything back. The first call decides; later ones wait for it.
   */
  close(options: { readonly drainTimeout?: Milliseconds } = {}): Promise<void> {
    return (this.#closed ??= this.#close(
      options.drainTimeout ?? this.#options.drainTimeout ?? defaultDrainTimeout,
    ));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(drainTimeout: Milliseconds): Promise<void> {
    const running = this.#running;
    if (!running) {
      this.#events.close();
      return;
    }
    const { listener, services, connections } = running;
    await listener.stop();
    using draining = services.context.withTimeout(drainTimeout, 'ERR_DRAIN_TIMEOUT');
    draining.onClose(() => {
      // `listener` closed nothing that is open: what still runs is cut by its context.
      if (draining.err?.code === 'ERR_DRAIN_TIMEOUT') services.context.close(draining.err);
    });
    await connections.drain();
    await services.tunnels.ended();
    await giveBack(services, running.store);
    await listener.ended();
    using patience = Context.background.withTimeout(closingTime);
    await services.upstreamTls.ended(patience);
    this.#events.close();
    // What is left after all is still to be seen by whoever looks at the process.
    if (isSettled(this.#ledger)) this.#leaveLedgers?.();
  }
}

function makeTrust({ upstreamCa, verifyUpstream = true }: ProxyOptions): TrustContext {
  if (upstreamCa === undefined) return new TrustContext({ verify: verifyUpstream });
  const ca = parseCertificates(upstreamCa, 'upstreamCa');
  const trust = new TrustContext({ verify: verifyUpstream, ca });
  try {
    // Made now, not at the cost of the first request: the roots take tens of milliseconds to parse.
    void trust.secureContext;
  } catch (error) {
    throw new SallyportError('ERR_UPSTREAM_CA', toSallyportError(error).detail, { cause: error });
  }
  return trust;
}

async function giveBack(services: Services, store: OpenedStore): Promise<void> {
  services.pool.close();
  await services.identities.close();
  await services.mirror?.close();
  await store.close();
  services.context.close();
}
