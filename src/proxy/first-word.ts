/** Who speaks first inside a tunnel, and what? Some protocols (SSH, SMTP, MySQL) give the server the first word. */
import type { Duplex } from 'node:stream';
import type { Context } from '../base/context.js';
import { classify } from '../listener/sniff.js';
import { type FirstBytes, firstBytes } from './first-bytes.js';
import type { Leg, Services } from './services.js';

export interface FirstWord<O extends Duplex> {
  /** `tls` and `http` are understood; `ended`: nobody spoke; the others are relayed as bytes, for that reason. */
  readonly kind: 'tls' | 'http' | 'http2' | 'not-http' | 'server-first' | 'ended';
  /** What the client has sent. */
  readonly bytes: Buffer;
  /** The connection to the origin, where it had to be made to find out. The caller's. */
  readonly origin: O | undefined;
  /** What the origin has sent. */
  readonly fromOrigin: Buffer;
}

export interface FirstWordOptions<O extends Duplex> {
  /** What arrived of the client already. */
  readonly received: Buffer;
  /** How long the client alone may take. */
  readonly patience: number;
  /** Connects to the origin, with its deadlines on the given context. `undefined`: the client must speak first. */
  readonly open: ((context: Context) => Promise<O>) | undefined;
}

/**
 * Waits for the client; when it stays silent, connects to the origin and takes whoever speaks first. A client
 * that has closed its side may still want to hear the server. Rejects when the connection's context closes,
 * or the origin cannot be reached.
 */
export async function firstWord<O extends Duplex>(
  services: Services,
  leg: Leg,
  client: Duplex,
  options: FirstWordOptions<O>,
): Promise<FirstWord<O>> {
  const { timeouts } = services;
  const alone = await within(leg, options.patience, (waiting) => {
    return firstBytes(client, options.received, waiting, decide);
  });
  if (alone.kind === 'undecided') {
    const decided = await within(leg, timeouts.sniff, (waiting) =>
      firstBytes(client, alone.bytes, waiting, decide),
    );
    return { kind: understood(decided.kind), bytes: decided.bytes, origin: undefined, fromOrigin: nothing };
  }
  if (alone.kind !== 'silent' && alone.kind !== 'ended') {
    return { kind: alone.kind, bytes: alone.bytes, origin: undefined, fromOrigin: nothing };
  }
  if (alone.bytes.length > 0) {
    return { kind: 'not-http', bytes: alone.bytes, origin: undefined, fromOrigin: nothing };
  }

  if (!options.open) return { kind: 'ended', bytes: nothing, origin: undefined, fromOrigin: nothing };

  return dialAndListen(services, leg, client, options.open);
}

/** Connects to the origin, and goes on listening to the client: what it says may make the connection needless. */
async function dialAndListen<O extends Duplex>(
  services: Services,
  leg: Leg,
  client: Duplex,
  open: (context: Context) => Promise<O>,
): Promise<FirstWord<O>> {
  using dialing = leg.context.withCancel();
  using clientTurn = leg.context.withTimeout(services.timeouts.idleTunnel, 'ERR_TUNNEL_IDLE');
  const fromClient = firstBytes(client, nothing, clientTurn, decide);
  const opened = open(dialing).then(
    (origin) => ({ origin, error: undefined }),
    (error: unknown) => ({ origin: undefined, error }),
  );
  const spoken = fromClient.then(({ kind }) =>
    kind === 'tls' || kind === 'http' ? kind : opened.then(() => 'dialed'),
  );
  const first = await Promise.race([spoken, opened.then(() => 'dialed')]);
  if (first !== 'dialed') {
    // What is said inside needs a connection of its own kind.
    dialing.close();
    void opened.then(({ origin }) => origin?.destroy());
  } else {
    const { origin, error } = await opened;
    if (origin) return await raceOrigin(services, leg, { clientTurn, fromClient }, origin);
    // A client that speaks HTTP can still be told what failed; one that waits for the origin should not wait long.
    clientTurn.setTimeout(2 * services.timeouts.serverFirst, 'ERR_TUNNEL_IDLE');
    const { kind } = await fromClient;
    if (kind !== 'tls' && kind !== 'http') throw error;
  }
  const { kind, bytes } = await fromClient;
  leg.context.throwIfClosed();
  return { kind: understood(kind), bytes, origin: undefined, fromOrigin: nothing };
}

interface ClientTurn {
  readonly clientTurn: Context;
  readonly fromClient: Promise<FirstBytes<'tls' | 'http' | 'http2' | 'not-http'>>;
}

async function raceOrigin<O extends Duplex>(
  services: Services,
  leg: Leg,
  client: ClientTurn,
  origin: O,
): Promise<FirstWord<O>> {
  try {
    return await race(services, leg, client, origin);
  } catch (error) {
    origin.destroy();
    throw error;
  }
}

async function race<O extends Duplex>(
  services: Services,
  leg: Leg,
  { clientTurn, fromClient }: ClientTurn,
  origin: O,
): Promise<FirstWord<O>> {
  using originTurn = leg.context.withTimeout(services.timeouts.idleTunnel, 'ERR_TUNNEL_IDLE');
  const fromOrigin = firstBytes(origin, nothing, originTurn, () => 'spoke');
  const first = await Promise.race([
    fromClient.then(({ kind }) => (kind === 'ended' ? fromOrigin.then(() => 'origin') : 'client')),
    fromOrigin.then(() => 'origin'),
  ]);
  clientTurn.close();
  originTurn.close();
  const [sent, answered] = await Promise.all([fromClient, fromOrigin]);
  leg.context.throwIfClosed();
  const kind = first === 'origin' ? 'server-first' : understood(sent.kind);
  return { kind, bytes: sent.bytes, origin, fromOrigin: answered.bytes };
}

async function within<T>(leg: Leg, ms: number, work: (waiting: Context) => Promise<T>): Promise<T> {
  using waiting = leg.context.withTimeout(ms, 'ERR_SNIFF_TIMEOUT');
  const result = await work(waiting);
  leg.context.throwIfClosed();
  return result;
}

function decide(_chunk: Buffer, all: () => Buffer): 'tls' | 'http' | 'http2' | 'not-http' | 'more' {
  const kind = classify(all());
  return kind === 'other' || kind === 'socks4' || kind === 'socks5' ? 'not-http' : kind;
}

function understood(kind: string): FirstWord<Duplex>['kind'] {
  return kind === 'tls' || kind === 'http' || kind === 'http2' ? kind : 'not-http';
}

const nothing = Buffer.alloc(0);
