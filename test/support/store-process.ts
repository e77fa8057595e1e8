/**
 * A process that uses a certificate store, for tests with several of them. Its argument is a `Setup` in JSON; it
 * is told what to do by messages, and answers each with its `id`.
 */
import process from 'node:process';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openAuthority } from '../../src/certs/authority.js';
import { openFileStore } from '../../src/certs/file-store.js';
import { Minter } from '../../src/certs/mint.js';
import { certificateName } from '../../src/certs/names.js';
import { openRedisStore } from '../../src/certs/redis-store.js';
import type { InspectableStore, StoreContext, StoreCounters } from '../../src/certs/store.js';
import { within } from './patience.js';

interface Setup {
  /** `file:DIR` or `redis://…` */
  readonly store: string;
  /** The directory of a CA that is there. */
  readonly ca: string;
  /** Milliseconds. */
  readonly lease?: number;
}

interface FetchRequest {
  readonly hosts: readonly string[];
  /** How many ask for each host at the same moment. */
  readonly waiters: number;
  /** How long a generation takes at least, in milliseconds; `Infinity` is `'ever'`. */
  readonly pause?: number | 'ever';
}

export interface FetchResult {
  /** The distinct serials that were handed out for each host. */
  readonly serials: Readonly<Record<string, readonly string[]>>;
  readonly errors: readonly string[];
  /** Calls of `generate`. */
  readonly generations: number;
  readonly reports: readonly string[];
  readonly counters: StoreCounters;
}

type Message =
  ({ readonly id: number } & FetchResult) | { readonly ready: true } | { readonly generating: string };

/** The parent's side. */
export class StoreProcess {
  readonly child: ChildProcess;
  #count = 0;

  private constructor(child: ChildProcess) {
    this.child = child;
    child.setMaxListeners(50);
  }

  /**
   * Started, with its store open. It is killed when the test ends. With `full`, it can write no byte to any file,
   * as on a disk that is full.
   */
  static async start(
    t: TestContext,
    setup: Setup,
    { full = false, env = {} }: { readonly full?: boolean; readonly env?: NodeJS.ProcessEnv } = {},
  ): Promise<StoreProcess> {
    const program = [process.execPath, fileURLToPath(import.meta.url), JSON.stringify(setup)];
    const script = `${full ? 'ulimit -f 0; ' : ''}exec "$@"`;
    // The output of a test may be a file, too.
    const child = spawn('sh', ['-c', script, 'sh', ...program], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...env },
    });
    child.stdout?.pipe(process.stdout, { end: false });
    child.stderr?.pipe(process.stderr, { end: false });
    t.after(() => child.kill('SIGKILL'));
    const started = new StoreProcess(child);
    await started.#hear((message) => ('ready' in message ? true : undefined), 'a store process');
    return started;
  }

  async fetch(request: FetchRequest): Promise<FetchResult> {
    this.#count += 1;
    const id = this.#count;
    const result = this.#hear(
      (message) => ('id' in message && message.id === id ? message : undefined),
      'fetches',
    );
    this.child.send({ id, ...request });
    return result;
  }

  /** Resolves when a generation has begun. */
  async generating(): Promise<string> {
    return this.#hear(
      (message) => ('generating' in message ? message.generating : undefined),
      'a generation',
    );
  }

  /** Lets it close its store and end; its exit code. */
  async end(): Promise<number | null> {
    const ended = once(this.child, 'exit') as Promise<[number | null]>;
    this.child.send('end');
    return (await within(ended, 'the end of a store process'))[0];
  }

  #hear<T>(take: (message: Message) => T | undefined, what: string): Promise<T> {
    const { child } = this;
    const heard = new Promise<T>((resolve, reject) => {
      const exited = (code: number | null): void => {
        child.off('message', listen);
        reject(new Error(`a store process ended (${code})`));
      };
      const listen = (message: Message): void => {
        const taken = take(message);
        if (taken === undefined) return;
        child.off('message', listen);
        child.off('exit', exited);
        resolve(taken);
      };
      child.on('message', listen);
      child.once('exit', exited);
    });
    return within(heard, what, 60_000);
  }
}

/** Where a store of another kind is opened, too. */
async function openStore({ store, lease }: Setup, context: StoreContext): Promise<InspectableStore> {
  const options = lease === undefined ? context : { ...context, lease };
  if (store.startsWith('file:')) return openFileStore({ dir: store.slice('file:'.length), ...options });
  if (/^rediss?:/.test(store)) return openRedisStore({ url: store, ...options });
  throw new Error(`no store is opened by ${store}`);
}

async function main(setup: Setup, send: (message: Message) => void): Promise<void> {
  const authority = await openAuthority({ dir: setup.ca, create: false });
  const minter = new Minter({ issuer: authority });
  const reports: string[] = [];
  const store = await openStore(setup, {
    authority: authority.fingerprint256,
    sealer: authority.sealer,
    report: (report) =>
      reports.push('error' in report ? `${report.kind}: ${report.error.detail}` : report.kind),
  });

  const fetchAll = async ({ hosts, waiters, pause = 0 }: FetchRequest): Promise<FetchResult> => {
    let generations = 0;
    const errors: string[] = [];
    const serials = new Map(hosts.map((host) => [host, new Set<string>()]));
    const ask = async (host: string): Promise<void> => {
      const key = { host, authority: authority.fingerprint256, profile: minter.profile };
      try {
        const material = await store.fetch(key, async () => {
          generations += 1;
          send({ generating: host });
          await new Promise<void>((resolve) => {
            if (pause !== 'ever') setTimeout(resolve, pause);
          });
          return minter.mint(certificateName(host));
        });
        serials.get(host)?.add(material.serial);
      } catch (error) {
        errors.push(String(error));
      }
    };
    await Promise.all(hosts.flatMap((host) => Array.from({ length: waiters }, () => ask(host))));
    const result = Object.fromEntries([...serials].map(([host, set]) => [host, [...set]]));
    return { serials: result, errors, generations, reports: [...reports], counters: store.counters };
  };

  process.on('message', (message: 'end' | ({ readonly id: number } & FetchRequest)) => {
    if (message === 'end') {
      void Promise.resolve(store.close()).then(() => {
        process.disconnect();
      });
      return;
    }
    void fetchAll(message).then((result) => {
      send({ id: message.id, ...result });
    });
  });
  send({ ready: true });
}

const [, program, setup] = process.argv;
if (program === fileURLToPath(import.meta.url) && setup !== undefined && process.send) {
  const tell = process.send.bind(process);
  await main(JSON.parse(setup) as Setup, (message) => void tell(message));
}
