/** What a proxy has open, while it has, and after. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ledger as processLedger,
  type LedgerKind,
  ledgerKinds,
  sharedKinds,
} from '../../src/diagnostics/index.js';
import { type LeafMaterial, MemoryStore } from '../../src/certs/index.js';
import { eventually } from '../support/patience.js';
import { Scene } from '../support/scene.js';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

function outstanding(scene: Scene): Partial<Record<LedgerKind, number>> {
  const lines = Object.entries(scene.proxy.ledger()).map(([kind, line]) => [kind, line.outstanding] as const);
  return Object.fromEntries(
    lines.filter(([kind, count]) => count > 0 && !sharedKinds.some((shared) => shared === kind)),
  );
}

test('traffic of every kind is counted while it lasts, and nothing is left of it', async (t) => {
  let give: (() => void) | undefined;
  const memory = new MemoryStore();
  const scene = await Scene.open(t, {
    limits: { upstreamPerOrigin: 1 },
    hooks: {
      request: async ({ request }) => {
        if (request.method === 'PUT') await request.body.bytes();
      },
    },
    store: {
      fetch: async (key, generate, options): Promise<LeafMaterial> => {
        if (key.host === 'slow.test') await new Promise<void>((resolve) => (give = resolve));
        return await memory.fetch(key, generate, options);
      },
      close: () => {
        memory.close();
      },
    },
  });
  const listening = outstanding(scene).listeners ?? 0;
  assert.ok(listening >= 4);
  const stopListening = scene.proxy.on('listening', () => undefined);
  assert.equal(outstanding(scene).listeners, listening + 1);
  stopListening();

  // An exchange over TLS, half way.
  const origin = await scene.tlsOrigin();
  const client = await scene.secureClient('shop.test', origin.port);
  client.send('POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nab');
  const server = await origin.next();
  await server.head();
  server.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel');
  await client.until('hel');
  const { contexts, ...rest } = outstanding(scene);
  assert.ok(contexts !== undefined && contexts >= 2, `${contexts} contexts`);
  assert.deepEqual(rest, {
    connections: 1,
    clientTls: 1,
    upstreamTls: 1,
    exchanges: 1,
    bodies: 2,
    upstreamSockets: 1,
    listeners: listening,
    identities: 1,
  });
  assert.equal(processLedger().exchanges.outstanding, 1);

  // Another one, that waits for the connection, and what it keeps.
  const other = await scene.secureClient('shop.test', origin.port);
  other.send('PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\n\r\nabc');
  await eventually('it waits', () => outstanding(scene).upstreamWaiters === 1);
  assert.ok((outstanding(scene).bodyBytes ?? 0) >= 3);
  client.send('cd');
  await server.until('abcd');
  server.send('lo');
  await client.until('lo');
  await server.until('abc');
  server.send(ok);
  await other.until('hello');
  await eventually('both have ended', () => outstanding(scene).exchanges === undefined);
  const { bodies, bodyBytes, poolEntries, upstreamSockets } = outstanding(scene);
  assert.deepEqual([bodies, bodyBytes, poolEntries, upstreamSockets], [undefined, undefined, 1, 1]);

  // A tunnel.
  const tunnelled = await scene.tcpOrigin();
  const tunnel = await scene.tunnel(`db.test:${tunnelled.port}`);
  tunnel.send('\0');
  await (await tunnelled.next()).bytes(1);
  assert.equal(outstanding(scene).tunnels, 1);

  // A handshake that waits for its certificate.
  const slow = scene.secureClient('slow.test', origin.port);
  await eventually('it waits', () => outstanding(scene).storeWaits === 1);
  give?.();
  await slow;
  assert.equal(outstanding(scene).storeWaits, undefined);
  const { oldestMs } = scene.proxy.ledger().connections;
  assert.ok(oldestMs > 0);

  await scene.proxy.close({ drainTimeout: 50 });
  assert.deepEqual(outstanding(scene), {});
  const lines = scene.proxy.ledger();
  for (const kind of ledgerKinds) {
    const { created, closed, leaked, highWater } = lines[kind];
    if (kind === 'secureContexts') continue;
    assert.ok(created > 0 && highWater > 0, `${kind} was counted`);
    if (!sharedKinds.includes(kind)) assert.deepEqual([closed, leaked], [created, 0], kind);
  }
  assert.equal(processLedger().connections.created, 0, 'a proxy that is at zero leaves');
});
