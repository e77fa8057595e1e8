/** Which process listens on a port, where the system lets us look: Linux, and processes of the same user. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { safeText } from './text.js';

/** `node (process 4711)`, or `undefined` when it cannot be told. */
export async function portOwner(port: number): Promise<string | undefined> {
  const sockets = new Set([
    ...listeningSockets(await read('/proc/net/tcp'), port),
    ...listeningSockets(await read('/proc/net/tcp6'), port),
  ]);
  if (sockets.size === 0) return undefined;
  for (const pid of await list('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const descriptor of await list(`/proc/${pid}/fd`)) {
      const target = await link(`/proc/${pid}/fd/${descriptor}`);
      if (!sockets.has(target)) continue;
      const name = (await read(`/proc/${pid}/comm`)).trim();
      return `${safeText(name === '' ? 'a program' : name)} (process ${pid})`;
    }
  }
  return undefined;
}

/** From the table of proc(5): `socket:[inode]` of the sockets that listen (state 0A) on `port`. */
export function listeningSockets(table: string, port: number): string[] {
  return table
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
    .filter(
      ([, local = '', , state]) => state === '0A' && Number.parseInt(local.split(':')[1] ?? '', 16) === port,
    )
    .map((columns) => `socket:[${columns[9] ?? ''}]`);
}

// Other systems have no /proc, and other users' processes do not show us theirs: nothing found is an answer.
async function read(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

async function list(path: string): Promise<string[]> {
  return readdir(path).catch(() => []);
}

async function link(path: string): Promise<string> {
  return readlink(path).catch(() => '');
}
