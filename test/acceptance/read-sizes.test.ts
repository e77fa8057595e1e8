/** `readBufferSize` and what is counted: large reads from origins, and the same bytes as without. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import { describe, test } from 'node:test';
import type { LegCounts } from '../../src/base/leg-counters.js';
import { httpOrigin } from '../support/origins.js';
import { within } from '../support/patience.js';
import { Scene } from '../support/scene.js';

const KiB = 1024;
const body = randomBytes(32 * KiB * KiB);
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function download(scene: Scene, secure: boolean, times = 1): Promise<LegCounts> {
  const { port } = await httpOrigin(
    scene.t,
    (_request, response) => response.end(body),
    secure ? await scene.pki.anyHost() : undefined,
  );
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  scene.t.after(() => {
    agent.destroy();
  });
  for (let count = 0; count < times; count += 1) {
    const request = http.request({
      ...(await requestOptions(scene, secure, port)),
      ...(secure ? {} : { agent }),
    });
    request.end();
    const [response] = (await within(once(request, 'response'), 'a response')) as [IncomingMessage];
    const hash = createHash('sha256');
    for await (const chunk of response) hash.update(chunk as Buffer);
    assert.equal(hash.digest('hex'), digest(body));
  }
  return scene.proxy.counters().legs.upstream;
}

async function requestOptions(scene: Scene, secure: boolean, port: number): Promise<http.RequestOptions> {
  if (!secure) return { host: '127.0.0.1', port: scene.proxy.port, path: `http://127.0.0.1:${port}/` };
  const client = await scene.secureClient('shop.test', port);
  const socket = client.tls;
  client.handOver(() => undefined);
  socket.removeAllListeners('data');
  return { headers: { host: 'shop.test' }, createConnection: () => socket };
}

function bytesFrom({ reads }: LegCounts, least: number): number {
  return Object.entries(reads.buckets)
    .filter(([from]) => Number(from) >= least)
    .reduce((sum, [, { bytes }]) => sum + bytes, 0);
}

describe('readBufferSize', () => {
  for (const secure of [false, true]) {
    test(`${secure ? 'https' : 'http'}: reads of 1 MiB are had, 64 KiB are kept to, and bodies are the same`, async (t) => {
      const small = await download(await Scene.open(t, { readBufferSize: 64 * KiB }), secure);
      const large = await download(await Scene.open(t, { readBufferSize: 1024 * KiB }), secure);
      assert.equal(bytesFrom(small, 128 * KiB), 0);
      assert.ok(bytesFrom(large, 128 * KiB) > 0, JSON.stringify(large.reads));
      assert.ok(large.reads.count < small.reads.count, `${large.reads.count} and ${small.reads.count} reads`);
      for (const { reads, held } of [small, large]) {
        assert.ok(reads.bytes >= body.length && reads.bytes < body.length * 1.02, `${reads.bytes} bytes`);
        assert.equal(held, 0);
      }
    });
  }

  test('by default https is read by TLS itself, and what it gives is counted; handshakes too', async (t) => {
    const scene = await Scene.open(t);
    const upstream = await download(scene, true, 2);
    assert.equal(upstream.reads.count, 0);
    assert.ok(upstream.plaintext.bytes >= 2 * body.length);
    assert.ok(upstream.writes.count >= 2);
    const { client } = scene.proxy.counters().legs;
    assert.ok(client.writes.bytes >= 2 * body.length);
    assert.ok(client.plaintext.bytes > 0);
    assert.equal(client.handshakes.new + client.handshakes.resumed, 2);
    assert.equal(upstream.handshakes.new, 1);
  });

  test('a size that cannot be is refused when the proxy starts', async (t) => {
    await assert.rejects(Scene.open(t, { readBufferSize: 1 }), { code: 'ERR_OPTION_VALUE' });
  });
});
