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
  const { events, ledger, limits, timeouts } = services;
  const started = performance.now();
  const id = `${events.proxy}-t${services.nextTunnel()}`;
  const opened: TunnelOpen = { ...facts, id, connection: leg.client.connection };
  ledger.open('tunnels');
  if (events.has('tunnel.open')) events.emit('tunnel.open', opened);
  const options = {
    fromClient,
    fromOrigin,
    context: leg.context.withCancel(),
    idleTimeout: timeouts.idleTunnel,
    buffered: limits.buffered,
  };
  void relay(client, origin, options).then((end) => {
    ledger.close('tunnels');
    if (!events.has('tunnel.close')) return;
    events.emit('tunnel.close', { ...opened, ...end, duration: performance.now() - started });
  });
}
