/** Messages one after the other, in pieces, paused, cut short, up to the limits. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RequestParser } from '../../src/http/parser.js';
import { bytes, defaultLimits } from './events.js';
import { requests, responses } from './script.js';

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const post = 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n';

describe('requests', () => {
  test('one without a body', () => {
    requests().arrives(get).tells('GET / HTTP/1.1 (none)', 'end').closes().tells();
  });

  test('a body of a length, told as it arrives', () => {
    requests()
      .arrives(post)
      .tells('POST /p HTTP/1.1 (length)')
      .arrives('he')
      .tells('data "he"')
      .arrives('llo')
      .tells('data "llo"', 'end');
  });

  test('head and body in one piece', () => {
    requests().arrives(`${post}hello`).tells('POST /p HTTP/1.1 (length)', 'data "hello"', 'end');
  });

  test('pipelining: what follows a body is the next head', () => {
    requests()
      .arrives(`${get}${post}hello${get}`)
      .tells(
        ...['GET / HTTP/1.1 (none)', 'end'],
        ...['POST /p HTTP/1.1 (length)', 'data "hello"', 'end'],
        ...['GET / HTTP/1.1 (none)', 'end'],
      );
  });

  test('a length that looks like a request is body', () => {
    const inner = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n';
    requests()
      .arrives(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${inner.length}\r\n\r\n${inner}${get}`)
      .tells(
        'POST / HTTP/1.1 (length)',
        `data ${JSON.stringify(inner)}`,
        'end',
        'GET / HTTP/1.1 (none)',
        'end',
      );
  });

  test('the beginning of a head is told, once', () => {
    requests()
      .arrives('G')
      .tells('begin')
      .arrives('ET / HTTP/1.1\r\nHost: a', '\r\n')
      .tells()
      .arrives('\r\n')
      .tells('GET / HTTP/1.1 (none)', 'end');
  });

  test('empty lines before a request line are passed over (RFC 9112 §2.2)', () => {
    requests()
      .arrives(`\r\n\r\n${get}\r\n${get}`)
      .tells(...['GET / HTTP/1.1 (none)', 'end'], ...['GET / HTTP/1.1 (none)', 'end']);
    requests()
      .arrives('\r', '\n\r', '\n')
      .tells()
      .arrives('GE', `T${get.slice(3)}`)
      .tells('begin', 'GET / HTTP/1.1 (none)', 'end');
  });

  test('nothing but empty lines is no message', () => {
    requests().arrives('\r\n\r\n').closes().tells();
    const script = requests().arrives('\r\n\r');
    assert.equal(script.parser.midMessage, false);
    script.closes().tells();
  });

  test('a bare LF before a request line is refused', () => {
    requests().arrives(`\n${get}`).tells('ERR_REQUEST_SYNTAX 400');
    requests().arrives(`\r${get}`).tells('ERR_REQUEST_SYNTAX 400');
  });

  test('a head cut at every byte', () => {
    for (let at = 1; at < post.length; at += 1) {
      requests()
        .arrives(post.slice(0, at), `${post.slice(at)}hello`)
        .tells('begin', 'POST /p HTTP/1.1 (length)', 'data "hello"', 'end');
    }
  });

  test('cut short by the client', () => {
    requests().arrives('GET /').closes().tells('begin', 'ERR_CLIENT_GONE -');
    requests()
      .arrives(`${post}hell`)
      .closes()
      .tells('POST /p HTTP/1.1 (length)', 'data "hell"', 'ERR_CLIENT_GONE -');
    requests().closes().tells();
  });

  test('a fault is told at once, without waiting for the end of the head', () => {
    requests().arrives('GET / HTTP/1.1\r\nHost: a\n').tells('begin', 'ERR_REQUEST_SYNTAX 400');
    requests().arrives('GET / HTTP/1.1\r', 'H').tells('begin', 'ERR_REQUEST_SYNTAX 400');
  });

  test('the first fault of a head is told, wherever it was split', () => {
    const text = 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\nX: a\nb\r\n\r\n';
    for (let at = 1; at < text.length; at += 1) {
      const script = requests().arrives(text.slice(0, at)).arrives(text.slice(at));
      script.tells('begin', 'ERR_REQUEST_FRAMING 400');
    }
  });

  test('nothing is told after a fault', () => {
    requests().arrives('GET\r\n\r\n').tells('ERR_REQUEST_SYNTAX 400').arrives(get).closes().tells();
  });

  test('a body is given as views of what was pushed, not copied', () => {
    const chunk = bytes(`${post}hello`);
    const pieces: Buffer[] = [];
    const parser = new RequestParser(
      { head: () => undefined, data: (piece) => pieces.push(piece), end: () => undefined },
      defaultLimits,
    );
    parser.push(chunk);
    assert.equal(pieces[0]?.buffer, chunk.buffer);
    assert.equal(pieces[0]?.byteOffset, chunk.byteOffset + post.length);
    assert.equal(parser.bodyBytes, 5);
  });

  test('midMessage', () => {
    const script = requests();
    const { parser } = script;
    const isMid = [parser.midMessage];
    for (const part of ['PO', post.slice(2), 'hell', 'o']) {
      script.arrives(part);
      isMid.push(parser.midMessage);
    }
    assert.deepEqual(isMid, [false, true, true, true, false]);
  });
});

describe('responses', () => {
  const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n';

  test('one after the other', () => {
    responses()
      .arrives(`${ok}ab${ok}cd`)
      .tells(
        ...['HTTP/1.1 200 OK (length)', 'data "ab"', 'end'],
        ...['HTTP/1.1 200 OK (length)', 'data "cd"', 'end'],
      );
  });

  test('until the close', () => {
    responses()
      .arrives('HTTP/1.1 200 OK\r\n\r\n', 'ab', 'c')
      .tells('HTTP/1.1 200 OK (close)', 'data "ab"', 'data "c"')
      .closes()
      .tells('end');
  });

  test('until the close, empty', () => {
    responses().arrives('HTTP/1.0 200 OK\r\n\r\n').closes().tells('HTTP/1.0 200 OK (close)', 'end');
  });

  test('interim responses come before the final one (RFC 9110 §15.2)', () => {
    const script = responses('POST')
      .arrives('HTTP/1.1 100 Continue\r\n\r\n')
      .tells('HTTP/1.1 100 Continue (none)')
      .arrives('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n')
      .tells('HTTP/1.1 103 Early Hints (none)')
      .arrives(`${ok}ab`)
      .tells('HTTP/1.1 200 OK (length)', 'data "ab"', 'end');
    assert.equal(script.parser.midMessage, false);
  });

  test('to HEAD, then to GET', () => {
    const script = responses('HEAD').reacts((line, parser) => {
      if (line === 'end' && 'requestMethod' in parser) parser.requestMethod = 'GET';
    });
    script
      .arrives(`${ok}${ok}ab`)
      .tells('HTTP/1.1 200 OK (none)', 'end', 'HTTP/1.1 200 OK (length)', 'data "ab"', 'end');
  });

  test('an interim response to HEAD does not use up the method', () => {
    responses('HEAD')
      .arrives(`HTTP/1.1 103 Early Hints\r\n\r\n${ok}`)
      .tells('HTTP/1.1 103 Early Hints (none)', 'HTTP/1.1 200 OK (none)', 'end');
  });

  test('204 and 304 have no body, whatever they say', () => {
    responses()
      .arrives('HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nHTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n')
      .tells('HTTP/1.1 204 No (none)', 'end', 'HTTP/1.1 304 Not (none)', 'end');
  });

  test('101 is final, and what follows is not HTTP', () => {
    const script = responses().reacts((line, parser) => {
      if (line.includes('101')) parser.stop();
    });
    script
      .arrives('HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n\0raw')
      .tells('HTTP/1.1 101 Switching (none)')
      .closes()
      .tells();
    assert.equal(script.parser.takeRest().toString(), '\0raw');
  });

  test('cut short by the origin', () => {
    responses().arrives('HTTP/1.1 2').closes().tells('begin', 'ERR_UPSTREAM_RESET 502');
    responses()
      .arrives(`${ok}a`)
      .closes()
      .tells('HTTP/1.1 200 OK (length)', 'data "a"', 'ERR_RESPONSE_TRUNCATED 502');
    responses()
      .arrives('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
      .closes()
      .tells('HTTP/1.1 200 OK (chunked)', 'data "a"', 'ERR_RESPONSE_TRUNCATED 502');
  });

  test('what cannot become a status line is refused at its first bytes', () => {
    responses().arrives('SSH-2.0-x').tells('begin', 'ERR_RESPONSE_SYNTAX 502');
    responses().arrives('H', 'TTQ').tells('begin', 'ERR_RESPONSE_SYNTAX 502');
    responses().arrives('HTTP/2').tells('begin', 'ERR_RESPONSE_SYNTAX 502');
    responses().arrives('\0').tells('begin', 'ERR_RESPONSE_SYNTAX 502');
  });
});

describe('pause, resume, stop', () => {
  test('nothing is told while paused, everything after', () => {
    const script = requests().reacts((line, parser) => {
      if (!line.startsWith('data')) parser.pause();
    });
    script
      .arrives(`${post}hello${get}`)
      .tells('POST /p HTTP/1.1 (length)')
      .arrives(get)
      .tells()
      .resumes()
      .tells('data "hello"', 'end')
      .resumes()
      .tells('GET / HTTP/1.1 (none)')
      .resumes()
      .tells('end')
      .resumes()
      .tells('GET / HTTP/1.1 (none)')
      .resumes()
      .tells('end')
      .resumes()
      .closes()
      .tells();
  });

  test('an end without further bytes is told after a pause', () => {
    const script = requests().reacts((line, parser) => {
      if (line.startsWith('GET')) parser.pause();
    });
    script.arrives(get).tells('GET / HTTP/1.1 (none)').resumes().tells('end');
  });

  test('paused and resumed within one event', () => {
    requests()
      .reacts((_, parser) => {
        parser.pause();
        parser.resume();
      })
      .arrives(`${post}hello`)
      .tells('POST /p HTTP/1.1 (length)', 'data "hello"', 'end');
  });

  test('bytes pushed within an event come after those of the chunk', () => {
    let pushed = false;
    requests()
      .reacts((_, parser) => {
        if (!pushed) parser.push(bytes(get));
        pushed = true;
      })
      .arrives(`${post}hello`)
      .tells('POST /p HTTP/1.1 (length)', 'data "hello"', 'end', 'GET / HTTP/1.1 (none)', 'end');
  });

  test('a pause at the beginning of a head holds back the head', () => {
    const script = requests().reacts((line, parser) => {
      if (line === 'begin') parser.pause();
    });
    script.arrives('GE', get.slice(2)).tells('begin').resumes().tells('GET / HTTP/1.1 (none)', 'end');
  });

  test('waiting says whether bytes wait', () => {
    const script = requests().reacts((line, parser) => {
      if (line === 'end') parser.pause();
    });
    assert.equal(script.arrives(get).parser.waiting, false);
    assert.equal(script.arrives(get).parser.waiting, true);
    script.resumes();
    assert.equal(script.parser.waiting, false);
  });

  test('after stop the rest is kept in order, whatever arrives later', () => {
    const script = requests().reacts((line, parser) => {
      if (line.startsWith('CONNECT')) parser.stop();
    });
    script
      .arrives('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\none ', 'two ', 'three')
      .tells('CONNECT a:1 HTTP/1.1 (none)')
      .closes()
      .tells();
    assert.equal(script.parser.takeRest().toString(), 'one two three');
    assert.equal(script.parser.takeRest().length, 0);
  });

  test('stop while paused', () => {
    const script = requests().reacts((_, parser) => parser.pause());
    script.arrives(`${post}hello`, 'x').tells('POST /p HTTP/1.1 (length)');
    script.parser.stop();
    script.resumes().tells();
    assert.equal(script.parser.takeRest().toString(), 'hellox');
  });

  test('what a handler throws comes out of push, and the parser is dead', () => {
    const fault = new Error('of the handler');
    const script = requests().reacts((line) => {
      if (line.startsWith('POST')) throw fault;
    });
    assert.throws(
      () => script.parser.push(bytes(`${post}hello`)),
      (error) => error === fault,
    );
    script.tells('POST /p HTTP/1.1 (length)').arrives(get).closes().tells();
  });
});

describe('limits', () => {
  /** A head of that many bytes before the empty line, in `lines` fields besides Host. */
  const headOf = (size: number, start: string): string => {
    const text = `${start}\r\nX: `;
    return `${text}${'x'.repeat(size - text.length)}\r\n\r\n`;
  };
  const everySplit = (text: string, expected: string): void => {
    const from = Math.max(1, text.length - 12);
    for (let at = from; at <= text.length; at += 1) {
      const script = text.startsWith('HTTP') ? responses('GET', limits) : requests(limits);
      let last = '';
      script.reacts((line) => {
        if (line !== 'begin' && line !== 'end') last = line;
      });
      script.arrives(text.slice(0, at)).arrives(text.slice(at));
      assert.equal(last, expected, `split at ${at} of ${text.length}`);
    }
  };
  const limits = { head: 200, uri: 100, fields: 10 };
  const start = 'GET / HTTP/1.1\r\nHost: a';
  const status = 'HTTP/1.1 204 No';

  test('a head of the limit is accepted, one byte more is 431', () => {
    everySplit(headOf(200, start), 'GET / HTTP/1.1 (none)');
    everySplit(headOf(201, start), 'ERR_REQUEST_HEAD_TOO_LARGE 431');
  });

  test('of a response likewise, 502', () => {
    everySplit(headOf(200, status), 'HTTP/1.1 204 No (none)');
    everySplit(headOf(201, status), 'ERR_RESPONSE_HEAD_TOO_LARGE 502');
  });

  test('a head that does not end is refused at the limit, however it arrives', () => {
    requests(limits)
      .arrives(`${start}\r\nX: `, 'x'.repeat(1000))
      .tells('begin', 'ERR_REQUEST_HEAD_TOO_LARGE 431');
    const drops = Array.from({ length: 250 }, () => 'x');
    requests(limits)
      .arrives(...drops)
      .tells('begin', 'ERR_REQUEST_HEAD_TOO_LARGE 431');
    const rest = Array.from({ length: 250 }, () => ' ');
    responses('GET', limits)
      .arrives('HTTP/1.1 200 ', ...rest)
      .tells('begin', 'ERR_RESPONSE_HEAD_TOO_LARGE 502');
  });

  test('each head of a connection has the whole limit', () => {
    const head = headOf(200, start);
    requests(limits)
      .arrives(head + head)
      .tells('GET / HTTP/1.1 (none)', 'end', 'GET / HTTP/1.1 (none)', 'end');
  });

  test('a target of the limit is accepted, one byte more is 414', () => {
    const target = (size: number): string => `/${'t'.repeat(size - 1)}`;
    const line = (size: number): string => `GET ${target(size)} HTTP/1.1\r\nHost: a\r\n\r\n`;
    for (let at = 1; at <= line(100).length; at += 1) {
      requests(limits)
        .arrives(line(100).slice(0, at), line(100).slice(at))
        .tells(...(at === line(100).length ? [] : ['begin']), `GET ${target(100)} HTTP/1.1 (none)`, 'end');
    }
    everySplit(line(101), 'ERR_URI_TOO_LONG 414');
  });

  test('a target that is longer than the whole head may be is 414 all the same', () => {
    requests(limits)
      .arrives(`GET /${'t'.repeat(1000)}`)
      .tells('begin', 'ERR_URI_TOO_LONG 414');
    requests(limits)
      .arrives('GE', 'T', ` /${'t'.repeat(500)}`)
      .tells('begin', 'ERR_URI_TOO_LONG 414');
  });

  test('a long method is a head that is too large', () => {
    requests(limits).arrives('G'.repeat(1000)).tells('begin', 'ERR_REQUEST_HEAD_TOO_LARGE 431');
  });

  test('as many fields as the limit are accepted, one more is 431', () => {
    const fields = (count: number): string => 'X: y\r\n'.repeat(count);
    everySplit(`${start}\r\n${fields(9)}\r\n`, 'GET / HTTP/1.1 (none)');
    everySplit(`${start}\r\n${fields(10)}\r\n`, 'ERR_REQUEST_HEAD_TOO_LARGE 431');
    everySplit(`${status}\r\n${fields(10)}\r\n`, 'HTTP/1.1 204 No (none)');
    everySplit(`${status}\r\n${fields(11)}\r\n`, 'ERR_RESPONSE_HEAD_TOO_LARGE 502');
  });

  test('the defaults: 64 KiB of head, 16 KiB of target, 200 fields', () => {
    const { head, uri } = defaultLimits;
    requests().arrives(headOf(head, start)).tells('GET / HTTP/1.1 (none)', 'end');
    requests()
      .arrives(headOf(head + 1, start))
      .tells('begin', 'ERR_REQUEST_HEAD_TOO_LARGE 431');
    const target = '/'.repeat(uri);
    requests().arrives(`GET ${target} HTTP/1.0\r\n\r\n`).tells(`GET ${target} HTTP/1.0 (none)`, 'end');
    requests().arrives(`GET ${target}/ HTTP/1.0\r\n\r\n`).tells('ERR_URI_TOO_LONG 414');
  });
});
