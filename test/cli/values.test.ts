import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../src/base/errors.js';
import { defaultLimits, defaultTimeouts } from '../../src/base/limits.js';
import type { ParseValue } from '../../src/cli/options.js';
import {
  gather,
  limitDefaults,
  parseChoice,
  parseCount,
  parseHost,
  parseLimit,
  parsePath,
  parsePort,
  parsePortOrOff,
  parsePositiveDuration,
  parseReadBufferSize,
  parseStore,
  parseTimeout,
  timeoutDefaults,
} from '../../src/cli/values.js';

function refuses(parse: ParseValue<unknown>, texts: readonly string[], detail = /^--it/): void {
  for (const text of texts) {
    assert.throws(
      () => parse(text, '--it'),
      (error) => {
        assert.ok(error instanceof SallyportError, String(error));
        assert.equal(error.code, 'ERR_OPTION_VALUE');
        assert.match(error.detail, detail);
        return true;
      },
      text,
    );
  }
}

describe('values', () => {
  test('ports', () => {
    assert.equal(parsePort('0', '--it'), 0);
    assert.equal(parsePort('65535', '--it'), 65_535);
    refuses(parsePort, [
      '65536',
      '70000',
      '-5',
      'abc',
      '80a',
      '1e3',
      '0x50',
      '80.5',
      ' 80',
      '٨٠',
      '999999999',
    ]);
    assert.equal(parsePortOrOff('off', '--it'), 'off');
    assert.equal(parsePortOrOff('9090', '--it'), 9090);
    refuses(parsePortOrOff, ['on', '-1', '65536']);
  });

  test('hosts', () => {
    assert.equal(parseHost('127.0.0.1', '--it'), '127.0.0.1');
    assert.equal(parseHost('[::1]', '--it'), '::1');
    assert.equal(parseHost('proxy.example', '--it'), 'proxy.example');
    refuses(parseHost, [
      '127.0.0.1:80',
      'http://a',
      'a b',
      '[::1',
      '::g',
      '-a',
      'a/b',
      `${'a.'.repeat(60_000)}!`,
    ]);
  });

  test('numbers', () => {
    assert.equal(parseCount(1)('20000', '--it'), 20_000);
    refuses(parseCount(1), ['0', '-1', '1.5', 'many', '9999999999']);
    assert.equal(parseCount(0)('0', '--it'), 0);
  });

  test('words', () => {
    assert.equal(parseChoice('pretty', 'json')('json', '--it'), 'json');
    refuses(parseChoice('pretty', 'json'), ['jsno'], /pretty or json, not 'jsno'; did you mean json\?/);
  });

  test('paths', () => {
    assert.equal(parsePath('~'), homedir());
    assert.equal(parsePath('~/ca'), join(homedir(), 'ca'));
    assert.equal(parsePath('ca'), resolve('ca'));
    assert.equal(parsePath('~x'), resolve('~x'));
  });

  test('durations', () => {
    assert.equal(parsePositiveDuration('1.5s', '--it'), 1500);
    refuses(parsePositiveDuration, ['0', '0s', '-1s', 'soon', '1 day']);
  });

  test('stores', () => {
    assert.deepEqual(parseStore('memory', '--it'), { kind: 'memory' });
    assert.deepEqual(parseStore('file:/var/x', '--it'), { kind: 'file', directory: resolve('/var/x') });
    assert.deepEqual(parseStore('redis://h:1', '--it'), { kind: 'redis', url: 'redis://h:1' });
    refuses(parseStore, ['file:', 'redis://', 'disk', 'memory:', 'redis:h', 'redis://h:port']);
    for (const bad of [
      'rediss//me:secret@h',
      'redis://:secret',
      'secret@redis://h',
      'redis:/me:se@secret@h',
    ]) {
      assert.throws(
        () => parseStore(bad, '--it'),
        ({ detail }: { readonly detail?: string }) => !/secret/.test(detail ?? 'secret'),
        bad,
      );
    }
  });

  test('read buffers', () => {
    assert.equal(parseReadBufferSize('256KiB', '--it'), 262_144);
    refuses(parseReadBufferSize, ['1', '5MiB', 'large']);
  });
});

describe('named settings', () => {
  test('timeouts', () => {
    assert.deepEqual(parseTimeout('server-first=250ms', '--it'), { name: 'serverFirst', value: 250 });
    assert.deepEqual(parseTimeout('idle-tunnel=off', '--it'), {
      name: 'idleTunnel',
      value: Number.POSITIVE_INFINITY,
    });
    refuses(parseTimeout, ['connet=1s'], /did you mean connect\?/);
    refuses(parseTimeout, ['zzz=1s'], /it takes sniff, server-first/);
    refuses(parseTimeout, ['connect', 'connect='], /connect=DURATION/);
    refuses(parseTimeout, ['connect=0', 'connect=x', 'connect=-1s'], /^--it connect takes a duration/);
    refuses(parseTimeout, ['serverFirst=1s', '__proto__=1s', 'toString=1s']);
  });

  test('limits', () => {
    assert.deepEqual(parseLimit('head=128KiB', '--it'), { name: 'head', value: 131_072 });
    assert.deepEqual(parseLimit('upstream-total=5', '--it'), { name: 'upstreamTotal', value: 5 });
    assert.deepEqual(parseLimit('upstream-waiters=0', '--it'), { name: 'upstreamWaiters', value: 0 });
    assert.equal(parseLimit('request-body=off', '--it').value, Number.POSITIVE_INFINITY);
    refuses(parseLimit, ['head=0', 'connections=0', 'fields=64KiB', 'head=off', 'uri=lots', 'body=1']);
  });

  test('a name is set once', () => {
    const settings = [parseTimeout('connect=1s', '--it'), parseTimeout('sniff=2s', '--it')];
    assert.deepEqual(gather(settings, '--timeout'), { connect: 1000, sniff: 2000 });
    assert.throws(() => gather([...settings, ...settings], '--timeout'), /--timeout connect is given twice/);
  });

  test('the defaults that help shows are those of the proxy, and can be typed', () => {
    const timeouts = timeoutDefaults()
      .split(', ')
      .map((text) => parseTimeout(text, '--it'));
    assert.deepEqual(gather(timeouts, '--timeout'), { ...defaultTimeouts });
    const limits = limitDefaults()
      .split(', ')
      .map((text) => parseLimit(text, '--it'));
    assert.deepEqual(gather(limits, '--limit'), { ...defaultLimits });
  });
});

test('whatever is typed, a parser gives a value or a table error', () => {
  const parsers: readonly ParseValue<unknown>[] = [
    parseHost,
    parsePort,
    parseStore,
    parseTimeout,
    parseLimit,
    parseReadBufferSize,
    parsePositiveDuration,
  ];
  fc.assert(
    fc.property(fc.constantFrom(...parsers), fc.string(), (parse, text) => {
      try {
        parse(text, '--it');
      } catch (error) {
        assert.ok(error instanceof SallyportError && error.code === 'ERR_OPTION_VALUE', String(error));
      }
    }),
  );
});
