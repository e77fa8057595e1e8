/** Responses that made parsers disagree. */
import { type Vector, accepted, lastChunk, length, refused } from './vector.js';

const responseSyntax = 'ERR_RESPONSE_SYNTAX';
const responseFraming = 'ERR_RESPONSE_FRAMING';
const responseBody = 'ERR_RESPONSE_BODY_SYNTAX';
const inner = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
const ok = (lines: readonly string[], body: string): string =>
  ['HTTP/1.1 200 OK', ...lines, '', body].join('\r\n');

export const responses: readonly Vector[] = [
  refused(
    'RFC 9112 §6.3 rule 3 and §11.1',
    'length and chunked',
    ok(['Transfer-Encoding: chunked', 'Content-Length: 5'], lastChunk + inner),
    responseFraming,
  ),
  refused(
    'RFC 9112 §6.3 rule 5',
    'two lengths',
    ok(['Content-Length: 0', length(inner)], inner),
    responseFraming,
  ),
  refused(
    'RFC 9112 §6.3 rule 5',
    'a list of two lengths',
    ok(['Content-Length: 0, 42'], inner),
    responseFraming,
  ),
  refused('CVE-2021-32715 (hyper)', 'a plus', ok(['Content-Length: +42'], inner), responseFraming),
  refused(
    'Garden 41: NBSP is white space to Unicode',
    'NBSP behind the length',
    ok(['Content-Length: 42\xa0'], inner),
    responseFraming,
  ),
  refused(
    'RFC 9112 §6.3 rule 4: could be read until the close',
    'another coding',
    ok(['Transfer-Encoding: identity'], inner),
    responseFraming,
  ),
  refused(
    'llhttp reads it until the close, found by the fuzzer of this project',
    'a tab behind chunked',
    ok(['Transfer-Encoding: chunked\t'], lastChunk + inner),
    responseFraming,
  ),
  refused(
    'RFC 9112 §6.1',
    'chunked in HTTP/1.0',
    ok(['Transfer-Encoding: chunked'], lastChunk + inner).replace('/1.1', '/1.0'),
    responseFraming,
  ),
  refused(
    'CVE-2022-35256 (Node): also as a client',
    'a line that ends in LF',
    ok(['X: y\nTransfer-Encoding: chunked', 'Content-Length: 5'], lastChunk + inner),
    responseSyntax,
  ),
  refused(
    'CVE-2023-30589 (Node)',
    'a line that ends in CR',
    ok(['X: y\rContent-Length: 0', length(inner)], inner),
    responseSyntax,
  ),
  refused(
    'RFC 9112 §5.1: a proxy must remove or refuse',
    'a space before the colon',
    ok(['Content-Length : 0'], inner),
    responseSyntax,
  ),
  refused('RFC 9112 §5.2', 'obs-fold', ok(['Content-Length:', ' 0'], inner), responseFraming),
  refused('RFC 9110 §5.5', 'NUL in a value', ok(['X: y\0', 'Content-Length: 0'], inner), responseSyntax),
  refused(
    'CVE-2021-32714 (hyper)',
    'a size that overflows',
    ok(['Transfer-Encoding: chunked'], `f0000000000000003\r\nabc\r\n0\r\n\r\n`),
    responseBody,
  ),
  refused(
    'CVE-2025-43859 (h11)',
    'two other bytes behind data',
    ok(['Transfer-Encoding: chunked'], `1\r\nZXX0\r\n\r\n${inner}`),
    responseBody,
  ),
  refused(
    'CVE-2023-39326 (Go)',
    'extensions without end',
    ok(['Transfer-Encoding: chunked'], `1;x\r\nZ\r\n`.repeat(40_000)),
    responseBody,
  ),
  accepted(
    'RFC 9112 §6.3 rule 1',
    '204 with a length',
    ok([length('evil')], '').replace('200', '204') + inner,
    '204 ',
    '200 evil',
  ),
  accepted(
    'RFC 9112 §6.3 rule 1; Must die: HEAD',
    '304 that is chunked',
    ok(['Transfer-Encoding: chunked'], '').replace('200', '304') + inner,
    '304 ',
    '200 evil',
  ),
  {
    ...refused(
      'RFC 9112 §6.3 rule 1; PortSwigger, «HTTP/2: The Sequel is Always Worse» (tunnelling by HEAD)',
      'to HEAD with a length',
      ok([length('evil')], inner),
      responseSyntax,
      '200 ',
      '200 ',
    ),
    method: 'HEAD',
  },
  accepted(
    'Must die: Expect; RFC 9110 §15.2',
    '100 with a length',
    ok([length('evil')], '').replace('200', '100') + inner,
    '100 ',
    '200 evil',
  ),
];
