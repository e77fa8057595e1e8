/**
 * One TLS context that serves every host its own leaf. OpenSSL copies the certificate, the key and the session
 * id context of a context into a connection when the connection is made, so setting them just before is enough.
 *
 * The setters are Node's own, without documentation: they are there from Node 20 to 26. `sharedContextWorks`
 * finds out by handshakes, and who uses this has contexts of their own to fall back on.
 */
import { type SecureContext, type SecureContextOptions, createSecureContext } from 'node:tls';
import { readElement } from './der-reader.js';
import type { TicketKeys } from './ticket-keys.js';

/** What a host's connections are made with. */
export interface ServedLeaf {
  /** The leaf alone. */
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** At most 32 bytes that are this host's alone: a ticket is only good where they are the same. */
  readonly sessionIdContext: string;
}

/** The setters of what `SecureContext.context` holds. */
interface Setters {
  setCert(pem: string): void;
  setKey(pem: string): void;
  setSessionIdContext(id: string): void;
}

interface Shared {
  readonly secureContext: SecureContext;
  readonly setters: Setters;
  readonly ticketKeys: Buffer;
  /** Whether the CA's chain is in it. */
  chained: boolean;
  /** Whose leaf is set; `undefined` after a failure. */
  leaf: ServedLeaf | undefined;
  /** Which key is set (empty: none), and its public half, as the certificate that it was set with had it. */
  keyPem: string;
  publicKey: Buffer;
}

export interface SharedContextsOptions {
  /** What every context has; `key` and `cert` are set here. */
  readonly context: SecureContextOptions;
  readonly ticketKeys: TicketKeys;
  /** PEM of what is sent after each leaf; may be empty. */
  readonly chainPem: string;
}

/**
 * The shared contexts, one for each kind of key. A context has a place for each kind, and OpenSSL chooses by what
 * the client can: with one context for all kinds a client that wants RSA would be given the RSA leaf of the host
 * before. For the same reason `load` takes only a leaf whose certificate and key are of one kind.
 */
export class SharedContexts {
  readonly #options: SharedContextsOptions;
  readonly #shared = new Map<KeyKind, Shared>();

  constructor(options: SharedContextsOptions) {
    this.#options = options;
  }

  /** The context that has `leaf` in it already, for the very next statement only. */
  held(leaf: ServedLeaf): SecureContext | undefined {
    for (const shared of this.#shared.values()) {
      if (shared.leaf !== leaf) continue;
      return shared.ticketKeys === this.#options.ticketKeys.current ? shared.secureContext : undefined;
    }
    return undefined;
  }

  /**
   * The context with `leaf` in it, until the next call: for the very next statement only. `undefined` when such
   * keys are not served this way. Throws OpenSSL's error when certificate and key do not belong together.
   */
  load(leaf: ServedLeaf): SecureContext | undefined {
    const key = keyOf(leaf);
    const shared = key && this.#obtain(key.kind);
    if (!shared) return undefined;
    if (shared.leaf === leaf) return shared.secureContext;
    shared.leaf = undefined;
    // The chain stays in the context when another leaf is set, and what follows a leaf is added to it: with the
    // chain each time, the hundredth host would be sent it a hundred times.
    shared.setters.setCert(
      shared.chained ? leaf.certificatePem : leaf.certificatePem + this.#options.chainPem,
    );
    shared.chained = true;
    // OpenSSL keeps a key that belongs to the certificate, and drops one that does not.
    if (shared.keyPem !== leaf.privateKeyPem || !shared.publicKey.equals(key.publicKey)) {
      shared.keyPem = '';
      shared.setters.setKey(leaf.privateKeyPem);
      shared.keyPem = leaf.privateKeyPem;
      shared.publicKey = Buffer.from(key.publicKey);
    }
    shared.setters.setSessionIdContext(leaf.sessionIdContext);
    shared.leaf = leaf;
    return shared.secureContext;
  }

  close(): void {
    this.#shared.clear();
  }

  #obtain(kind: KeyKind): Shared | undefined {
    const ticketKeys = this.#options.ticketKeys.current;
    const existing = this.#shared.get(kind);
    if (existing?.ticketKeys === ticketKeys) return existing;
    const secureContext = createSecureContext({ ...this.#options.context, ticketKeys });
    const setters: unknown = secureContext.context;
    if (!hasSetters(setters)) return undefined;
    const shared: Shared = {
      secureContext,
      setters,
      ticketKeys,
      chained: false,
      leaf: undefined,
      keyPem: '',
      publicKey: Buffer.alloc(0),
    };
    this.#shared.set(kind, shared);
    return shared;
  }
}

function hasSetters(context: unknown): context is Setters {
  if (typeof context !== 'object' || context === null) return false;
  return ['setCert', 'setKey', 'setSessionIdContext'].every(
    (name) => typeof (context as Readonly<Record<string, unknown>>)[name] === 'function',
  );
}

type KeyKind = 'p256' | 'rsa';

/**
 * The AlgorithmIdentifier as it stands in a SubjectPublicKeyInfo and in PKCS #8 alike (RFC 5480 §2.1, RFC
 * 8017 A.1).
 */
const identifiers: readonly (readonly [kind: KeyKind, der: Buffer])[] = [
  ['p256', Buffer.from('301306072a8648ce3d020106082a8648ce3d030107', 'hex')],
  ['rsa', Buffer.from('300d06092a864886f70d0101010500', 'hex')],
];

/** The kind of certificate and key, when it is the same, one of ours, and plain to see; and the public half. */
function keyOf({
  certificatePem,
  privateKeyPem,
}: ServedLeaf): { readonly kind: KeyKind; readonly publicKey: Uint8Array } | undefined {
  const certificate = firstDer(certificatePem, 'CERTIFICATE');
  const key = firstDer(privateKeyPem, 'PRIVATE KEY');
  if (!certificate || !key) return undefined;
  const kinds = identifiers.filter(([, der]) => certificate.includes(der));
  // In PKCS #8 the algorithm follows on the version, within the first bytes.
  const found = kinds.find(([, der]) => key.subarray(0, 48).includes(der));
  if (kinds.length !== 1 || !found) return undefined;
  const [kind, identifier] = found;
  // What follows on it in the certificate is the BIT STRING that has the key.
  const { encoded } = readElement(certificate, certificate.indexOf(identifier) + identifier.length);
  return { kind, publicKey: encoded };
}
function firstDer(pem: string, label: string): Buffer | undefined {
  const begin = `-----BEGIN ${label}-----`;
  if (!pem.startsWith(begin)) return undefined;
  const end = pem.indexOf('-----END', begin.length);
  return end < 0 ? undefined : Buffer.from(pem.slice(begin.length, end), 'base64');
}
