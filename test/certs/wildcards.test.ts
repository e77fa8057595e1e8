import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificateName } from '../../src/certs/names.js';
import { loadWildcardGroups } from '../../src/certs/wildcards.js';
import { withCode } from './support.js';

const cases: Readonly<Record<string, string | undefined>> = {
  'a.example.com': '*.example.com',
  'b.a.example.com': '*.a.example.com',
  'xn--bcher-kva.example.com': '*.example.com',
  'a.xn--bcher-kva.de': '*.xn--bcher-kva.de',
  'a.example.co.uk': '*.example.co.uk',
  // A private suffix is not one for browsers.
  'shop.appspot.com': '*.appspot.com',
  'someone.github.io': '*.github.io',
  // An unknown last label is a suffix for Chromium, and one label more is enough.
  'a.b.internal-name': '*.b.internal-name',
  // What browsers refuse.
  'example.com': undefined,
  'example.co.uk': undefined,
  'co.uk': undefined,
  com: undefined,
  localhost: undefined,
  'printer.lan': undefined,
  'b.internal-name': undefined,
  'city.kawasaki.jp': undefined,
  'a.b.kawasaki.jp': undefined,
  'b.kawasaki.jp': undefined,
  '192.0.2.1': undefined,
  '2001:db8::1': undefined,
  // What OpenSSL refuses.
  'a_b.example.com': undefined,
  'a.b_c.example.com': undefined,
  '-a.example.com': undefined,
  'a.b-.example.com': undefined,
};

test('which hosts share a leaf', async () => {
  const groups = await loadWildcardGroups();
  for (const [host, wildcard] of Object.entries(cases)) {
    const name = certificateName(host);
    assert.deepEqual(groups(name), wildcard === undefined ? name : { kind: 'dns', host: wildcard }, host);
  }
});

test('any spelling of a host is in its group, and the longest has one', async () => {
  const groups = await loadWildcardGroups();
  assert.equal(groups(certificateName('A.Bücher.DE.')).host, '*.xn--bcher-kva.de');
  const label = 'a'.repeat(63);
  const longest = [label, label, label, 'b'.repeat(57), 'com'].join('.');
  assert.equal(longest.length, 253);
  assert.equal(groups(certificateName(longest)).host, `*${longest.slice(63)}`);
});

test('without its package the error says what to install', async () => {
  const load = (): Promise<never> =>
    Promise.reject(Object.assign(new Error("Cannot find package 'tldts'"), { code: 'ERR_MODULE_NOT_FOUND' }));
  await assert.rejects(loadWildcardGroups(load), withCode('ERR_OPTION_DEPENDENCY', /npm install tldts/));
});
