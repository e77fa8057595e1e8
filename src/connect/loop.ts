/**
 * Is the destination this very proxy? Then the request would come back until sockets run out. Pure, given
 * the addresses of the machine.
 *
 * Names that only the resolver knows to be ours are found once connected (`isOwnSocket`); loops through
 * other proxies are found by `Via` (RFC 9110 §7.6.3), elsewhere.
 */
import { networkInterfaces } from 'node:os';
import { canonicalIp, unmapped } from './ip.js';
import type { Destination } from './target.js';

/** Where the proxy listens, as `server.address()` tells it. */
export interface LocalAddress {
  readonly address: string;
  readonly port: number;
}

/** The addresses of this machine's interfaces. Costs a system call: asked only where the port is ours. */
function interfaceAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
}

/**
 * Whether connecting to `destination` would reach the socket that listens on `local`, as far as the name
 * tells. The host is as `parseConnectTarget` gives it; `interfaces` may have any spelling.
 */
export function isOwnAddress(
  destination: Destination,
  local: LocalAddress,
  interfaces: () => readonly string[] = interfaceAddresses,
): boolean {
  if (destination.port !== local.port) return false;
  const own = normal(local.address);
  return addressesOf(destination.host).some((address) => reaches(address, own, interfaces));
}

/** The same for a socket that is connected to `remoteAddress`; `undefined` once it is closed. */
export function isOwnSocket(
  remoteAddress: string | undefined,
  remotePort: number | undefined,
  local: LocalAddress,
  interfaces: () => readonly string[] = interfaceAddresses,
): boolean {
  if (remoteAddress === undefined || remotePort !== local.port) return false;
  return reaches(normal(remoteAddress), normal(local.address), interfaces);
}

/** The addresses that a host stands for without asking a resolver; none for other names. */
function addressesOf(host: string): string[] {
  // RFC 6761 §6.3: these names are loopback, whatever a resolver says.
  if (host === 'localhost' || host.endsWith('.localhost')) return ['127.0.0.1', '::1'];
  return canonicalIp(host) === undefined ? [] : [normal(host)];
}

function reaches(address: string, own: string, interfaces: () => readonly string[]): boolean {
  if (address === own) return true;
  // To connect to the unspecified address is to connect to loopback, on Linux and most others.
  if (address === '0.0.0.0') return reaches('127.0.0.1', own, interfaces);
  if (address === '::') return reaches('::1', own, interfaces);
  // A socket on :: takes IPv4 as well unless it was told not to; taking it so errs on the safe side.
  const wildcard = own === '::' || (own === '0.0.0.0' && !address.includes(':'));
  if (!wildcard) return false;
  if (address === '::1' || address.startsWith('127.')) return true;
  return interfaces().some((other) => normal(other) === address);
}

/** One spelling, without the zone that the system adds to link-local addresses. */
function normal(address: string): string {
  const [bare = ''] = address.split('%', 1);
  return unmapped(canonicalIp(bare) ?? bare);
}
