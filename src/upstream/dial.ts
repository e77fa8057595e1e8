/** A TCP connection to an origin: name resolution, the race of its addresses, and errors in our words. */
import { ADDRCONFIG, lookup as systemLookup } from 'node:dns';
import { type LookupFunction, type Socket, type TcpNetConnectOpts, connect, isIP } from 'node:net';
import type { Milliseconds } from '../base/bytes.js';
import type { Context } from '../base/context.js';
import { SallyportError, toSallyportError } from '../base/errors.js';
import { hostPort } from '../base/message.js';
import { networkError } from '../base/network-errors.js';
import { interleaveFamilies, raceAddresses } from './happy-eyeballs.js';

export interface DialOptions {
  /** A DNS name, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Closing it ends the dial in any phase. Once the dial has ended, the context has no part in the socket. */
  readonly context: Context;
  /** In place of the system's resolver; asked with `all: true`, may answer with one address or a list. */
  readonly lookup?: LookupFunction;
  /** In place of `net.connect`, once for each address that is tried. */
  readonly connect?: (options: TcpNetConnectOpts) => Socket;
  /** How long an address may take before the next one is tried beside it. Default 250 ms (RFC 8305 §5). */
  readonly attemptDelay?: Milliseconds;
}

/** A connection that nothing moves on is probed after this time, so that a vanished origin is noticed. */
const keepAliveDelay: Milliseconds = 30_000;

/**
 * Connects. The socket is the caller's, without any listener: add one for `error` in the same turn. It may be
 * half closed (`allowHalfOpen`): whoever sees its `end` ends it.
 *
 * Rejects with `ERR_DNS`, `ERR_UPSTREAM_REFUSED`, `ERR_UPSTREAM_UNREACHABLE` or `ERR_CONNECT_TIMEOUT`; when
 * the context closes first, with the code that it closed with. The detail lists every address that failed.
 */
export async function dialTcp(options: DialOptions): Promise<Socket> {
  const { host, port, context, attemptDelay, connect: open = connect } = options;
  const doing = `connecting to ${hostPort(host, port)}`;
  try {
    const addresses = isIP(host) === 0 ? await resolve(host, options.lookup, context) : [host];
    return await raceAddresses(
      addresses,
      (address) => open(optionsFor(address, port)),
      context,
      attemptDelay,
    );
  } catch (error) {
    const { err } = context;
    if (err) throw new SallyportError(err.code, `${doing}: ${err.detail}`, { cause: err });
    throw networkError(error, doing) ?? toSallyportError(error);
  }
}

function optionsFor(address: string, port: number): TcpNetConnectOpts {
  return {
    host: address,
    port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveDelay,
  };
}

/**
 * The addresses of `host`, families in turn. A lookup cannot be cancelled: when the context closes it goes on,
 * and nobody hears its answer.
 */
async function resolve(
  host: string,
  lookup: LookupFunction | undefined,
  context: Context,
): Promise<string[]> {
  const found = await new Promise<string[]>((settle, reject) => {
    context.throwIfClosed();
    const stop = context.onClose((closed) => {
      reject(closed.err);
    });
    try {
      // ADDRCONFIG as in net.connect: no IPv6 addresses where the machine has no IPv6.
      (lookup ?? systemLookup)(host, { all: true, hints: ADDRCONFIG }, (error, answer) => {
        stop();
        if (error) reject(error);
        else settle(addressesIn(answer));
      });
    } catch (error) {
      stop();
      throw error;
    }
  });
  if (found.length === 0) throw new SallyportError('ERR_DNS', `${host} has no address`);
  return interleaveFamilies(found);
}

/** What a lookup answered: a user's own may answer in any way, and a throw here would end the process. */
function addressesIn(answer: unknown): string[] {
  const entries: unknown[] = Array.isArray(answer) ? answer : [answer];
  const addresses = entries.map((entry) =>
    typeof entry === 'object' && entry !== null && 'address' in entry ? entry.address : entry,
  );
  const valid = addresses.filter((address) => typeof address === 'string' && isIP(address) !== 0);
  return [...new Set(valid as string[])];
}
