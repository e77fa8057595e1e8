/** Many bodies at a time: each arrives whole and unmixed, however slowly it is read. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { describe, test } from 'node:test';
import { httpOrigin } from '../support/origins.js';
import { within } from '../support/patience.js';
import { Scene } from '../support/scene.js';

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const source = randomBytes(4_000_000);
/** A body of its own for every number, of about 2 MB. */
const bodyOf = (number: number): Buffer => source.subarray(number * 7919, number * 7919 + 2_000_000 + number);

/** A request through the proxy on a connection of its own, decrypted or not. */
async function ask(
  scene: Scene,
  secure: boolean,
  port: number,
  options: http.RequestOptions,
): Promise<http.ClientRequest> {
  if (!secure) {
    const url = `http://127.0.0.1:${port}${options.path ?? '/'}`;
    return http.request({ ...options, host: '127.0.0.1', port: scene.proxy.port, path: url, agent: false });
  }
  const client = await scene.secureClient('shop.test', port);
  const socket = client.tls;
  client.handOver(() => undefined);
  socket.removeAllListeners('data');
  return http.request({
    ...options,
    headers: { host: 'shop.test', ...options.headers },
    createConnection: () => socket,
  });
}

async function received(response: IncomingMessage, slowly: boolean): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of response) {
    hash.update(chunk as Buffer);
    if (slowly) await new Promise(setImmediate);
  }
  return hash.digest('hex');
}

for (const secure of [false, true]) {
  const leg = secure ? 'TLS' : 'TCP';
  describe(`Over ${leg}`, () => {
    test('24 downloads at once arrive whole, quick readers and slow', async (t) => {
      const scene = await Scene.open(t);
      const { port } = await httpOrigin(
        t,
        (request, response) => {
          const number = Number(request.url?.slice(1));
          const body = bodyOf(number);
          if (number % 3 === 0) response.setHeader('content-length', body.length);
          // Without chunks: until the close.
          if (number % 3 === 1) response.useChunkedEncodingByDefault = false;
          for (let at = 0; at < body.length; at += 50_000 + number) {
            response.write(body.subarray(at, at + 50_000 + number));
          }
          response.end();
        },
        secure ? await scene.pki.anyHost() : undefined,
      );
      const downloads = Array.from({ length: 24 }, async (_, number) => {
        const request = await ask(scene, secure, port, { path: `/${number}` });
        request.end();
        const [response] = (await once(request, 'response')) as [IncomingMessage];
        assert.equal(await received(response, number % 2 === 0), digest(bodyOf(number)), `body ${number}`);
      });
      await within(Promise.all(downloads), 'the downloads', 60_000);
    });

    test('24 uploads at once arrive whole, at quick origins and slow', async (t) => {
      const scene = await Scene.open(t);
      const { port } = await httpOrigin(
        t,
        (request, response) => {
          void received(request, Number(request.url?.slice(1)) % 2 === 0).then((hash) => response.end(hash));
        },
        secure ? await scene.pki.anyHost() : undefined,
      );
      const uploads = Array.from({ length: 24 }, async (_, number) => {
        const body = bodyOf(number);
        const headers = number % 3 === 0 ? { 'content-length': String(body.length) } : {};
        const request = await ask(scene, secure, port, { method: 'PUT', path: `/${number}`, headers });
        const answered = once(request, 'response');
        const pieces = Array.from({ length: 40 }, (_piece, index) =>
          body.subarray(index * 60_000, (index + 1) * 60_000),
        );
        await pipeline(pieces, request);
        const [response] = (await answered) as [IncomingMessage];
        const text = await response.setEncoding('utf8').toArray();
        assert.equal(text.join(''), digest(body), `body ${number}`);
      });
      await within(Promise.all(uploads), 'the uploads', 60_000);
    });
  });
}
