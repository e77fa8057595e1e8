/** A TLS client whose ciphertext takes the way that a test wants: held back, cut up, joined with other bytes. */
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { within } from './patience.js';
import { Wire } from './wire.js';

/** What a client writes goes to `send`; what it reads is put in by `receive`. */
class Bridge extends Duplex {
  readonly #send: (bytes: Buffer) => void | Promise<void>;

  constructor(send: (bytes: Buffer) => void | Promise<void>) {
    super();
    this.#send = send;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    void Promise.resolve(this.#send(chunk)).then(() => {
      done();
    }, done);
  }

  override _read(): void {
    // What comes is pushed.
  }
}

/**
 * A TLS handshake over `wire`. Every piece of ciphertext is given to `send`, the ClientHello first; the server's
 * bytes are taken from the wire once `ready` has resolved.
 */
export async function secureThrough(
  wire: Wire,
  options: tls.ConnectionOptions,
  send: (bytes: Buffer) => void | Promise<void>,
  ready: () => Promise<unknown> = async () => undefined,
): Promise<Wire> {
  const bridge = new Bridge(send);
  const socket = tls.connect({ ...options, socket: bridge });
  const secured = within(once(socket, 'secureConnect'), 'the TLS handshake');
  await Promise.race([ready(), secured]);
  wire.handOver((bytes) => bridge.push(bytes));
  await secured;
  return new Wire(socket);
}
