/** Start lines and fields: what is kept, what is noted, what is refused (RFC 9110 §5, RFC 9112 §2–6). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type FieldSection, parseRequestHead } from '../../src/http/head.js';
import { requests, responses } from './script.js';

const CRLF = '\r\n';

/** A request with these field lines. */
const request = (...lines: readonly string[]): string =>
  ['GET / HTTP/1.1', 'Host: a', ...lines, '', ''].join(CRLF);

/** A response with these field lines. */
const response = (...lines: readonly string[]): string => ['HTTP/1.1 200 OK', ...lines, '', ''].join(CRLF);

const syntax = 'ERR_REQUEST_SYNTAX 400';
const framing = 'ERR_REQUEST_FRAMING 400';

/** What a request is told as. */
function tells(name: string, text: string, ...lines: readonly string[]): void {
  test(name, () => {
    requests()
      .arrives(text)
      .tells(...lines);
  });
}

describe('request lines (RFC 9112 §3)', () => {
  const host = `${CRLF}Host: a${CRLF}${CRLF}`;
  const accepted = (name: string, line: string): void => tells(name, line + host, `${line} (none)`, 'end');
  const refused = (name: string, line: string, as = syntax): void => tells(name, line + host, as);

  accepted('origin-form', 'GET /a/b?c=d HTTP/1.1');
  accepted('absolute-form', 'GET http://a:8080/b HTTP/1.1');
  accepted('authority-form', 'CONNECT a:443 HTTP/1.1');
  accepted('asterisk-form', 'OPTIONS * HTTP/1.1');
  accepted('HTTP/1.0', 'GET / HTTP/1.0');
  accepted('any token is a method, its case kept', "m-S!#$%&'*+.^_`|~09 / HTTP/1.1");
  accepted('bytes above 0x7F in a target', 'GET /\xc3\xa4\xff HTTP/1.1');

  refused('no target', 'GET HTTP/1.1');
  refused('an empty target', 'GET  HTTP/1.1');
  refused('two spaces after the method', 'GET  / HTTP/1.1');
  refused('two spaces after the target', 'GET /  HTTP/1.1');
  refused('a space in the target', 'GET /a b HTTP/1.1');
  refused('a tab after the method', 'GET\t/ HTTP/1.1');
  refused('a tab after the target', 'GET /\tHTTP/1.1');
  refused('a control character in the target', 'GET /\x01 HTTP/1.1');
  refused('NUL in the target', 'GET /\0 HTTP/1.1');
  refused('DEL in the target', 'GET /\x7f HTTP/1.1');
  refused('a space before the method', ' GET / HTTP/1.1');
  refused('a method that is no token', 'G(T / HTTP/1.1');
  refused('a method with a byte above 0x7F', 'G\xc4T / HTTP/1.1');
  refused('a space at the end', 'GET / HTTP/1.1 ');
  refused('HTTP/0.9', 'GET /');
  refused('a name in lower case', 'GET / http/1.1');
  refused('another protocol', 'GET / ICY/1.1');
  refused('a version without its minor number', 'GET / HTTP/1');
  refused('a bare CR', 'GET /\rHTTP/1.1');
  refused('a bare LF', 'GET /\nHTTP/1.1');
  refused('HTTP/2.0', 'GET / HTTP/2.0', 'ERR_REQUEST_VERSION 505');
  refused('HTTP/1.2', 'GET / HTTP/1.2', 'ERR_REQUEST_VERSION 505');
  refused('HTTP/01.1', 'GET / HTTP/01.1', 'ERR_REQUEST_VERSION 505');
  refused('HTTP/1.10', 'GET / HTTP/1.10', 'ERR_REQUEST_VERSION 505');
  refused('the preface of HTTP/2', 'PRI * HTTP/2.0', 'ERR_REQUEST_VERSION 505');
  tells('a line that ends in a bare LF', 'GET / HTTP/1.1\nHost: a\n\n', 'begin', syntax);
});

describe('status lines (RFC 9112 §4)', () => {
  const accepted = (name: string, line: string, told = line): void => {
    test(name, () => {
      responses().arrives(`${line}${CRLF}Content-Length: 0${CRLF}${CRLF}`).tells(`${told} (none)`, 'end');
    });
  };
  const refused = (name: string, line: string): void => {
    test(name, () => {
      responses().arrives(`${line}${CRLF}${CRLF}`).tells('ERR_RESPONSE_SYNTAX 502');
    });
  };

  accepted('HTTP/1.1', 'HTTP/1.1 200 OK');
  accepted('HTTP/1.0', 'HTTP/1.0 200 OK');
  accepted('an empty reason', 'HTTP/1.1 200 ');
  accepted('no reason and no space before it', 'HTTP/1.1 200', 'HTTP/1.1 200 ');
  accepted('a reason with spaces, a tab and bytes above 0x7F', 'HTTP/1.1 404 Nicht\tda: \xfc');
  accepted('a status that nobody knows', 'HTTP/1.1 799 Odd');

  refused('HTTP/2', 'HTTP/2 200 OK');
  refused('HTTP/1.2', 'HTTP/1.2 200 OK');
  refused('a name in lower case', 'http/1.1 200 OK');
  refused('another protocol', 'ICY 200 OK');
  refused('two spaces before the status', 'HTTP/1.1  200 OK');
  refused('a tab before the status', 'HTTP/1.1\t200 OK');
  refused('a status of two digits', 'HTTP/1.1 20 OK');
  refused('a status of four digits', 'HTTP/1.1 2000 OK');
  refused('a status under 100', 'HTTP/1.1 099 OK');
  refused('a signed status', 'HTTP/1.1 +20 OK');
  refused('a status with a letter', 'HTTP/1.1 2O0 OK');
  refused('NUL in the reason', 'HTTP/1.1 200 O\0K');
  refused('a bare CR in the reason', 'HTTP/1.1 200 O\rK');
  refused('a bare LF in the reason', 'HTTP/1.1 200 O\nK');
  refused('an empty line before it', `${CRLF}HTTP/1.1 200 OK`);
});

describe('field lines are kept as they are (RFC 9110 §5)', () => {
  const fieldsOf = (...lines: readonly string[]): readonly string[] =>
    requests()
      .arrives(request(...lines))
      .theHead()
      .headers.raw.slice(2);

  test('order, duplicates and the case of names', () => {
    assert.deepEqual(fieldsOf('x-B: 1', 'X-A: 2', 'X-b: 3', 'X-A: 2'), [
      ...['x-B', '1', 'X-A', '2'],
      ...['X-b', '3', 'X-A', '2'],
    ]);
  });
  test('spaces and tabs around a value are not part of it, those within are', () => {
    assert.deepEqual(fieldsOf('A:1', 'B: \t 2 \t3\t ', 'C:', 'D: \t '), [
      ...['A', '1', 'B', '2 \t3'],
      ...['C', '', 'D', ''],
    ]);
  });
  test('every byte that a value may have, as one character each', () => {
    const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
    const value = all.slice(0x21, 0x7f) + all.slice(0x80);
    assert.deepEqual(fieldsOf(`X: ${value}`), ['X', value]);
  });
  test('NBSP at the end of a value is part of it', () => {
    assert.deepEqual(fieldsOf('X: a\xa0'), ['X', 'a\xa0']);
  });
  test('names of every token character', () => {
    assert.deepEqual(fieldsOf("!#$%&'*+-.^_`|~09AZaz: x"), ["!#$%&'*+-.^_`|~09AZaz", 'x']);
  });
  test('a colon in a value', () => {
    assert.deepEqual(fieldsOf('X: a:b:', 'Y::'), ['X', 'a:b:', 'Y', ':']);
  });
  test('names that an object has anyway', () => {
    assert.deepEqual(fieldsOf('__proto__: a', 'constructor: b'), ['__proto__', 'a', 'constructor', 'b']);
  });
  test('the list is made once, and only when it is asked for', () => {
    const head = requests().arrives(request('A: 1')).theHead();
    assert.equal(head.headers, head.headers);
  });
});

describe('field lines that two parsers could read in two ways are refused', () => {
  const refused = (name: string, ...lines: readonly string[]): void => {
    tells(`${name}, in a request`, request(...lines), syntax);
    test(`${name}, in a response`, () => {
      responses()
        .arrives(response(...lines))
        .tells('ERR_RESPONSE_SYNTAX 502');
    });
  };
  refused('a space before the colon (RFC 9112 §5.1)', 'X : a');
  refused('a tab before the colon', 'X\t: a');
  refused('obs-fold with a space (RFC 9112 §5.2)', 'X: a', ' b');
  refused('obs-fold with a tab', 'X: a', '\tb');
  refused('a fold of nothing', 'X: a', ' ');
  refused('a line without a colon', 'X');
  refused('an empty name', ': a');
  refused('a name with a space', 'X Y: a');
  refused('a name with a parenthesis', 'X(: a');
  refused('a name with a byte above 0x7F', 'X\xe9: a');
  refused('a name with NBSP', 'X\xa0: a');
  refused('a name with NUL', 'X\0: a');
  refused('a bare CR in a value (RFC 9112 §2.2)', 'X: a\rb');
  refused('a bare LF in a value', 'X: a\nb');
  refused('a bare LF at the end of a line', 'X: a\nY: b');
  refused('a bare CR in a name', 'X\rY: a');
  refused('CR CR LF', 'X: a\r');
  for (const code of [...Array(0x20).keys(), 0x7f]) {
    if (code === 0x09 || code === 0x0a || code === 0x0d) continue;
    refused(`the control character ${code} in a value (RFC 9110 §5.5)`, `X: a${String.fromCharCode(code)}`);
  }
  tells(
    'a space before the first line (RFC 9112 §2.2)',
    `GET / HTTP/1.1${CRLF} Host: a${CRLF}${CRLF}`,
    syntax,
  );
});

describe('Host (RFC 9112 §3.2)', () => {
  const refused = (name: string, ...lines: readonly string[]): void =>
    tells(name, ['GET / HTTP/1.1', ...lines, '', ''].join(CRLF), syntax);
  const accepted = (name: string, ...lines: readonly string[]): void =>
    tells(name, ['GET / HTTP/1.1', ...lines, '', ''].join(CRLF), 'GET / HTTP/1.1 (none)', 'end');

  accepted('a name', 'Host: a.example');
  accepted('a name and a port', 'hOST:a.example:8080');
  accepted('an IPv6 address', 'Host: [::1]:80');
  accepted('an empty value', 'Host:');
  refused('none in HTTP/1.1');
  refused('two', 'Host: a', 'Host: b');
  refused('two that are equal', 'Host: a', 'Host: a');
  refused('user information', 'Host: a@b');
  refused('a path', 'Host: a/b');
  refused('a query', 'Host: a?b');
  refused('a backslash', 'Host: a\\b');
  refused('a space', 'Host: a b');
  refused('a byte above 0x7F', 'Host: \xe4');
  tells('none in HTTP/1.0', `GET / HTTP/1.0${CRLF}${CRLF}`, 'GET / HTTP/1.0 (none)', 'end');
  tells(
    'two in HTTP/1.0',
    ['GET / HTTP/1.0', 'Host: a', 'Host: b', '', ''].join(CRLF),
    'ERR_REQUEST_SYNTAX 400',
  );
});

describe('the length of a request body (RFC 9112 §6.3)', () => {
  const accepted = (name: string, length: string, told: string): void => {
    test(name, () => {
      requests()
        .arrives(request(length))
        .tells(`GET / HTTP/1.1 (${told})`, ...(told === 'none' ? ['end'] : []));
    });
  };
  const refused = (name: string, ...lines: readonly string[]): void =>
    tells(name, request(...lines), framing);

  accepted('none without a length field', 'X: y', 'none');
  accepted('Content-Length: 0', 'Content-Length: 0', 'none');
  accepted('Content-Length', 'content-LENGTH:5', 'length');
  accepted('leading zeros, which can be read in one way only', 'Content-Length: 0005', 'length');
  accepted('the largest length', 'Content-Length: 9007199254740991', 'length');
  accepted('chunked', 'Transfer-Encoding: chunked', 'chunked');
  accepted('chunked in another case, with spaces', 'transfer-ENCODING:  ChunkeD ', 'chunked');

  refused('a length one above the largest', 'Content-Length: 9007199254740992');
  refused('a length of twenty digits', 'Content-Length: 18446744073709551617');
  refused('an empty length', 'Content-Length:');
  refused('a negative length', 'Content-Length: -1');
  refused('a length with a plus', 'Content-Length: +1');
  refused('a hexadecimal length', 'Content-Length: 0x1');
  refused('a length with a fraction', 'Content-Length: 1.0');
  refused('a length with an exponent', 'Content-Length: 1e1');
  refused('a length with an underscore', 'Content-Length: 1_0');
  refused('a length with a space inside', 'Content-Length: 1 1');
  refused('a length with words behind', 'Content-Length: 1 bytes');
  refused('a length with NBSP behind', 'Content-Length: 5\xa0');
  refused('a length with NBSP before', 'Content-Length: \xa05');
  refused('a length in other digits', 'Content-Length: \xb2');
  refused('a length with a tab before', 'Content-Length:\t5');
  refused('a length with a tab behind', 'Content-Length: 5\t');
  refused('a list of equal lengths', 'Content-Length: 5, 5');
  refused('a list of different lengths', 'Content-Length: 5, 6');
  refused('a list with an empty element', 'Content-Length: 5,');
  refused('two lines with equal lengths', 'Content-Length: 5', 'Content-Length: 5');
  refused('two lines with different lengths', 'Content-Length: 5', 'content-length: 6');
  refused('two lines, the first of them 0', 'Content-Length: 0', 'Content-Length: 5');
  refused('length and chunked', 'Content-Length: 5', 'Transfer-Encoding: chunked');
  refused('chunked and length', 'Transfer-Encoding: chunked', 'Content-Length: 5');
  refused('length 0 and chunked', 'Content-Length: 0', 'Transfer-Encoding: chunked');
  refused('chunked twice in a list', 'Transfer-Encoding: chunked, chunked');
  refused('chunked twice in lines', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked');
  refused('another coding', 'Transfer-Encoding: gzip');
  refused('another coding before chunked', 'Transfer-Encoding: gzip, chunked');
  refused('another coding before chunked in lines', 'Transfer-Encoding: gzip', 'Transfer-Encoding: chunked');
  refused('another coding after chunked', 'Transfer-Encoding: chunked, gzip');
  refused('identity', 'Transfer-Encoding: identity');
  refused('an empty coding', 'Transfer-Encoding:');
  refused('an empty element before chunked', 'Transfer-Encoding: ,chunked');
  refused('an empty element after chunked', 'Transfer-Encoding: chunked,');
  refused('a parameter', 'Transfer-Encoding: chunked;q=1');
  refused('a quoted coding', 'Transfer-Encoding: "chunked"');
  refused('a tab before chunked', 'Transfer-Encoding:\tchunked');
  refused('a tab behind chunked', 'Transfer-Encoding: chunked\t');
  refused('NBSP beside chunked', 'Transfer-Encoding: chunked\xa0');
  refused('another word that begins so', 'Transfer-Encoding: chunkedx');
  test('chunked in HTTP/1.0 (§6.1)', () => {
    requests()
      .arrives(`POST / HTTP/1.0${CRLF}Transfer-Encoding: chunked${CRLF}${CRLF}`)
      .tells('ERR_REQUEST_FRAMING 400');
  });
});

describe('the length of a response body (RFC 9112 §6.3)', () => {
  const framed = (name: string, text: string, told: string, method = 'GET'): void => {
    test(name, () => {
      const script = responses(method).arrives(text);
      assert.equal(script.head?.framing, told);
    });
  };
  const refused = (name: string, ...lines: readonly string[]): void => {
    test(name, () => {
      responses()
        .arrives(response(...lines))
        .tells('ERR_RESPONSE_FRAMING 502');
    });
  };
  const status = (code: number, ...lines: readonly string[]): string =>
    [`HTTP/1.1 ${code} X`, ...lines, '', ''].join(CRLF);

  framed('until the close without a length field', response(), 'close');
  framed('Content-Length', response('Content-Length: 5'), 'length');
  framed('Content-Length: 0', response('Content-Length: 0'), 'none');
  framed('chunked', response('Transfer-Encoding: chunked'), 'chunked');
  framed('none to HEAD, whatever the length says', response('Content-Length: 5'), 'none', 'HEAD');
  framed('none to HEAD, though chunked', response('Transfer-Encoding: chunked'), 'none', 'HEAD');
  framed('none of 204', status(204, 'Content-Length: 5'), 'none');
  framed('none of 304', status(304, 'Content-Length: 5'), 'none');
  framed('none of 304, though chunked', status(304, 'Transfer-Encoding: chunked'), 'none');
  framed('none of 101', status(101, 'Content-Length: 5'), 'none');
  framed('205 as it says', status(205, 'Content-Length: 5'), 'length');
  framed('none of 2xx to CONNECT (rule 2)', response('Content-Length: 5'), 'none', 'CONNECT');
  framed('4xx to CONNECT as it says', status(407, 'Content-Length: 5'), 'length', 'CONNECT');
  framed('a list of equal lengths (rule 5)', response('Content-Length: 5, 5 ,  5'), 'length');
  framed('lines with equal lengths', response('Content-Length: 5', 'Content-Length: 05'), 'length');

  refused('a list of different lengths', 'Content-Length: 5, 6');
  refused('lines with different lengths', 'Content-Length: 5', 'Content-Length: 6');
  refused('a list with an empty element', 'Content-Length: 5,');
  refused('a negative length', 'Content-Length: -1');
  refused('a length with NBSP', 'Content-Length: 5\xa0');
  refused('a tab behind chunked, which llhttp reads until the close', 'Transfer-Encoding: chunked\t');
  refused('length and chunked', 'Content-Length: 5', 'Transfer-Encoding: chunked');
  refused('another coding', 'Transfer-Encoding: gzip');
  refused('another coding before chunked', 'Transfer-Encoding: gzip, chunked');
  refused('chunked twice', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked');
  test('both length fields are refused even where there is no body', () => {
    responses('HEAD')
      .arrives(response('Content-Length: 5', 'Transfer-Encoding: chunked'))
      .tells('ERR_RESPONSE_FRAMING 502');
  });
  test('chunked in HTTP/1.0', () => {
    responses()
      .arrives(`HTTP/1.0 200 OK${CRLF}Transfer-Encoding: chunked${CRLF}${CRLF}`)
      .tells('ERR_RESPONSE_FRAMING 502');
  });
});

describe('what else is noted of a head', () => {
  const sectionOf = (...lines: readonly string[]): FieldSection =>
    requests()
      .arrives(request(...lines))
      .theHead().section;
  /** The lines that marks point at. */
  const lines = ({ text }: FieldSection, marks: readonly number[] | undefined): readonly string[] => {
    const found: string[] = [];
    for (let at = 0; marks && at < marks.length; at += 2) found.push(text.slice(marks[at], marks[at + 1]));
    return found.map((line) => {
      assert.ok(line.endsWith(CRLF));
      return line.slice(0, -2);
    });
  };
  const hopByHop = (...given: readonly string[]): readonly string[] => {
    const section = sectionOf(...given);
    return lines(section, section.hopByHop);
  };

  test('hop-by-hop lines, in order (RFC 9110 §7.6.1)', () => {
    const cut = [
      ...['Connection: close', 'Keep-Alive: timeout=5', 'TE: trailers', 'Upgrade: h2c'],
      ...[
        'HTTP2-Settings: AA',
        'Proxy-Connection: x',
        'Proxy-Authorization: Basic eA==',
        'proxy-authenticate: y',
      ],
    ];
    assert.deepEqual(hopByHop(...cut.flatMap((line, at) => [line, `X-${at}: kept`])), cut);
  });
  test('no marks where there is nothing to cut', () => {
    assert.equal(sectionOf('Trailer: X', 'Via: x').hopByHop, undefined);
  });
  test('lines that Connection lists, before and after it, each once', () => {
    assert.deepEqual(
      hopByHop('X-A: 1', 'Connection: x-a , TE,\tX-b,,', 'x-B: 2', 'TE: x', 'X-A: 3', 'X-C: 4'),
      [...['X-A: 1', 'Connection: x-a , TE,\tX-b,,', 'x-B: 2', 'TE: x', 'X-A: 3']],
    );
  });
  test('fields that are for every recipient stay, though Connection lists them', () => {
    const listed = 'Host, Content-Length, Content-Type, Authorization, Cookie, Via, Expect, Max-Forwards';
    assert.deepEqual(hopByHop(`Connection: ${listed}`, 'Content-Length: 1', 'Cookie: a', 'Via: b'), [
      `Connection: ${listed}`,
    ]);
  });
  test('Transfer-Encoding stays, though Connection lists it', () => {
    const script = requests().arrives(request('Connection: transfer-encoding', 'Transfer-Encoding: chunked'));
    const { section, framing } = script.theHead();
    assert.equal(framing, 'chunked');
    assert.deepEqual(lines(section, section.hopByHop), ['Connection: transfer-encoding']);
    assert.deepEqual(lines(section, section.framingLines), ['Transfer-Encoding: chunked']);
  });
  test('what Proxy-Connection lists is not removed', () => {
    assert.deepEqual(hopByHop('Proxy-Connection: X-A', 'X-A: 1'), ['Proxy-Connection: X-A']);
  });
  test('framing lines', () => {
    const { section } = responses()
      .arrives(response('A: 1', 'Content-Length: 5', 'B: 2', 'CONTENT-length: 5'))
      .theHead();
    assert.deepEqual(lines(section, section.framingLines), ['Content-Length: 5', 'CONTENT-length: 5']);
  });
  test('connection options, and whether the connection persists (RFC 9112 §9.3)', () => {
    const persists = (version: string, ...given: readonly string[]): boolean =>
      requests()
        .arrives([`GET / HTTP/${version}`, 'Host: a', ...given, '', ''].join(CRLF))
        .theHead().persistent;
    assert.equal(persists('1.1'), true);
    assert.equal(persists('1.1', 'Connection: x, CLOSE'), false);
    assert.equal(persists('1.1', 'Connection: keep-alive', 'Connection: close'), false);
    assert.equal(persists('1.1', 'Proxy-Connection: close'), false);
    assert.equal(persists('1.1', 'Connection: close\xa0'), true);
    assert.equal(persists('1.0'), false);
    assert.equal(persists('1.0', 'Connection: Keep-Alive'), true);
    assert.equal(persists('1.0', 'Proxy-Connection: Keep-Alive'), true);
    assert.equal(persists('1.0', 'Connection: keep-alive, close'), false);
  });
  test('a response that lasts until the close does not persist', () => {
    assert.equal(responses().arrives(response()).theHead().persistent, false);
    assert.equal(responses().arrives(response('Content-Length: 0')).theHead().persistent, true);
  });
  test('Upgrade, only with its connection option', () => {
    const asked = sectionOf('Connection: Upgrade', 'Upgrade: websocket');
    assert.deepEqual([asked.upgradeOption, asked.upgrade], [true, 'websocket']);
    assert.equal(sectionOf('Upgrade: websocket').upgradeOption, false);
    assert.equal(sectionOf('Proxy-Connection: upgrade', 'Upgrade: websocket').upgradeOption, false);
  });
  test('Expect: 100-continue', () => {
    assert.equal(sectionOf('Expect: 100-Continue').expectContinue, true);
    assert.equal(sectionOf('Expect: 200-ok').expectContinue, false);
  });
  test('Max-Forwards, where it is a number', () => {
    assert.equal(sectionOf('Max-Forwards: 0').maxForwards, 0);
    assert.equal(sectionOf('max-forwards: 10').maxForwards, 10);
    assert.equal(sectionOf('Max-Forwards: -1').maxForwards, undefined);
    assert.equal(sectionOf('Max-Forwards: 1\xa0').maxForwards, undefined);
  });
  test('Via, its lines joined', () => {
    assert.equal(sectionOf('Via: 1.1 a', 'X: y', 'VIA: 1.0 b').via, '1.1 a, 1.0 b');
  });
  test('authentication that belongs to the connection', () => {
    assert.equal(sectionOf('Authorization: NTLM TlRM').connectionAuthentication, true);
    assert.equal(sectionOf('Authorization: negotiate YII').connectionAuthentication, true);
    assert.equal(sectionOf('Authorization: Bearer NTLM').connectionAuthentication, false);
    assert.equal(sectionOf('WWW-Authenticate: Basic realm="a", Negotiate').connectionAuthentication, true);
  });
});

test('the error of a broken line has its name and never its value', () => {
  for (const line of [
    'Authorization : Bearer topsecret',
    'Authorization Bearer topsecret',
    'Cookie;a=topsecret',
  ]) {
    const text = `GET / HTTP/1.1\r\nHost: a\r\n${line}\r\n`;
    assert.throws(
      () => parseRequestHead(text, { uri: 100, fields: 10 }),
      (error: Error) => /Authorization|Cookie/.test(error.message) && !error.message.includes('topsecret'),
    );
  }
});
