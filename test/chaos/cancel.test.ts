/** A client that vanishes: from each phase its cancel reaches the origin. Promised are 50 ms. */
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';
import { test, type TestContext } from 'node:test';
import type { ProxyOptions } from '../../src/index.js';
import { listening } from '../support/origins.js';
import { within } from '../support/patience.js';
import { Scene } from '../support/scene.js';
import { Wire } from '../support/wire.js';

interface Case {
  /** The client's connection, the TCP one below TLS where there is TLS. */
  readonly client: Wire;
  /** The origin's end of what it asked for. */
  readonly server: Wire;
}

const times = 5;
/** Machines that test may be busy; what was measured is told. */
const bound = 500;

const head = 'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n';

/** An origin that takes the connection and says nothing, TLS or not. */
async function mute(t: TestContext): Promise<{ port: number; next: () => Promise<Wire> }> {
  const accepted: Wire[] = [];
  let wake: () => void = () => undefined;
  const port = await listening(
    t,
    net.createServer({ noDelay: true }, (socket) => {
      accepted.push(new Wire(socket));
      wake();
    }),
  );
  const next = async (): Promise<Wire> => {
    for (;;) {
      const wire = accepted.shift();
      if (wire) return wire;
      await within(new Promise<void>((resolve) => (wake = resolve)), 'a connection');
    }
  };
  return { port, next };
}

async function inClearText(scene: Scene, request: string): Promise<Case> {
  const origin = await scene.tcpOrigin();
  const client = await scene.client();
  client.send(request.replace(' /', ` http://${origin.at}/`));
  const server = await origin.next();
  await server.head();
  return { client, server };
}

async function inTls(scene: Scene, request: string): Promise<Case & { readonly secure: Wire }> {
  const origin = await scene.tlsOrigin();
  const client = await scene.tunnel(`shop.test:${origin.port}`);
  const secure = await client.secure({ ca: scene.proxy.ca.pem, servername: 'shop.test' });
  secure.send(request);
  const server = await origin.next();
  await server.head();
  return { client, server, secure };
}

const get = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
const post = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc';

const cases: Readonly<Record<string, (scene: Scene) => Promise<Case>>> = {
  'in the handshake with the origin': async (scene) => {
    const origin = await mute(scene.t);
    const client = await scene.tunnel(`shop.test:${origin.port}`);
    const secure = await client.secure({ ca: scene.proxy.ca.pem, servername: 'shop.test' });
    secure.send(get);
    const server = await origin.next();
    await server.bytes(1);
    return { client, server };
  },
  'while a silent client is connected ahead': async (scene) => {
    const origin = await mute(scene.t);
    const client = await scene.tunnel(`db.test:${origin.port}`);
    return { client, server: await origin.next() };
  },
  'in the request body': async (scene) => {
    const { client, server } = await inClearText(scene, post);
    await server.until('abc');
    return { client, server };
  },
  'in the request body, over TLS': async (scene) => {
    const { client, server } = await inTls(scene, post);
    await server.until('abc');
    return { client, server };
  },
  'waiting for the head': (scene) => inClearText(scene, get),
  'waiting for the head, over TLS': (scene) => inTls(scene, get),
  'after a hint': async (scene) => {
    const { client, server } = await inClearText(scene, get);
    server.send('HTTP/1.1 103 Early Hints\r\n\r\n');
    await client.head();
    return { client, server };
  },
  'within the response head': async (scene) => {
    const { client, server } = await inClearText(scene, get);
    server.send(head.slice(0, 20));
    return { client, server };
  },
  'in the response body': async (scene) => {
    const { client, server } = await inClearText(scene, get);
    server.send(head, 'abc');
    await client.until('abc');
    return { client, server };
  },
  'in the response body, over TLS': async (scene) => {
    const { client, server, secure } = await inTls(scene, get);
    server.send(head, 'abc');
    await secure.until('abc');
    return { client, server };
  },
  'in a tunnel': async (scene) => {
    const origin = await scene.tcpOrigin();
    const client = await scene.tunnel(`db.test:${origin.port}`);
    client.send('\0');
    const server = await origin.next();
    await server.bytes(1);
    return { client, server };
  },
};

for (const [where, reach] of Object.entries(cases)) {
  test(`${where}: the origin hears of a client that vanished`, async (t) => {
    const scene = await Scene.open(t, { timeouts: { serverFirst: where.includes('ahead') ? 20 : 5000 } });
    const took: number[] = [];
    for (let time = 0; time < times; time += 1) {
      const { client, server } = await reach(scene);
      took.push(await untilHeard(client, server));
    }
    assertSoon(t, took);
  });
}

/** The client has sent its ClientHello, and the origin is asked before the handshake goes on. */
const askedAhead: Readonly<Record<string, { options: ProxyOptions; protocols: readonly string[] }>> = {
  'whose origin is mirrored': { options: { mirrorUpstream: true }, protocols: [] },
  'that offers a protocol which only the origin knows': { options: {}, protocols: ['h2'] },
};

for (const [what, { options, protocols }] of Object.entries(askedAhead)) {
  test(`in the handshake with a client ${what}: the origin hears of a client that vanished`, async (t) => {
    const scene = await Scene.open(t, { ...options, timeouts: { serverFirst: 5000 } });
    const origin = await mute(t);
    const took: number[] = [];
    for (let time = 0; time < times; time += 1) {
      const client = await scene.tunnel(`shop-${time}.test:${origin.port}`);
      const secured = tls.connect({
        socket: client.socket,
        servername: `shop-${time}.test`,
        ALPNProtocols: [...protocols],
      });
      secured.on('error', () => undefined);
      const server = await origin.next();
      await server.bytes(1);
      took.push(await untilHeard(client, server));
    }
    assertSoon(t, took);
  });
}

/** Milliseconds from the client's leaving to the origin's noticing. */
async function untilHeard(client: Wire, server: Wire): Promise<number> {
  // Not within a callback of the TLS socket: Node 20 does not survive that.
  await new Promise(setImmediate);
  const left = performance.now();
  client.reset();
  await server.ending();
  return performance.now() - left;
}

function assertSoon(t: TestContext, took: readonly number[]): void {
  const most = Math.max(...took);
  t.diagnostic(`${most.toFixed(1)} ms at the most in ${took.length}`);
  assert.ok(most < bound, `${most} ms`);
}
