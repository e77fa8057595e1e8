/**
 * One client connection of the load generator: CONNECT, TLS, and HTTP/1.1 written and read by hand, so that the
 * generator is lighter than what it measures. One request at a time.
 */
import { connect as connectTcp } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { TLS_OPTIONS } from './payload.mjs';
import { responseReader } from './response.mjs';

/** @typedef {import('./response.mjs').Answer} Answer */

/**
 * @typedef {object} Target how a proxy is reached
 * @property {string} host
 * @property {number} port
 * @property {boolean} tunnel whether clients ask with CONNECT; otherwise the TLS connection is to the target itself
 * @property {string} caPem what signs the certificates it shows
 */

/** A silent connection is a failed answer after this long, in milliseconds. */
const SILENCE = 30_000;

/** What a browser sends with a request, roughly; `Host` goes before. */
const REQUEST_HEADERS =
  'Connection: keep-alive\r\n' +
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n' +
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n' +
  'Accept-Encoding: gzip, deflate, br\r\n' +
  'Accept-Language: en-US,en;q=0.9\r\n' +
  'Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark\r\n' +
  'Cache-Control: no-cache\r\n';

/**
 * A context for every connection to one target: parsing the CA once is the generator's saving, and without a
 * session each handshake is a full one.
 * @param {Target} target
 */
export function clientContext(target) {
  return createSecureContext({ ca: target.caPem, ...TLS_OPTIONS });
}

export class Connection {
  #socket;
  #authority;
  /** @type {((chunk: Buffer) => void) | undefined} */
  #reader;
  /** @type {((error: Error) => void) | undefined} */
  #fail;
  /** @type {Error | undefined} */
  #broken;
  /** Set once the other side has said that it closes, or has. */
  closing = false;
  /** The TLS sessions that the other side has offered, newest last; empty unless they were asked for. @type {Buffer[]} */
  sessions = [];

  /**
   * @param {Target} target
   * @param {import('node:tls').SecureContext} secureContext
   * @param {string} host
   * @param {number} port
   * @param {{ session?: Buffer | undefined, collect?: boolean }} [how] `session`: one to resume; `collect`: whether to
   *   keep those that are offered
   */
  static async open(target, secureContext, host, port, { session, collect = false } = {}) {
    const transport = await dial(target, host, port);
    const resume = session === undefined ? {} : { session };
    const socket = connectTls({ socket: transport, servername: host, secureContext, ...resume });
    transport.on('error', (error) => socket.destroy(error));
    /** @type {Buffer[]} */
    const sessions = [];
    if (collect) socket.on('session', (offered) => sessions.push(offered));
    await opened(socket, 'secureConnect');
    const connection = new Connection(socket, `${host}:${port}`);
    connection.sessions = sessions;
    return connection;
  }

  /** Whether the handshake resumed a session. */
  get resumed() {
    return this.#socket.isSessionReused();
  }

  /** Reads no more until `resume`. */
  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  /** @param {import('node:tls').TLSSocket} socket @param {string} authority */
  constructor(socket, authority) {
    this.#socket = socket;
    this.#authority = authority;
    socket.setTimeout(SILENCE, () => {
      // Silence between requests is what an idle connection is for.
      if (this.#fail !== undefined) socket.destroy(new Error(`no byte for ${SILENCE / 1000} s`));
    });
    socket.on('data', (chunk) => {
      if (this.#reader !== undefined) this.#reader(chunk);
      else this.#end(new Error('bytes that were not asked for'));
    });
    socket.on('error', (error) => this.#end(error));
    socket.on('end', () => this.#end(new Error('closed by the proxy')));
    socket.on('close', () => this.#end(new Error('closed')));
  }

  /**
   * @param {string} path
   * @param {(body: Buffer, offset: number) => boolean} check told each piece of the body; false fails the request
   * @returns {Promise<Answer>}
   */
  get(path, check) {
    return this.#exchange(
      `GET ${path} HTTP/1.1\r\nHost: ${this.#authority}\r\n${REQUEST_HEADERS}\r\n`,
      check,
    );
  }

  /**
   * @param {string} path
   * @param {number} size
   * @param {(offset: number) => Buffer} piece the next bytes to send, from `offset` on
   * @param {(body: Buffer, offset: number) => boolean} check
   * @returns {Promise<Answer>}
   */
  post(path, size, piece, check) {
    const head =
      `POST ${path} HTTP/1.1\r\nHost: ${this.#authority}\r\n${REQUEST_HEADERS}` +
      `Content-Type: application/octet-stream\r\nContent-Length: ${size}\r\n\r\n`;
    const answer = this.#exchange(head, check);
    let sent = 0;
    const send = () => {
      while (sent < size && this.#fail !== undefined) {
        const bytes = piece(sent);
        sent += bytes.length;
        if (!this.#socket.write(bytes)) {
          this.#socket.once('drain', send);
          return;
        }
      }
    };
    send();
    return answer;
  }

  /**
   * Asks, and resolves with the head's arrival and `length` bytes of the body; the rest is left unfinished.
   * @param {string} path
   * @param {number} length
   */
  getPart(path, length) {
    return this.#exchange(
      `GET ${path} HTTP/1.1\r\nHost: ${this.#authority}\r\n${REQUEST_HEADERS}\r\n`,
      () => true,
      length,
    );
  }

  /** Ends the connection, and resolves when it is closed. */
  async close() {
    if (this.#socket.destroyed) return;
    this.closing = true;
    await new Promise((resolve) => {
      this.#socket.once('close', resolve);
      this.#socket.destroySoon();
    });
  }

  destroy() {
    this.#socket.destroy();
  }

  /**
   * @param {string} head
   * @param {(body: Buffer, offset: number) => boolean} check
   * @param {number} [part]
   * @returns {Promise<Answer>}
   */
  #exchange(head, check, part) {
    return new Promise((resolve, reject) => {
      if (this.#broken !== undefined) {
        reject(this.#broken);
        return;
      }
      this.#fail = reject;
      this.#reader = responseReader({
        check,
        part,
        done: (answer) => {
          this.closing ||= answer.close;
          this.#fail = undefined;
          this.#reader = part === undefined ? undefined : () => undefined;
          resolve(answer);
        },
        fail: (message) => this.#end(new Error(message)),
      });
      this.#socket.write(head, 'latin1');
    });
  }

  /** @param {Error} error */
  #end(error) {
    this.#broken ??= error;
    this.closing = true;
    this.#reader = undefined;
    this.#fail?.(error);
    this.#fail = undefined;
    this.#socket.destroy();
  }
}

/**
 * A TCP connection on which TLS can begin.
 * @param {Target} target @param {string} host @param {number} port
 */
async function dial(target, host, port) {
  const socket = connectTcp({ host: target.host, port: target.port, noDelay: true });
  await opened(socket, 'connect');
  if (!target.tunnel) return socket;
  socket.write(
    `CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\nProxy-Connection: keep-alive\r\n\r\n`,
  );
  let head = '';
  /** @param {Buffer} chunk */
  const read = (chunk) => {
    head += chunk.toString('latin1');
    if (head.includes('\r\n\r\n')) socket.emit('tunnel');
  };
  socket.on('data', read);
  await opened(socket, 'tunnel');
  socket.off('data', read);
  if (!/^HTTP\/1\.[01] 200 /.test(head)) {
    socket.destroy();
    throw new Error(`CONNECT: ${head.slice(0, head.indexOf('\r\n'))}`);
  }
  return socket;
}

/**
 * Resolves at `event`; rejects, and destroys the socket, if it fails, ends or stays silent before.
 * @param {import('node:net').Socket} socket @param {string} event
 * @returns {Promise<void>}
 */
function opened(socket, event) {
  return new Promise((resolve, reject) => {
    /** @param {Error} [error] */
    const settle = (error) => {
      socket.setTimeout(0);
      socket.off('timeout', silent);
      socket.off('close', closed);
      socket.off('error', settle);
      socket.off(event, succeed);
      if (error === undefined) {
        resolve();
        return;
      }
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const succeed = () => settle();
    const silent = () => settle(new Error(`no ${event} within ${SILENCE / 1000} s`));
    const closed = () => settle(new Error(`closed before ${event}`));
    socket.setTimeout(SILENCE);
    socket.on('timeout', silent);
    socket.on('close', closed);
    socket.on('error', settle);
    socket.on(event, succeed);
  });
}
