import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { banner, exposureWarning, ownCommand } from '../../src/cli/banner.js';
import { curlExample, shellQuote } from '../../src/cli/shell.js';
import { trustAdvice, renderTrustAdvice, trustNames } from '../../src/cli/trust-advice.js';

const facts = {
  version: '1.2.3',
  proxyUrl: 'http://127.0.0.1:8080',
  caPath: '/home/x/.sallyport/ca.pem',
  fingerprint256: 'AA:BB',
  created: true,
  command: 'sallyport',
  caDir: undefined,
};

describe('the first message', () => {
  test('shows the CA, the proxy, how to trust, and a line to paste', () => {
    const text = banner(facts).join('\n');
    for (const part of [
      facts.proxyUrl,
      facts.caPath,
      'SHA-256 AA:BB',
      'sallyport ca trust --print',
      'new: ',
    ]) {
      assert.ok(text.includes(part), part);
    }
    const curl =
      "curl --proxy http://127.0.0.1:8080 --cacert '/home/x/.sallyport/ca.pem' https://example.com/";
    assert.ok(text.includes(curl));
    assert.doesNotMatch(banner({ ...facts, created: false }).join('\n'), /new: /);
  });

  test('another CA directory is in the advice', () => {
    assert.match(banner({ ...facts, caDir: "/it's" }).join('\n'), /--print --ca-dir '\/it'\\''s'/);
  });

  test('a wildcard address is reached at the loopback one', () => {
    assert.match(curlExample('http://0.0.0.0:8080', '/ca', 'linux'), /--proxy http:\/\/127\.0\.0\.1:8080 /);
    assert.match(curlExample('http://[::]:8080', '/ca', 'linux'), /--proxy http:\/\/\[::1\]:8080 /);
    assert.match(curlExample('http://[::1]:8080', 'C:\\a b', 'win32'), /--cacert "C:\\a b" /);
  });

  test('how the program is called', () => {
    assert.equal(ownCommand('/usr/local/bin/sallyport', '/'), 'sallyport');
    assert.equal(ownCommand('C:/bin/sallyport.cmd', '/'), 'sallyport');
    assert.equal(ownCommand('/src/sp/dist/cli/main.js', '/src/sp'), 'node dist/cli/main.js');
    assert.equal(ownCommand('/src/sp/dist/cli/main.js', '/home'), 'node /src/sp/dist/cli/main.js');
    assert.equal(ownCommand("/src/it's/main.js", '/home'), "node '/src/it'\\''s/main.js'");
    assert.equal(ownCommand(undefined, '/'), 'sallyport');
  });

  test('whoever listens to the world is told', () => {
    for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) {
      assert.equal(exposureWarning(host), undefined, host);
    }
    for (const host of ['0.0.0.0', '::', '192.0.2.1', '127.example.com']) {
      assert.match(exposureWarning(host) ?? '', /can use the proxy/, host);
    }
  });
});

test('a quoted word is one word to the shell, whatever is in it', () => {
  const word = fc.string({
    unit: fc.constantFrom('a', "'", '"', '$', '`', '\\', ' ', '\n', ';', '*', '!', 'é'),
  });
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), (words) => {
      const script = `printf '%s\\0' ${words.map(shellQuote).join(' ')}`;
      const output = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' });
      assert.deepEqual(output.split('\0').slice(0, -1), words);
    }),
    { numRuns: 30 },
  );
});

describe('trust advice', () => {
  const subject = { caPath: "/home/o'neil/ca.pem", spkiSha256: 'c3BraQ==' };

  test('covers the systems, browsers and tools that people use', () => {
    const names: readonly string[] = trustNames;
    for (const name of 'debian fedora arch macos windows firefox chrome node python curl git java go ruby'.split(
      ' ',
    )) {
      assert.ok(names.includes(name), name);
    }
    assert.equal(trustAdvice(subject).length, trustNames.length);
  });

  test('paths are quoted wherever a command has them', () => {
    for (const name of trustNames) {
      const text = renderTrustAdvice(trustAdvice(subject, [name]));
      const unquoted = text
        .replaceAll("'/home/o'\\''neil/ca.pem'", '')
        .replaceAll(`"${subject.caPath}"`, '')
        .replaceAll(`Choose ${subject.caPath} and`, '');
      assert.ok(!unquoted.includes('neil'), `${name}: ${text}`);
    }
  });

  test('a choice is a choice', () => {
    assert.deepEqual(
      trustAdvice(subject, ['java', 'firefox']).map(({ title }) => title),
      ['Firefox', 'Java'],
    );
    assert.match(renderTrustAdvice(trustAdvice(subject, ['chrome'])), /spki-list=c3BraQ==/);
  });

  test('every step is valid shell, where it is a command', () => {
    for (const { title, steps } of trustAdvice(subject)) {
      if (/Windows|Firefox|Docker/.test(title)) continue;
      for (const step of steps) execFileSync('/bin/sh', ['-n', '-c', step]);
    }
  });
});
