/** ClientHellos for tests: captured from real clients, and put together byte by byte. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';

/** Vectors with a length of one, two or three bytes (RFC 8446 §3.4). */
export const vector8 = (...parts: readonly Uint8Array[]): Buffer => withLength(1, parts);
export const vector16 = (...parts: readonly Uint8Array[]): Buffer => withLength(2, parts);
export const vector24 = (...parts: readonly Uint8Array[]): Buffer => withLength(3, parts);

function withLength(size: number, parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(size);
  length.writeUIntBE(body.length, 0, size);
  return Buffer.concat([length, body]);
}

export function u16(...values: readonly number[]): Buffer {
  return Buffer.from(values.flatMap((value) => [value >> 8, value & 0xff]));
}

export function extension(type: number, body: Uint8Array): Buffer {
  return Buffer.concat([u16(type), vector16(body)]);
}

export function sniExtension(...names: readonly string[]): Buffer {
  const entries = names.map((name) =>
    Buffer.concat([Buffer.from([0]), vector16(Buffer.from(name, 'latin1'))]),
  );
  return extension(0, vector16(...entries));
}

export function alpnExtension(...protocols: readonly string[]): Buffer {
  return extension(16, vector16(...protocols.map((protocol) => vector8(Buffer.from(protocol, 'latin1')))));
}

/** A handshake message with a ClientHello; `extensions: undefined` leaves the extensions out altogether. */
export function helloMessage(extensions: readonly Uint8Array[] | undefined, sessionIdLength = 32): Buffer {
  const body = [
    u16(0x0303),
    Buffer.alloc(32, 7),
    vector8(Buffer.alloc(sessionIdLength, 1)),
    vector16(u16(0x1301, 0xc02f)),
    vector8(Buffer.from([0])),
    ...(extensions ? [vector16(...extensions)] : []),
  ];
  return Buffer.concat([Buffer.from([1]), vector24(...body)]);
}

/** TLS records with fragments of at most `size` bytes. */
export function records(message: Buffer, size = 16_384): Buffer {
  const list: Buffer[] = [];
  for (let start = 0; start < message.length; start += size) {
    list.push(Buffer.from([22, 3, 1]), vector16(message.subarray(start, start + size)));
  }
  return Buffer.concat(list);
}

/** Takes the handshake message out of records; the test's own few lines, apart from the code under test. */
export function messageOf(bytes: Buffer): Buffer {
  const fragments: Buffer[] = [];
  for (let start = 0; start < bytes.length;) {
    const length = bytes.readUInt16BE(start + 3);
    fragments.push(bytes.subarray(start + 5, start + 5 + length));
    start += 5 + length;
  }
  return Buffer.concat(fragments);
}

/** The first TLS record that a client sends to a server that never answers. `dial` returns how to end it. */
export async function captureHello(dial: (port: number) => () => void): Promise<Buffer> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const stop = dial(port);
  try {
    const [socket] = (await once(server, 'connection')) as [net.Socket];
    socket.on('error', () => {
      // The client is killed in the middle of its handshake, and may reset.
    });
    let bytes: Buffer = Buffer.alloc(0);
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt16BE(3)) break;
    }
    socket.destroy();
    return bytes;
  } finally {
    stop();
    server.close();
  }
}

/** A client program, for `captureHello`. */
export function program(command: string, args: readonly string[]): () => void {
  const child: ChildProcess = spawn(command, args, { stdio: ['pipe', 'ignore', 'ignore'] });
  return () => {
    child.kill('SIGKILL');
  };
}
