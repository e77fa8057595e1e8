/** Whether leaves mirror the certificates of origins, and who is shown in place of an origin with a bad one. */
import type { Context } from '../base/context.js';
import type { SallyportError } from '../base/errors.js';
import { Identities, type Identity, type KeyProfile } from '../certs/index.js';
import { makeUntrusted } from '../certs/untrusted.js';
import type { ProxyOptions } from './options.js';

/** Leaves for origins with bad certificates are few, and nobody keeps them. */
const untrustedCapacity = 2 * 1024 * 1024;

/** What one proxy has for it. */
export class Mirror {
  readonly #untrusted: boolean;
  readonly #profile: KeyProfile;
  #identities: Identities | undefined;
  #closed = false;

  /** `untrusted`: whether a bad certificate is shown to the client as one. */
  constructor(options: { readonly untrusted: boolean; readonly profile: KeyProfile }) {
    this.#untrusted = options.untrusted;
    this.#profile = options.profile;
  }

  /** Who the client is to see in place of an origin that failed with `error`; `undefined`: who it always sees. */
  faulty(host: string, error: SallyportError, handshake: Context): Identity | Promise<Identity> | undefined {
    if (!this.#untrusted || this.#closed || !error.code.startsWith('ERR_UPSTREAM_CERT_')) return undefined;
    // With a store of their own, and a context of their own: nothing of it ever mixes with the trusted.
    this.#identities ??= new Identities({
      authority: makeUntrusted(Date.now()),
      profile: this.#profile,
      capacity: untrustedCapacity,
    });
    return this.#identities.get(host, handshake);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#identities?.close();
  }
}

/** `undefined` where nothing is mirrored: an unverified certificate is not vouched for. */
export function makeMirror(options: ProxyOptions): Mirror | undefined {
  const { mirrorUpstream = false, verifyUpstream = true, leafProfile: profile = 'p256' } = options;
  if (mirrorUpstream === false || !verifyUpstream) return undefined;
  return new Mirror({ untrusted: mirrorUpstream !== true && mirrorUpstream.untrusted === true, profile });
}
