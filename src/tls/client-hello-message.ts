/** The ClientHello message itself (RFC 8446 §4.1.2), once all of it is there. Pure. */
import { isIP } from 'node:net';
import { SallyportError } from '../base/errors.js';

/** What a client offers, as far as a proxy decides by it. Numbers are those of the IANA TLS registries. */
export interface ClientHello {
  /**
   * The host name of the SNI extension (RFC 6066 §3) in lower case, without a trailing dot. `undefined` when
   * there is none, or when it is an IP address, which the RFC does not allow and servers ignore.
   */
  readonly serverName: string | undefined;
  /** Application protocols in the client's order (RFC 7301 §3.1), each byte a Latin-1 character; may be empty. */
  readonly alpn: readonly string[];
  /** The versions of the supported_versions extension in the client's order, GREASE included; may be empty. */
  readonly supportedVersions: readonly number[];
  /** The version field: 0x0303 for TLS 1.2, and for TLS 1.3 too. */
  readonly legacyVersion: number;
  /** In the client's order, GREASE included. */
  readonly cipherSuites: readonly number[];
  /** Whether there is an encrypted_client_hello extension (RFC 9849), which browsers also send as GREASE. */
  readonly hasEch: boolean;
}

/** msg_type (1), length (3): RFC 8446 §4 */
export const handshakeHeaderLength = 4;

/**
 * Parses a whole handshake message, header included. Throws `ERR_CLIENT_HELLO_INVALID`. Extensions that are
 * not needed here are not looked into; whoever terminates TLS has the last word on them.
 */
export function parseClientHelloMessage(message: Buffer): ClientHello {
  const hello = new Cursor(message, 'the ClientHello');
  hello.skip(handshakeHeaderLength);
  const legacyVersion = hello.u16();
  hello.skip(randomLength);
  if (hello.vector8('the session id').remaining > 32) throw invalid('the session id is longer than 32 bytes');
  const cipherSuites = numbers(hello.vector16('the cipher suites'));
  if (hello.vector8('the compression methods').remaining === 0)
    throw invalid('there is no compression method');
  const offer: Offer = { serverName: undefined, alpn: [], supportedVersions: [], hasEch: false };
  // Before TLS 1.3 the extensions might be left out altogether (RFC 5246 §7.4.1.2).
  if (hello.remaining > 0) {
    readExtensions(hello.vector16('the extensions'), offer);
    hello.end();
  }
  return { ...offer, legacyVersion, cipherSuites };
}

const randomLength = 32;

const extensionTypes = {
  serverName: 0,
  alpn: 16,
  supportedVersions: 43,
  encryptedClientHello: 0xfe0d,
} as const;

interface Offer {
  serverName: string | undefined;
  alpn: readonly string[];
  supportedVersions: readonly number[];
  hasEch: boolean;
}

function readExtensions(extensions: Cursor, offer: Offer): void {
  const seen = new Set<number>();
  while (extensions.remaining > 0) {
    const type = extensions.u16();
    const body = extensions.vector16(`extension ${type}`);
    // RFC 8446 §4.2. Here a second one would also let two readers see two different hosts.
    if (seen.has(type)) throw invalid(`extension ${type} is there twice`);
    seen.add(type);
    switch (type) {
      case extensionTypes.serverName:
        offer.serverName = readServerName(body);
        break;
      case extensionTypes.alpn:
        offer.alpn = readAlpn(body);
        break;
      case extensionTypes.supportedVersions:
        offer.supportedVersions = numbers(body.vector8('the supported versions'));
        body.end();
        break;
      case extensionTypes.encryptedClientHello:
        offer.hasEch = true;
        break;
    }
  }
}

/** RFC 6066 §3: a list of names, at most one of each type; `host_name` (0) is the only type there is. */
function readServerName(body: Cursor): string | undefined {
  const list = body.vector16('the list of server names');
  body.end();
  if (list.remaining === 0) throw invalid('the list of server names is empty');
  let found: string | undefined;
  while (list.remaining > 0) {
    const type = list.u8();
    const name = list.vector16('a server name').rest().toString('latin1');
    if (type !== 0) continue;
    if (found !== undefined) throw invalid('there are two host names');
    found = name;
  }
  return found === undefined ? undefined : normaliseHostName(found);
}

/** The root's dot is dropped: RFC 6066 §3 sends names without it. */
function normaliseHostName(name: string): string | undefined {
  const host = (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase();
  if (isIP(host.replace(/^\[(.*)\]$/, '$1')) !== 0) return undefined;
  // Labels of 1 to 63 (RFC 1035 §2.3.4); with the underscore, which names of hosts in use have.
  if (host.length > 253 || !/^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/.test(host)) {
    throw invalid(`the server name ${JSON.stringify(name.slice(0, 80))} is not a host name`);
  }
  return host;
}

/** RFC 7301 §3.1: a list of at least one name, each of at least one byte. */
function readAlpn(body: Cursor): string[] {
  const list = body.vector16('the list of application protocols');
  body.end();
  if (list.remaining === 0) throw invalid('the list of application protocols is empty');
  const protocols: string[] = [];
  while (list.remaining > 0) {
    const name = list.vector8('an application protocol');
    if (name.remaining === 0) throw invalid('the name of an application protocol is empty');
    protocols.push(name.rest().toString('latin1'));
  }
  return protocols;
}

/** A vector of at least one 16-bit number. */
function numbers(vector: Cursor): number[] {
  if (vector.remaining === 0 || vector.remaining % 2 !== 0) {
    throw invalid(`${vector.what} take ${vector.remaining} bytes`);
  }
  const list: number[] = [];
  while (vector.remaining > 0) list.push(vector.u16());
  return list;
}

/** Reads in order and never behind the end; `what` is for messages. */
class Cursor {
  readonly what: string;
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.what = what;
  }

  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#advance(1));
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#advance(2));
  }

  skip(length: number): void {
    this.#advance(length);
  }

  /** A vector with a length of one byte (RFC 8446 §3.4). */
  vector8(what: string): Cursor {
    return this.#vector(this.u8(), what);
  }

  /** A vector with a length of two bytes. */
  vector16(what: string): Cursor {
    return this.#vector(this.u16(), what);
  }

  /** All that is left. */
  rest(): Buffer {
    return this.#bytes.subarray(this.#advance(this.remaining));
  }

  /** Throws when anything is left. */
  end(): void {
    if (this.remaining > 0) throw invalid(`${this.what} has ${this.remaining} bytes too many`);
  }

  #vector(length: number, what: string): Cursor {
    const start = this.#advance(length);
    return new Cursor(this.#bytes.subarray(start, start + length), what);
  }

  /** Moves on by `length` and returns the position before. */
  #advance(length: number): number {
    if (length > this.remaining) throw invalid(`${this.what} ends too early`);
    const start = this.#position;
    this.#position = start + length;
    return start;
  }
}

function invalid(detail: string): SallyportError {
  return new SallyportError('ERR_CLIENT_HELLO_INVALID', detail);
}
