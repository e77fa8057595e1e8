/** New keys in the middle of a connection (RFC 8446 §4.6.3), asked for by `openssl`, on servers and clients of every read size. */
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { TlsClient } from '../../src/tls/connect.js';
import { createTlsServer } from '../../src/tls/server.js';
import { type Credentials, TestAuthority } from './support/certificates.js';
import { closing } from './support/closing.js';
import { listen } from './support/pairs.js';

const withTimeout = { timeout: 60_000 };
let authority: TestAuthority;
let good: Credentials;
let directory: string;

before(async () => {
  authority = await TestAuthority.create('key updates');
  good = await authority.issue({ names: 'DNS:a.example' });
  directory = await mkdtemp(path.join(tmpdir(), 'sallyport-test-'));
  await writeFile(path.join(directory, 'cert.pem'), good.cert);
  await writeFile(path.join(directory, 'key.pem'), good.key, { mode: 0o600 });
});

after(async () => {
  await authority.close();
  await rm(directory, { recursive: true });
});

/** `openssl`, talked to by lines; `-msg` has it print each handshake message. */
class Tool {
  readonly #child: ChildProcessWithoutNullStreams;
  #said = '';

  constructor(args: readonly string[]) {
    this.#child = spawn('openssl', [...args, '-tls1_3', '-msg']);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('latin1').on('data', (text: string) => (this.#said += text));
    }
  }

  /** A line of its own in one write, as commands are told from text by that. */
  say(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Until as many messages or texts of this kind were seen. */
  async seen(pattern: RegExp, count = 1): Promise<void> {
    while ((this.#said.match(pattern)?.length ?? 0) < count) {
      if (this.#child.exitCode !== null) assert.fail(`openssl has ended: ${this.#said}`);
      await new Promise(setImmediate);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** As `-msg` prints them: `>>>` is what the tool sends. */
const sent = /^>>> .*KeyUpdate/gm;
const answered = /^<<< .*KeyUpdate/gm;

for (const readBufferSize of ['adaptive', 4096, 65_536, 1024 * 1024] as const) {
  describe(`a key update, readBufferSize ${readBufferSize}`, withTimeout, () => {
    it('on a server: bytes pass before and after, and a request is answered', async (t) => {
      const server = createTlsServer({ ...good, readBufferSize }, (socket) => {
        socket.on('data', (chunk: Buffer) => socket.write(`<${String(chunk).trim()}>`));
        socket.on('error', () => undefined);
      });
      const port = await listen(server);
      t.after(() => server.close());
      await using client = new Tool(['s_client', '-connect', `127.0.0.1:${port}`]);
      await client.seen(/NewSessionTicket/g, 2);
      client.say('one');
      await client.seen(/<one>/g);
      client.say('k');
      await client.seen(sent);
      client.say('two');
      await client.seen(/<two>/g);
      client.say('K');
      await client.seen(sent, 2);
      client.say('three');
      await client.seen(/<three>/g);
      await client.seen(answered);
      client.say('four');
      await client.seen(/<four>/g);
    });

    it('on a client: bytes pass before and after, and a request is answered', async () => {
      const port = await freePort();
      const files = ['-cert', path.join(directory, 'cert.pem'), '-key', path.join(directory, 'key.pem')];
      await using server = new Tool(['s_server', '-accept', `127.0.0.1:${port}`, ...files]);
      await server.seen(/^ACCEPT/gm);
      const client = new TlsClient().connect({
        host: '127.0.0.1',
        port,
        servername: 'a.example',
        ca: authority.cert,
        readBufferSize,
      });
      let got = '';
      client.on('data', (chunk: Buffer) => (got += String(chunk)));
      const has = async (text: string): Promise<void> => {
        while (!got.includes(text)) await once(client, 'data');
      };
      await once(client, 'secureConnect');
      for (const [index, command] of ['k', 'K'].entries()) {
        server.say(`before ${command}`);
        await has(`before ${command}\n`);
        server.say(command);
        await server.seen(sent, index + 1);
        server.say(`after ${command}`);
        await has(`after ${command}\n`);
      }
      const body = randomBytes(40_000).toString('base64');
      client.write(`${body.replaceAll(/(.{64})/g, '$1\n')}\nlast line\n`);
      await server.seen(/last line/g);
      await server.seen(answered);
      client.destroy();
      await closing(client);
    });
  });
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  const port = await listen(server);
  server.close();
  await once(server, 'close');
  return port;
}
