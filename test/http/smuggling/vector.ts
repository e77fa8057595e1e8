/** What the tables of smuggling vectors are written in. */
import type { ErrorCode } from '../../../src/base/errors.js';

export interface Vector {
  readonly source: string;
  readonly name: string;
  readonly text: string;
  readonly method?: string;
  /** The messages that may be seen before the end or the error: start line without version, and body. */
  readonly seen: readonly string[];
  readonly error: ErrorCode | undefined;
}

/** What the attacker wants to be seen as a request of its own. */
export const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

/** A POST with these field lines and this body. */
export const post = (lines: readonly string[], body: string): string =>
  ['POST / HTTP/1.1', 'Host: a', ...lines, '', body].join('\r\n');
/** A POST with a chunked body. */
export const chunked = (body: string): string => post(['Transfer-Encoding: chunked'], body);
export const length = (body: string): string => `Content-Length: ${body.length}`;
export const lastChunk = `0\r\n\r\n`;

export const refused = (
  source: string,
  name: string,
  text: string,
  error: ErrorCode,
  ...seen: readonly string[]
): Vector => ({
  source,
  name,
  text,
  seen,
  error,
});
export const accepted = (source: string, name: string, text: string, ...seen: readonly string[]): Vector => ({
  source,
  name,
  text,
  seen,
  error: undefined,
});
