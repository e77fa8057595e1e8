/**
 * What does a client speak? Decided from its first bytes alone, before anything is allocated for it.
 *
 * The answer is a pure function of the bytes and never changes once given: for every prefix of an input it
 * is `more` or what the whole input gives. So it does not matter how the bytes were split on their way.
 */
export type SniffedProtocol = 'tls' | 'http' | 'http2' | 'socks4' | 'socks5' | 'other';

/** The longest method that we take for one. The longest registered has 17 characters (IANA, RFC 9110 §16.1). */
const longestMethod = 32;

/** Never more bytes than these are needed: method, space, and `https:` or the HTTP/2 preface. */
export const sniffLength = longestMethod + 1 + 'https:'.length;

/**
 * - `tls`: a TLS record with a handshake message (RFC 8446 §5.1), version 3.0 to 3.4;
 * - `http`: an empty line, or a request line of HTTP/1 (RFC 9112 §3) with an upper-case method, known or not, and a target in
 *   origin, asterisk or absolute form, or after CONNECT whatever may begin an authority;
 * - `http2`: the connection preface (RFC 9113 §3.4);
 * - `socks4`, `socks5`: a greeting (RFC 1928 §3);
 * - `other`: anything else, such as `SSH-2.0-…`, `EHLO example.net`, or a database's greeting;
 * - `more`: not decided yet; never for `sniffLength` bytes or more.
 */
export function classify(bytes: Uint8Array): SniffedProtocol | 'more' {
  const first = bytes[0];
  if (first === undefined) return 'more';
  if (first === 0x16) return classifyTls(bytes);
  if (first === 0x04) return classifySocks4(bytes);
  if (first === 0x05) return classifySocks5(bytes);
  if (first === 0x0a || first === 0x0d) return classifyEmptyLine(bytes);
  if (isUpperCase(first)) return classifyText(bytes);
  return 'other';
}

/**
 * Servers pass over empty lines before a request line (RFC 9112 §2.2), and no other protocol begins with one. So
 * what follows is HTTP or refused: relayed unread, it would be a way around every rule.
 */
function classifyEmptyLine(bytes: Uint8Array): 'http' | 'other' | 'more' {
  if (bytes[0] === 0x0a) return 'http';
  const second = bytes[1];
  if (second === undefined) return 'more';
  return second === 0x0a ? 'http' : 'other';
}

function classifyTls(bytes: Uint8Array): 'tls' | 'other' | 'more' {
  const [, major, minor] = bytes;
  if (major === undefined) return 'more';
  if (major !== 0x03) return 'other';
  if (minor === undefined) return 'more';
  return minor <= 0x04 ? 'tls' : 'other';
}

function classifySocks4(bytes: Uint8Array): 'socks4' | 'other' | 'more' {
  const command = bytes[1];
  if (command === undefined) return 'more';
  return command === 0x01 || command === 0x02 ? 'socks4' : 'other';
}

/** A greeting offers at least one method; version 5.0 of DCE/RPC, for one, begins with 0x05 0x00. */
function classifySocks5(bytes: Uint8Array): 'socks5' | 'other' | 'more' {
  const methods = bytes[1];
  if (methods === undefined) return 'more';
  return methods === 0 ? 'other' : 'socks5';
}

function classifyText(bytes: Uint8Array): 'http' | 'http2' | 'other' | 'more' {
  const preface = compare(bytes, 0, http2Preface);
  if (preface === 'equal') return 'http2';

  let space = 1;
  while (space < longestMethod && isMethodCharacter(bytes[space])) space += 1;
  const after = bytes[space];
  if (after === undefined) return 'more';
  if (after !== 0x20) return 'other';

  const start = space + 1;
  const target = bytes[start];
  if (target === undefined) return 'more';
  if (startsWith(bytes, 'CONNECT '))
    return authorityCharacters.has(target) || target === slash ? 'http' : 'other';
  if (target === slash) return 'http';
  // `PRI * ` begins the preface of HTTP/2, and with a method of that name a request of HTTP/1.
  if (target === asterisk) return preface === 'more' ? 'more' : 'http';
  return classifyAbsoluteForm(bytes, start);
}

/** `http:` or `https:`, in any case. The first letter alone would also take `EHLO host.example`. */
function classifyAbsoluteForm(bytes: Uint8Array, start: number): 'http' | 'other' | 'more' {
  const http = compare(bytes, start, 'http:');
  const https = compare(bytes, start, 'https:');
  if (http === 'equal' || https === 'equal') return 'http';
  return http === 'more' || https === 'more' ? 'more' : 'other';
}

const http2Preface = 'PRI * HTTP/2.0';
const slash = 0x2f;
const asterisk = 0x2a;

/** RFC 3986 §3.2. Without `{`, so that a `CONNECT {…}` of NATS is not taken for a request. */
const authorityCharacters: ReadonlySet<number> = new Set(
  Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@%[]"),
);

function isUpperCase(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}

function isMethodCharacter(byte: number | undefined): boolean {
  return byte !== undefined && (isUpperCase(byte) || byte === 0x2d);
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return compare(bytes, 0, text) === 'equal';
}

/** Compares the bytes from `start` with ASCII `text`; letters in lower case in `text` match either case. */
function compare(bytes: Uint8Array, start: number, text: string): 'equal' | 'different' | 'more' {
  for (let index = 0; index < text.length; index += 1) {
    const byte = bytes[start + index];
    if (byte === undefined) return 'more';
    const expected = text.charCodeAt(index);
    const isLowerCase = expected >= 0x61 && expected <= 0x7a;
    if (byte !== expected && !(isLowerCase && byte === expected - 0x20)) return 'different';
  }
  return 'equal';
}
