/** The chunked coding (RFC 9112 §7.1): sizes, extensions, trailers, and the wire that is sent on. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bytes, everyByte } from './events.js';
import { requests, responses } from './script.js';

const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
const told = 'POST / HTTP/1.1 (chunked)';
const fault = 'ERR_REQUEST_BODY_SYNTAX 400';

/** What a chunked request body is told as. */
function body(name: string, text: string, ...lines: readonly string[]): void {
  test(name, () => {
    requests()
      .arrives(head, text)
      .tells(told, ...lines);
  });
}

describe('chunks', () => {
  body('one', '5\r\nhello\r\n0\r\n\r\n', 'data "hello"', 'end');
  body('none', '0\r\n\r\n', 'end');
  body('many', '1\r\na\r\n2\r\nbc\r\n0\r\n\r\n', 'data "a"', 'data "bc"', 'end');
  body(
    'sizes in both cases',
    'a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n',
    'data "0123456789"',
    'data "0123456789a"',
    'end',
  );
  body('leading zeros', '005\r\nhello\r\n000\r\n\r\n', 'data "hello"', 'end');
  body('sixteen digits', '0000000000000001\r\na\r\n0000000000000000\r\n\r\n', 'data "a"', 'end');
  body(
    'data that looks like a chunk',
    '7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n',
    'data "0\\r\\n\\r\\n\\r\\n"',
    'end',
  );
  body('the largest size', '1fffffffffffff\r\na', 'data "a"');

  test('a chunk is told as it arrives', () => {
    requests()
      .arrives(head, '5\r\nhe')
      .tells(told, 'data "he"')
      .arrives('llo', '\r')
      .tells('data "llo"')
      .arrives('\n0\r\n\r', '\n')
      .tells('end');
  });
  test('what follows is the next request', () => {
    requests()
      .arrives(`${head}1\r\na\r\n0\r\n\r\n${head}0\r\n\r\n`)
      .tells(told, 'data "a"', 'end', told, 'end');
  });
  test('cut at every byte', () => {
    requests()
      .arrives(head, ...everyByte(bytes('3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n')))
      .tells(told, 'data "a"', 'data "b"', 'data "c"', 'end T: u');
  });
  test('cut short', () => {
    for (const text of ['', '5', '5\r\nhe', '5\r\nhello', '5\r\nhello\r\n', '0\r\n', '0\r\nT: u\r\n']) {
      const data = text.length > 3 && text.startsWith('5') ? [`data "${text.slice(3, 8)}"`] : [];
      requests()
        .arrives(head, text)
        .closes()
        .tells(told, ...data, 'ERR_CLIENT_GONE -');
    }
  });
});

describe('chunk sizes that are refused', () => {
  body('none', '\r\nhello\r\n', fault);
  body('an empty line between chunks', '1\r\na\r\n\r\n0\r\n\r\n', 'data "a"', fault);
  body('a minus', '-1\r\n', fault);
  body('a plus', '+1\r\n', fault);
  body('0x', '0x1\r\na\r\n', fault);
  body('an underscore', '1_0\r\n', fault);
  body('a letter that is no digit', 'g\r\n', fault);
  body('a space before', ' 1\r\na\r\n', fault);
  body('a space behind', '1 \r\na\r\n', fault);
  body('a tab behind', '1\t\r\na\r\n', fault);
  body('one above the largest', '20000000000000\r\n', fault);
  body('one that overflows 64 bits', '10000000000000005\r\n', fault);
  body('seventeen digits, all of them zero', '00000000000000000\r\n\r\n', fault);
  body('a bare LF behind', '1\na\r\n', fault);
  body('a bare CR behind', '1\ra\r\n', fault);
  body('CR and another byte behind', '1\rXa\r\n0\r\n\r\n', fault);
  body('CR CR LF behind', '1\r\r\na\r\n', fault);
  body('NUL behind', '1\0\r\na\r\n', fault);
  body('NBSP behind', '1\xa0\r\na\r\n', fault);
});

describe('data that is not as long as its size', () => {
  body('longer', '5\r\nhello!\r\n0\r\n\r\n', 'data "hello"', fault);
  body('shorter', '5\r\nhell\r\n0\r\n\r\n', 'data "hell\\r"', fault);
  body('a bare LF behind it', '1\r\na\n0\r\n\r\n', 'data "a"', fault);
  body('a bare CR behind it', '1\r\na\r0\r\n\r\n', 'data "a"', fault);
  body('nothing behind it', '1\r\na0\r\n\r\n', 'data "a"', fault);
  body('CR and another byte behind it', '1\r\na\rX0\r\n\r\n', 'data "a"', fault);
  body('two other bytes behind it', '1\r\naXY0\r\n\r\n', 'data "a"', fault);
  body('another byte and LF behind it', '1\r\naX\n0\r\n\r\n', 'data "a"', fault);
});

describe('extensions are passed over (§7.1.1)', () => {
  const accepted = (extension: string): void =>
    body(JSON.stringify(extension), `1${extension}\r\na\r\n0${extension}\r\n\r\n`, 'data "a"', 'end');
  const refused = (name: string, extension: string): void => body(name, `1${extension}\r\na\r\n`, fault);

  for (const one of [';', ';a', ';a=b', ' ;a', '\t ; a = b', ';a="b;c \\" d"', ';a;b;c=d', ';\xe4'])
    accepted(one);
  refused('words without a semicolon', ' a');
  refused('a bare LF', ';a\nb');
  refused('a bare CR', ';a\rb');
  refused('a control character', ';a\x01');
  refused('NUL', ';\0');
  refused('DEL', ';\x7f');

  body('a line ends within quotes too', '1;a="\r\nb\r\n0\r\n\r\n', 'data "b"', 'end');

  test('their bytes are bounded over the whole body', () => {
    const chunk = `1;${'x'.repeat(99)}\r\na\r\n`;
    requests({ head: 1000 })
      .arrives(head, chunk.repeat(10), '1;\r\n')
      .tells(told, ...Array.from({ length: 10 }, () => 'data "a"'), fault);
    requests({ head: 1000 })
      .arrives(head, `1;${'x'.repeat(999)}`)
      .tells(told)
      .arrives('x')
      .tells(fault);
  });
});

describe('trailers (§7.1.2)', () => {
  const trailers = (name: string, text: string, ...lines: readonly string[]): void =>
    body(name, `0\r\n${text}\r\n`, ...lines);

  trailers(
    'kept with their order, case and duplicates',
    'x-A: 1\r\nX-a:2\r\nx-A: 1\r\n',
    'end x-A: 1, X-a: 2, x-A: 1',
  );
  trailers(
    'those that frame, route or authenticate are dropped (RFC 9110 §6.5.1)',
    'Content-Length: 5\r\nX: 1\r\nHOST: b\r\nTransfer-Encoding: chunked\r\nAuthorization: x\r\nTrailer: y\r\nset-cookie: z\r\nTE: a\r\nConnection: close\r\n',
    'end X: 1',
  );
  trailers('obs-fold', 'X: a\r\n b\r\n', 'ERR_REQUEST_SYNTAX 400');
  trailers('a space before the colon', 'X : a\r\n', 'ERR_REQUEST_SYNTAX 400');
  trailers('no colon', 'X\r\n', 'ERR_REQUEST_SYNTAX 400');
  trailers('an empty name', ': x\r\n', 'ERR_REQUEST_SYNTAX 400');
  trailers('a control character', 'X: \0\r\n', 'ERR_REQUEST_SYNTAX 400');
  trailers('a bare CR', 'X: a\rb\r\n', 'ERR_REQUEST_SYNTAX 400');
  trailers('a bare LF', 'X: a\nY: b\r\n', fault);
  body('a bare LF at their end', '0\r\n\n', fault);
  body('no empty line, but a request', '0\r\nGET / HTTP/1.1\r\n\r\n', 'ERR_REQUEST_SYNTAX 400');

  test('the bytes of a section are limited', () => {
    const limits = { head: 100 };
    requests(limits)
      .arrives(head, `0\r\nX: ${'x'.repeat(93)}\r\n\r\n`)
      .tells(told, `end X: ${'x'.repeat(93)}`);
    requests(limits)
      .arrives(head, `0\r\nX: ${'x'.repeat(94)}\r\n\r\n`)
      .tells(told, fault);
    requests(limits)
      .arrives(head, `0\r\nX: ${'x'.repeat(98)}`)
      .tells(told, fault);
  });
  test('the number of fields is limited', () => {
    const limits = { fields: 2 };
    requests(limits).arrives(head, '0\r\nX: 1\r\nX: 1\r\n\r\n').tells(told, 'end X: 1, X: 1');
    requests(limits).arrives(head, '0\r\nX: 1\r\nX: 1\r\nX: 1\r\n\r\n').tells(told, fault);
  });
  test('faults of a response', () => {
    const ok = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
    responses().arrives(ok, 'g\r\n').tells('HTTP/1.1 200 OK (chunked)', 'ERR_RESPONSE_BODY_SYNTAX 502');
    responses().arrives(ok, '0\r\nX\r\n\r\n').tells('HTTP/1.1 200 OK (chunked)', 'ERR_RESPONSE_SYNTAX 502');
  });
});

describe('the wire: a chunked body as it can be sent on', () => {
  const wire = (name: string, chunks: readonly string[], ...lines: readonly string[]): void => {
    test(name, () => {
      const script = requests().reacts((line, parser) => {
        if (line === told) parser.wire = true;
      });
      script.arrives(head, ...chunks).tells(told, ...lines);
    });
  };

  wire(
    'sizes and data verbatim, in one piece',
    ['5\r\nhello\r\n01\r\na\r\n0\r\n\r\n'],
    'data "5\\r\\nhello\\r\\n01\\r\\na\\r\\n"',
    'end',
  );
  wire('the last chunk is left out', ['0\r\n\r\n'], 'end');
  wire(
    'trailers are left out, and told at the end',
    ['1\r\na\r\n0\r\nX: y\r\n\r\n'],
    'data "1\\r\\na\\r\\n"',
    'end X: y',
  );
  wire(
    'extensions are left out',
    ['0A;x=y\r\n0123456789\r\n0;z\r\n\r\n'],
    'data "a\\r\\n"',
    'data "0123456789\\r\\n"',
    'end',
  );
  wire(
    'data goes on as it arrives',
    ['3\r\na', 'b', 'c\r', '\n0\r\n\r\n'],
    ...['data "3\\r\\na"', 'data "b"', 'data "c\\r"', 'data "\\n"', 'end'],
  );
  wire(
    'a size in two pieces is written anew',
    ['0', '3\r\nabc\r\n0\r\n\r\n'],
    'data "3\\r\\n"',
    'data "abc\\r\\n"',
    'end',
  );
  wire(
    'a size line without its data waits',
    ['3\r', '\nabc\r\n0', '\r\n\r\n'],
    'data "3\\r\\n"',
    'data "abc\\r\\n"',
    'end',
  );
  wire('a fault', ['1\r\na\r\n', 'x'], 'data "1\\r\\na\\r\\n"', fault);

  test('it is asked for anew for each message', () => {
    let asked = false;
    const script = requests().reacts((line, parser) => {
      if (line === told && !asked) asked = parser.wire = true;
    });
    script
      .arrives(`${head}1\r\na\r\n0\r\n\r\n${head}1\r\na\r\n0\r\n\r\n`)
      .tells(told, 'data "1\\r\\na\\r\\n"', 'end', told, 'data "a"', 'end');
  });
  test('payload bytes are counted, not those of the wire', () => {
    const script = requests().reacts((line, parser) => {
      if (line === told) parser.wire = true;
    });
    script
      .arrives(head, '5\r\nhello\r\n', '2;x\r\nab\r\n')
      .tells(told, 'data "5\\r\\nhello\\r\\n"', 'data "2\\r\\n"', 'data "ab\\r\\n"');
    assert.equal(script.parser.bodyBytes, 7);
  });
});
