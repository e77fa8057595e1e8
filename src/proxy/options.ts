/** What a proxy can be told, with the default of each. */
import type { LookupFunction } from 'node:net';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import type { Hooks } from '../base/exchange.js';
import type { Limits, Timeouts } from '../base/limits.js';
import type { Authority, CertificateStore, KeyProfile, StoreContext, TicketKeys } from '../certs/index.js';

export interface ProxyOptions {
  /** Address to listen on. Default `127.0.0.1`: whoever can connect can use the proxy. */
  readonly host?: string;
  /** Port to listen on; 0 (the default of the library) takes a free one. */
  readonly port?: number;
  /** Directory of `ca.pem` and `ca-key.pem`, made on first use. Default `~/.sallyport`. */
  readonly caDir?: string;
  /** A CA whose key is elsewhere (`authorityFrom`), in place of the one in `caDir`. */
  readonly authority?: Authority;
  /** The keys of leaves. Default `p256`; `rsa-2048` for old clients costs some 0.3 s of a thread for each host. */
  readonly leafProfile?: KeyProfile;
  /**
   * One leaf for all hosts of a parent domain (`*.example.com`), where all clients take it; needs the package
   * `tldts` (`ERR_OPTION_DEPENDENCY`). Default `false`.
   */
  readonly wildcardLeaves?: boolean;
  /** PEM text of CAs that are trusted for origins in addition to Node's own. */
  readonly upstreamCa?: string;
  /** `false` accepts any certificate of an origin. For tests of such origins only. Default `true`. */
  readonly verifyUpstream?: boolean;
  /**
   * Whether leaves have the names and the times of the origin's certificate, once that is verified: then the origin is
   * connected to before the client's handshake. `untrusted` shows clients of an origin whose certificate is bad a leaf
   * of a CA that nobody trusts; else they are told by an error response. Without effect where `verifyUpstream` is
   * `false`. Default `false`.
   */
  readonly mirrorUpstream?: boolean | { readonly untrusted?: boolean };
  /**
   * Where leaf certificates are kept. Default: memory, bounded. A function is called by `listen`, and what it
   * makes is the proxy's, which closes it; a store that is given as it is stays its owner's.
   */
  readonly store?:
    CertificateStore | ((context: StoreContext) => CertificateStore | Promise<CertificateStore>);
  /** Shared by proxies that are to resume each other's TLS sessions, such as workers. Default: its own. */
  readonly ticketKeys?: TicketKeys;
  /**
   * The most that one read from an origin takes: a size from 4 KiB to 4 MiB, or `'adaptive'` (default), which is up to
   * 256 KiB for http and Node's own 64 KiB for https. With a size, https is read by this process itself, from 64 KiB on and up to the
   * size as long as the traffic fills it: fewer system calls for large transfers. `ERR_OPTION_VALUE`.
   */
  readonly readBufferSize?: 'adaptive' | Bytes;
  readonly hooks?: Hooks;
  readonly limits?: Partial<Limits>;
  readonly timeouts?: Partial<Timeouts>;
  /** How long `close()` waits for running exchanges before it cuts them. Default 10 s. */
  readonly drainTimeout?: Milliseconds;
  /**
   * Whether messages get a `Via` field (RFC 9110 §7.6.3). Default `true`. It is also what finds loops
   * through other proxies.
   */
  readonly via?: boolean;
  /** Name resolution for origins, with the signature of `dns.lookup`. Default: the system's. */
  readonly lookup?: LookupFunction;
}
