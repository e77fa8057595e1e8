/** The command in a process of its own: its memory, its end, and what it survives. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { describe, test } from 'node:test';
import { listening, RawOrigin } from '../support/origins.js';
import { eventually, within } from '../support/patience.js';
import { Sallyport } from '../support/sallyport.js';
import { Wire } from '../support/wire.js';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

describe('A body of 1 GiB', () => {
  test('waits at the origin for a slow reader, and grows the proxy by less than 64 MiB', async (t) => {
    const sallyport = await Sallyport.start(t);
    const part = Buffer.alloc(MiB);
    let sent = 0;
    const origin = net.createServer((socket) => {
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${GiB}\r\n\r\n`);
        const go = (): void => {
          for (; sent < GiB; sent += part.length) if (!socket.write(part)) break;
          if (sent < GiB) sent += part.length;
        };
        socket.on('drain', go);
        go();
      });
    });
    const port = await listening(t, origin);
    const warm = await sallyport.client();
    warm.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await warm.head();
    const before = await sallyport.memory();

    const client = net.connect(sallyport.port, '127.0.0.1');
    client.write(`GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    let read = 0;
    client.on('data', (chunk: Buffer) => {
      read += chunk.length;
    });
    await once(client, 'data');
    client.pause();
    // All between the two is full when the origin gets rid of nothing more.
    let last = -1;
    await eventually(
      'the origin has to wait',
      async () => {
        const stopped = sent === last;
        last = sent;
        await new Promise((resolve) => {
          setTimeout(resolve, 300);
        });
        return stopped;
      },
      30_000,
    );
    assert.ok(sent < 256 * MiB, `${sent} bytes were taken for a client that read ${read}`);
    client.resume();
    await within(
      new Promise<void>((resolve) => {
        client.on('data', () => {
          if (read >= GiB) resolve();
        });
      }),
      'the rest of it',
      60_000,
    );
    const { peak } = await sallyport.memory();
    client.destroy();
    t.diagnostic(`resident: ${(before.now / MiB).toFixed(1)} MiB before, at most ${(peak / MiB).toFixed(1)}`);
    assert.ok(peak - before.now < 64 * MiB, `grew by ${((peak - before.now) / MiB).toFixed(1)} MiB`);
  });

  test('waits at the client for a slow origin, over TLS, and grows the proxy by less than 64 MiB', async (t) => {
    const sallyport = await Sallyport.start(t);
    const origin = await RawOrigin.tls(t, await sallyport.pki.anyHost());
    const tunnel = await sallyport.client();
    tunnel.send(`CONNECT 127.0.0.1:${origin.port} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await tunnel.head();
    const client = await tunnel.secure({ host: '127.0.0.1', rejectUnauthorized: false });
    client.send(`PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: ${GiB}\r\n\r\n`);
    const server = await origin.next();
    await server.head();
    server.socket.pause();
    const before = await sallyport.memory();
    const part = Buffer.alloc(MiB);
    let sent = 0;
    let taken = true;
    // Until a piece is not taken for a while.
    while (taken && sent < 256 * MiB) {
      taken = await new Promise<boolean>((resolve) => {
        const patience = setTimeout(() => {
          resolve(false);
        }, 500);
        client.socket.write(part, () => {
          clearTimeout(patience);
          resolve(true);
        });
      });
      if (taken) sent += part.length;
    }
    assert.ok(sent < 64 * MiB, `${sent} bytes were taken for an origin that reads none`);
    const { peak } = await sallyport.memory();
    assert.ok(peak - before.now < 64 * MiB, `grew by ${((peak - before.now) / MiB).toFixed(1)} MiB`);
    client.destroy();
  });
});

describe('SIGTERM', () => {
  test('during 100 downloads: they end whole, new ones are refused, and the status is 0', async (t) => {
    const sallyport = await Sallyport.start(t, { args: ['--drain-timeout', '20s'] });
    const [plain, secure] = [await RawOrigin.tcp(t), await RawOrigin.tls(t, await sallyport.pki.anyHost())];
    const ca = await readFile(sallyport.caFile, 'utf8');
    const half = 'x'.repeat(50_000);
    const downloads = await Promise.all(
      Array.from({ length: 100 }, async (_, number) => {
        const wire = await sallyport.client();
        if (number % 2 === 0) {
          wire.send(`GET http://${plain.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
          return { client: wire, server: await begin(plain, half) };
        }
        wire.send(`CONNECT ${secure.at} HTTP/1.1\r\nHost: x\r\n\r\n`);
        await wire.head();
        const client = await wire.secure({ ca, host: '127.0.0.1' });
        client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        return { client, server: await begin(secure, half) };
      }),
    );
    for (const { client } of downloads) {
      await client.head();
      await client.bytes(half.length);
    }
    const idle = await sallyport.client();

    sallyport.child.kill('SIGTERM');
    assert.equal(await idle.rest(), '');
    await assert.rejects(Wire.connect(sallyport.port), { code: 'ECONNREFUSED' });
    assert.equal(sallyport.child.exitCode, null, 'it waits');
    for (const { server } of downloads) server.send(half);
    for (const { client } of downloads) assert.equal((await client.bytes(half.length)).length, half.length);
    for (const { client } of downloads) await client.ending();
    assert.equal(await sallyport.exit(), 0);
    assert.match(sallyport.output, /waiting up to 20\.00 s for 100 exchanges to end/);
  });

  test('cuts what takes longer than the drain time', async (t) => {
    const sallyport = await Sallyport.start(t, { args: ['--drain-timeout', '200ms'] });
    const origin = await RawOrigin.tcp(t);
    const client = await sallyport.client();
    client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    await begin(origin, 'x');
    await client.until('x');
    sallyport.child.kill('SIGTERM');
    await client.ending();
    assert.equal(await sallyport.exit(), 0);
  });
});

/** Sends the first half of a response on the next connection of an origin. */
async function begin(origin: RawOrigin, half: string): Promise<Wire> {
  const server = await origin.next();
  await server.head();
  server.send(`HTTP/1.1 200 OK\r\nContent-Length: ${2 * half.length}\r\n\r\n${half}`);
  return server;
}

describe('Without free file descriptors', () => {
  test('the proxy goes on, and serves again when some are free', async (t) => {
    const sallyport = await Sallyport.start(t, { openFiles: 90 });
    const origin = await RawOrigin.tcp(t);
    const crowd = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const socket = net.connect(sallyport.port, '127.0.0.1');
        socket.on('error', () => undefined);
        await once(socket, 'connect');
        return new Wire(socket);
      }),
    );
    await eventually('some were turned away', () => crowd.some(({ ended }) => ended !== undefined));
    // What was accepted has no descriptor left for an origin, and is told so.
    const accepted = crowd.filter(({ ended }) => ended === undefined);
    for (const client of accepted) client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    const answers = await Promise.all(
      accepted.slice(0, 3).map((client) => client.head().catch(() => 'turned away')),
    );
    t.diagnostic(answers.map((head) => head.slice(0, 30).trim()).join(', '));
    for (const client of crowd) client.destroy();

    const get = async (): Promise<boolean> => {
      try {
        const client = await sallyport.client();
        client.send(`GET http://${origin.at}/alive HTTP/1.1\r\nHost: x\r\n\r\n`);
        return (await client.head()).startsWith('HTTP/1.1 204 ');
      } catch (error) {
        assert.match(String(error), /expected|ECONN/);
        return false;
      }
    };
    void (async () => {
      for (;;) (await origin.next()).send('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n');
    })().catch(() => undefined);
    await eventually('it serves again', get, 30_000);
    assert.equal(sallyport.child.exitCode, null);
  });
});
