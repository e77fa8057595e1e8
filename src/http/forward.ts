/** What a head becomes on the other leg: pure text to text (RFC 9110 §7.6, RFC 9112 §6 and §9). */
import { STATUS_CODES } from 'node:http';
import { Fields, type FieldsInit, type HttpVersion } from '../base/message.js';
import {
  type FieldSection,
  type HeadLimits,
  type H1RequestHead,
  type H1ResponseHead,
  parseRequestHead,
  parseResponseHead,
} from './head.js';

/** How a response body is sent to a client. */
export type ResponseCoding = 'none' | 'length' | 'chunked' | 'close';

/** The field lines that go on: without hop-by-hop lines, and without framing lines unless they still hold. */
function forwardedLines(section: FieldSection, keepFraming: boolean): string {
  const { text, start, end, hopByHop, framingLines } = section;
  const cuts = keepFraming || !framingLines ? hopByHop : merged(hopByHop ?? [], framingLines);
  if (!cuts) return text.slice(start, end);
  let lines = '';
  let from = start;
  for (let index = 0; index < cuts.length; index += 2) {
    lines += text.slice(from, cuts[index]);
    from = cuts[index + 1] ?? end;
  }
  return lines + text.slice(from, end);
}

function merged(one: readonly number[], other: readonly number[]): number[] {
  const pairs: [number, number][] = [];
  for (const list of [one, other]) {
    for (let index = 0; index < list.length; index += 2) pairs.push([list[index] ?? 0, list[index + 1] ?? 0]);
  }
  return pairs.toSorted((left, right) => left[0] - right[0]).flat();
}

/**
 * The request as it goes to the origin. `target` is in origin-form; `host` is what the Host field must say
 * where the client's own does not count (absolute-form, RFC 9112 §3.2.2) or is missing (HTTP/1.0).
 */
export function forwardedRequest(
  head: H1RequestHead,
  target: string,
  host: string | undefined,
  extra: string,
): string {
  const { section } = head;
  let lines: string;
  if (host === undefined || (section.hosts === 1 && section.host === host)) {
    lines = forwardedLines(section, true);
  } else if (section.hosts === 0) {
    lines = `Host: ${host}\r\n${forwardedLines(section, true)}`;
  } else {
    lines = withHost(section, host);
  }
  const upgrade = requestedUpgrade(head);
  const hop = upgrade === undefined ? '' : `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
  return `${head.method} ${target} HTTP/1.1\r\n${lines}${hop}${extra}\r\n`;
}

function withHost(section: FieldSection, host: string): string {
  const lines = forwardedLines(section, true);
  return lines.replace(/^host:[^\r]*/im, () => `Host: ${host}`);
}

/**
 * The protocol that the client asks to switch to (RFC 9110 §7.8), or `undefined`. `h2c` is not passed on:
 * RFC 9113 §3.1 withdrew it, and a switch behind the proxy's back is what request smuggling lives on.
 */
export function requestedUpgrade({ section, version }: H1RequestHead): string | undefined {
  const { upgrade } = section;
  // An HTTP/1.0 request cannot ask for it.
  if (version === '1.0') return undefined;
  if (upgrade === undefined || !section.upgradeOption || upgrade === '') return undefined;
  return /(?:^|,)\s*h2c?\s*(?:,|$)/i.test(upgrade) ? undefined : upgrade;
}

/** How the body of `head` is sent to a client of that version, and whether its framing lines still hold. */
export function responseCoding(head: H1ResponseHead, clientVersion: HttpVersion): ResponseCoding {
  switch (head.framing) {
    case 'none':
    case 'length':
      return head.framing;
    default:
      return clientVersion === '1.1' ? 'chunked' : 'close';
  }
}

/** The response head for the client: `connection` is `''`, or the value of a Connection field. */
export function forwardedResponse(
  head: H1ResponseHead,
  coding: ResponseCoding,
  connection: string,
  extra: string,
  clientVersion: HttpVersion = '1.1',
): string {
  // 204 and 1xx carry no length (RFC 9110 §8.6); a re-coded body has another framing than the origin's.
  const recoded = head.framing === 'close' || (head.framing === 'chunked' && coding !== 'chunked');
  const noLength = head.status === 204 || head.status < 200;
  // RFC 9112 §6.1: Transfer-Encoding means nothing to an HTTP/1.0 client, not even in answer to HEAD.
  const foreign = clientVersion === '1.0' && head.section.chunked;
  const { repeatedLength } = head.section;
  const lines = forwardedLines(head.section, !recoded && !noLength && !foreign && !repeatedLength);
  let added = recoded && coding === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : '';
  if (repeatedLength && !noLength) added = `Content-Length: ${head.section.contentLength}\r\n`;
  const hop = connection === '' ? '' : `Connection: ${connection}\r\n`;
  return `HTTP/1.1 ${head.status} ${head.reason}\r\n${lines}${added}${hop}${extra}\r\n`;
}

/** Field lines of raw pairs. */
export function fieldLines(raw: readonly string[]): string {
  let lines = '';
  for (let index = 0; index + 1 < raw.length; index += 2)
    lines += `${raw[index] ?? ''}: ${raw[index + 1] ?? ''}\r\n`;
  return lines;
}

/** What a response of our own has. The body's length is stated; names that frame it are not to be given. */
export interface OwnResponse {
  readonly status: number;
  readonly reason?: string;
  readonly headers?: FieldsInit;
  /** Bytes of the body. */
  readonly length: number;
}

/**
 * A response head of our own, checked by the same parser as any other, so that no value can smuggle a line.
 * Throws `ERR_RESPONSE_SYNTAX` and the like.
 */
export function ownResponse(response: OwnResponse, requestMethod: string): H1ResponseHead {
  const fields = Fields.from(response.headers ?? {});
  for (const name of ['content-length', 'transfer-encoding', 'connection']) fields.delete(name);
  if (response.status >= 200 && response.status !== 204)
    fields.append('Content-Length', String(response.length));
  const reason = response.reason ?? STATUS_CODES[response.status] ?? 'Unknown';
  const text = `HTTP/1.1 ${response.status} ${reason}\r\n${safeLines(fields)}`;
  // The limits are for what comes from outside.
  return parseResponseHead(text, requestMethod, {
    uri: Number.POSITIVE_INFINITY,
    fields: Number.POSITIVE_INFINITY,
  });
}

/** A response head with other status or fields. `length` is that of a new body; `undefined` keeps the old one. */
export function rewrittenResponse(
  head: H1ResponseHead,
  change: { readonly status?: number; readonly headers?: FieldsInit },
  length: number | undefined,
  requestMethod: string,
  limits: HeadLimits,
): H1ResponseHead {
  const fields = Fields.from(change.headers ?? head.headers);
  keepFraming(fields, head.section, length);
  const status = change.status ?? head.status;
  const reason = status === head.status ? head.reason : (STATUS_CODES[status] ?? 'Unknown');
  return parseResponseHead(`HTTP/1.1 ${status} ${reason}\r\n${safeLines(fields)}`, requestMethod, limits);
}

/** A request head with another method, target or fields. */
export function rewrittenRequest(
  head: H1RequestHead,
  change: {
    readonly method?: string;
    readonly target: string;
    readonly host?: string;
    readonly headers?: FieldsInit;
  },
  length: number | undefined,
  limits: HeadLimits,
): H1RequestHead {
  const fields = Fields.from(change.headers ?? head.headers);
  if (change.host !== undefined && !Fields.from(change.headers ?? {}).has('host'))
    fields.set('Host', change.host);
  if (!fields.has('host')) fields.set('Host', change.host ?? head.section.host);
  keepFraming(fields, head.section, length);
  const text = `${change.method ?? head.method} ${change.target} HTTP/1.1\r\n${safeLines(fields)}`;
  return parseRequestHead(text, limits);
}

/** The framing follows the body, whatever a hook wrote into the fields. */
function keepFraming(fields: Fields, section: FieldSection, length: number | undefined): void {
  if (length === undefined && section.chunked) {
    fields.delete('content-length');
    fields.set('Transfer-Encoding', 'chunked');
    return;
  }
  fields.delete('transfer-encoding');
  const stated = length ?? section.contentLength;
  if (stated === -1) fields.delete('content-length');
  else fields.set('Content-Length', String(stated));
}

/** A line end within a name or value would be a new line to the parser: made into a byte that it refuses. */
function safeLines(fields: Fields): string {
  return fieldLines(fields.raw.map((part) => part.replaceAll(/[\r\n]/g, '\0')));
}
