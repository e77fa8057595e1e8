/** Bytes that nobody reads: tunnels, counted and told. */
import type { Duplex } from 'node:stream';
import type { TunnelOpen } from '../base/events.js';
import { relay } from './relay.js';
import type { Leg, Services } from './services.js';

/** `host:port`, and why its bytes are relayed as they are. */
export type TunnelFacts = Pick<TunnelOpen, 'target' | 'reason'>;

/** Joins a client and an origin until both are closed; both sockets are owned here from now on. */
export function openTunnel(
  services: Services,
  leg: Leg,
  facts: TunnelFacts,
  client: Duplex,
  fromClient: Buffer,
  origin: Duplex,
  fromOrigin: Buffer,
): void {
  const { context, events, ledger, limits, timeouts, tunnels } = services;
  const started = performance.now();
  const id = `${events.proxy}-t${services.nextTunnel()}`;
  const opened: TunnelOpen = { ...facts, id, connection: leg.client.connection };
  ledger.passed(started);
  const mark = ledger.open('tunnels');
  if (events.has('tunnel.open')) events.emit('tunnel.open', opened);
  const options = {
    fromClient,
    fromOrigin,
    // Not the connection's: what a client sent before it closed is still to reach the origin.
    context: context.withCancel(),
    idleTimeout: timeouts.idleTunnel,
    buffered: limits.buffered,
  };
  const ended = relay(client, origin, options).then((end) => {
    ledger.close('tunnels', mark);
    if (!events.has('tunnel.close')) return;
    events.emit('tunnel.close', { ...opened, ...end, duration: performance.now() - started });
  });
  tunnels.add(ended);
}
