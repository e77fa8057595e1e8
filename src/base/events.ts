/**
 * Everything worth seeing, as typed events over `node:diagnostics_channel`.
 *
 * Each event has one channel for the process, named `sallyport:<event>`, so that tracing tools can listen
 * without the proxy's help; each message says whose it is (`proxy`), and `Events.on` hears its own proxy
 * only. An event that nobody listens to costs the check of `has(…)`: make the message behind it.
 */
import { type Channel, channel } from 'node:diagnostics_channel';
import type { Bytes, Milliseconds } from './bytes.js';
import type { SallyportError } from './errors.js';
import type { ClientLeg, Exchange, LegTls, ServerLeg } from './exchange.js';
import type { Ledger } from './ledger.js';
import type { Mark } from './ledger-book.js';

export interface EventMap {
  /** The proxy accepts connections. */
  listening: { readonly host: string; readonly port: number };
  'connection.open': { readonly connection: number; readonly address: string; readonly port: number };
  'connection.close': { readonly connection: number; readonly duration: Milliseconds };
  /** A handshake with a client ended well. */
  'tls.client': { readonly connection: number; readonly tls: LegTls };
  /** A handshake with an origin ended well. */
  'tls.upstream': { readonly host: string; readonly port: number; readonly tls: LegTls };
  /** A leaf certificate was made. */
  'certificate.made': { readonly host: string; readonly duration: Milliseconds };
  /** A certificate store has something to tell: see `StoreReport`. */
  'store.report': {
    readonly kind: 'broken' | 'degraded' | 'restored' | 'renewal-failed';
    /** The store, without any password. */
    readonly store: string;
    readonly host?: string;
    readonly error?: SallyportError;
  };
  'exchange.start': { readonly exchange: Exchange };
  'exchange.end': ExchangeEnd;
  'tunnel.open': TunnelOpen;
  'tunnel.close': TunnelClose;
  /** A failure that no exchange or tunnel reports: a refused handshake, a failed accept, a broken head. */
  failure: { readonly error: SallyportError; readonly connection?: number; readonly target?: string };
}

export interface ExchangeEnd {
  readonly id: string;
  readonly client: ClientLeg;
  readonly server: ServerLeg | undefined;
  readonly method: string;
  readonly url: string;
  /** `undefined` when no response head reached the client. */
  readonly status: number | undefined;
  /** Body bytes that came from the client. */
  readonly requestBytes: Bytes;
  /** Body bytes that went to the client. */
  readonly responseBytes: Bytes;
  /** Wall-clock start in epoch milliseconds. */
  readonly started: number;
  readonly duration: Milliseconds;
  /** Who answered: the origin, a hook, or the proxy with an error. */
  readonly answeredBy: 'origin' | 'hook' | 'proxy';
  readonly error: SallyportError | undefined;
}

export interface TunnelOpen {
  readonly id: string;
  readonly connection: number;
  /** `host:port` */
  readonly target: string;
  /** Why the bytes are relayed without being understood. */
  readonly reason: 'not-http' | 'server-first' | 'upgrade' | 'alpn' | 'http2';
}

export interface TunnelClose extends TunnelOpen {
  /** Bytes from the client, and to the client. */
  readonly sent: Bytes;
  readonly received: Bytes;
  readonly duration: Milliseconds;
  readonly error: SallyportError | undefined;
}

export type EventName = keyof EventMap;
export type EventMessage<K extends EventName> = EventMap[K] & { readonly proxy: string };

const names: readonly EventName[] = [
  'listening',
  'connection.open',
  'connection.close',
  'tls.client',
  'tls.upstream',
  'certificate.made',
  'store.report',
  'exchange.start',
  'exchange.end',
  'tunnel.open',
  'tunnel.close',
  'failure',
];

const channels = Object.fromEntries(names.map((name) => [name, channel(`sallyport:${name}`)])) as Readonly<
  Record<EventName, Channel>
>;

/** The events of one proxy. */
export class Events {
  /** Whose events these are: unique within the process. */
  readonly proxy: string;
  readonly #subscriptions = new Map<EventName, Map<(message: unknown) => void, Mark>>();
  readonly #ledger: Ledger | undefined;

  /** `ledger` counts the listeners that `on` adds. */
  constructor(proxy: string, ledger?: Ledger) {
    this.proxy = proxy;
    this.#ledger = ledger;
  }

  /** Whether anybody listens; ask before making a message. */
  has(name: EventName): boolean {
    return channels[name].hasSubscribers;
  }

  emit<K extends EventName>(name: K, message: EventMap[K]): void {
    if (channels[name].hasSubscribers) channels[name].publish({ ...message, proxy: this.proxy });
  }

  /**
   * Listens to this proxy's events of one kind. The function that comes back stops listening and leaves no
   * trace. A listener that throws ends up in `process.on('uncaughtException')`, as with any channel.
   */
  on<K extends EventName>(name: K, listener: (message: EventMessage<K>) => void): () => void {
    const subscription = (message: unknown): void => {
      const typed = message as EventMessage<K>;
      if (typed.proxy === this.proxy) listener(typed);
    };
    this.#ledger?.passed();
    const subscriptions = this.#subscriptions.get(name) ?? new Map<(message: unknown) => void, Mark>();
    this.#subscriptions.set(name, subscriptions.set(subscription, this.#ledger?.open('listeners') ?? 0));
    channels[name].subscribe(subscription);
    return () => {
      this.#remove(name, subscription);
    };
  }

  #remove(name: EventName, subscription: (message: unknown) => void): void {
    const subscriptions = this.#subscriptions.get(name);
    const mark = subscriptions?.get(subscription);
    if (mark === undefined) return;
    subscriptions?.delete(subscription);
    channels[name].unsubscribe(subscription);
    this.#ledger?.close('listeners', mark);
  }

  /** Removes every listener that `on` added. */
  close(): void {
    for (const [name, subscriptions] of this.#subscriptions) {
      for (const subscription of subscriptions.keys()) this.#remove(name, subscription);
    }
    this.#subscriptions.clear();
  }
}
