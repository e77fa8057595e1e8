import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { suite, test } from 'node:test';
import { TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { Outbox } from '../../src/http/outbox.js';
import { SlabPool } from '../../src/http/slab-pool.js';

type Done = (error?: Error | null) => void;

/** What reaches the socket, one write at a time: each waits until the test lets it leave. */
class Wire {
  readonly writes: Buffer[] = [];
  readonly #immediate: boolean;
  #leave: Done | undefined;

  /** `immediate`: a write leaves at once. */
  constructor(immediate: boolean) {
    this.#immediate = immediate;
  }

  readonly write = (chunk: Buffer | string, encoding: BufferEncoding, done: Done): void => {
    this.writes.push(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk));
    if (this.#immediate) done();
    else this.#leave = done;
  };

  /** The write on its way leaves; `false` where there is none. */
  leave(error?: Error): boolean {
    const done = this.#leave;
    this.#leave = undefined;
    done?.(error);
    return done !== undefined;
  }

  get all(): Buffer {
    return Buffer.concat(this.writes);
  }
}

class WiredTls extends TLSSocket {
  readonly #wire: Wire;

  constructor(wire: Wire) {
    const under = new Duplex({
      read() {},
      write(_chunk, _encoding, done) {
        done();
      },
    });
    super(under);
    this.#wire = wire;
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: Done): void {
    this.#wire.write(chunk, encoding, done);
  }

  override _writev(chunks: readonly { chunk: Buffer }[], done: Done): void {
    this.#wire.write(Buffer.concat(chunks.map(({ chunk }) => Buffer.from(chunk))), 'latin1', done);
  }
}

function start(tls: boolean, immediate = false, slabs = new SlabPool()) {
  const wire = new Wire(immediate);
  const socket = tls
    ? new WiredTls(wire)
    : new Duplex({ read() {}, decodeStrings: false, write: wire.write });
  const told = { room: 0 };
  const outbox = new Outbox(socket, slabs, {
    room: () => {
      told.room += 1;
    },
  });
  return { wire, outbox, socket, told };
}

function body(size: number, seed = 0): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let index = 0; index < size; index += 1) bytes[index] = (index * 31 + seed) % 251;
  return bytes;
}

/** Lets everything leave; callbacks of writes come in a turn of their own. */
async function drain(wire: Wire): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!wire.leave()) return;
  }
}

suite('an outbox', () => {
  test('sends a small message over TLS in writes that fit the small buffer, then says that there is room', async () => {
    const { wire, outbox, told } = start(true);
    outbox.text('h'.repeat(300));
    outbox.bytes(body(2400));
    outbox.flush();
    assert.equal(outbox.backlog, 2700, 'what waits counts');
    assert.equal(told.room, 0);
    await drain(wire);
    assert.deepEqual(
      wire.writes.map(({ length }) => length),
      [1000, 1000, 700],
    );
    assert.deepEqual(wire.all, Buffer.concat([Buffer.alloc(300, 'h'), body(2400)]));
    assert.equal(outbox.backlog, 0);
    assert.equal(told.room, 1, 'once, at the end');
  });

  test('sends it in one write over TCP', async () => {
    const { wire, outbox } = start(false);
    outbox.text('h'.repeat(300));
    outbox.bytes(body(2400));
    outbox.flush();
    await drain(wire);
    assert.deepEqual(
      wire.writes.map(({ length }) => length),
      [2700],
    );
  });

  test('sends as it likes once a TLS connection has sent 16 KiB, or more than 8 KiB at once', async () => {
    const busy = start(true);
    for (let sent = 0; sent < 20; sent += 1) {
      busy.outbox.bytes(body(1400));
      busy.outbox.flush();
      await drain(busy.wire);
    }
    const { writes } = busy.wire;
    assert.equal(writes[0]?.length, 1000);
    assert.equal(writes.at(-1)?.length, 1400);
    assert.equal(writes.filter(({ length }) => length > 1000).length, 20 - 11);

    const large = start(true);
    large.outbox.bytes(body(9000));
    large.outbox.flush();
    await drain(large.wire);
    assert.deepEqual(
      large.wire.writes.map(({ length }) => length),
      [9000],
    );
  });

  test('stays lean when more comes while a part of the message before it waits', async () => {
    const { wire, outbox } = start(true, true);
    outbox.bytes(body(1400, 1));
    outbox.flush();
    outbox.bytes(body(1400, 2));
    outbox.flush();
    await drain(wire);
    assert.ok(wire.writes.every(({ length }) => length <= 1000));
    assert.deepEqual(wire.all, Buffer.concat([body(1400, 1), body(1400, 2)]));
  });

  test('hands over what still waits when all must leave', () => {
    const { wire, outbox, socket } = start(true);
    outbox.bytes(body(2500));
    outbox.flush();
    outbox.text('after');
    outbox.flushAll();
    assert.equal(wire.all.length + socket.writableLength - 1000, 2505);
    assert.equal(outbox.backlog, socket.writableLength, 'nothing stays here');
  });

  test('begins calm over TLS: a slab leaves in pieces, and its source waits for it', async () => {
    const { wire, outbox, told } = start(true);
    outbox.bytes(body(65_536));
    outbox.flush();
    assert.equal(outbox.roomy(131_072), false);
    assert.equal(outbox.roomy(1_000_000), false);
    await drain(wire);
    assert.deepEqual(
      wire.writes.map(({ length }) => length),
      [16_384, 16_384, 16_384, 16_384],
    );
    assert.deepEqual(wire.all, body(65_536));
    assert.equal(outbox.roomy(131_072), true);
    assert.equal(told.room, 1);
  });

  test('sends whole slabs after 12 MiB without a stall, and is calm again after one', async (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    const { wire, outbox } = start(true);
    const sendSlab = async (time: number): Promise<number> => {
      const before = wire.writes.length;
      outbox.bytes(body(65_536));
      outbox.flush();
      now += time;
      await drain(wire);
      return wire.writes.length - before;
    };
    for (let sent = 0; sent < 191; sent += 1) assert.equal(await sendSlab(200), 4);
    assert.equal(await sendSlab(200), 1);
    outbox.bytes(body(65_536));
    outbox.flush();
    assert.equal(outbox.roomy(131_072), true, 'the next slab is gathered meanwhile');
    await drain(wire);
    assert.equal(await sendSlab(300), 1, 'on its way already');
    assert.equal(await sendSlab(1), 4, 'the reader was slow');
    assert.equal(outbox.backlog, 0);
  });

  test('keeps as many slabs as are on their way, and few when little is', async () => {
    const slabs = new SlabPool(2);
    const busy = Array.from({ length: 10 }, () => start(true, false, slabs));
    for (const { outbox } of busy) {
      outbox.bytes(body(65_536));
      outbox.flush();
    }
    for (const { wire } of busy.slice(0, 5)) await drain(wire);
    assert.equal(slabs.free, 5);
    for (const { wire } of busy.slice(5)) await drain(wire);
    assert.equal(slabs.free, 5, 'no more than at the most were left');
  });

  test('uses no slab again whose write failed', async () => {
    const slabs = new SlabPool();
    const { outbox, socket, wire } = start(true, false, slabs);
    socket.on('error', () => undefined);
    outbox.bytes(body(65_536));
    outbox.flush();
    wire.leave(new Error('reset'));
    await drain(wire);
    assert.equal(slabs.free, 0);
  });

  test('sends every byte once and in order, whatever comes when', async () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant('text' as const), size: fc.integer({ min: 1, max: 600 }) }),
      fc.record({ kind: fc.constant('bytes' as const), size: fc.integer({ min: 1, max: 6000 }) }),
      fc.record({ kind: fc.constant('bytes' as const), size: fc.integer({ min: 6000, max: 150_000 }) }),
      fc.record({
        kind: fc.constantFrom('flush' as const, 'flushAll' as const, 'leave' as const, 'turn' as const),
      }),
    );
    const property = fc.asyncProperty(
      fc.boolean(),
      fc.boolean(),
      fc.array(action, { maxLength: 40 }),
      async (tls, immediate, actions) => {
        const { wire, outbox } = start(tls, immediate);
        const given: Buffer[] = [];
        for (const [index, act] of actions.entries()) {
          if (act.kind === 'text') {
            const text = String.fromCharCode(97 + (index % 26)).repeat(act.size);
            given.push(Buffer.from(text));
            outbox.text(text);
          } else if (act.kind === 'bytes') {
            const chunk = body(act.size, index);
            given.push(Buffer.from(chunk));
            outbox.bytes(chunk);
            outbox.flush();
            // The memory is its owner's again.
            chunk.fill(0);
          } else if (act.kind === 'leave') {
            wire.leave();
          } else if (act.kind === 'turn') {
            await new Promise((resolve) => setImmediate(resolve));
          } else {
            outbox[act.kind]();
          }
        }
        outbox.flush();
        await drain(wire);
        assert.ok(Buffer.concat(given).equals(wire.all));
        assert.equal(outbox.backlog, 0);
      },
    );
    await fc.assert(property, { numRuns: 300 });
  });
});
