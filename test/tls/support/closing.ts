import type net from 'node:net';

/** Like `once(socket, 'close')`, where an error does not matter. */
export async function closing(socket: net.Socket): Promise<void> {
  await new Promise((resolve) => {
    socket.once('close', resolve);
  });
}
