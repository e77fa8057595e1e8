/**
 * Leaves that mirror the certificates of origins: the origin is connected to, and verified, before the client's
 * handshake. The connection then waits in the pool for the first request.
 *
 * An origin that cannot be reached, or whose certificate is bad, is no reason to leave the client without an answer:
 * it gets a leaf that mirrors nothing, and each request inside what is wrong.
 */
import type { Socket } from 'node:net';
import type { Milliseconds } from '../base/bytes.js';
import type { Context } from '../base/context.js';
import { SallyportError, toSallyportError } from '../base/errors.js';
import type { Origin } from '../base/message.js';
import type { CertificateHandle, Identity } from '../certs/index.js';
import { firstBytes } from './first-bytes.js';
import type { Mirror } from './mirror.js';
import { openOrigin, originKey } from './origins.js';
import type { FailedAhead, Leg, Services } from './services.js';

/** What is known before the handshake of a client whose leaf mirrors. */
export interface MirrorRequest {
  /** The name that the origin is verified for. */
  readonly host: string;
  readonly origin: Origin;
  /** Paused: what the client sends meanwhile is read, so that its leaving is noticed. */
  readonly socket: Socket;
  /** What was read of it. */
  readonly bytes: Buffer;
  /** Its deadline stands still while the origin is connected to. */
  readonly handshake: Context;
}

export interface Mirrored {
  readonly identity: Identity;
  readonly bytes: Buffer;
  /** For the first request. */
  readonly failedAhead: FailedAhead | undefined;
}

/**
 * The identity for a client, from an origin's connection of the pool or a new one, which goes to the pool. Rejects
 * with the error of the connection's context when that closes, with `ERR_CLIENT_HANDSHAKE` when the client leaves,
 * and as `Identities.get`.
 */
export async function mirrorOrigin(
  services: Services,
  mirror: Mirror,
  leg: Leg,
  request: MirrorRequest,
): Promise<Mirrored> {
  const { host, handshake } = request;
  const { leaf, error, bytes } = await look(services, leg, request);
  const shown = error && mirror.faulty(host, error, handshake);
  const identity = await (shown ? waitedFor(services, shown) : identityFor(services, host, leaf, handshake));
  return { identity, bytes, failedAhead: error && failedAhead(error) };
}

/** A handshake is over by then; after it, the origin may be better. */
const toldFor: Milliseconds = 2000;

/** `now`: a clock that only goes forward. */
export function failedAhead(error: SallyportError, now = (): Milliseconds => performance.now()): FailedAhead {
  const until = now() + toldFor;
  let told = false;
  return {
    take: () => {
      if (told || now() >= until) return undefined;
      told = true;
      return error;
    },
  };
}

/** The one that mirrors `leaf`, or the usual one where there is none, or none that can be mirrored. */
export async function identityFor(
  services: Pick<Services, 'identities' | 'ledger'>,
  host: string,
  leaf: CertificateHandle | undefined,
  handshake: Context,
): Promise<Identity> {
  const { identities } = services;
  if (!leaf) return await waitedFor(services, identities.get(host, handshake));
  try {
    return await waitedFor(services, identities.getMirror(host, leaf, handshake));
  } catch (thrown) {
    const error = toSallyportError(thrown);
    // It has ended since it was verified, while a connection or session lived on.
    if (error.code === 'ERR_LEAF_CERTIFICATE')
      return await waitedFor(services, identities.get(host, handshake));
    throw error;
  }
}

/** Counts who waits. */
async function waitedFor(
  { ledger }: Pick<Services, 'ledger'>,
  identity: Identity | Promise<Identity>,
): Promise<Identity> {
  if (!(identity instanceof Promise)) return identity;
  const mark = ledger.open('storeWaits');
  try {
    return await identity;
  } finally {
    ledger.close('storeWaits', mark);
  }
}

interface Seen {
  readonly leaf: CertificateHandle | undefined;
  /** What kept us from seeing one. */
  readonly error?: SallyportError;
  readonly bytes: Buffer;
}

async function look(services: Services, leg: Leg, request: MirrorRequest): Promise<Seen> {
  const { pool, timeouts } = services;
  const { origin, socket, bytes, handshake } = request;
  const key = originKey(services, origin, leg.serverName);
  const idle = pool.takeIdle(key);
  if (idle) {
    const leaf = idle.certificates?.leaf;
    pool.release(idle);
    return { leaf, bytes };
  }
  handshake.setTimeout(Number.POSITIVE_INFINITY, 'ERR_CANCELLED');
  using dialing = leg.context.withTimeout(
    timeouts.connect + timeouts.upstreamHandshake,
    'ERR_CONNECT_TIMEOUT',
  );
  using listening = leg.context.withCancel();
  const client = firstBytes(socket, nothing, listening, (_chunk, all) => {
    return all().length >= mostEarlyBytes ? 'enough' : 'more';
  });
  const clientGone = client.then(({ kind }) => {
    if (kind === 'ended') dialing.close();
  });
  const seen = await dial(services, leg, key, origin, dialing);
  listening.close();
  await clientGone;
  const early = await client;
  leg.context.throwIfClosed();
  if (early.kind === 'ended') {
    throw new SallyportError('ERR_CLIENT_HANDSHAKE', 'the client left while the origin was connected to');
  }
  handshake.setTimeout(timeouts.clientHandshake, 'ERR_CLIENT_HANDSHAKE_TIMEOUT');
  return { ...seen, bytes: early.bytes.length > 0 ? Buffer.concat([bytes, early.bytes]) : bytes };
}

async function dial(
  services: Services,
  leg: Leg,
  key: string,
  origin: Origin,
  dialing: Context,
): Promise<Omit<Seen, 'bytes'>> {
  const { pool } = services;
  const open: Parameters<typeof pool.acquire>[1] = async (context) => {
    const made = await openOrigin(services, origin, leg.serverName, context);
    made.ahead = true;
    return made;
  };
  try {
    const connection = await pool.acquire(key, open, dialing);
    const leaf = connection.certificates?.leaf;
    pool.release(connection);
    return { leaf };
  } catch (thrown) {
    return { leaf: undefined, error: toSallyportError(thrown) };
  }
}

/** A client has nothing to say before it is answered, but may send early data (RFC 8446 §4.2.10). */
const mostEarlyBytes = 64 * 1024;

const nothing = Buffer.alloc(0);
