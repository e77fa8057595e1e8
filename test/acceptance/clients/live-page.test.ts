/** A page that talks to its origin while it is open: WebSocket and server-sent events, in Chromium. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { httpOrigin } from '../../support/origins.js';
import { program } from '../../support/programs.js';
import { Scene } from '../../support/scene.js';
import { later } from '../../support/stage.js';

const page = `<!doctype html>
<title>live</title>
<script>
const echoed = new Promise((resolve, reject) => {
  const socket = new WebSocket(location.origin.replace('https', 'wss') + '/socket');
  socket.onopen = () => socket.send('hello');
  socket.onmessage = ({ data }) => resolve(data);
  socket.onerror = () => reject(new Error('the WebSocket failed'));
});
const told = new Promise((resolve) => {
  const events = new EventSource('/events');
  events.onmessage = ({ data }) => resolve(data);
});
window.live = Promise.all([echoed, told]);
</script>`;

/** RFC 6455, as far as one short masked text frame needs it. */
function echoOneFrame(socket: Duplex, key: string): void {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.once('data', (frame: Buffer) => {
    const length = (frame[1] ?? 0) & 0x7f;
    const text = frame.subarray(6, 6 + length).map((byte, at) => byte ^ (frame[2 + (at % 4)] ?? 0));
    socket.write(Buffer.concat([Uint8Array.of(0x81, length), text]));
  });
}

describe('Chromium', () => {
  test('speaks WebSocket, and hears server-sent events while their response goes on', async (t) => {
    const scene = await Scene.open(t);
    const { port, server } = await httpOrigin(
      t,
      (request, response) => {
        if (request.url === '/events') {
          response.setHeader('content-type', 'text/event-stream').write('data: event\n\n');
        } else {
          response.setHeader('content-type', 'text/html').end(page);
        }
      },
      await scene.pki.anyHost(),
    );
    server.on('upgrade', (request, socket) => {
      echoOneFrame(socket, String(request.headers['sec-websocket-key']));
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
    await tab.goto(`https://shop.test:${port}/`);
    assert.deepEqual(await tab.evaluate('window.live'), ['hello', 'event']);
    const { reason, target } = await scene.tunnelOpened();
    assert.deepEqual([reason, target], ['upgrade', `shop.test:${port}`]);
  });
});
