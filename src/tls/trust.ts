/**
 * Whom an upstream leg trusts. All connections of one policy share one secure context: a context with its own
 * list of roots costs 0.5–0.9 MB and 15–80 ms, so it is made once, when the first connection needs it.
 */
import { createHash } from 'node:crypto';
import tls from 'node:tls';
import { defaultRoots } from './roots.js';
import { SessionCache } from './session-cache.js';

export interface TrustPolicy {
  /** Certificates in PEM that are trusted in addition to the default roots; see `loadUpstreamCa`. */
  readonly ca?: readonly (string | Buffer)[];
  /** `false` accepts any certificate for any host. */
  readonly verify: boolean;
  /** The lowest TLS version. Default: that of Node (1.2, unless its command line says otherwise). */
  readonly minVersion?: tls.SecureVersion;
}

/**
 * One policy at work: its secure context and the sessions that were made under it. Sessions never leave it,
 * so none that was made without verification, or with other roots, is ever taken for a verified one.
 */
export class TrustContext {
  /** The same for equal policies and for these only: good as a part of a pool's key. */
  readonly id: string;
  readonly verify: boolean;
  readonly sessions: SessionCache;
  readonly #policy: TrustPolicy;
  #secureContext: tls.SecureContext | undefined;

  /** `sessions` is how many are kept for resumption, one for each origin; 0 switches resumption off. */
  constructor(policy: TrustPolicy, options: { readonly sessions?: number } = {}) {
    this.#policy = policy;
    this.id = policyId(policy);
    this.verify = policy.verify;
    this.sessions = new SessionCache(options.sessions ?? 1000);
  }

  /** Made at the first call; throws what `tls.createSecureContext` throws for certificates it cannot read. */
  get secureContext(): tls.SecureContext {
    return (this.#secureContext ??= makeSecureContext(this.#policy));
  }
}

function makeSecureContext({ ca, verify, minVersion }: TrustPolicy): tls.SecureContext {
  const version = minVersion === undefined ? {} : { minVersion };
  // Without `ca`, all contexts of the process share one store of the default roots.
  if (!verify || ca === undefined || ca.length === 0) return tls.createSecureContext(version);
  return tls.createSecureContext({
    ...version,
    ca: [...defaultRoots(), ...ca],
    // A user who adds an intermediate CA trusts it, as curl and Go have it; the default roots are all roots.
    allowPartialTrustChain: true,
  });
}

function policyId({ ca = [], verify, minVersion }: TrustPolicy): string {
  const certificates = ca.map((pem) => pem.toString());
  const text = JSON.stringify([verify, minVersion ?? null, certificates]);
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}
