/** Request lines, field lines and length fields that made parsers disagree. */
import type { ErrorCode } from '../../../src/base/errors.js';
import { type Vector, accepted, lastChunk, length, post, refused, smuggled } from './vector.js';

const syntax = 'ERR_REQUEST_SYNTAX';
const framing = 'ERR_REQUEST_FRAMING';

/** Both length fields, and the chunked one disguised: what follows is chunked to some and of a length to others. */
const disguised = (source: string, name: string, line: string, error: ErrorCode = framing): Vector =>
  refused(source, name, post([length(lastChunk + smuggled), line], lastChunk + smuggled), error);

export const twoLengths: readonly Vector[] = [
  disguised(
    'RFC 9112 §6.1 and §11.2; Reborn (CL.TE); CVE-2020-10109 (Twisted)',
    'length, then chunked',
    'Transfer-Encoding: chunked',
  ),
  refused(
    'RFC 9112 §6.1; Reborn (TE.CL); CVE-2019-20445 (Netty); CVE-2024-47220 (WEBrick); Garden T23 (relayd)',
    'chunked, then length',
    post(['Transfer-Encoding: chunked', 'Content-Length: 4'], `26\r\n${smuggled}\r\n0\r\n\r\n`),
    framing,
  ),
  refused(
    'Http11Probe SMUG-TE-HTTP10; CVE-2021-33037 (Tomcat); RFC 9112 §6.1',
    'chunked in HTTP/1.0',
    post(['Transfer-Encoding: chunked'], lastChunk + smuggled).replace('/1.1', '/1.0'),
    framing,
  ),
  refused(
    'RFC 9112 §6.3 rule 5; CVE-2017-7658 (Jetty); Garden 23 and 33 (H2O, FastHTTP)',
    'two lengths',
    post(['Content-Length: 0', length(smuggled)], smuggled),
    framing,
  ),
  refused(
    'CVE-2020-10108 (Twisted)',
    'two lengths, the second of them 0',
    post([length(smuggled), 'Content-Length: 0'], smuggled),
    framing,
  ),
  refused(
    'CVE-2019-16792 (Waitress)',
    'the same length twice',
    post([length(smuggled), length(smuggled)], smuggled),
    framing,
  ),
  refused(
    'Http11Probe SMUG-CL-COMMA-SAME',
    'the same length twice in a list',
    post(['Content-Length: 36, 36'], smuggled),
    framing,
  ),
  refused(
    'http-request-smuggler CL-commaprefix',
    'a list of two lengths',
    post(['Content-Length: 0, 36'], smuggled),
    framing,
  ),
  refused(
    'Garden 42 and T11 (WEBrick; HAProxy, CVE-2023-40225)',
    'an empty length before another',
    post(['Content-Length: ', length(smuggled)], smuggled),
    framing,
  ),
];

export const lengths: readonly Vector[] = [
  refused(
    'Garden 16, 38 and T5 (Go, lighttpd, Puma; CVE-2023-40175)',
    'an empty length',
    post(['Content-Length: '], smuggled),
    framing,
  ),
  refused(
    'CVE-2023-40167 (Jetty); CVE-2021-32715 (hyper); CVE-2022-24801 (Twisted)',
    'a plus',
    post(['Content-Length: +36'], smuggled),
    framing,
  ),
  refused(
    'Garden 26 (Mongoose, CVE-2023-34188)',
    'a minus',
    post(['Content-Length: -48'], smuggled),
    framing,
  ),
  refused('Http11Probe SMUG-CL-NEGATIVE-ZERO', 'minus zero', post(['Content-Length: -0'], smuggled), framing),
  refused(
    'Garden T1 (Akamai); CVE-2023-38697 (protocol-http1)',
    '0x',
    post(['Content-Length: 0x24'], smuggled),
    framing,
  ),
  refused(
    'Garden 10 (aiohttp, CPython, Tornado, Werkzeug)',
    'an underscore',
    post(['Content-Length: 3_6'], smuggled),
    framing,
  ),
  refused(
    'Garden 29 (Mongoose, OpenLiteSpeed)',
    'a letter behind',
    post(['Content-Length: 1Z'], smuggled),
    framing,
  ),
  refused('http-request-smuggler CL-dec', 'a fraction', post(['Content-Length: 36.0'], smuggled), framing),
  refused('http-request-smuggler CL-e', 'an exponent', post(['Content-Length: 36e0'], smuggled), framing),
  refused(
    'http-request-smuggler CL-spacepad',
    'a space inside',
    post(['Content-Length: 0 36'], smuggled),
    framing,
  ),
  refused(
    'Garden 41 (Waitress): NBSP is white space to Unicode',
    'NBSP behind',
    post(['Content-Length: 36\xa0'], smuggled),
    framing,
  ),
  refused(
    'RFC 9110 §8.6',
    'more than 64 bits',
    post(['Content-Length: 18446744073709551652'], smuggled),
    framing,
  ),
  refused(
    'RFC 9110 §8.6',
    'more than JavaScript can count',
    post(['Content-Length: 9007199254740993'], smuggled),
    framing,
  ),
  accepted(
    'Garden 32 (OpenLiteSpeed read it as octal); RFC 9110 §8.6: decimal',
    'leading zeros',
    post(['Content-Length: 010'], `0123456789${smuggled}`),
    'POST / 0123456789',
    'GET /smuggled ',
  ),
];

export const codings: readonly Vector[] = [
  disguised('Reborn; CVE-2020-25613 (WEBrick)', 'xchunked', 'Transfer-Encoding: xchunked'),
  disguised('http-request-smuggler lazygrep', 'chunk', 'Transfer-Encoding: chunk'),
  disguised('CVE-2022-32213 (Node)', 'chunkedchunked', 'Transfer-Encoding: chunkedchunked'),
  disguised(
    'Garden 21, T9, T15 and T18 (gunicorn, relayd, Pound)',
    'an empty element before',
    'Transfer-Encoding: ,chunked',
  ),
  disguised('Http11Probe SMUG-TE-TRAILING-COMMA', 'an empty element behind', 'Transfer-Encoding: chunked,'),
  disguised(
    'http-request-smuggler cowComma; CVE-2019-16786 (Waitress)',
    'another coding before',
    'Transfer-Encoding: identity, chunked',
  ),
  disguised(
    'CVE-2019-15605 (Node); http-request-smuggler commaCow',
    'another coding behind',
    'Transfer-Encoding: chunked, identity',
  ),
  disguised('CVE-2021-33037 (Tomcat)', 'identity', 'Transfer-Encoding: identity'),
  disguised('CVE-2024-6827 (gunicorn)', 'an unknown coding', 'Transfer-Encoding: blegh'),
  disguised('Reborn; Http11Probe SMUG-TE-TAB-BEFORE-VALUE', 'a tab before', 'Transfer-Encoding:\tchunked'),
  disguised(
    'http-request-smuggler tabsuffix; llhttp to this day',
    'a tab behind',
    'Transfer-Encoding: chunked\t',
  ),
  disguised('http-request-smuggler quoted', 'in quotes', 'Transfer-Encoding: "chunked"'),
  disguised(
    'Http11Probe SMUG-CHUNKED-WITH-PARAMS; RFC 9112 §7.1',
    'a parameter',
    'Transfer-Encoding: chunked;q=1',
  ),
  disguised('Garden 12 and 46 (Tornado, Bun)', 'NBSP around', 'Transfer-Encoding: \xa0chunked\xa0'),
  disguised('http-request-smuggler nel', 'NEL behind', 'Transfer-Encoding: chunked\x85'),
  disguised(
    'CVE-2019-18277 (HAProxy); CVE-2019-16789 (Waitress)',
    'a vertical tab before',
    'Transfer-Encoding: \x0bchunked',
    syntax,
  ),
  disguised('Http11Probe SMUG-TE-FORMFEED', 'a form feed before', 'Transfer-Encoding: \x0cchunked', syntax),
  disguised('Http11Probe SMUG-TE-NULL', 'NUL behind', 'Transfer-Encoding: chunked\0', syntax),
  refused(
    'CVE-2020-8287 (Node); Garden 11 and T25 (Tornado, Pound)',
    'chunked twice',
    post(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], lastChunk + smuggled),
    framing,
  ),
  refused(
    'Reborn; CVE-2024-1135 (gunicorn)',
    'chunked, then another',
    post(['Transfer-Encoding: chunked', 'Transfer-Encoding: x'], lastChunk + smuggled),
    framing,
  ),
  refused(
    'Garden 44 (FastHTTP): taken for chunked',
    'an unknown coding without a length',
    post(['Transfer-Encoding: blegh'], `1\r\nZ\r\n0\r\n\r\n${smuggled}`),
    framing,
  ),
  accepted(
    'Http11Probe SMUG-TE-CASE-MISMATCH: codings have no case',
    'another case, with spaces',
    post(['tRANSFER-eNCODING:  cHUNKED  '], lastChunk + smuggled),
    'POST / ',
    'GET /smuggled ',
  ),
];

export const fields: readonly Vector[] = [
  disguised(
    'RFC 9112 §5.1; Reborn; CVE-2019-16869 (Netty); CVE-2021-22959 (Node)',
    'a space before the colon of chunked',
    'Transfer-Encoding : chunked',
    syntax,
  ),
  refused(
    'CVE-2019-16276 (Go); Garden 3 (aiohttp; OpenLiteSpeed, CVE-2023-40518)',
    'a space before the colon of the length',
    post(['Content-Length : 36'], smuggled),
    syntax,
  ),
  disguised('Http11Probe NORM-TAB-IN-NAME', 'a tab before the colon', 'Transfer-Encoding\t: chunked', syntax),
  disguised(
    'CVE-2022-32215 (Node); http-request-smuggler linewrapped',
    'the value on the next line',
    'Transfer-Encoding:\r\n chunked',
    framing,
  ),
  refused(
    'RFC 9112 §5.2; Http11Probe SMUG-TE-OBS-FOLD',
    'chunked as the continuation of another line',
    post([length(smuggled), 'X: y', ' Transfer-Encoding: chunked'], smuggled),
    syntax,
  ),
  refused(
    'CVE-2020-7238 (Netty); CVE-2026-28369 (Undertow); Garden 4 (aiohttp)',
    'a space before the first line',
    `POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\n${length(lastChunk + smuggled)}\r\n\r\n${lastChunk}${smuggled}`,
    syntax,
  ),
  refused(
    'CVE-2024-27982 (Node)',
    'a space before the length',
    post(['X: y', ` ${length(smuggled)}`], smuggled),
    syntax,
  ),
  refused(
    'CVE-2022-32214 and CVE-2022-35256 (Node); CVE-2019-16785 (Waitress); Reborn',
    'a line that ends in LF',
    post(['X: y\nTransfer-Encoding: chunked', length(lastChunk + smuggled)], lastChunk + smuggled),
    syntax,
  ),
  refused(
    'CVE-2023-30589 (Node); Garden 13 (CPython, Mongoose)',
    'a line that ends in CR',
    post(['X: y\rTransfer-Encoding: chunked', length(lastChunk + smuggled)], lastChunk + smuggled),
    syntax,
  ),
  refused(
    'CVE-2025-23167 and Garden 30 (Node)',
    'a head that ends in CR LF CR and a letter',
    `GET / HTTP/1.1\r\nHost: a\r\n\rX${smuggled}`,
    syntax,
  ),
  refused(
    'Garden 19 (gunicorn)',
    'LF LF where a value begins',
    `GET / HTTP/1.1\r\nHost: a\r\nX:\n\n${smuggled}`,
    syntax,
  ),
  refused(
    'Garden T20 (relayd)',
    'a line of a name and NUL',
    post(['X: y', 'c\0', length(smuggled)], smuggled),
    syntax,
  ),
  refused(
    'Garden 35 and T12 (Libevent; HAProxy)',
    'NUL in a value',
    post(['X: y\0z', length(smuggled)], smuggled),
    syntax,
  ),
  refused(
    'CVE-2023-25725 (HAProxy); Garden 18 (Go, Node, gunicorn)',
    'an empty name',
    post([': y', length(smuggled)], smuggled),
    syntax,
  ),
  refused(
    'CVE-2019-20444 (Netty); Garden T14 (OpenLiteSpeed)',
    'a line without a colon',
    post(['X', length(smuggled)], smuggled),
    syntax,
  ),
  refused('Garden 28 (Mongoose)', 'a space for the colon', post(['Content-Length 36'], smuggled), syntax),
  refused(
    'Klein, variant 1; http-request-smuggler spjunk',
    'words before the colon',
    post(['Content-Length abcde: 36'], smuggled),
    syntax,
  ),
  refused(
    'CVE-2020-8201 (Node): CR became a hyphen',
    'CR in a name',
    post(['Transfer\rEncoding: chunked', length(lastChunk + smuggled)], lastChunk + smuggled),
    syntax,
  ),
  refused(
    'Garden 37 (Passenger)',
    'a name that goes on in the next line',
    post(['Transfer-', 'Encoding: chunked', length(smuggled)], smuggled),
    syntax,
  ),
  refused(
    'CVE-2021-43797 (Netty)',
    'a control character before a name',
    post(['\x1fTransfer-Encoding: chunked', length(smuggled)], smuggled),
    syntax,
  ),
  refused(
    'Garden 20 and T6 (gunicorn, Traffic Server); http-request-smuggler nel',
    'NEL behind a name',
    post(['Content-Length\x85: 36'], smuggled),
    syntax,
  ),
  refused(
    'http-request-smuggler shy',
    'a soft hyphen in a name',
    post(['Transfer\xadEncoding: chunked', length(smuggled)], smuggled),
    syntax,
  ),
  refused(
    'http-request-smuggler backslash',
    'a backslash in a name',
    post(['Transfer\\Encoding: chunked', length(smuggled)], smuggled),
    syntax,
  ),
  accepted(
    'CVE-2021-40346 (HAProxy): the length of the name overflowed',
    'a name of 270 bytes that begins like the length',
    post([`Content-Length0${'a'.repeat(255)}:`, length(smuggled)], smuggled),
    `POST / ${smuggled}`,
  ),
  accepted(
    'Http11Probe NORM-UNDERSCORE-CL: another name',
    'an underscore for the hyphen',
    post(['Content_Length: 36', 'Transfer_Encoding: chunked'], smuggled),
    'POST / ',
    'GET /smuggled ',
  ),
  accepted(
    'Nathan Davison, «Abusing HTTP hop-by-hop request headers»; RFC 9110 §7.6.1',
    'Connection that lists the length',
    post(['Connection: Content-Length', length(smuggled)], smuggled),
    `POST / ${smuggled}`,
  ),
];

export const startLines: readonly Vector[] = [
  refused('CVE-2017-7656 (Jetty): HTTP/0.9', 'no version', `GET /\r\n${smuggled}`, syntax),
  refused('Garden 9 (aiohttp)', 'LF before the version', `GET /\nHTTP/1.1\r\nHost: a\r\n\r\n`, syntax),
  refused('Garden 15 (FastHTTP)', 'CR within the version', 'GET / HTTP/\r\r1.1\r\nHost: a\r\n\r\n', syntax),
  refused(
    'Klein, variant 3; Garden 5 (aiohttp): HTTP/1.2 and the like',
    'another minor version',
    post([length(smuggled)], smuggled).replace('/1.1', '/1.2'),
    'ERR_REQUEST_VERSION',
  ),
  refused(
    'Garden 24 (Libevent): the number overflowed',
    'a version of large numbers',
    'GET / HTTP/4294967295.255\r\nHost: a\r\n\r\n',
    'ERR_REQUEST_VERSION',
  ),
  refused(
    'T-Reqs: request lines with a second version',
    'two versions',
    `GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n`,
    syntax,
  ),
  refused(
    'RFC 9112 §3.2; CVE-2016-8743 (Apache httpd)',
    'a tab for a space',
    'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n',
    syntax,
  ),
  refused(
    'RFC 9112 §11.1',
    'a line end within the target',
    'GET /a HTTP/1.1\r\nX: y\r\n /b HTTP/1.1\r\nHost: a\r\n\r\n',
    syntax,
  ),
  refused(
    'Garden 6 (aiohttp)',
    'a method that is no token',
    'G=":<>(e),[T];?" / HTTP/1.1\r\nHost: a\r\n\r\n',
    syntax,
  ),
  refused('CVE-2026-50020 (Netty)', 'NUL before a request line', `\0${smuggled}`, syntax),
  refused(
    'RFC 9112 §3.2; Must die: hosts that two parsers see differently',
    'two hosts',
    'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    syntax,
  ),
  refused(
    'Must die: a host that is masked',
    'a host behind a space',
    'GET / HTTP/1.1\r\nHost : a\r\nHost: b\r\n\r\n',
    syntax,
  ),
];
