/** A browser through the library: a page with all that it loads, and what a page sees when a body breaks off. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { describe, test, type TestContext } from 'node:test';
import { chromium, type Page } from 'playwright-core';
import { eventually } from '../support/patience.js';
import { program } from '../support/programs.js';
import { Scene } from '../support/scene.js';
import { later } from '../support/stage.js';
import { cutShort, cutShortInChunks, type Echo, EchoOrigin, sample } from './echo.js';

/** A PNG of 3 × 2 pixels. */
const image = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAD0lEQVR42mNgSDkBRXAWAEG0Bwl68fg3AAAAAElFTkSuQmCC',
  'base64',
);

const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css"><script src="/script.js"></script></head>
<body><h1>Shop</h1><img src="/image.png" alt=""></body></html>`;

function content(type: string, body: string | Uint8Array): RequestListener {
  return (_request, response) => response.writeHead(200, { 'content-type': type }).end(body);
}

const pages = {
  '/': content('text/html', html),
  '/style.css': content('text/css', 'h1 { color: rgb(1, 2, 3); }'),
  '/script.js': content('text/javascript', 'globalThis.answer = 6 * 7;'),
  '/image.png': content('image/png', image),
  '/cut': cutShort,
  '/cut-in-chunks': cutShortInChunks,
};

/** A page of a browser that goes through the proxy, and trusts its CA by the hash of the public key `spki`. */
async function openPage(t: TestContext, scene: Scene, spki = scene.proxy.ca.publicKeySha256): Promise<Page> {
  const browser = await chromium.launch({
    executablePath: program('chromium', 'chromium-browser', 'google-chrome'),
    headless: true,
    // Without `<-loopback>` it goes to names of this machine directly.
    proxy: { server: scene.proxy.url, bypass: '<-loopback>' },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--ignore-certificate-errors-spki-list=${spki}`,
    ],
  });
  later(t, () => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(15_000);
  return page;
}

interface Shop {
  readonly scene: Scene;
  readonly origin: EchoOrigin;
  readonly page: Page;
  readonly url: string;
}

async function openShop(t: TestContext, host = 'shop.example'): Promise<Shop> {
  const scene = await Scene.open(t);
  const origin = await EchoOrigin.open(t, await scene.pki.anyHost(), pages);
  const page = await openPage(t, scene);
  return { scene, origin, page, url: `https://${host}:${origin.port}` };
}

describe('Chromium', () => {
  for (const host of ['shop.example', 'localhost', '127.0.0.1']) {
    test(`loads a page of ${host} with its style, script and image, and posts`, async (t) => {
      const { scene, page, origin, url } = await openShop(t, host);
      const response = await page.goto(`${url}/`, { waitUntil: 'load' });
      assert.equal(response?.status(), 200);
      assert.equal(await page.title(), 'Shop');
      assert.equal(
        await page.evaluate('getComputedStyle(document.querySelector("h1")).color'),
        'rgb(1, 2, 3)',
      );
      assert.equal(await page.evaluate('globalThis.answer'), 42);
      assert.deepEqual(
        await page.evaluate(
          '(({ naturalWidth, naturalHeight }) => [naturalWidth, naturalHeight])(document.images[0])',
        ),
        [3, 2],
      );
      const post = `fetch('/post', { method: 'POST', body: JSON.stringify({ hello: 'wörld' }) }).then((r) => r.json())`;
      const echo = (await page.evaluate(post)) as Echo;
      assert.equal(`${echo.method} ${echo.url} ${echo.length}`, 'POST /post 18');
      assert.match(echo.headers.via ?? '', /sallyport/);

      const expected = ['/', '/image.png', '/post', '/script.js', '/style.css'];
      assert.deepEqual(origin.seen.map(({ url: path }) => path).toSorted(), expected);
      const ended = () => scene.exchanges.filter((end) => end.url.startsWith(url));
      await eventually('the proxy has seen all of them end', () => ended().length >= expected.length);
      assert.deepEqual(
        ended()
          .map(({ url: seen }) => seen)
          .toSorted(),
        expected.map((path) => url + path),
      );
      for (const { status, answeredBy, error, client } of ended()) {
        assert.deepEqual([status, answeredBy, error], [200, 'origin', undefined]);
        assert.equal(client.tls?.serverName, host === '127.0.0.1' ? undefined : host);
      }
    });
  }

  test('sees a certificate that our CA has issued for the host', async (t) => {
    const { scene, page, url } = await openShop(t);
    const security = await (await page.goto(url))?.securityDetails();
    const subject = new X509Certificate(scene.proxy.ca.pem).subject;
    const commonName = /^CN=(.*)$/m.exec(subject)?.[1];
    assert.ok(commonName !== undefined && commonName !== '');
    assert.equal(security?.issuer, commonName);
    assert.equal(security.subjectName, 'shop.example');
    assert.equal(security.protocol, 'TLS 1.3');
  });

  test('opens nothing when it trusts another key', async (t) => {
    const scene = await Scene.open(t);
    const origin = await EchoOrigin.open(t, await scene.pki.anyHost(), pages);
    const other = Buffer.alloc(32, 1).toString('base64');
    const page = await openPage(t, scene, other);
    await assert.rejects(page.goto(`https://shop.example:${origin.port}/`), /ERR_CERT_AUTHORITY_INVALID/);
    assert.equal(origin.seen.length, 0);
  });

  test('uploads 2 MB and downloads them', async (t) => {
    const { bytes, sha256 } = sample(2_000_000);
    const scene = await Scene.open(t);
    const origin = await EchoOrigin.open(t, await scene.pki.anyHost(), {
      ...pages,
      '/download': content('application/octet-stream', bytes),
    });
    const page = await openPage(t, scene);
    await page.goto(`https://shop.example:${origin.port}/`);
    const digest = await page.evaluate(`(async () => {
      const bytes = await (await fetch('/download')).arrayBuffer();
      const echo = await (await fetch('/upload', { method: 'PUT', body: bytes })).json();
      return [bytes.byteLength, echo.length, echo.sha256];
    })()`);
    assert.deepEqual(digest, [2_000_000, 2_000_000, sha256]);
  });

  for (const path of ['/cut', '/cut-in-chunks']) {
    test(`has fetch() fail when the body is cut short upstream (${path})`, async (t) => {
      const { scene, page, url } = await openShop(t);
      await page.goto(url);
      const outcome = await page.evaluate(`fetch('${path}').then((response) => response.text()).then(
        (text) => 'resolved: ' + text,
        (error) => 'rejected: ' + error.name,
      )`);
      assert.equal(outcome, 'rejected: TypeError');
      const cut = () => scene.exchanges.filter((end) => end.url === url + path);
      await eventually('the exchange has ended', () => cut().length > 0);
      for (const { error } of cut()) assert.equal(error?.code, 'ERR_RESPONSE_TRUNCATED');
    });
  }

  test('shows the error page for an origin that nobody trusts', async (t) => {
    const scene = await Scene.open(t);
    const origin = await EchoOrigin.open(t, await scene.pki.leaf('elsewhere.example'), pages);
    const page = await openPage(t, scene);
    const response = await page.goto(`https://shop.example:${origin.port}/`);
    assert.equal(response?.status(), 502);
    assert.equal(await page.title(), '502 The certificate of the origin is for another host');
    assert.match(String(await page.evaluate('document.body.innerText')), /ERR_UPSTREAM_CERT_WRONG_HOST/);
    assert.equal(origin.seen.length, 0);
  });
});
