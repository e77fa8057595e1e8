/** What the black-box tests share: the built command as a child process, and origins for it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ProxyAgent, request } from 'undici';
import { Identities, openAuthority } from '../../src/certs/index.js';

/** The directory of package.json. */
export const root = findRoot(dirname(fileURLToPath(import.meta.url)));

/** The command, as `npm run build` made it. */
export const mainScript = join(root, 'dist', 'cli', 'main.js');

function findRoot(directory: string): string {
  const manifest = join(directory, 'package.json');
  if (existsSync(manifest) && /"name":\s*"sallyport"/.test(readFileSync(manifest, 'utf8'))) return directory;
  assert.notEqual(dirname(directory), directory, 'package.json of sallyport was not found');
  return findRoot(dirname(directory));
}

/** A directory that is removed when the test ends. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-cli-test-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export interface Outcome {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs, with what it has printed so far. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
  stdout = '';
  stderr = '';

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = once(child, 'close').then(() => ({
      status: child.exitCode,
      signal: child.signalCode,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }

  /** The match, as soon as what was printed has one. Fails when the command ends before. */
  async sees(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stdout'): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this[stream]);
      if (match) return match;
      const source = this.child[stream];
      assert.ok(source && !source.readableEnded, `${pattern} was not printed: ${this.stdout}${this.stderr}`);
      await Promise.race([once(source, 'data'), this.ended]);
    }
  }
}

export interface StartOptions {
  /** Added to an environment that holds PATH, HOME and nothing else. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Starts `sallyport ARGS` in a home directory of its own; it is ended with the test. */
export async function start(
  t: TestContext,
  args: readonly string[],
  { env = {}, cwd = root }: StartOptions = {},
): Promise<Running> {
  const home = env['HOME'] ?? (await temporaryDirectory(t));
  const environment = { PATH: process.env['PATH'] ?? '', HOME: home, ...env };
  const child = spawn(process.execPath, [mainScript, ...args], {
    cwd,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const running = new Running(child);
  t.after(async () => {
    child.kill('SIGKILL');
    await running.ended;
  });
  return running;
}

/** Runs `sallyport ARGS` to its end. */
export async function sallyport(
  t: TestContext,
  args: readonly string[],
  options: StartOptions = {},
): Promise<Outcome> {
  const running = await start(t, args, options);
  return running.ended;
}

export interface RunningProxy extends Running {
  readonly url: string;
  readonly caDir: string;
}

/** Starts `sallyport run` on a free port and waits until it listens. */
export async function startProxy(
  t: TestContext,
  args: readonly string[] = [],
  options: StartOptions = {},
): Promise<RunningProxy> {
  const caDir = join(await temporaryDirectory(t), 'ca');
  const running = await start(t, ['run', '--port', '0', '--ca-dir', caDir, ...args], options);
  const [, url = ''] = await running.sees(/^listening on (http:\/\/\S+)\n/m);
  return Object.assign(running, { url, caDir });
}

export interface TestOrigin {
  readonly url: string;
  readonly port: number;
  /** The file of the CA that made its certificate. */
  readonly caFile: string;
}

/** An HTTPS origin on 127.0.0.1 whose CA nobody else trusts. */
export async function startOrigin(t: TestContext, handler: RequestListener): Promise<TestOrigin> {
  const authority = await openAuthority({ dir: await temporaryDirectory(t), name: 'Origin CA' });
  const identities = new Identities({ authority });
  const { chainPem: cert, privateKeyPem: key } = await identities.get('127.0.0.1');
  await identities.close();
  const server = createServer({ cert, key }, handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `https://127.0.0.1:${port}`, port, caFile: authority.paths.certificate };
}

/** GET through a proxy by a client that trusts the CA in `caDir` only. */
export async function getThrough(
  t: TestContext,
  proxy: { readonly url: string; readonly caDir: string },
  url: string,
): Promise<{ readonly status: number; readonly body: string }> {
  const ca = readFileSync(join(proxy.caDir, 'ca.pem'), 'utf8');
  const dispatcher = new ProxyAgent({ uri: proxy.url, requestTls: { ca } });
  t.after(() => dispatcher.destroy());
  const { statusCode, body } = await request(url, { dispatcher });
  return { status: statusCode, body: await body.text() };
}
