/** The certificates of origins: a CA of the test's own, and leaves for any name, good and bad. */
import tls from 'node:tls';
import type { TestContext } from 'node:test';
import { type Authority, certificateName, Minter, openAuthority } from '../../src/certs/index.js';
import { temporaryDirectory } from './stage.js';

export interface Credentials {
  readonly cert: string;
  readonly key: string;
}

const day = 86_400_000;

export class Pki {
  /** The file of the CA certificate, for `--upstream-ca` and the like. */
  readonly caFile: string;
  /** The CA certificate. */
  readonly ca: string;
  readonly #authority: Authority;
  readonly #contexts = new Map<string, tls.SecureContext>();

  private constructor(authority: Authority) {
    this.#authority = authority;
    this.ca = authority.pem;
    this.caFile = authority.paths.certificate;
  }

  /** A CA that has existed for some years, so that it can have signed what expired. */
  static async make(t: TestContext): Promise<Pki> {
    const dir = await temporaryDirectory(t);
    const now = () => Date.now() - 800 * day;
    await openAuthority({ dir, name: 'CA of the origins', now });
    return new Pki(await openAuthority({ dir }));
  }

  /** A certificate for `host`; `daysFromNow` is when it was made: 199 days later it has expired. */
  async leaf(host: string, daysFromNow = 0): Promise<Credentials> {
    const minter = new Minter({ issuer: this.#authority, now: () => Date.now() + daysFromNow * day });
    const { certificatePem, privateKeyPem } = await minter.mint(certificateName(host));
    return { cert: certificatePem, key: privateKeyPem };
  }

  /** Options for a TLS server that is whoever its client asks for, and `127.0.0.1` to those who do not say. */
  async anyHost(): Promise<tls.TlsOptions> {
    return {
      ...(await this.leaf('127.0.0.1')),
      SNICallback: (name, done) => {
        void this.#contextOf(name).then((context) => {
          done(null, context);
        }, done);
      },
    };
  }

  async #contextOf(host: string): Promise<tls.SecureContext> {
    const known = this.#contexts.get(host);
    if (known) return known;
    const context = tls.createSecureContext(await this.leaf(host));
    this.#contexts.set(host, context);
    return context;
  }
}
