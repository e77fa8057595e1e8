/** Rounds of planned visits through two proxies, and what is left of them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LookupFunction } from 'node:net';
import tls from 'node:tls';
import { openAuthority } from '../../src/certs/index.js';
import { createProxy, pass, type Proxy, type ProxyOptions } from '../../src/index.js';
import { Random } from '../fuzz/random.js';
import { type Around, visit } from './client.js';
import { Origins } from './origins.js';
import { planRound, type Visit } from './plan.js';
import { settle } from './settle.js';
import { collectGarbage } from '../support/garbage.js';

export interface ChaosOptions {
  readonly seed: number;
  readonly rounds: number;
  /** In each round. */
  readonly exchanges: number;
  readonly progress?: (round: Round) => void;
}

export interface Round {
  readonly number: number;
  readonly exchanges: number;
  readonly outcomes: ReadonlyMap<string, number>;
  readonly mistakes: readonly string[];
  /** Lines of what is open and should not be, with the proxies idle. */
  readonly outstanding: readonly string[];
  /** Bytes after a collection. */
  readonly heap: number;
  readonly rss: number;
  readonly seconds: number;
}

export interface ChaosResult {
  readonly rounds: readonly Round[];
  /** The same when the proxies are closed. */
  readonly outstanding: readonly string[];
}

/** How many visits go on at one time. */
const visitors = 24;

const phase = 300;

const impatient = {
  sniff: phase,
  serverFirst: 50,
  clientHandshake: phase,
  requestHead: phase,
  idleClient: phase,
  connect: phase,
  upstreamHandshake: phase,
  responseHead: phase,
  idleBody: phase,
  idleTunnel: phase,
  idleUpstream: 100,
};

/** Every name is this machine; names under `.invalid` do not exist (RFC 6761 §6.4). */
const lookup: LookupFunction = (host, options, callback) => {
  if (host.endsWith('.invalid')) {
    const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), {
      code: 'ENOTFOUND',
      hostname: host,
    });
    process.nextTick(callback, error, [], 0);
  } else {
    process.nextTick(callback, null, options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4);
  }
};

/** Runs all rounds, or until one leaves something open; everything that it opened is closed when it resolves or rejects. */
export async function chaos({ seed, rounds, exchanges, progress }: ChaosOptions): Promise<ChaosResult> {
  const random = new Random(seed);
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-chaos-'));
  const done: Round[] = [];
  const authority = await openAuthority({ dir: join(dir, 'origins'), name: 'CA of the origins' });
  const origins = await Origins.start(authority);
  const proxies: Proxy[] = [];
  try {
    const common: ProxyOptions = {
      caDir: join(dir, 'proxy'),
      upstreamCa: authority.pem,
      lookup,
      timeouts: impatient,
    };
    proxies.push(await createProxy(common).listen(), await createProxy(curious(common)).listen());
    const stage = new Stage(proxies, origins);
    let visits = 0;
    for (let number = 1; number <= rounds; number += 1) {
      const plans = planRound(random, exchanges, visits + 1);
      visits += plans.length;
      const round = await stage.round(number, plans);
      done.push(round);
      progress?.(round);
      // What is wrong once is wrong again, and each time takes long.
      if (round.outstanding.length > 0) break;
    }
    await Promise.all(proxies.map((proxy) => proxy.close({ drainTimeout: 2 * phase })));
    const outstanding = await settle(proxies, undefined, origins);
    return { rounds: done, outstanding };
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.close({ drainTimeout: 0 })));
    await origins.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Looks at origins first, collects bodies, takes its time, and has few connections to an origin. */
function curious(options: ProxyOptions): ProxyOptions {
  return {
    ...options,
    mirrorUpstream: { untrusted: true },
    limits: { upstreamPerOrigin: 4, collectedBody: 100_000, buffered: 20_000 },
    hooks: {
      request: async ({ request }) => {
        if (request.method === 'POST' && request.target.length % 2 === 0) await request.body.bytes();
        return pass();
      },
      response: async ({ response, request }) => {
        if (request.target.length % 3 === 0) await response?.body.bytes();
        return pass();
      },
    },
  };
}

class Stage {
  readonly #proxies: readonly Proxy[];
  readonly #origins: Origins;
  readonly #around: Around;
  readonly #before: ReturnType<Proxy['ledger']>[];
  readonly #mistakes: string[] = [];

  constructor(proxies: readonly Proxy[], origins: Origins) {
    this.#proxies = proxies;
    this.#origins = origins;
    this.#around = {
      proxyPorts: proxies.map(({ port }) => port),
      secureContext: tls.createSecureContext({ ca: [] }),
      ports: origins.ports,
    };
    for (const proxy of proxies) {
      const look = (error: { code: string; stack?: string; cause?: unknown } | undefined): void => {
        if (error?.code !== 'ERR_INTERNAL') return;
        const cause = error.cause instanceof Error ? error.cause.stack : undefined;
        this.#mistakes.push(`MISTAKE: of the proxy: ${error.stack} ${cause}`);
      };
      proxy.on('exchange.end', ({ error }) => {
        look(error);
      });
      proxy.on('tunnel.close', ({ error }) => {
        look(error);
      });
      proxy.on('failure', ({ error }) => {
        look(error);
      });
    }
    this.#before = proxies.map((proxy) => proxy.ledger());
  }

  async round(number: number, plans: readonly Visit[]): Promise<Round> {
    const started = performance.now();
    const outcomes = new Map<string, number>();
    const queue = plans.values();
    const visitor = async (): Promise<void> => {
      for (const plan of queue) {
        for (const outcome of await visit(plan, this.#around)) {
          const kind = /^MISTAKE: [\w ]*/.exec(outcome)?.[0] ?? outcome;
          outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
          if (outcome.startsWith('MISTAKE')) this.#mistakes.push(`${outcome}; ${JSON.stringify(plan)}`);
        }
      }
    };
    await Promise.all(Array.from({ length: visitors }, visitor));
    const seconds = (performance.now() - started) / 1000;
    const outstanding = await settle(this.#proxies, this.#before, this.#origins);
    collectGarbage();
    const { heapUsed: heap, rss } = process.memoryUsage();
    const exchanges = [...outcomes.values()].reduce((sum, count) => sum + count, 0);
    const mistakes = this.#mistakes.splice(0);
    return { number, exchanges, outcomes, mistakes, outstanding, heap, rss, seconds };
  }
}
