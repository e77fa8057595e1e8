/** Many clients of a proxy at the same time, each on a connection of its own, and the certificates they saw. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { within } from '../support/patience.js';

/**
 * Of many clients in one process, some say their first word late. The proxy is not to take them for the kind that
 * waits for the server to speak.
 */
export const patient: readonly string[] = [
  '--timeout',
  'server-first=10s',
  '--timeout',
  'client-handshake=30s',
];

interface Seen {
  readonly serial: string;
  readonly reused: boolean;
  readonly session: Buffer | undefined;
}

/**
 * CONNECT to `127.0.0.1:port` through the proxy, and TLS for `host`. The origin is not needed: the leaf is served
 * before anybody looks for it. Resolves when the session ticket has come, where `ticket` asks for it.
 */
export async function handshake(
  proxy: { readonly url: string; readonly caDir: string },
  { host, port, session, ticket = false }: HandshakeOptions,
): Promise<Seen> {
  const raw = connect(Number(new URL(proxy.url).port), '127.0.0.1');
  raw.on('error', ignore);
  try {
    raw.write(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`);
    const [answer] = (await within(once(raw, 'data'), 'the answer to CONNECT')) as [Buffer];
    if (!answer.toString().startsWith('HTTP/1.1 200')) throw new Error(answer.toString());
    const secure = tls.connect({
      socket: raw,
      servername: host,
      ca: readFileSync(join(proxy.caDir, 'ca.pem')),
      ...(session ? { session } : {}),
    });
    secure.on('error', ignore);
    // Listened for from the start: with TLS 1.2 it comes before the handshake has ended.
    const got = ticket ? (once(secure, 'session') as Promise<[Buffer]>) : undefined;
    await within(once(secure, 'secureConnect'), `a handshake for ${host}`);
    const { serialNumber } = secure.getPeerCertificate();
    const [kept] = got ? await within(got, 'a session ticket') : [];
    return { serial: serialNumber, reused: secure.isSessionReused(), session: kept };
  } finally {
    raw.destroy();
  }
}

interface HandshakeOptions {
  readonly host: string;
  readonly port: number;
  readonly session?: Buffer | undefined;
  readonly ticket?: boolean;
}

/** The serials that `count` handshakes at the same time saw, by host, `hosts` in turn. */
export async function serials(
  proxies: readonly { readonly url: string; readonly caDir: string }[],
  hosts: readonly string[],
  count: number,
  port: number,
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const seen = new Map(hosts.map((host) => [host, new Set<string>()]));
  await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const host = hosts[index % hosts.length] ?? '';
      const proxy = proxies[Math.floor(index / hosts.length) % proxies.length];
      if (!proxy) throw new Error('there is no proxy');
      const { serial } = await handshake(proxy, { host, port });
      seen.get(host)?.add(serial);
    }),
  );
  return seen;
}

/** The pids of the children of a process. */
export function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

export function hostNames(t: TestContext, count: number): readonly string[] {
  const word = t.name
    .replace(/[^a-z]+/gi, '')
    .slice(0, 10)
    .toLowerCase();
  return Array.from({ length: count }, (_, index) => `${word}${index}.example.com`);
}

function ignore(): void {
  // On purpose.
}
