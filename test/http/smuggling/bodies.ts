/** Request bodies that made parsers disagree, chunked ones above all. */
import { type Vector, accepted, chunked, length, post, refused, smuggled } from './vector.js';

const syntax = 'ERR_REQUEST_SYNTAX';
const chunk = 'ERR_REQUEST_BODY_SYNTAX';

export const bodies: readonly Vector[] = [
  accepted(
    'Browser-powered (CL.0)',
    'GET with a length',
    `GET / HTTP/1.1\r\nHost: a\r\n${length(smuggled)}\r\n\r\n${smuggled}`,
    `GET / ${smuggled}`,
  ),
  accepted(
    'Garden T21 (relayd); Http11Probe SMUG-HEAD-CL-BODY',
    'HEAD with a length',
    `HEAD / HTTP/1.1\r\nHost: a\r\n${length(smuggled)}\r\n\r\n${smuggled}`,
    `HEAD / ${smuggled}`,
  ),
  accepted(
    'Must die: Expect',
    'Expect: 100-continue with a length',
    post(['Expect: 100-continue', length(smuggled)], smuggled),
    `POST / ${smuggled}`,
  ),
  accepted(
    'Must die: Expect that only some know',
    'another Expect with a length',
    post(['Expect: y 100-continue', length(smuggled)], smuggled),
    `POST / ${smuggled}`,
  ),
  accepted(
    'Garden 48 (Puma): a body of what was pipelined',
    'length 0, then a request',
    post(['Content-Length: 0'], smuggled),
    'POST / ',
    'GET /smuggled ',
  ),
  refused(
    'Garden 45 (Mongoose, uvicorn)',
    'a broken request after a good one',
    `${smuggled}Invalid\r\n\r\n`,
    syntax,
    'GET /smuggled ',
  ),
];

export const chunks: readonly Vector[] = [
  refused(
    'Garden 1 and 22 (aiohttp, CVE-2023-47627; gunicorn, H2O)',
    'an underscore in a size',
    chunked(`0_2e\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'CVE-2022-24761 (Waitress); CVE-2022-24801 (Twisted); Garden 25 and T19',
    '0x',
    chunked(`0x0\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused('Garden T19 (relayd, Pound)', 'a minus', chunked(`-0\r\n\r\n${smuggled}`), chunk),
  refused('CVE-2023-38697 (protocol-http1)', 'a plus', chunked(`+0\r\n\r\n${smuggled}`), chunk),
  refused('Garden T24 (relayd, Pound)', 'spaces before a size', chunked(`   0\r\n\r\n${smuggled}`), chunk),
  refused(
    'Http11Probe SMUG-CHUNK-SIZE-TRAILING-OWS',
    'a space behind a size',
    chunked(`0 \r\n\r\n${smuggled}`),
    chunk,
  ),
  refused('Garden 17 (Go, hyper, Mongoose)', 'no size', chunked(`\r\n\r\n${smuggled}`), chunk),
  refused(
    'CVE-2013-2028 (nginx); CVE-2017-7657 (Jetty); CVE-2021-32714 (hyper)',
    'a size that overflows',
    chunked(`10000000000000000\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'RFC 9112 §7.1',
    'a size that is negative as 64 bits',
    chunked(`ffffffffffffffff\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'Garden T7 (Traffic Server)',
    'words behind a size',
    chunked(`1these-bytes\r\nZ\r\n0\r\n\r\n`),
    chunk,
  ),
  refused(
    'Garden T2 and 47 (Akamai, Cheroot)',
    'no number at all',
    chunked(`INVALID!!!\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'CVE-2025-22871 (Go); Funky chunks (TERM.EXT); CVE-2025-58056 (Netty)',
    'a size line that ends in LF',
    chunked(`2\nxx\r\n0\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'Http11Probe SMUG-CHUNK-BARE-CR-TERM; Garden T4 (Pound)',
    'a size line that ends in CR',
    chunked(`1\rZ\r\n0\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'CVE-2021-22960 (Node); CVE-2024-52304 (aiohttp); CVE-2025-55315 (Kestrel)',
    'LF in an extension',
    chunked(`2;\nxx\r\n4c\r\n0\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'Garden 31 (Node), 36 and T3 (Akamai, Google, Traffic Server)',
    'CR CR before an extension',
    chunked(`5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'Http11Probe SMUG-CHUNK-EXT-CR',
    'CR in an extension',
    chunked(`5;a\rX\r\nhello\r\n0\r\n\r\n`),
    chunk,
  ),
  refused(
    'Http11Probe SMUG-CHUNK-EXT-CTRL',
    'NUL in an extension',
    chunked(`5;\0x\r\nhello\r\n0\r\n\r\n`),
    chunk,
  ),
  refused(
    'CVE-2024-22019 (Node); CVE-2023-39326 (Go); CVE-2024-21647 (Puma)',
    'extensions without end',
    chunked(`1;${'x'.repeat(70_000)}\r\nZ\r\n0\r\n\r\n`),
    chunk,
  ),
  refused(
    'Funky chunks 2: quoted strings',
    'a line end in a quoted extension',
    chunked(`5;a="\r\nX\r\n0\r\n\r\n${smuggled}"\r\n`),
    chunk,
  ),
  refused(
    'CVE-2025-43859 (h11); Funky chunks (ONE.TWO)',
    'two other bytes behind data',
    chunked(`5\r\nhelloXX0\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'Funky chunks (TWO.ONE): the second byte is not looked at',
    'CR and another byte behind data',
    chunked(`5\r\nhello\rX0\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'Http11Probe SMUG-CHUNK-SPILL; Funky chunks (SPILL.TERM)',
    'data that is longer than its size',
    chunked(`5\r\nhello!!\r\n0\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'Garden T13 (HAProxy); Funky chunks (TERM.SPILL)',
    'LF behind data',
    chunked(`5\r\nhello\n0\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'Http11Probe SMUG-CHUNK-MISSING-TRAILING-CRLF',
    'nothing behind data',
    chunked(`5\r\nhello0\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'Garden T17 (OpenLiteSpeed)',
    'an empty line before the last chunk',
    chunked(`1\r\nZ\r\n\r\n0\r\n\r\n${smuggled}`),
    chunk,
  ),
  refused(
    'Garden 39 (Puma, CVE-2023-40175)',
    'two other bytes behind the last chunk',
    chunked(`0\r\nX:POST / HTTP/1.1\r\n${smuggled}`),
    syntax,
  ),
  refused(
    'CVE-2025-59822 (http4s)',
    'a trailer without a colon',
    chunked(`0\r\nX\r\n\r\n${smuggled}`),
    syntax,
  ),
  refused(
    'Http11Probe SMUG-CHUNK-LF-TRAILER',
    'LF behind the trailers',
    chunked(`0\r\n\n${smuggled}`),
    chunk,
  ),
  refused(
    'CVE-2023-46589 (Tomcat)',
    'a trailer over the limit',
    chunked(`0\r\nX: ${'x'.repeat(70_000)}\r\n\r\n${smuggled}`),
    chunk,
  ),
  accepted(
    'Http11Probe SMUG-TRAILER-CL: not merged',
    'a length as trailer',
    chunked(`0\r\n${length(smuggled)}\r\n\r\n${smuggled}`),
    'POST / ',
    'GET /smuggled ',
  ),
  accepted(
    'Http11Probe SMUG-TRAILER-TE: not merged',
    'chunked as trailer',
    chunked(`0\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled}`),
    'POST / ',
    'GET /smuggled ',
  ),
  accepted(
    'Http11Probe SMUG-CHUNK-BARE-SEMICOLON; RFC 9112 §7.1.1',
    'an extension of a semicolon',
    chunked(`5;\r\nhello\r\n0\r\n\r\n${smuggled}`),
    'POST / hello',
    'GET /smuggled ',
  ),
];
