/** Plaintext into one buffer for all: who takes it, and what becomes of it when nobody does any more. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Histogram } from '../../src/base/histogram.js';
import { readTaker, SharedReads, type TakenSocket } from '../../src/base/shared-reads.js';
import { userBuffers } from '../../src/base/user-buffer.js';

async function pair(t: TestContext): Promise<readonly [near: Socket, far: Socket]> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [near] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    for (const socket of [near, far]) socket.destroy();
    server.close();
  });
  return [near, far];
}

test('each socket of many gets its own bytes, out of one buffer', async (t) => {
  assert.equal(await userBuffers.probe(), true);
  const histogram = new Histogram();
  const reads = new SharedReads(histogram);
  await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const [near, far] = await pair(t);
      let got = '';
      (near as TakenSocket)[readTaker] = { push: (bytes) => (got += bytes.toString('latin1')) };
      assert.equal(reads.begin(near), true);
      near.resume();
      const sent = String.fromCharCode(65 + index).repeat(100_000);
      far.end(sent);
      await once(near, 'end');
      assert.ok(got === sent, `socket ${index} got ${got.length} bytes of its own or of others`);
    }),
  );
  assert.equal(histogram.counts.bytes, 2_000_000);
});

test('without a taker bytes go into the stream, as copies, and wait for their reader', async (t) => {
  await userBuffers.probe();
  const reads = new SharedReads();
  const [[a, toA], [b, toB]] = await Promise.all([pair(t), pair(t)]);
  assert.ok(reads.begin(a) && reads.begin(b));
  const chunks: Buffer[] = [];
  a.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
  toA.end('the first');
  await once(a, 'end');
  b.resume();
  toB.end('ANOTHER 1');
  await once(b, 'end');
  assert.equal(Buffer.concat(chunks).toString(), 'the first');
});

test('what was read before is not overtaken: such a socket is left as it is', async (t) => {
  await userBuffers.probe();
  const [near, far] = await pair(t);
  far.write('early');
  near.read(0);
  await once(near, 'readable');
  assert.equal(near.readableLength, 5);
  assert.equal(new SharedReads().begin(near), false);
});
