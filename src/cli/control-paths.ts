/** Where a running proxy can be talked to: `CA_DIR/run/PID.sock`, for whoever may read the CA's key. */
import { chmod, mkdir, readdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';

/** A longer path would be cut by the system: `sun_path` has 104 bytes on macOS, 108 on Linux, with a NUL. */
const longestPath = 103;

export function controlPath(caDir: string, pid: number): string {
  return join(caDir, 'run', `${pid}.sock`);
}

export function fits(path: string): boolean {
  return Buffer.byteLength(path) <= longestPath;
}

/** Makes the directory, for its owner alone, and removes sockets that nobody listens on. */
export async function prepareControlDirectory(caDir: string): Promise<void> {
  const directory = join(caDir, 'run');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  for (const { path, alive } of await controlSockets(caDir)) {
    if (!alive) await unlink(path).catch(unlessGone);
  }
}

export interface ControlSocket {
  readonly pid: number;
  readonly path: string;
  /** Whether somebody listens. A process that died leaves its socket behind. */
  readonly alive: boolean;
}

/** What lies in the directory, by pid. */
export async function controlSockets(caDir: string): Promise<readonly ControlSocket[]> {
  const names = await readdir(join(caDir, 'run')).catch((error: unknown) => {
    unlessGone(error);
    return [];
  });
  const pids = names
    .map((name) => /^(\d{1,10})\.sock$/.exec(name)?.[1])
    .filter((pid) => pid !== undefined)
    .map(Number)
    .toSorted((a, b) => a - b);
  return await Promise.all(
    pids.map(async (pid) => {
      const path = controlPath(caDir, pid);
      return { pid, path, alive: fits(path) && (await answers(path)) };
    }),
  );
}

/** Asked of the socket, not of the pid: that may have a meaning of its own in another container. */
async function answers(path: string): Promise<boolean> {
  return await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      resolve(true);
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Anything else, such as a full backlog, is a sign of life.
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

function unlessGone(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
}
