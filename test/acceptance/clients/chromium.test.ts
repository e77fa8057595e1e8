/** A browser through the proxy. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { httpOrigin } from '../../support/origins.js';
import { program } from '../../support/programs.js';
import { Scene } from '../../support/scene.js';
import { later } from '../../support/stage.js';

const page = `<!doctype html>
<title>page</title>
<link rel="stylesheet" href="/style.css">
<h1 id="title">title</h1>
<img id="image" src="/image.svg" alt="">
<script src="/script.js"></script>`;

const script = `
const answered = fetch('/api?q=1', { method: 'POST', body: 'question' }).then((response) => response.text());
const echoed = new Promise((resolve, reject) => {
  const socket = new WebSocket(location.origin.replace('https', 'wss') + '/socket');
  socket.onopen = () => socket.send('hello');
  socket.onmessage = ({ data }) => resolve(data);
  socket.onerror = () => reject(new Error('the WebSocket failed'));
});
const event = new Promise((resolve) => {
  const events = new EventSource('/events');
  events.onmessage = ({ data }) => { events.close(); resolve(data); };
});
window.done = Promise.all([answered, echoed, event]);`;

const files: Readonly<Record<string, readonly [type: string, body: string]>> = {
  '/': ['text/html', page],
  '/style.css': ['text/css', '#title { color: rgb(1, 2, 3); }'],
  '/script.js': ['text/javascript', script],
  '/image.svg': ['image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg" width="17" height="5"/>'],
};

describe('Chromium, which trusts the CA by the hash of its key', () => {
  test('loads a page with all that it is made of', async (t) => {
    const scene = await Scene.open(t);
    const { port, server } = await httpOrigin(
      t,
      (request, response) => {
        const [type, body] = files[request.url ?? ''] ?? [];
        if (type !== undefined) {
          response.setHeader('content-type', type).end(body);
        } else if (request.url === '/events') {
          response.setHeader('content-type', 'text/event-stream').write('data: event\n\n');
        } else if (request.url?.startsWith('/api') === true) {
          request.pipe(response);
        } else {
          response.writeHead(404).end();
        }
      },
      await scene.pki.anyHost(),
    );
    // RFC 6455, as far as one short masked text frame needs it.
    server.on('upgrade', (request, socket) => {
      const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
          `Sec-WebSocket-Accept: ${createHash('sha1').update(key).digest('base64')}\r\n\r\n`,
      );
      socket.once('data', (frame: Buffer) => {
        const length = (frame[1] ?? 0) & 0x7f;
        const text = frame.subarray(6, 6 + length).map((byte, at) => byte ^ (frame[2 + (at % 4)] ?? 0));
        socket.write(Buffer.concat([Uint8Array.of(0x81, length), text]));
      });
    });

    const browser = await chromium.launch({
      executablePath: program('chromium', 'chromium-browser', 'google-chrome'),
      proxy: { server: scene.proxy.url, bypass: '<-loopback>' },
      args: [
        `--ignore-certificate-errors-spki-list=${scene.proxy.ca.publicKeySha256}`,
        ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
        ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
      ],
    });
    later(t, () => browser.close());
    const tab = await browser.newPage();
    const problems: string[] = [];
    tab.on('requestfailed', (request) => problems.push(`${request.url()}: ${request.failure()?.errorText}`));
    tab.on('pageerror', (error) => problems.push(String(error)));

    const origin = `https://shop.test:${port}`;
    const response = await tab.goto(`${origin}/`);
    assert.equal(response?.status(), 200);
    assert.deepEqual(await tab.evaluate('window.done'), ['question', 'hello', 'event']);
    assert.equal(
      await tab.evaluate(`getComputedStyle(document.querySelector('#title')).color`),
      'rgb(1, 2, 3)',
      'the style sheet counts',
    );
    assert.equal(await tab.evaluate(`document.querySelector('#image').naturalWidth`), 17);
    assert.deepEqual(
      problems.filter((problem) => !problem.includes('/events')),
      [],
    );
    const details = await response?.securityDetails();
    assert.equal(details?.protocol, 'TLS 1.3');
    const seen = new Set(scene.exchanges.map(({ url }) => url.replace(origin, '')));
    for (const path of [...Object.keys(files), '/api?q=1', '/socket']) assert.ok(seen.has(path), path);
  });

  test('shows the error page of the proxy for an origin that is not there', async (t) => {
    const scene = await Scene.open(t);
    const browser = await chromium.launch({
      executablePath: program('chromium', 'chromium-browser', 'google-chrome'),
      proxy: { server: scene.proxy.url, bypass: '<-loopback>' },
      args: [
        `--ignore-certificate-errors-spki-list=${scene.proxy.ca.publicKeySha256}`,
        ...['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-sync'],
      ],
    });
    later(t, () => browser.close());
    const tab = await browser.newPage();
    const response = await tab.goto('https://nowhere.invalid/');
    assert.equal(response?.status(), 502);
    assert.match(await tab.title(), /^502 The name of the origin could not be resolved$/);
  });
});
