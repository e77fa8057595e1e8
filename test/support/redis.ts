/** A real redis-server on a free port of 127.0.0.1, which keeps nothing on disk. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createClient, RESP_TYPES } from 'redis';
import { within } from './patience.js';
import { program } from './programs.js';

export class RedisServer {
  readonly port: number;
  readonly #directory: string;
  readonly #more: readonly string[];
  #child: ChildProcess | undefined;

  constructor(port: number, directory: string, more: readonly string[]) {
    this.port = port;
    this.#directory = directory;
    this.#more = more;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const options = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#directory];
    const memoryOnly = ['--save', '', '--appendonly', 'no', '--daemonize', 'no'];
    const child = spawn(program('redis-server'), [...options, ...memoryOnly, ...this.#more], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    const { stdout } = child;
    let said = '';
    const ready = new Promise<void>((resolve, reject) => {
      stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes('Ready to accept connections')) resolve();
      });
      child.once('error', reject);
      child.once('exit', () => {
        reject(new Error(`redis-server ended: ${said.slice(-500)}`));
      });
    });
    await within(ready, 'redis-server');
  }

  /** Ends it at once, with all that it held. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** It keeps its connections and answers nothing until `resume`. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** One command on a connection of its own; strings as Buffers. */
  async command(...args: readonly (string | Buffer)[]): Promise<unknown> {
    const client = createClient({ url: this.url, RESP: 2, socket: { reconnectStrategy: false } });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await client.sendCommand(args, { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } });
    } finally {
      client.destroy();
    }
  }

  /** The same, with a string for an answer. */
  async text(...args: readonly (string | Buffer)[]): Promise<string> {
    return String(await this.command(...args));
  }

  /** The names of all keys. */
  async keys(): Promise<string[]> {
    return ((await this.command('KEYS', '*')) as Buffer[]).map(String);
  }
}

/** A server that runs until the test ends; `more` are arguments for it, such as `--requirepass`. */
export async function redisServer(t: TestContext, ...more: readonly string[]): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-redis-'));
  const server = new RedisServer(await freePort(), directory, more);
  t.after(async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });
  await server.start();
  return server;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
