/** The certificates of an origin for whoever looks at `exchange.server.certificates`, and at no cost for the others. */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { LegTls, ServerLeg } from '../base/exchange.js';
import { type CertificateHandle, internChain } from '../certs/intern.js';
import { type PeerCertificates, shownCertificates } from '../tls/peer-certificates.js';

/** Of one connection, which holds them, as does every leg that a hook or listener keeps. */
export class OriginCertificates {
  readonly #shown: PeerCertificates;
  /** Weak: a leg that somebody keeps must not keep the connection, too. */
  readonly #socket: WeakRef<TLSSocket>;
  /** Holds the interned bytes; what was shown is the same memory. */
  #handles: readonly CertificateHandle[];
  #parsed: readonly X509Certificate[] | undefined;

  private constructor(socket: TLSSocket, shown: PeerCertificates) {
    this.#socket = new WeakRef(socket);
    this.#shown = shown;
    this.#handles = this.#intern(shown.chain);
  }

  /** `undefined` where the origin showed none. */
  static of(socket: TLSSocket): OriginCertificates | undefined {
    const shown = shownCertificates(socket);
    return shown && shown.chain.length > 0 ? new OriginCertificates(socket, shown) : undefined;
  }

  get leaf(): CertificateHandle | undefined {
    return this.#handles[0];
  }

  /** Leaf first; frozen. */
  get all(): readonly X509Certificate[] {
    return (this.#parsed ??= this.#parse());
  }

  #parse(): readonly X509Certificate[] {
    const socket = this.#socket.deref();
    const chain = socket ? this.#shown.readChain(socket) : this.#shown.chain;
    if (chain.length !== this.#handles.length) this.#handles = this.#intern(chain);
    return Object.freeze(this.#handles.map(({ certificate }) => certificate));
  }

  /** The session has the bytes, not the handles: what it keeps for an hour must not count as held. */
  #intern(chain: readonly Buffer[]): readonly CertificateHandle[] {
    const handles = internChain(chain);
    this.#shown.share(handles.map(({ der }) => der));
    return handles;
  }
}

const none: readonly X509Certificate[] = Object.freeze([]);

/** The leg to the origin as hooks and events see it. */
export class OriginLeg implements ServerLeg {
  readonly address: string;
  readonly port: number;
  readonly reused: boolean;
  readonly tls: LegTls | undefined;
  readonly #certificates: OriginCertificates | undefined;

  constructor(
    { address, port, tls, certificates }: OriginFacts,
    /** Whether the connection had served an earlier exchange. */
    reused: boolean,
  ) {
    this.address = address;
    this.port = port;
    this.reused = reused;
    this.tls = tls;
    this.#certificates = certificates;
  }

  /** On the prototype, so that nothing that goes through the fields of a leg comes across it. */
  get certificates(): readonly X509Certificate[] {
    return this.#certificates?.all ?? none;
  }
}

/** What is known of a connection to an origin. */
export interface OriginFacts {
  readonly address: string;
  readonly port: number;
  readonly tls: LegTls | undefined;
  readonly certificates: OriginCertificates | undefined;
}
