/**
 * Who the proxy is for a host: a leaf certificate, its key, and the TLS context that serves them.
 *
 * Ownership: a connection that uses an identity holds it, and so keeps its context; a `TLSSocket` alone does
 * not. `Identities` keeps the identities that were used last. One that it drops, or replaces before the
 * certificate ends, lives on in its connections and goes with them.
 */
import { type SecureContext, type SecureContextOptions, createSecureContext } from 'node:tls';
import type { Bytes } from '../base/bytes.js';
import { SallyportError, toSallyportError } from '../base/errors.js';
import type { Events } from '../base/events.js';
import type { Authority } from './authority.js';
import { isPromise } from './awaiting.js';
import type { KeyProfile } from './leaf-keys.js';
import { MemoryStore } from './memory-store.js';
import { Minter } from './mint.js';
import { type CertificateName, certificateName } from './names.js';
import { SingleFlight } from './single-flight.js';
import { type CertificateStore, type FetchOptions, type LeafMaterial, renewalTime } from './store.js';

/** One host's certificate, key and context. Immutable, and shared by all connections to the host. */
export interface Identity {
  /** The host as `certificateName` spells it. */
  readonly host: string;
  /** The leaf alone. */
  readonly certificatePem: string;
  /** What a server sends: the leaf, and the CA's chain. */
  readonly chainPem: string;
  /** PKCS #8. */
  readonly privateKeyPem: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  /** Epoch milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** TLS 1.2 and newer, with the chain and the key. */
  readonly secureContext: SecureContext;
}

export interface IdentitiesOptions {
  readonly authority: Authority;
  /**
   * Where leaves come from. Default: a `MemoryStore`, closed by `close`; one that is given stays its owner's.
   */
  readonly store?: CertificateStore;
  /** Default `p256`. */
  readonly profile?: KeyProfile;
  /** What the contexts may take, at 32 KiB each; default 32 MiB, which is 1,024 hosts. */
  readonly capacity?: Bytes;
  /** Settings for every context, such as `ciphers` or `ecdhCurve`; `key` and `cert` are set here. */
  readonly context?: Omit<SecureContextOptions, 'key' | 'cert' | 'pfx' | 'ca' | 'secureProtocol'>;
  /** Where `certificate.made` is told. */
  readonly events?: Events;
  /** The time in epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

export interface IdentityCounters {
  /** Calls that were answered with an identity at hand. */
  readonly hits: number;
  /** Identities, and so contexts, that were made. */
  readonly made: number;
  /** Leaves that were minted here; the others came from the store. */
  readonly minted: number;
  /** Identities at hand. */
  readonly size: number;
}

interface Entry {
  readonly identity: Identity;
  /** Epoch milliseconds; from then on a new identity is made. */
  readonly renewAt: number;
}

/** What a context with a P-256 leaf takes outside JavaScript's heap: measured as 26 to 35 KB. */
const contextSize: Bytes = 32 * 1024;

export class Identities {
  readonly #authority: Authority;
  readonly #store: CertificateStore;
  readonly #ownsStore: boolean;
  readonly #minter: Minter;
  readonly #limit: number;
  readonly #context: SecureContextOptions;
  readonly #events: Events | undefined;
  readonly #now: () => number;
  /** By host, in order of use, the longest unused first. */
  readonly #entries = new Map<string, Entry>();
  readonly #flights = new SingleFlight<Identity>();
  readonly #counters = { hits: 0, made: 0, minted: 0 };
  #closed = false;

  constructor(options: IdentitiesOptions) {
    const { authority, store, profile = 'p256', capacity = 32 * 1024 * 1024, now = Date.now } = options;
    this.#authority = authority;
    this.#store = store ?? new MemoryStore({ now });
    this.#ownsStore = store === undefined;
    this.#minter = new Minter({ issuer: authority, profile, now });
    this.#limit = Math.max(1, Math.floor(capacity / contextSize));
    this.#context = { minVersion: 'TLSv1.2', ...options.context };
    this.#events = options.events;
    this.#now = now;
  }

  /**
   * The identity for `host`, in any spelling: without a promise when it is at hand or everything that it takes
   * is. Any number of callers at the same time wait for one identity.
   *
   * Throws or rejects with `ERR_LEAF_CERTIFICATE` (no host, or material that cannot be used), `ERR_CA_BROKEN`
   * (the CA ended), `ERR_CANCELLED` (`options.signal` aborted, which touches nobody else, or `close`), and what
   * the store or the signer threw. `options.signal` is read only when there is something to wait for: pass a
   * `Context` as it is.
   */
  get(host: string, options?: FetchOptions): Identity | Promise<Identity> {
    const found = this.peek(host);
    if (found) return found;
    const name = certificateName(host);
    return (
      (name.host === host ? undefined : this.peek(name.host)) ??
      this.#flights.run(name.host, (work) => this.#obtain(name, work), options)
    );
  }

  /** The identity for a host in the spelling of `certificateName`, if it is at hand. */
  peek(host: string): Identity | undefined {
    const entry = this.#entries.get(host);
    if (!entry) return undefined;
    this.#entries.delete(host);
    if (this.#now() >= entry.renewAt) return undefined;
    this.#entries.set(host, entry);
    this.#counters.hits += 1;
    return entry.identity;
  }

  get counters(): IdentityCounters {
    return { ...this.#counters, size: this.#entries.size };
  }

  /** Drops the identities; whoever waits is rejected with `ERR_CANCELLED`. A second call does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#flights.close();
    this.#entries.clear();
    if (this.#ownsStore) await this.#store.close();
  }

  #obtain(name: CertificateName, work: { readonly signal: AbortSignal }): Identity | Promise<Identity> {
    const { profile } = this.#minter;
    const key = { host: name.host, authority: this.#authority.fingerprint256, profile };
    const material = this.#store.fetch(key, (options) => this.#mint(name, options), work);
    if (!isPromise(material)) return this.#make(name.host, material);
    return material.then((arrived) => this.#make(name.host, arrived));
  }

  #mint(name: CertificateName, options: FetchOptions): LeafMaterial | Promise<LeafMaterial> {
    const started = performance.now();
    const minted = (material: LeafMaterial): LeafMaterial => {
      this.#counters.minted += 1;
      if (this.#events?.has('certificate.made')) {
        const duration = performance.now() - started;
        this.#events.emit('certificate.made', { host: name.host, duration });
      }
      return material;
    };
    const material = this.#minter.mint(name, options);
    return isPromise(material) ? material.then(minted) : minted(material);
  }

  #make(host: string, material: LeafMaterial): Identity {
    const now = this.#now();
    if (material.notAfter <= now) {
      throw new SallyportError('ERR_LEAF_CERTIFICATE', `the store gave one for ${host} that had ended`);
    }
    const chainPem = material.certificatePem + this.#authority.chainPem;
    const secureContext = this.#makeContext(host, chainPem, material.privateKeyPem);
    const identity: Identity = { ...material, host, chainPem, secureContext };
    this.#counters.made += 1;
    if (this.#closed) return identity;
    this.#entries.set(host, { identity, renewAt: renewalTime(material.notAfter, now) });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#limit) break;
      this.#entries.delete(oldest);
    }
    return identity;
  }

  /**
   * Each context keeps the session-ticket keys that OpenSSL draws for it. One set for all of them would let a
   * ticket that was issued for one host resume a session under another: tried with Node 20, OpenSSL accepts it
   * in TLS 1.2 and 1.3 alike, and the client then has a session without having seen the other host's
   * certificate. Shared keys would also never change in a proxy that runs for months, which ends the forward
   * secrecy of TLS 1.2. The price is a full handshake after an identity was replaced.
   */
  #makeContext(host: string, cert: string, key: string): SecureContext {
    try {
      return createSecureContext({ ...this.#context, cert, key });
    } catch (error) {
      const { detail } = toSallyportError(error);
      throw new SallyportError('ERR_LEAF_CERTIFICATE', `OpenSSL refuses the one for ${host}: ${detail}`, {
        cause: error,
      });
    }
  }
}
