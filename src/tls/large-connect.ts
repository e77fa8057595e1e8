/** `tls.connect` with large reads. */
import net, { type Socket } from 'node:net';
import tls from 'node:tls';
import { LargeReader, type LargeReads, Transport } from './transport.js';

export interface LargeConnection {
  readonly socket: tls.TLSSocket;
  /** TCP, which connects first, and tells. */
  readonly plain: Socket;
}

/** Takes what `tls.connect` does, without `socket`; `onread` does nothing here. Reading begins with the handshake. */
export function connectLarge(
  options: tls.ConnectionOptions & net.TcpNetConnectOpts,
  shared: LargeReads,
): LargeConnection {
  const reader = new LargeReader(shared);
  const { buffer, callback } = reader;
  const plain = net.connect({ ...options, onread: { buffer, callback } });
  const transport = new Transport(plain, reader);
  let socket: tls.TLSSocket;
  try {
    socket = tls.connect({ ...options, socket: transport });
  } catch (error) {
    transport.on('error', ignore).destroy();
    throw error;
  }
  if (plain.connecting) plain.once('connect', () => socket.emit('connect'));
  passOn(socket, plain);
  return { socket, plain };
}

const addresses = [
  'remoteAddress',
  'remotePort',
  'remoteFamily',
  'localAddress',
  'localPort',
  'localFamily',
] as const;

/** A socket on a stream knows no addresses and sets no options: the plain one is asked. */
function passOn(socket: tls.TLSSocket, plain: Socket): void {
  for (const name of addresses) {
    Object.defineProperty(socket, name, { configurable: true, get: () => plain[name] });
  }
  socket.address = () => plain.address();
  socket.setNoDelay = (on) => {
    plain.setNoDelay(on);
    return socket;
  };
  socket.setKeepAlive = (on, delay) => {
    plain.setKeepAlive(on, delay);
    return socket;
  };
  socket.ref = () => {
    plain.ref();
    return socket;
  };
  socket.unref = () => {
    plain.unref();
    return socket;
  };
  socket.resetAndDestroy = () => {
    plain.resetAndDestroy();
    return socket.destroy();
  };
}

function ignore(): void {
  // What `tls.connect` threw is told.
}
