/** Large reads on both sides: whatever the sizes, what arrives is what was sent, and slow readers hold little. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type tls from 'node:tls';
import fc from 'fast-check';
import { BufferBudget } from '../../src/base/budget.js';
import { LegCounters } from '../../src/base/leg-counters.js';
import { ReadMemory } from '../../src/base/read-memory.js';
import { LargeReader, Transport } from '../../src/tls/transport.js';
import { type Credentials, TestAuthority } from './support/certificates.js';
import { pairOf } from './support/pairs.js';

const withTimeout = { timeout: 60_000 };
const MiB = 1024 * 1024;
let authority: TestAuthority;
let good: Credentials;

before(async () => {
  authority = await TestAuthority.create('large reads');
  good = await authority.issue({ names: 'DNS:a.example' });
});

after(async () => {
  await authority.close();
});

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Reads to the end; `every`: how many chunks between two pauses of one turn, 0 for none. */
async function readAll(socket: tls.TLSSocket, every = 0): Promise<string> {
  const hash = createHash('sha256');
  let chunks = 0;
  socket.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    chunks += 1;
    if (every === 0 || chunks % every !== 0) return;
    socket.pause();
    setImmediate(() => socket.resume());
  });
  socket.resume();
  await once(socket, 'end');
  return hash.digest('hex');
}

describe('large reads', withTimeout, () => {
  for (const readBufferSize of [4096, 65_536, MiB, 4 * MiB]) {
    it(`${readBufferSize}: both directions at once arrive intact, with and without pauses`, async () => {
      for (const every of [0, 1, 5]) {
        await using pair = await pairOf(
          { ...good, readBufferSize, allowHalfOpen: true },
          { ca: authority.cert, readBufferSize, allowHalfOpen: true },
        );
        const [up, down] = [randomBytes(3 * MiB + 17), randomBytes(2 * MiB + 3)];
        const read = Promise.all([readAll(pair.server, every), readAll(pair.client, every)]);
        pair.client.end(up);
        pair.server.end(down);
        assert.deepEqual(await read, [digest(up), digest(down)]);
      }
    });
  }

  it('tickets after the handshake pass too', async () => {
    const ticket = new EventEmitter();
    await using pair = await pairOf(
      { ...good, readBufferSize: MiB },
      { ca: authority.cert, readBufferSize: MiB },
    );
    pair.client.on('session', () => ticket.emit('came'));
    const came = once(ticket, 'came');
    pair.server.write('x');
    await once(pair.client, 'data');
    await came;
    assert.equal(pair.client.getProtocol(), 'TLSv1.3');
    assert.equal(pair.client.authorized, true);
  });

  it('TLS 1.2 renegotiates', async () => {
    await using pair = await pairOf(
      { ...good, readBufferSize: MiB },
      { ca: authority.cert, readBufferSize: MiB, maxVersion: 'TLSv1.2' },
    );
    pair.server.on('data', (chunk: Buffer) => pair.server.write(chunk));
    await new Promise<void>((resolve, reject) => {
      pair.client.renegotiate({}, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
    pair.client.write('after');
    assert.equal(String((await once(pair.client, 'data'))[0]), 'after');
  });

  it('a slow reader has little read ahead, and gets all in the end', async () => {
    const budget = new BufferBudget(256 * 1024);
    await using pair = await pairOf({ ...good }, { ca: authority.cert, readBufferSize: 4 * MiB, budget });
    const body = randomBytes(24 * MiB);
    pair.client.pause();
    pair.server.end(body);
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    assert.ok(pair.server.writableLength > 0, 'the sender waits');
    assert.ok(budget.used <= 256 * 1024, `${budget.used} held`);
    assert.ok(pair.client.readableLength < 512 * 1024, `${pair.client.readableLength} decrypted`);
    const hash = await readAll(pair.client, 3);
    assert.equal(hash, digest(body));
    assert.equal(budget.used, 0);
  });

  it('what was held is given back when a connection is destroyed', async () => {
    const budget = new BufferBudget(MiB);
    await using pair = await pairOf({ ...good, writeBufferSize: 65_536, budget }, { ca: authority.cert });
    pair.client.pause();
    assert.equal(pair.server.write(randomBytes(4 * MiB)), false);
    assert.ok(budget.spent);
    pair.server.destroy();
    await once(pair.server, 'close');
    assert.equal(budget.used, 0);
  });

  it('a spent budget has even small writes wait, and drain comes', async () => {
    const budget = new BufferBudget(1);
    await using pair = await pairOf({ ...good, budget }, { ca: authority.cert });
    pair.server.cork();
    assert.equal(pair.server.write('small'), false);
    const drained = once(pair.server, 'drain');
    pair.server.uncork();
    assert.equal(String((await once(pair.client, 'data'))[0]), 'small');
    await drained;
  });
});

/** A plain socket as a `Transport` sees it. */
class Plain extends EventEmitter {
  running = true;
  destroyed = false;
  pause(): this {
    this.running = false;
    return this;
  }
  resume(): this {
    this.running = true;
    return this;
  }
  destroy(): this {
    this.destroyed = true;
    return this;
  }
}

describe('Transport', withTimeout, () => {
  it('any split and any pauses give the same bytes, once and in order, and hold no more than was read', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 90_000 }), { maxLength: 12 }),
        fc.infiniteStream(fc.nat({ max: 4 })),
        async (sizes, pauses) => {
          const counters = new LegCounters();
          const memory = new ReadMemory(128 * 1024);
          const reader = new LargeReader({ memory, counters });
          const plain = new Plain();
          const transport = new Transport(plain as unknown as Socket, reader);
          const got: Buffer[] = [];
          let last = 0;
          transport.on('data', (piece: Buffer) => {
            assert.ok(piece.length <= 16_406);
            if (counters.held === 0 && last <= 4096) assert.ok(piece.length <= 1000);
            got.push(Buffer.from(piece));
            if (pauses.next().value === 0) transport.pause();
          });
          const sent: Buffer[] = [];
          for (const size of sizes) {
            const view = reader.buffer();
            const bytes = randomBytes(Math.min(size, view.length));
            bytes.copy(view);
            sent.push(bytes);
            last = bytes.length;
            plain.running = reader.callback(bytes.length);
            // The memory is another connection's now.
            view.fill(0);
            assert.ok(counters.held <= view.length);
            while (!plain.running) {
              transport.resume();
              await new Promise(setImmediate);
            }
          }
          let ended = false;
          transport.on('end', () => (ended = true));
          plain.emit('end');
          assert.equal(ended, true);
          assert.deepEqual(Buffer.concat(got), Buffer.concat(sent));
          assert.equal(counters.reads.counts.bytes, Buffer.concat(sent).length);
          assert.equal(counters.held, 0);
          transport.destroy();
          assert.equal(plain.destroyed, true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('an end waits for what is held', async () => {
    const reader = new LargeReader({ memory: new ReadMemory(65_536) });
    const plain = new Plain();
    const transport = new Transport(plain as unknown as Socket, reader);
    transport.pause();
    const order: string[] = [];
    transport.on('data', () => order.push('data')).on('end', () => order.push('end'));
    transport.pause();
    assert.equal(reader.callback(10), false);
    plain.emit('end');
    assert.deepEqual(order, []);
    transport.resume();
    await new Promise(setImmediate);
    assert.deepEqual(order, ['data', 'end']);
  });
});
