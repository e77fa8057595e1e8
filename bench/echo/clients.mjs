/** Clients of the echo server: a process of their own, told by crowd.mjs what to do. */
import { once } from 'node:events';
import { connect, createSecureContext } from 'node:tls';
import { KNOWN_HOST } from '../lib/names.mjs';
import { matchesPattern, patternAt, TLS_OPTIONS } from '../lib/payload.mjs';

const HELLO = Buffer.from('hello');
/** Handshakes, and large echoes, at a time. */
const AT_A_TIME = 16;
/** Clients send their hellos in so many groups, spread over the interval. */
const GROUPS = 50;
/** An echo that takes longer has failed, in milliseconds. */
const PATIENCE = 30_000;

/** @type {import('./crowd.mjs').Place | undefined} */
let place;
/** @type {import('node:tls').SecureContext | undefined} */
let secureContext;
/** All who send hellos. @type {Client[]} */
const clients = [];
/** Those of them that were there before the first reading. */
let aside = 0;
/** @type {string | undefined} */
let failure;

class Client {
  #socket;
  #expected = HELLO.length;
  #got = 0;
  #offset = 0;
  /** @type {((value?: undefined) => void) | undefined} */
  #done;
  hellos = 0;

  /** @param {import('node:tls').TLSSocket} socket */
  constructor(socket) {
    this.#socket = socket;
    this.#got = this.#expected;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => this.#fail(error.message));
    socket.on('close', () => this.#fail('a connection was closed'));
  }

  /** @param {string} reason */
  #fail(reason) {
    failure ??= reason;
    this.#done?.();
  }

  hello() {
    if (this.#done !== undefined) return;
    if (this.#got < this.#expected) {
      failure ??= `a hello was not answered: ${this.#got} of ${this.#expected} bytes`;
      return;
    }
    this.#expect(HELLO.length, -1);
    this.#socket.write(HELLO);
  }

  /** @param {number} bytes @param {number} offset of the pattern @returns {Promise<void>} */
  async large(bytes, offset) {
    // A hello may be under way.
    const late = performance.now() + PATIENCE;
    while (this.#got < this.#expected && failure === undefined) {
      if (performance.now() > late) failure = `a hello was not answered within ${PATIENCE / 1000} s`;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    if (failure !== undefined) throw new Error(failure);
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    await new Promise((resolve, reject) => {
      this.#expect(bytes, offset);
      this.#done = resolve;
      timer = setTimeout(() => reject(new Error(`${this.#got} of ${bytes} bytes came back`)), PATIENCE);
      for (let at = 0; at < bytes; at += 65_536) {
        this.#socket.write(patternAt(offset + at, Math.min(65_536, bytes - at)));
      }
    }).finally(() => clearTimeout(timer));
  }

  destroy() {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  /** @param {number} bytes @param {number} offset */
  #expect(bytes, offset) {
    this.#expected = bytes;
    this.#got = 0;
    this.#offset = offset;
  }

  /** @param {Buffer} chunk */
  #take(chunk) {
    const end = this.#got + chunk.length;
    const right =
      this.#offset < 0
        ? chunk.equals(HELLO.subarray(this.#got, end))
        : matchesPattern(chunk, this.#offset + this.#got);
    if (!right || end > this.#expected)
      this.#fail(`a wrong echo, within ${chunk.length} bytes from ${this.#got}`);
    this.#got = end;
    if (end < this.#expected) return;
    if (this.#offset < 0) this.hellos += 1;
    this.#done?.();
    this.#done = undefined;
  }
}

async function open() {
  if (place === undefined) throw new Error('no place to connect to');
  const { port } = place;
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: KNOWN_HOST,
    ...(secureContext && { secureContext }),
  });
  await once(socket, 'secureConnect');
  return new Client(socket);
}

/** @param {number} count @param {(index: number) => Promise<void>} work */
async function some(count, work) {
  let next = 0;
  const go = async () => {
    while (next < count && failure === undefined) {
      const index = next;
      next += 1;
      await work(index);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, go));
}

/** @param {import('./crowd.mjs').Place} where */
function begin(where) {
  place = where;
  secureContext = createSecureContext({ ca: where.caPem, ...TLS_OPTIONS });
  let group = 0;
  setInterval(
    () => {
      for (let index = group; index < clients.length; index += GROUPS) clients[index]?.hello();
      group = (group + 1) % GROUPS;
    },
    (where.interval * 1000) / GROUPS,
  );
}

/** @param {import('./crowd.mjs').Order} order */
async function obey({ warm, aside: first, open: count, large, check }) {
  if (warm !== undefined) {
    for (let index = 0; index < warm; index += 1) {
      const client = await open();
      client.hello();
      const late = performance.now() + PATIENCE;
      while (client.hellos === 0 && failure === undefined) {
        if (performance.now() > late) failure = `a hello was not answered within ${PATIENCE / 1000} s`;
        await new Promise((resolve) => setImmediate(resolve));
      }
      client.destroy();
    }
  } else if (first !== undefined || count !== undefined) {
    await some(first ?? count ?? 0, async () => {
      clients.push(await open());
    });
    aside += first ?? 0;
  } else if (large !== undefined) {
    await some(clients.length - aside, async (index) => {
      await clients[aside + index]?.large(large, index * 7919);
    });
    for (const client of clients) client.hellos = 0;
  } else if (check !== undefined) {
    const few = clients.filter(({ hellos }) => hellos < check).length;
    if (few > 0)
      failure ??= `${few} of ${clients.length} clients have had less than ${check} hellos answered`;
  }
  if (failure !== undefined) throw new Error(failure);
}

process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => undefined);
process.on('message', (/** @type {import('./crowd.mjs').Order} */ order) => {
  if (order.place !== undefined) {
    begin(order.place);
    return;
  }
  obey(order).then(
    () => process.send?.({}),
    (/** @type {unknown} */ error) =>
      process.send?.({ error: error instanceof Error ? error.message : String(error) }),
  );
});
