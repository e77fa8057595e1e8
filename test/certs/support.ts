/** What the tests of certificates share: directories that go away, other people's tools, throw-away authorities. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type SecureContext, TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { type ErrorCode, SallyportError } from '../../src/base/errors.js';
import { type Authority, openAuthority } from '../../src/certs/authority.js';
import type { LeafMaterial } from '../../src/certs/store.js';

const execFileAsync = promisify(execFile);

/** A directory that is removed when the test ends. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-certs-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Standard output of a program; its standard error is in the message when it fails. */
export async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await execFileAsync(program, args, { maxBuffer: 1024 * 1024 * 4 });
  return stdout;
}

export function openssl(...args: readonly string[]): Promise<string> {
  return run('openssl', ...args);
}

/** An authority made for this test. */
export async function temporaryAuthority(t: TestContext): Promise<Authority> {
  return openAuthority({ dir: await temporaryDirectory(t), name: 'Test CA' });
}

/** The leaf in a file, for tools. */
export async function leafFile(t: TestContext, material: LeafMaterial): Promise<string> {
  const path = join(await temporaryDirectory(t), 'leaf.pem');
  await writeFile(path, material.certificatePem);
  return path;
}

/** A check for `assert.throws` and `assert.rejects`: this code, and a message that says this. */
export function withCode(code: ErrorCode, detail = /./): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof SallyportError, `a SallyportError, not ${String(error)}`);
    assert.equal(error.code, code);
    assert.match(error.detail, detail);
    return true;
  };
}

/** A CA made by openssl: its arguments choose the key. */
export async function opensslAuthority(
  directory: string,
  name: string,
  newKey: readonly string[],
  extra: readonly string[] = [],
): Promise<{ readonly certificate: string; readonly key: string }> {
  const certificate = join(directory, `${name}.pem`);
  const key = join(directory, `${name}-key.pem`);
  const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];
  await openssl(
    ...['req', '-x509', '-nodes', '-days', '30', ...newKey, '-keyout', key, '-out', certificate],
    ...['-subj', `/C=CH/O=Elsewhere/CN=${name}`, ...extensions.flatMap((line) => ['-addext', line])],
    ...extra,
  );
  return { certificate, key };
}

/** The port of a server on loopback that takes each client in with the context that is then chosen. */
export async function tlsServer(
  t: TestContext,
  choose: () => SecureContext,
  failures: Error[] = [],
): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    const tls = new TLSSocket(socket, { isServer: true, secureContext: choose() });
    tls.on('error', (error) => {
      failures.push(error);
      socket.destroy();
    });
    tls.end('hello');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}
