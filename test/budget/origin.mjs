/**
 * The origin: `node origin.mjs KEY.pem CERT.pem` on bare TLS sockets. Tells its port, and when asked how many
 * bytes it has written.
 *
 *   /small  1 KiB;   /hold  4 KiB of a body that never goes on;   /bulk  as much as is read
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:tls';

const [keyFile = '', certFile = ''] = process.argv.slice(2);
const piece = Buffer.alloc(65_536, 'x');
let written = 0;

const server = createServer({
  key: readFileSync(keyFile),
  cert: readFileSync(certFile),
  minVersion: 'TLSv1.3',
  ecdhCurve: 'X25519',
  ALPNProtocols: ['http/1.1'],
});
server.on('secureConnection', (socket) => {
  let head = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    head += chunk.toString('latin1');
    for (let end = head.indexOf('\r\n\r\n'); end >= 0; end = head.indexOf('\r\n\r\n')) {
      const [, path = ''] = head.split(' ', 2);
      head = head.slice(end + 4);
      answer(socket, path);
    }
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.({ port: typeof address === 'object' ? address?.port : undefined });
});
process.on('message', () => process.send?.({ written }));
process.on('disconnect', () => process.exit(0));

/** @param {import('node:tls').TLSSocket} socket @param {string} path */
function answer(socket, path) {
  const begun = path === '/small' ? 1024 : path === '/hold' ? 4096 : 0;
  const length = path === '/small' ? begun : 2 ** 40;
  socket.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${length}\r\n\r\n`);
  socket.write(piece.subarray(0, begun));
  if (path === '/bulk') send(socket);
}

/** @param {import('node:tls').TLSSocket} socket */
function send(socket) {
  let more = true;
  while (more && !socket.destroyed) {
    more = socket.write(piece);
    written += piece.length;
  }
  socket.once('drain', () => send(socket));
}
