/** The one use of Node's insides: it must do what `onread` does, on every Node, or change nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { type ReadIntoBuffer, UserBuffers } from '../../src/base/user-buffer.js';

interface Pair {
  readonly accepted: net.Socket;
  readonly client: net.Socket;
  readonly [Symbol.dispose]: () => void;
}

async function pair(): Promise<Pair> {
  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const client = net.connect(port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [net.Socket];
  return {
    accepted,
    client,
    [Symbol.dispose]: () => {
      client.destroy();
      accepted.destroy();
      server.close();
    },
  };
}

test('an accepted socket is read into the memory that is given, each read into the next', async () => {
  const own = new UserBuffers();
  assert.equal(await own.probe(), true, `this is found to work on ${process.version}`);
  using sockets = await pair();
  const buffers = [Buffer.alloc(3), Buffer.alloc(5)] as const;
  let at = 0;
  const pieces: string[] = [];
  let waiting: (() => void) | undefined;
  const had = own.read(
    sockets.accepted,
    () => buffers[at % 2 === 0 ? 0 : 1],
    (length) => {
      pieces.push(buffers[at % 2 === 0 ? 0 : 1].toString('latin1', 0, length));
      at += 1;
      waiting?.();
      // Stops after each.
      return false;
    },
  );
  assert.equal(had, true);
  sockets.client.write('aaabbbbbccc');
  for (let reads = 0; reads < 3; reads += 1) {
    const read = new Promise<void>((resolve) => {
      waiting = resolve;
    });
    sockets.accepted.resume();
    await read;
  }
  assert.deepEqual(pieces, ['aaa', 'bbbbb', 'ccc']);
});

test('before it is known to work, and on a socket without a handle, a socket is left as it is', async () => {
  const own = new UserBuffers();
  using sockets = await pair();
  const never = (): boolean => assert.fail('no byte comes this way');
  assert.equal(own.read(sockets.accepted, Buffer.alloc(8), never), false);
  sockets.client.write('by data events');
  const [chunk] = (await once(sockets.accepted.resume(), 'data')) as [Buffer];
  assert.equal(String(chunk), 'by data events');
  // The question was enough to have it found out.
  assert.equal(await own.probe(), true);
  assert.equal(own.read(new net.Socket(), Buffer.alloc(8), never), false);
});

/** What another version of Node might make of it. */
const broken: Record<string, ReadIntoBuffer> = {
  'is not there': () => false,
  throws: () => {
    throw new Error('no such method');
  },
  'never gives a byte, nor the end': () => true,
  'gives bytes twice': (socket, buffer, callback) => {
    socket.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += 3) {
        for (let time = 0; time < 2; time += 1) {
          const into = typeof buffer === 'function' ? buffer() : buffer;
          callback.call(socket, chunk.copy(into, 0, at, at + 3), into);
        }
      }
    });
    return true;
  },
  'tells lengths, and writes nothing into the buffer': (socket, buffer, callback) => {
    const into = typeof buffer === 'function' ? buffer() : buffer;
    socket.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += 3)
        callback.call(socket, Math.min(3, chunk.length - at), into);
    });
    return true;
  },
  'does not say which socket it was': (socket, buffer, callback) => {
    socket.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += 3) {
        const into = typeof buffer === 'function' ? buffer() : buffer;
        callback.call(new net.Socket(), chunk.copy(into, 0, at, at + 3), into);
      }
    });
    return true;
  },
};

for (const [what, adopt] of Object.entries(broken)) {
  test(`a way that ${what} is found out, once, and not used`, async () => {
    let times = 0;
    const own = new UserBuffers((...given) => {
      times += 1;
      return adopt(...given);
    });
    assert.equal(await own.probe(), false);
    assert.equal(await own.probe(), false);
    const socket = new net.Socket();
    assert.equal(
      own.read(socket, Buffer.alloc(8), () => true),
      false,
    );
    assert.equal(times, 1);
  });
}
