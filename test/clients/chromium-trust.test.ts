/**
 * A browser that trusts our CA as a user's would: imported into the certificate database of its HOME, so that names,
 * times, usages and signatures are judged like anybody's. (Trust by `--ignore-certificate-errors-spki-list`, as in
 * the other browser tests, judges none of them.)
 *
 * Chromium on Linux takes the roots that it ships and those of `$HOME/.pki/nssdb`; no flag and no policy is needed,
 * headless or not.
 */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { chromium, type Browser } from 'playwright-core';
import { certificateName, type LeafSubject, Minter, openAuthority } from '../../src/certs/index.js';
import type { ProxyOptions } from '../../src/index.js';
import { httpOrigin } from '../support/origins.js';
import { environment, program, run } from '../support/programs.js';
import { Scene } from '../support/scene.js';
import { later, temporaryDirectory } from '../support/stage.js';

/** A HOME in whose certificate database there is the CA of this file, and no other. */
async function homeTrusting(t: TestContext, caFile: string): Promise<string> {
  const home = await temporaryDirectory(t);
  const database = join(home, '.pki', 'nssdb');
  await mkdir(database, { recursive: true });
  // As `sallyport ca trust --print` says it.
  const args = ['-A', '-d', `sql:${database}`, '-n', 'sallyport', '-t', 'C,,', '-i', caFile];
  const { status, stderr } = await run(program('certutil'), args);
  assert.equal(status, 0, stderr);
  return home;
}

async function launch(t: TestContext, home: string, proxy?: string): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: program('chromium', 'chromium-browser', 'google-chrome'),
    headless: true,
    env: environment({ HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home }),
    ...(proxy !== undefined && { proxy: { server: proxy, bypass: '<-loopback>' } }),
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
      ...(proxy === undefined ? ['--no-proxy-server', '--host-resolver-rules=MAP *.example 127.0.0.1'] : []),
    ],
  });
  later(t, () => browser.close());
  return browser;
}

interface Verdict {
  /** Why there is no page: the name of Chromium's error. */
  readonly error?: string;
  readonly status?: number;
  /** The commonName of the leaf. */
  readonly subject?: string;
}

async function visit(browser: Browser, url: string): Promise<Verdict> {
  const page = await browser.newPage();
  try {
    const response = await page.goto(url, { timeout: 20_000 });
    const details = await response?.securityDetails();
    return { status: response?.status() ?? 0, subject: details?.subjectName ?? '' };
  } catch (error) {
    const [name] = /ERR_\w+/.exec(String(error)) ?? [];
    if (name === undefined) throw error;
    return { error: name };
  } finally {
    await page.close();
  }
}

const hello: RequestListener = (_request, response) => response.end('hello');
const label = 'a'.repeat(63);

/** What is opened: the host as a user types it, the subject that Chromium then shows, and how the proxy is set. */
const taken: readonly (readonly [string, string, ProxyOptions?])[] = [
  ['shop.example', 'shop.example'],
  ['bücher.example', 'xn--bcher-kva.example'],
  ['xn--bcher-kva.shop.example', 'xn--bcher-kva.shop.example'],
  [`${'a'.repeat(60)}.shop.example`, ''],
  [[label, label, label, 'b'.repeat(61)].join('.'), ''],
  ['127.0.0.1', '127.0.0.1'],
  ['localhost', 'localhost'],
  ['_dmarc.shop.example', '_dmarc.shop.example'],
];
const takenAsWildcards: typeof taken = [
  ['a.example.com', '*.example.com'],
  ['b.example.com', '*.example.com'],
  ['xn--bcher-kva.example.com', '*.example.com'],
  ['a.b.example.com', '*.b.example.com'],
  ['x.github.io', '*.github.io'],
  // Where a wildcard would be refused, the leaf is the host's own.
  ['example.com', 'example.com'],
  ['example.co.uk', 'example.co.uk'],
  ['a_b.example.com', 'a_b.example.com'],
];

async function assertTaken(t: TestContext, hosts: typeof taken, options: ProxyOptions): Promise<void> {
  const scene = await Scene.open(t, options);
  const { port } = await httpOrigin(t, hello, await scene.pki.anyHost());
  const browser = await launch(t, await homeTrusting(t, scene.proxy.ca.paths.certificate), scene.proxy.url);
  for (const [host, subject] of hosts) {
    const { error, status, subject: seen } = await visit(browser, `https://${host}:${port}/`);
    assert.deepEqual([error, status], [undefined, 200], host);
    assert.equal(seen, subject, host);
  }
}

describe('Chromium, with our CA among its own', { timeout: 300_000 }, () => {
  test('takes leaves for names of every kind', async (t) => {
    await assertTaken(t, taken, {});
  });

  test('takes wildcard leaves', async (t) => {
    await assertTaken(t, takenAsWildcards, { wildcardLeaves: true });
  });

  test('takes leaves with RSA keys', async (t) => {
    await assertTaken(t, taken.slice(0, 1), { leafProfile: 'rsa-2048' });
  });

  test('opens nothing when the CA in its database is another one', async (t) => {
    const scene = await Scene.open(t);
    const { port } = await httpOrigin(t, hello, await scene.pki.anyHost());
    const browser = await launch(t, await homeTrusting(t, scene.pki.caFile), scene.proxy.url);
    const verdict = await visit(browser, `https://shop.example:${port}/`);
    assert.deepEqual(verdict, { error: 'ERR_CERT_AUTHORITY_INVALID' });
  });

  test('refuses leaves of that very CA that are for others, or for other times', async (t) => {
    const authority = await openAuthority({ dir: join(await temporaryDirectory(t), 'ca') });
    const browser = await launch(t, await homeTrusting(t, authority.paths.certificate));
    const minter = new Minter({ issuer: authority });
    later(t, () => {
      minter.close();
    });
    const name = certificateName;
    const shop = name('shop.example');
    const wildcard = (parent: string): LeafSubject['name'] => ({ kind: 'dns', host: `*.${parent}` });
    const [wrongName, wrongTime] = ['ERR_CERT_COMMON_NAME_INVALID', 'ERR_CERT_DATE_INVALID'];
    const cases: readonly (readonly [string, LeafSubject, string?])[] = [
      ['shop.example', { name: shop }],
      ['shop.example', { name: name('other.example'), names: [shop] }],
      ['a.shop.example', { name: wildcard('shop.example') }],
      ['127.0.0.1', { name: name('127.0.0.1') }],

      ['shop.example', { name: name('other.example') }, wrongName],
      // The commonName counts for nothing beside a SAN.
      ['shop.example', { name: shop, names: [name('other.example')] }, wrongName],
      ['a.b.shop.example', { name: wildcard('shop.example') }, wrongName],
      ['shop.example', { name: wildcard('shop.example') }, wrongName],
      // One that we do not make: directly below a public suffix.
      ['shop.example', { name: wildcard('example') }, wrongName],
      ['127.0.0.1', { name: name('127.0.0.2') }, wrongName],
      ['127.0.0.1', { name: shop }, wrongName],
      ['shop.example', { name: shop, notBefore: Date.now() + 3_600_000 }, wrongTime],
    ];
    for (const [host, subject, expected] of cases) {
      const { certificatePem: cert, privateKeyPem: key } = await minter.mint(subject);
      const { port } = await httpOrigin(t, hello, { cert, key });
      const { error } = await visit(browser, `https://${host}:${port}/`);
      assert.equal(error, expected, `${host} with a leaf for ${JSON.stringify(subject)}`);
    }
  });
});
