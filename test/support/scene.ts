/** A proxy in this process with origins and clients around it; when the test ends, nothing may be left open. */
import assert from 'node:assert/strict';
import type { LookupFunction, TcpNetConnectOpts } from 'node:net';
import type { TestContext } from 'node:test';
import type tls from 'node:tls';
import type { ExchangeEnd, TunnelClose, TunnelOpen } from '../../src/base/events.js';
import type { SallyportError } from '../../src/base/errors.js';
import { ledgerKinds, sharedKinds } from '../../src/base/ledger.js';
import { createProxy, type Proxy, type ProxyOptions } from '../../src/index.js';
import { RawOrigin } from './origins.js';
import { eventually } from './patience.js';
import { Pki } from './pki.js';
import { later, temporaryDirectory } from './stage.js';
import { Wire } from './wire.js';

/** Every name is this machine; names under `.invalid` do not exist (RFC 6761 §6.4). */
const lookupHere: LookupFunction = (host, options, callback) => {
  if (host.endsWith('.invalid')) {
    const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), {
      code: 'ENOTFOUND',
      syscall: 'getaddrinfo',
      hostname: host,
    });
    process.nextTick(callback, error, [], 0);
  } else {
    process.nextTick(callback, null, options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4);
  }
};

export class Scene {
  readonly t: TestContext;
  readonly pki: Pki;
  readonly proxy: Proxy;
  /** What the proxy told, in order. */
  readonly exchanges: ExchangeEnd[] = [];
  readonly tunnels: TunnelOpen[] = [];
  readonly tunnelEnds: TunnelClose[] = [];
  readonly failures: SallyportError[] = [];

  private constructor(t: TestContext, pki: Pki, proxy: Proxy) {
    this.t = t;
    this.pki = pki;
    this.proxy = proxy;
    proxy.on('exchange.end', (end) => this.exchanges.push(end));
    proxy.on('tunnel.open', (open) => this.tunnels.push(open));
    proxy.on('tunnel.close', (close) => this.tunnelEnds.push(close));
    proxy.on('failure', ({ error }) => this.failures.push(error));
  }

  static async open(t: TestContext, options: ProxyOptions = {}): Promise<Scene> {
    const pki = await Pki.make(t);
    const caDir = await temporaryDirectory(t);
    const proxy = createProxy({ caDir, upstreamCa: pki.ca, lookup: lookupHere, ...options });
    const scene = new Scene(t, pki, proxy);
    await proxy.listen();
    later(t, async () => {
      await proxy.close();
      scene.#assertNothingLeft();
    });
    return scene;
  }

  #assertNothingLeft(): void {
    const ledger = this.proxy.ledger();
    for (const kind of ledgerKinds) {
      if (sharedKinds.includes(kind)) continue;
      const { outstanding, leaked } = ledger[kind];
      assert.deepEqual({ outstanding, leaked }, { outstanding: 0, leaked: 0 }, `${kind} after close()`);
    }
    const errors = [...this.failures, ...this.exchanges.map(({ error }) => error)];
    const mistake = errors.find((error) => error?.code === 'ERR_INTERNAL');
    if (mistake) throw new Error('a mistake of the proxy', { cause: mistake.cause ?? mistake });
  }

  /** An origin over TCP, and one over TLS that has a certificate for any name. */
  tcpOrigin(): Promise<RawOrigin> {
    return RawOrigin.tcp(this.t);
  }

  async tlsOrigin(options: tls.TlsOptions = {}): Promise<RawOrigin> {
    return RawOrigin.tls(this.t, { ...(await this.pki.anyHost()), ...options });
  }

  /** A client connection to the proxy. */
  async client(options: Partial<TcpNetConnectOpts> = {}): Promise<Wire> {
    return this.#owned(await Wire.connect(this.proxy.port, options));
  }

  /** A client that has opened a tunnel to `target` (`host:port`). */
  async tunnel(target: string, options: Partial<TcpNetConnectOpts> = {}): Promise<Wire> {
    const client = await this.client(options);
    client.send(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
    const head = await client.head();
    assert.match(head, /^HTTP\/1\.1 200 /);
    return client;
  }

  /** A client that speaks TLS through a tunnel to `host:port`, and trusts the proxy's CA only. */
  async secureClient(host: string, port: number, options: tls.ConnectionOptions = {}): Promise<Wire> {
    const tunnel = await this.tunnel(`${host}:${port}`);
    const name = /^[\d.]+$/.test(host) ? { host } : { servername: host };
    return this.#owned(await tunnel.secure({ ca: this.proxy.ca.pem, ...name, ...options }));
  }

  #owned(wire: Wire): Wire {
    later(this.t, () => {
      wire.destroy();
    });
    return wire;
  }

  /** The end of the exchange number `count` of this scene. */
  async exchange(count = 1): Promise<ExchangeEnd> {
    await eventually(`exchange ${count} has ended`, () => this.exchanges.length >= count);
    const end = this.exchanges[count - 1];
    assert.ok(end);
    return end;
  }

  /** The end of the first tunnel. */
  async tunnelEnd(): Promise<TunnelClose> {
    await eventually('a tunnel has ended', () => this.tunnelEnds.length > 0);
    const [end] = this.tunnelEnds;
    assert.ok(end);
    return end;
  }

  async tunnelOpened(count = 1): Promise<TunnelOpen> {
    await eventually(`tunnel ${count} is open`, () => this.tunnels.length >= count);
    const open = this.tunnels[count - 1];
    assert.ok(open);
    return open;
  }
}

/** The proxy's name in `Via` is random: `sallyport` in its place. */
export function masked(head: string): string {
  return head.replaceAll(/sallyport-[\da-f]{8}/g, 'sallyport');
}

/** The code that an error response of the proxy names. */
export function codeIn(head: string): string | undefined {
  return /^proxy-status: .*details="(\w+)"\r$/im.exec(head)?.[1];
}

export function statusOf(head: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
}
