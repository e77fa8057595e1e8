/**
 * The origin: a small, quick HTTPS/1.1 server on bare TLS sockets, so that the machine's time goes to the proxies.
 * It is started by run.mjs (`node origin.mjs KEY.pem CERT.pem`), listens where `localhost` leads, tells the port
 * by a message, and ends when its parent does.
 *
 *   GET  /small/<id>      1 KiB that begins with the id
 *   GET  /bulk?size=N     N bytes of the pattern, with a Content-Length; `&write=M` writes M bytes at a time
 *   GET  /hold            a head and 4 KiB of a body that never goes on
 *   POST /upload          checks the body against the pattern, answers {"bytes":N,"ok":true}
 */
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { KNOWN_HOST } from './lib/names.mjs';
import { HOLD_LENGTH, HOLD_SENT, matchesPattern, patternAt, smallBody, TLS_OPTIONS } from './lib/payload.mjs';

/** How much of a large body is written at a time, in bytes. */
const WRITE = 65_536;

/**
 * @typedef {object} Upload
 * @property {number} received
 * @property {boolean} ok
 * @property {number} left bytes until the body's end, or until the chunk's in chunked coding
 * @property {boolean} chunked
 */

class Peer {
  #socket;
  #rest = '';
  /** @type {Upload | undefined} */
  #upload;

  /** @param {import('node:tls').TLSSocket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', () => socket.destroy());
  }

  /** @param {Buffer} chunk */
  #take(chunk) {
    let bytes = chunk;
    if (this.#upload !== undefined) {
      bytes = this.#takeBody(this.#upload, chunk);
      if (this.#upload !== undefined) return;
    }
    if (bytes.length === 0) return;
    // Bodies are bytes, heads are text: latin1 loses nothing if a body begins in the same chunk.
    const text = this.#rest + bytes.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) {
      this.#rest = text;
      return;
    }
    this.#rest = '';
    this.#answer(text.slice(0, end));
    if (text.length > end + 4) this.#take(Buffer.from(text.slice(end + 4), 'latin1'));
  }

  /** @param {string} head */
  #answer(head) {
    const pathBegins = head.indexOf(' ') + 1;
    const path = head.slice(pathBegins, head.indexOf(' ', pathBegins));
    if (path.startsWith('/small/')) {
      const body = smallBody(path.slice(7));
      this.#socket.write(Buffer.concat([responseHead(body.length, 'text/plain'), body]));
    } else if (path.startsWith('/bulk?size=')) {
      const asked = new URLSearchParams(path.slice(6));
      const size = Number(asked.get('size'));
      this.#socket.write(responseHead(size, 'application/octet-stream'));
      this.#send(0, size, Number(asked.get('write') ?? WRITE));
    } else if (path === '/hold') {
      this.#socket.write(responseHead(HOLD_LENGTH, 'application/octet-stream'));
      this.#socket.write(patternAt(0, HOLD_SENT));
    } else if (path === '/upload') {
      const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
      const chunked = length === undefined;
      this.#upload = { received: 0, ok: true, left: chunked ? 0 : Number(length), chunked };
    } else {
      this.#socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    }
  }

  /** @param {number} from @param {number} size @param {number} write */
  #send(from, size, write) {
    let at = from;
    while (at < size) {
      const piece = patternAt(at, Math.min(write, size - at));
      at += piece.length;
      if (!this.#socket.write(piece) && at < size) {
        this.#socket.once('drain', () => this.#send(at, size, write));
        return;
      }
    }
  }

  /**
   * @param {Upload} upload
   * @param {Buffer} chunk
   * @returns {Buffer} what comes after the body, when the body has ended
   */
  #takeBody(upload, chunk) {
    let bytes = chunk;
    for (;;) {
      const piece = bytes.subarray(0, upload.left);
      if (piece.length > 0) {
        upload.ok &&= matchesPattern(piece, upload.received);
        upload.received += piece.length;
        upload.left -= piece.length;
        bytes = bytes.subarray(piece.length);
      }
      if (upload.left > 0) return bytes;
      if (!upload.chunked) break;
      // The line that begins the next chunk, with the one that ended the last before it (RFC 9112 §7.1).
      const text = this.#rest + bytes.toString('latin1');
      const line = /^(?:\r\n)?([0-9a-f]+)[^\r\n]*\r\n/i.exec(text);
      const last = /^(?:\r\n)?0+[^\r\n]*\r\n\r\n/.exec(text);
      if (line === null || (last === null && Number.parseInt(line[1] ?? '', 16) === 0)) {
        this.#rest = text;
        return Buffer.alloc(0);
      }
      this.#rest = '';
      bytes = Buffer.from(text.slice((last ?? line)[0].length), 'latin1');
      if (last !== null) break;
      upload.left = Number.parseInt(line[1] ?? '', 16);
    }
    this.#upload = undefined;
    const body = Buffer.from(JSON.stringify({ bytes: upload.received, ok: upload.ok }));
    this.#socket.write(Buffer.concat([responseHead(body.length, 'application/json'), body]));
    return bytes;
  }
}

/** A head of the size and variety that real servers send. @param {number} length @param {string} type */
function responseHead(length, type) {
  return Buffer.from(
    'HTTP/1.1 200 OK\r\n' +
      'Server: bench-origin\r\n' +
      'Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n' +
      `Content-Type: ${type}\r\n` +
      `Content-Length: ${length}\r\n` +
      'Cache-Control: private, max-age=0, must-revalidate\r\n' +
      'ETag: "5f3e8a1c-400"\r\n' +
      'Vary: Accept-Encoding\r\n' +
      'X-Content-Type-Options: nosniff\r\n' +
      'Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n' +
      '\r\n',
    'latin1',
  );
}

const [keyFile = '', certFile = ''] = process.argv.slice(2);
const server = createTlsServer({
  key: readFileSync(keyFile),
  cert: readFileSync(certFile),
  ...TLS_OPTIONS,
  noDelay: true,
});
server.on('secureConnection', (socket) => new Peer(socket));
server.on('tlsClientError', () => undefined);
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());

// The same server answers on ::1, but only where `localhost` means that too: some proxies see the open port and
// then ask for an address that nobody gives them.
const addresses = await lookup(KNOWN_HOST, { all: true });
if (addresses.some(({ address }) => address === '::1')) {
  const alsoIpv6 = createServer({ noDelay: true }, (socket) => server.emit('connection', socket));
  alsoIpv6.listen({ port, host: '::1', ipv6Only: true });
  await once(alsoIpv6, 'listening');
}

process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => undefined);
process.send?.({ port });
