/**
 * What an origin showed of its certificates: kept beside its connection, and with the session that follows
 * from it.
 */
import type { TLSSocket } from 'node:tls';
import type { Bytes } from '../base/bytes.js';
import { readPeerChain, readPeerLeaf } from '../base/peer-chain.js';

/** What is kept of a longer chain is its leaf: OpenSSL takes 100 KiB from anybody, usual chains have 3 to 6. */
export const largestChain: Bytes = 32 * 1024;

/**
 * Bytes only: neither the socket nor what is parsed lives on with it. One object for a connection and all
 * those that resume its session, so that whoever looks at the chain while it can be had looks for all of
 * them.
 */
export class PeerCertificates {
  /** When it was shown, in epoch milliseconds: the certificate was verified in that moment. */
  readonly shownAt = Date.now();
  #chain: readonly Buffer[];
  #complete = false;

  constructor(leaf: Buffer | undefined) {
    this.#chain = leaf ? [leaf] : [];
  }

  /** Leaf first. The leaf alone until `readChain`. */
  get chain(): readonly Buffer[] {
    return this.#chain;
  }

  get bytes(): Bytes {
    return total(this.#chain);
  }

  /**
   * The chain, taken from the connection that showed it when that was not done yet. Where that is over, or this one
   * resumed its session, there is only what was kept.
   */
  readChain(socket: TLSSocket): readonly Buffer[] {
    if (this.#complete || socket.destroyed || socket.isSessionReused()) return this.#chain;
    const chain = readPeerChain(socket);
    if (chain.length === 0) return this.#chain;
    if (total(chain) > largestChain) return chain;
    this.#complete = true;
    this.#chain = chain;
    return chain;
  }

  /** Puts the same certificates in other memory: what is shared in place of its own. */
  share(chain: readonly Buffer[]): void {
    if (chain.length === this.#chain.length) this.#chain = chain;
  }
}

function total(chain: readonly Buffer[]): Bytes {
  return chain.reduce((sum, { length }) => sum + length, 0);
}

const shown = Symbol('what the origin showed');

/** On the socket and not in a map: it goes with it. */
type Showing = TLSSocket & { [shown]?: PeerCertificates };

/** The leaf of a handshake that is about to end well. */
export function noteLeaf(socket: Showing, leaf: Buffer | undefined): void {
  socket[shown] = new PeerCertificates(leaf);
}

/** Called once, when the handshake ended well. `saved` is what the session brought, where one was resumed. */
export function noteSecured(
  socket: Showing,
  saved: PeerCertificates | undefined,
  options: { readonly wholeChain: boolean },
): void {
  if (socket.isSessionReused() && saved) socket[shown] = saved;
  // Node asked nobody for the leaf where it resumed, or the policy is not to verify.
  socket[shown] ??= new PeerCertificates(readPeerLeaf(socket));
  if (options.wholeChain) socket[shown].readChain(socket);
}

/** What the origin of this connection showed; `undefined` where `openUpstreamTls` did not make it. */
export function shownCertificates(socket: Showing): PeerCertificates | undefined {
  return socket[shown];
}
