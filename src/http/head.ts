/**
 * Heads of HTTP/1.1 messages: strings of bytes in, facts out, no sockets.
 *
 * A head is kept as the text that arrived. One pass checks every character and notes what the proxy itself
 * must know (framing, connection options, where hop-by-hop lines are); the list of fields is made only when
 * somebody looks. Forwarding a head that nobody changed is then cutting a few lines out of a string.
 *
 * Whatever two parsers could read in two ways is refused: RFC 9112 §2.2 (bare CR and LF), §5.1 (space before
 * the colon), §5.2 (obs-fold), §6.1–6.3 (framing), and RFC 9110 §5.5 (control characters).
 */
import { type ErrorCode, SallyportError } from '../base/errors.js';
import { Fields, type HttpVersion, type RequestHead, type ResponseHead } from '../base/message.js';
import { COLON, CR, HTAB, LF, SP, hostChars, shown, targetChars, tokenChars, valueChars } from './chars.js';

export interface HeadLimits {
  /** Bytes of the request target. */
  readonly uri: number;
  /** Field lines in a section. */
  readonly fields: number;
}

/** Where a body ends, RFC 9112 §6.3. */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

type Side = 'request' | 'response';

/** The field lines of one head, and what the proxy must know of them. */
export class FieldSection {
  /** The text that holds the section; it may begin before it. */
  readonly text: string;
  /** Where the first field line begins in `text`. */
  readonly start: number;
  /** Where the last field line ends, its CRLF included. */
  end: number;
  count = 0;
  /** −1 without Content-Length. */
  contentLength = -1;
  chunked = false;
  /** A response that says its length more than once, always the same (RFC 9112 §6.3): to be sent on once. */
  repeatedLength = false;
  /** Connection options, RFC 9110 §7.6.1. */
  close = false;
  keepAlive = false;
  upgradeOption = false;
  /** Options other than `close`, `keep-alive` and `upgrade`, in lower case: names of fields to remove. */
  options: string[] | undefined = undefined;
  /** The value of `Upgrade`. */
  upgrade: string | undefined = undefined;
  hosts = 0;
  host = '';
  expectContinue = false;
  via: string | undefined = undefined;
  maxForwards: number | undefined = undefined;
  /** NTLM or Negotiate: the authentication belongs to the connection, not to the request. */
  connectionAuthentication = false;
  /** Start and end, start and end, … of hop-by-hop lines, in order. */
  hopByHop: number[] | undefined = undefined;
  /** The same of Content-Length and Transfer-Encoding lines. */
  framingLines: number[] | undefined = undefined;
  #fields: Fields | undefined = undefined;

  constructor(text: string, start: number) {
    this.text = text;
    this.start = start;
    this.end = start;
  }

  /** The fields as a list, made at the first call. */
  get fields(): Fields {
    return (this.#fields ??= this.#split());
  }

  #split(): Fields {
    const raw: string[] = [];
    const { text } = this;
    for (let at = this.start; at < this.end;) {
      const colon = text.indexOf(':', at);
      const lineEnd = text.indexOf('\r\n', colon);
      raw.push(text.slice(at, colon), trimmed(text, colon + 1, lineEnd));
      at = lineEnd + 2;
    }
    return new Fields(raw);
  }
}

/** A request head. `headers` is made when it is asked for. */
export class H1RequestHead implements RequestHead {
  readonly method: string;
  readonly target: string;
  readonly version: HttpVersion;
  readonly section: FieldSection;
  readonly framing: Framing;

  constructor(method: string, target: string, version: HttpVersion, section: FieldSection, framing: Framing) {
    this.method = method;
    this.target = target;
    this.version = version;
    this.section = section;
    this.framing = framing;
  }

  get headers(): Fields {
    return this.section.fields;
  }

  /** Whether the client will use the connection again, RFC 9112 §9.3. */
  get persistent(): boolean {
    return persistent(this.version, this.section);
  }
}

/** A response head. */
export class H1ResponseHead implements ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly version: HttpVersion;
  readonly section: FieldSection;
  readonly framing: Framing;

  constructor(status: number, reason: string, version: HttpVersion, section: FieldSection, framing: Framing) {
    this.status = status;
    this.reason = reason;
    this.version = version;
    this.section = section;
    this.framing = framing;
  }

  get headers(): Fields {
    return this.section.fields;
  }

  /** Whether the connection can carry another exchange, RFC 9112 §9.3 and §6.3. */
  get persistent(): boolean {
    return this.framing !== 'close' && persistent(this.version, this.section);
  }
}

function persistent(version: HttpVersion, section: FieldSection): boolean {
  return !section.close && (version === '1.1' || section.keepAlive);
}

/**
 * Reads a request head: request line and field lines, each ended by CRLF, without the empty line.
 * Throws `ERR_REQUEST_SYNTAX`, `ERR_REQUEST_FRAMING`, `ERR_REQUEST_VERSION`, `ERR_URI_TOO_LONG` or
 * `ERR_REQUEST_HEAD_TOO_LARGE`.
 */
export function parseRequestHead(text: string, limits: HeadLimits): H1RequestHead {
  // request-line = method SP request-target SP HTTP-version CRLF (RFC 9112 §3): one space each, no other.
  let at = 0;
  while (tokenChars[text.charCodeAt(at)] === 1) at += 1;
  if (at === 0 || text.charCodeAt(at) !== SP) throw startLine(text, 'a method and one space');
  const method = text.slice(0, at);
  const targetStart = (at += 1);
  while (targetChars[text.charCodeAt(at)] === 1) at += 1;
  if (at - targetStart > limits.uri) {
    throw new SallyportError('ERR_URI_TOO_LONG', `${at - targetStart} bytes, the limit is ${limits.uri}`);
  }
  if (at === targetStart || text.charCodeAt(at) !== SP)
    throw startLine(text, 'a request target and one space');
  const target = text.slice(targetStart, at);
  const version = httpVersion(text, at + 1);
  if (version === undefined || text.charCodeAt(at + 9) !== CR || text.charCodeAt(at + 10) !== LF) {
    throw requestVersion(text, at + 1);
  }
  const section = parseFieldLines(text, at + 11, 'request', limits);
  return new H1RequestHead(method, target, version, section, requestFraming(section, version));
}

/**
 * Reads a response head. `requestMethod` decides whether there is a body (RFC 9112 §6.3).
 * Throws `ERR_RESPONSE_SYNTAX`, `ERR_RESPONSE_FRAMING` or `ERR_RESPONSE_HEAD_TOO_LARGE`.
 */
export function parseResponseHead(text: string, requestMethod: string, limits: HeadLimits): H1ResponseHead {
  // status-line = HTTP-version SP status-code SP [ reason-phrase ] CRLF (RFC 9112 §4). Origins do leave
  // out the second space; it cannot be misread.
  const version = httpVersion(text, 0);
  if (version === undefined || text.charCodeAt(8) !== SP) throw statusLine(text, 'HTTP/1.1 and one space');
  const status = digit(text, 9) * 100 + digit(text, 10) * 10 + digit(text, 11);
  if (!(status >= 100)) throw statusLine(text, 'a status code of three digits');
  let at = 12;
  if (text.charCodeAt(at) === SP) at += 1;
  else if (text.charCodeAt(at) !== CR) throw statusLine(text, 'one space after the status code');
  const reasonStart = at;
  while (valueChars[text.charCodeAt(at)] === 1) at += 1;
  if (text.charCodeAt(at) !== CR || text.charCodeAt(at + 1) !== LF) throw statusLine(text, 'CRLF at its end');
  const section = parseFieldLines(text, at + 2, 'response', limits);
  const framing = responseFraming(section, version, status, requestMethod);
  return new H1ResponseHead(status, text.slice(reasonStart, at), version, section, framing);
}

/**
 * Reads a trailer section (RFC 9112 §7.1.2) to raw pairs, without the fields that §6.5.1 of RFC 9110 forbids
 * there.
 */
export function parseTrailers(text: string, side: Side, limits: HeadLimits): string[] {
  const { fields } = parseFieldLines(text, 0, side, limits);
  for (const name of forbiddenTrailers) fields.delete(name);
  return fields.raw;
}

/** Fields that frame, route, authenticate or modify the message, RFC 9110 §6.5.1: never merged from a trailer. */
const forbiddenTrailers: readonly string[] = [
  'transfer-encoding',
  'content-length',
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'authorization',
  'proxy-authorization',
  'proxy-authenticate',
  'www-authenticate',
  'set-cookie',
  'content-encoding',
  'content-type',
  'content-range',
  'cache-control',
  'expect',
  'max-forwards',
  'range',
];

/** Reads field lines from `start` to the end of `text`. */
function parseFieldLines(text: string, start: number, side: Side, limits: HeadLimits): FieldSection {
  const section = new FieldSection(text, start);
  const { length } = text;
  let at = start;
  while (at < length) {
    const lineStart = at;
    let code = text.charCodeAt(at);
    while (tokenChars[code] === 1) code = text.charCodeAt((at += 1));
    if (code !== COLON || at === lineStart) throw badLine(text, lineStart, at, side);
    const nameEnd = at;
    code = text.charCodeAt((at += 1));
    while (code === SP || code === HTAB) code = text.charCodeAt((at += 1));
    const valueStart = at;
    while (valueChars[code] === 1) code = text.charCodeAt((at += 1));
    if (code !== CR || text.charCodeAt(at + 1) !== LF) throw badValue(text, lineStart, nameEnd, at, side);
    section.count += 1;
    noteField(section, lineStart, nameEnd, valueStart, at, side);
    at += 2;
  }
  section.end = at;
  if (section.count > limits.fields) {
    const code = side === 'request' ? 'ERR_REQUEST_HEAD_TOO_LARGE' : 'ERR_RESPONSE_HEAD_TOO_LARGE';
    throw new SallyportError(code, `${section.count} fields, the limit is ${limits.fields}`);
  }
  if (section.options) removeListed(section, section.options);
  return section;
}

/** What the proxy must know of one line. Names are told apart by length first: most lines end there. */
function noteField(
  section: FieldSection,
  lineStart: number,
  nameEnd: number,
  valueStart: number,
  lineEnd: number,
  side: Side,
): void {
  const { text } = section;
  switch (nameEnd - lineStart) {
    case 2:
    case 3:
    case 4:
    case 6:
    case 7:
    case 10:
    case 12:
    case 13:
    case 14:
    case 16:
    case 17:
    case 18:
    case 19:
      break;
    default:
      return;
  }
  switch (text.slice(lineStart, nameEnd).toLowerCase()) {
    case 'host':
      section.hosts += 1;
      section.host = trimmed(text, valueStart, lineEnd);
      break;
    case 'content-length':
      noteContentLength(section, framingValue(text, nameEnd + 1, lineEnd, side), side);
      (section.framingLines ??= []).push(lineStart, lineEnd + 2);
      break;
    case 'transfer-encoding': {
      // Any coding but chunked, chunked twice, or an empty list (RFC 9112 §6.1, §7).
      const coding = framingValue(text, nameEnd + 1, lineEnd, side);
      if (section.chunked || coding.toLowerCase() !== 'chunked') {
        throw framing(side, `Transfer-Encoding ${shown(coding)}: only 'chunked' is known`);
      }
      section.chunked = true;
      (section.framingLines ??= []).push(lineStart, lineEnd + 2);
      break;
    }
    case 'connection':
    case 'proxy-connection':
      noteConnection(section, trimmed(text, valueStart, lineEnd), text.charCodeAt(lineStart) | 0x20);
      cut(section, lineStart, lineEnd);
      break;
    case 'upgrade':
      section.upgrade = trimmed(text, valueStart, lineEnd);
      cut(section, lineStart, lineEnd);
      break;
    case 'keep-alive':
    case 'te':
    case 'http2-settings':
    case 'proxy-authorization':
    case 'proxy-authenticate':
      cut(section, lineStart, lineEnd);
      break;
    case 'expect':
      section.expectContinue = trimmed(text, valueStart, lineEnd).toLowerCase() === '100-continue';
      break;
    case 'via':
      section.via = `${section.via === undefined ? '' : `${section.via}, `}${trimmed(text, valueStart, lineEnd)}`;
      break;
    case 'max-forwards': {
      const value = trimmed(text, valueStart, lineEnd);
      if (/^\d{1,9}$/.test(value)) section.maxForwards = Number(value);
      break;
    }
    case 'authorization':
    case 'www-authenticate':
      if (
        /(?:^|,)\s*(?:ntlm|negotiate)(?:[\s,]|$)/i.test(
          text.slice(valueStart, Math.min(lineEnd, valueStart + 1024)),
        )
      ) {
        section.connectionAuthentication = true;
      }
      break;
    default:
  }
}

/**
 * The value of a field that frames. A tab beside it would be white space (RFC 9110 §5.6.3), but parsers differ:
 * llhttp takes `chunked` and a tab for another coding, and reads such a response until the close.
 */
function framingValue(text: string, from: number, to: number, side: Side): string {
  const value = text.slice(from, to);
  if (value.includes('\t')) throw framing(side, `a tab in the length field ${shown(value)}`);
  return trimmed(value, 0, value.length);
}

/**
 * Content-Length = 1*DIGIT (RFC 9110 §8.6). Of a request, a second one is refused even when it is equal; a
 * response may repeat the same number (RFC 9112 §6.3 rule 5), as list or as line.
 */
function noteContentLength(section: FieldSection, value: string, side: Side): void {
  for (const one of side === 'response' ? value.split(',') : [value]) {
    const digits = trimmed(one, 0, one.length);
    const length = /^\d{1,16}$/.test(digits) ? Number(digits) : Number.NaN;
    if (!Number.isSafeInteger(length)) throw framing(side, `Content-Length ${shown(value)} is not a length`);
    if (section.contentLength !== -1 && (side === 'request' || section.contentLength !== length)) {
      throw framing(side, 'there is more than one Content-Length');
    }
    if (section.contentLength !== -1) section.repeatedLength = true;
    section.contentLength = length;
  }
}

function noteConnection(section: FieldSection, value: string, firstLetter: number): void {
  // `Proxy-Connection` was never standard; its keep-alive and close are what old clients mean.
  const own = firstLetter === 0x63;
  for (const item of value.split(',')) {
    const option = trimmed(item, 0, item.length).toLowerCase();
    if (option === 'close') section.close = true;
    else if (option === 'keep-alive') section.keepAlive = true;
    else if (option === 'upgrade') section.upgradeOption = own;
    else if (own && option !== '') (section.options ??= []).push(option);
  }
}

function cut(section: FieldSection, lineStart: number, lineEnd: number): void {
  (section.hopByHop ??= []).push(lineStart, lineEnd + 2);
}

/**
 * Marks the lines that Connection lists (RFC 9110 §7.6.1). A sender must not list fields that are meant for
 * all recipients; those that frame or route the message stay whatever it says.
 */
function removeListed(section: FieldSection, options: readonly string[]): void {
  const listed = new Set(options);
  for (const name of endToEnd) listed.delete(name);
  if (listed.size === 0) return;
  const cuts = new Map<number, number>();
  const known = section.hopByHop ?? [];
  for (let index = 0; index < known.length; index += 2) cuts.set(known[index] ?? 0, known[index + 1] ?? 0);
  const { text } = section;
  for (let at = section.start; at < section.end;) {
    const lineEnd = text.indexOf('\r\n', at) + 2;
    if (listed.has(text.slice(at, text.indexOf(':', at)).toLowerCase())) cuts.set(at, lineEnd);
    at = lineEnd;
  }
  section.hopByHop = [...cuts].toSorted((one, other) => one[0] - other[0]).flat();
}

const endToEnd: readonly string[] = [
  'host',
  'content-length',
  'transfer-encoding',
  'content-type',
  'content-encoding',
  'cache-control',
  'authorization',
  'cookie',
  'set-cookie',
  'via',
  'max-forwards',
  'expect',
  'date',
];

function requestFraming(section: FieldSection, version: HttpVersion): Framing {
  if (version === '1.1' ? section.hosts !== 1 : section.hosts > 1) {
    throw new SallyportError('ERR_REQUEST_SYNTAX', `${section.hosts} Host fields (RFC 9112 §3.2)`);
  }
  for (let at = 0; at < section.host.length; at += 1) {
    if (hostChars[section.host.charCodeAt(at)] !== 1) {
      throw new SallyportError(
        'ERR_REQUEST_SYNTAX',
        `the Host field is ${shown(section.host)} (RFC 9112 §3.2)`,
      );
    }
  }
  if (section.chunked) {
    checkChunked(section, version, 'request');
    return 'chunked';
  }
  return section.contentLength > 0 ? 'length' : 'none';
}

function responseFraming(
  section: FieldSection,
  version: HttpVersion,
  status: number,
  method: string,
): Framing {
  if (section.chunked) checkChunked(section, version, 'response');
  if (status < 200 || status === 204 || status === 304 || method === 'HEAD') return 'none';
  // Rule 2: what follows is a tunnel, whatever the length fields say.
  if (method === 'CONNECT' && status < 300) return 'none';
  if (section.chunked) return 'chunked';
  if (section.contentLength === -1) return 'close';
  return section.contentLength === 0 ? 'none' : 'length';
}

/** RFC 9112 §6.1: both length fields, or chunked from a sender that does not know it, is an attack or a fault. */
function checkChunked(section: FieldSection, version: HttpVersion, side: Side): void {
  if (section.contentLength !== -1) throw framing(side, 'there are Content-Length and Transfer-Encoding');
  if (version === '1.0') throw framing(side, 'there is a Transfer-Encoding in an HTTP/1.0 message');
}

function httpVersion(text: string, at: number): HttpVersion | undefined {
  if (text.startsWith('HTTP/1.1', at)) return '1.1';
  return text.startsWith('HTTP/1.0', at) ? '1.0' : undefined;
}

function digit(text: string, at: number): number {
  const value = text.charCodeAt(at) - 0x30;
  return value >= 0 && value <= 9 ? value : Number.NaN;
}

/** Without SP and HTAB at its ends. Not `String.trim`: that takes NBSP (0xA0, obs-text) off too. */
function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}

function startLine(text: string, expected: string): SallyportError {
  return new SallyportError(
    'ERR_REQUEST_SYNTAX',
    `the request line ${shown(firstLine(text))} must have ${expected}`,
  );
}

function statusLine(text: string, expected: string): SallyportError {
  return new SallyportError(
    'ERR_RESPONSE_SYNTAX',
    `the status line ${shown(firstLine(text))} must have ${expected}`,
  );
}

function requestVersion(text: string, at: number): SallyportError {
  const found = firstLine(text).slice(at);
  if (/^HTTP\/\d+\.\d+$/.test(found)) return new SallyportError('ERR_REQUEST_VERSION', found.slice(0, 20));
  return startLine(text, 'HTTP/1.1 at its end');
}

function firstLine(text: string): string {
  const end = text.indexOf('\r\n');
  return end === -1 ? text : text.slice(0, end);
}

function badLine(text: string, lineStart: number, at: number, side: Side): SallyportError {
  // The name alone: a value may be a secret, and a line that continues another is all value.
  const first = text.charCodeAt(lineStart);
  if (isBlank(first))
    return syntax(side, 'a field line continues the one before it (obs-fold, RFC 9112 §5.2)');
  const name = shown(text.slice(lineStart, at));
  if (isBlank(text.charCodeAt(at)))
    return syntax(side, `there is a space after the name ${name}, before any colon (RFC 9112 §5.1)`);
  return syntax(side, `the line that begins with ${name} is not a field (RFC 9112 §5)`);
}

function badValue(text: string, lineStart: number, nameEnd: number, at: number, side: Side): SallyportError {
  const name = shown(text.slice(lineStart, nameEnd));
  const code = text.charCodeAt(at).toString(16).padStart(2, '0');
  return syntax(side, `the value of ${name} has the byte 0x${code} (RFC 9110 §5.5)`);
}

function syntax(side: Side, detail: string): SallyportError {
  return new SallyportError(side === 'request' ? 'ERR_REQUEST_SYNTAX' : 'ERR_RESPONSE_SYNTAX', detail);
}

function framing(side: Side, detail: string): SallyportError {
  const code: ErrorCode = side === 'request' ? 'ERR_REQUEST_FRAMING' : 'ERR_RESPONSE_FRAMING';
  return new SallyportError(code, detail);
}
