/** What a socket has read before it is secured goes to TLS in small pieces: see `leanPiece`. */
import { Socket } from 'node:net';
import { leanPiece } from './transport.js';

/** What is there already goes to TLS in lean pieces: Node takes it by `read`, call by call, and then reads by itself. */
export function inLeanPieces(socket: Socket): Socket {
  if (socket.readableLength > leanPiece) socket.read = readLean;
  return socket;
}

function readLean(this: Socket, size?: number): unknown {
  const rest = this.readableLength;
  return Socket.prototype.read.call(this, rest > 0 ? Math.min(size ?? rest, rest, leanPiece) : size);
}
