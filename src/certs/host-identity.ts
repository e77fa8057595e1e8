/** The identity of one host, and which TLS context its next connection is made from. */
import { hash } from 'node:crypto';
import { type SecureContext, type SecureContextOptions, createSecureContext } from 'node:tls';
import type { Milliseconds } from '../base/bytes.js';
import { SallyportError, toSallyportError } from '../base/errors.js';
import type { ServedLeaf, SharedContexts } from './shared-context.js';
import type { LeafMaterial } from './store.js';
import type { TicketKeys } from './ticket-keys.js';

/** One host's certificate, key and context. Immutable, and shared by all connections to the host. */
export interface Identity {
  /** The host as `certificateName` spells it; with what it mirrors after a slash where it mirrors an origin. */
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
  /**
   * TLS 1.2 and newer, with the chain and the key: this host's own, made when it is first read, and again when
   * the ticket keys were replaced. Safe to keep. Throws `ERR_LEAF_CERTIFICATE` when OpenSSL refuses it.
   */
  readonly secureContext: SecureContext;
  /**
   * The context for a connection that is made by the very next statement; it may serve another host after that,
   * so it must not be kept. Cheaper than `secureContext` for hosts that come once or twice. Throws as that does.
   */
  contextNow(): SecureContext;
}

/** What all identities of one `Identities` are made with. */
export interface Workshop {
  readonly context: SecureContextOptions;
  readonly ticketKeys: TicketKeys;
  /** The CA's chain, and its fingerprint. */
  readonly chainPem: string;
  readonly fingerprint: string;
  /** Once it is known that one context can serve every host. */
  shared: SharedContexts | undefined;
  readonly counters: { made: number; loads: number; hits: number };
  /** An identity has a context of its own now. */
  readonly grew: (identity: HostIdentity) => void;
}

/**
 * How often a host's leaf is set in the shared context before the host gets a context of its own. As measured,
 * setting takes 0.15 (Node 24) to 0.35 (Node 20) of what making a context takes when the key is the one that is set,
 * which it nearly always is: after four times about as much is spent as a context costs, so nobody pays more than
 * about twice the least, however often a host comes. Connections that follow one another with no other host between
 * set nothing.
 */
const sharedLoads = 4;

interface Own {
  readonly secureContext: SecureContext;
  readonly ticketKeys: Buffer;
}

export class HostIdentity implements Identity, ServedLeaf {
  readonly host: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly sessionIdContext: string;
  /** When it was made, by `performance.now()`. */
  readonly born: Milliseconds = performance.now();
  /** Epoch milliseconds; from then on a newer one is looked for. */
  renewAt: number;
  readonly #workshop: Workshop;
  #own: Own | undefined;
  #loads = 0;

  /** Throws `ERR_LEAF_CERTIFICATE` when OpenSSL refuses the material. */
  constructor(host: string, material: LeafMaterial, renewAt: number, workshop: Workshop) {
    this.host = host;
    this.certificatePem = material.certificatePem;
    this.privateKeyPem = material.privateKeyPem;
    this.serial = material.serial;
    this.notBefore = material.notBefore;
    this.notAfter = material.notAfter;
    this.renewAt = renewAt;
    this.#workshop = workshop;
    this.sessionIdContext = hash('sha256', `${workshop.fingerprint} ${host}`, 'base64url').slice(0, 32);
    // The connection that this is made for follows, and finds the leaf set.
    this.contextNow();
  }

  /** Put together when it is read: most hosts come to be without it, and it is the largest of what they would keep. */
  get chainPem(): string {
    return this.certificatePem + this.#workshop.chainPem;
  }

  /** Whether it has a context of its own. */
  get heavy(): boolean {
    return this.#own !== undefined;
  }

  get secureContext(): SecureContext {
    const ticketKeys = this.#workshop.ticketKeys.current;
    if (this.#own?.ticketKeys === ticketKeys) return this.#own.secureContext;
    const secureContext = this.#attempt(() =>
      createSecureContext({
        ...this.#workshop.context,
        cert: this.chainPem,
        key: this.privateKeyPem,
        sessionIdContext: this.sessionIdContext,
        ticketKeys,
      }),
    );
    this.#own = { secureContext, ticketKeys };
    this.#workshop.counters.made += 1;
    this.#workshop.grew(this);
    return secureContext;
  }

  contextNow(): SecureContext {
    const { shared, counters } = this.#workshop;
    if (this.#own || !shared) {
      const before = this.#own;
      const { secureContext } = this;
      if (this.#own === before) counters.hits += 1;
      return secureContext;
    }
    const held = shared.held(this);
    if (held) {
      counters.hits += 1;
      return held;
    }
    const loaded = this.#loads < sharedLoads && this.#attempt(() => shared.load(this));
    if (!loaded) return this.secureContext;
    counters.loads += 1;
    this.#loads += 1;
    return loaded;
  }

  #attempt<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const { detail } = toSallyportError(error);
      throw new SallyportError(
        'ERR_LEAF_CERTIFICATE',
        `OpenSSL refuses the one for ${this.host}: ${detail}`,
        {
          cause: error,
        },
      );
    }
  }
}
