/** One of the processes of `--workers`: a proxy that is started, ended and asked by its primary. */
import { SallyportError, toSallyportError } from '../base/errors.js';
import { MemoryStore } from '../certs/memory-store.js';
import type { CertificateStore, StoreContext } from '../certs/store.js';
import { TicketKeys } from '../certs/ticket-keys.js';
import { TieredStore } from '../certs/tiered-store.js';
import { createProxy, type Proxy } from '../proxy/proxy.js';
import type { PurgedHosts } from './certs-desk.js';
import { openProxyStore } from './certs-store.js';
import { ExchangeLog } from './exchange-log.js';
import { notice } from './output.js';
import { proxyOptionsFrom } from './proxy-options.js';
import type { RunArguments } from './run-arguments.js';
import { endLog } from './run-log.js';
import { onSignals } from './signals.js';
import { type ToPrimary, toWire, type ToWorker } from './workers-messages.js';
import { WorkerStore } from './workers-store.js';

type Start = Extract<ToWorker, { readonly kind: 'start' }>;

/** Resolves with the exit status when the primary, or a signal, had the proxy end. */
export async function runWorker(typed: RunArguments): Promise<number> {
  const inbox = new Inbox();
  const start = new Promise<Start>((resolve) => {
    inbox.on('start', resolve);
  });
  const ending = new Promise<void>((resolve) => {
    inbox.on('drain', () => {
      resolve();
    });
    // Ctrl-C and service managers signal every process of the group; the primary decides about a second one.
    onSignals(['SIGTERM', 'SIGINT'], () => {
      resolve();
    });
  });
  // Who has no primary must not go on: nobody could end it.
  process.on('disconnect', () => process.exit(1));
  send({ kind: 'hello' });
  const started = await start;
  let worker: Worker;
  try {
    worker = await Worker.open(typed, started, inbox);
  } catch (thrown) {
    send({ kind: 'failed', error: toWire(thrown) });
    throw new WorkerFailed(toSallyportError(thrown));
  }
  send({ kind: 'ready' });
  await ending;
  await worker.drain();
  return 0;
}

/** The primary says what is wrong; this process only ends. */
export class WorkerFailed extends SallyportError {
  readonly silent = true;

  constructor(cause: SallyportError) {
    super(cause.code, cause.detail, { cause });
  }
}

class Worker {
  readonly #proxy: Proxy;
  readonly #log: ExchangeLog | undefined;
  readonly #drainTimeout: number;

  private constructor(proxy: Proxy, log: ExchangeLog | undefined, drainTimeout: number) {
    this.#proxy = proxy;
    this.#log = log;
    this.#drainTimeout = drainTimeout;
  }

  static async open(typed: RunArguments, started: Start, inbox: Inbox): Promise<Worker> {
    const { host, drainTimeout } = typed;
    const options = await proxyOptionsFrom(typed);
    const ticketKeys = takeTicketKeys(started, inbox);
    const proxy = createProxy({
      ...options,
      host,
      port: started.port,
      drainTimeout,
      readBufferSize: typed.readBufferSize,
      ticketKeys,
      store: (context) => openStore(typed, inbox, context),
    });
    proxy.on('store.report', ({ kind, store, host: about, error }) => {
      const report = { kind, store, host: about, error: error && toWire(error) };
      send({ kind: 'report', report });
    });
    const forget = async (hosts: PurgedHosts): Promise<void> => {
      await proxy.forgetCertificates(hosts === 'all' ? undefined : hosts);
    };
    const log = typed.quiet ? undefined : startLog(proxy, typed, started, inbox);
    try {
      await proxy.listen();
    } catch (error) {
      log?.stop();
      throw error;
    }
    inbox.on('forget', ({ id, hosts }) => {
      void forget(hosts).then(() => {
        send({ kind: 'forgotten', id });
      });
    });
    inbox.on('counters', ({ id }) => {
      send({ kind: 'counters', id, counters: proxy.counters() });
    });
    return new Worker(proxy, log, drainTimeout);
  }

  async drain(): Promise<void> {
    const closed = this.#proxy.close({ drainTimeout: this.#drainTimeout });
    const { exchanges, tunnels } = this.#proxy.ledger();
    send({ kind: 'draining', running: exchanges.outstanding + tunnels.outstanding });
    await closed;
    await sent({ kind: 'counters', id: 0, counters: this.#proxy.counters() });
    if (this.#log) await endLog(this.#log);
    // Asked by nobody: the last counts, for `--show-reads`.
    await sendLast({ kind: 'counters', id: -1, counters: this.#proxy.counters() });
  }
}

/** Memory in front; behind it what is shared, or the memory of the primary. */
async function openStore(
  { store: choice }: RunArguments,
  inbox: Inbox,
  context: StoreContext,
): Promise<CertificateStore> {
  if (choice.kind !== 'memory') return await openProxyStore(choice, context);
  const back = new WorkerStore(context.sealer, send);
  inbox.onAny((message) => {
    back.take(message);
  });
  return new TieredStore({ front: new MemoryStore({ report: context.report }), back });
}

/** The keys that all workers have, so that a client resumes on any of them. */
function takeTicketKeys(started: Start, inbox: Inbox): TicketKeys {
  const keys = new TicketKeys();
  keys.set(Buffer.from(started.ticketKeys, 'base64'));
  inbox.on('ticket-keys', (message) => {
    keys.set(Buffer.from(message.ticketKeys, 'base64'));
  });
  return keys;
}

function startLog(proxy: Proxy, typed: RunArguments, started: Start, inbox: Inbox): ExchangeLog {
  let width = started.width ?? undefined;
  inbox.on('width', (message) => {
    width = message.width ?? undefined;
  });
  return new ExchangeLog(proxy, process.stdout, {
    format: typed.logFormat,
    // What is known of the terminal, the primary knows: this process writes to a pipe.
    color: started.color,
    width: () => width,
    onFailure: (error) => {
      notice(`exchange lines cannot be passed on (${error.message}); the worker goes on without`);
    },
  });
}

/** The messages of the primary. */
class Inbox {
  readonly #takers: ((message: ToWorker) => void)[] = [];

  constructor() {
    process.on('message', (message: ToWorker) => {
      for (const take of this.#takers) take(message);
    });
  }

  onAny(take: (message: ToWorker) => void): void {
    this.#takers.push(take);
  }

  on<K extends ToWorker['kind']>(
    kind: K,
    take: (message: Extract<ToWorker, { readonly kind: K }>) => void,
  ): void {
    this.onAny((message) => {
      if (message.kind === kind) take(message as Extract<ToWorker, { readonly kind: K }>);
    });
  }
}

/** Resolves when it has left, or cannot leave: the process ends next. */
async function sendLast(message: ToPrimary): Promise<void> {
  if (!process.connected) return;
  await new Promise<void>((resolve) => {
    process.send?.(message, undefined, undefined, () => {
      resolve();
    });
  });
}

function send(message: ToPrimary): void {
  void sent(message);
}

/** Resolves when it is on its way, or cannot be. */
async function sent(message: ToPrimary): Promise<void> {
  await new Promise<void>((resolve) => {
    // A channel that is closing has its end told by 'disconnect'; without a callback it would be an error
    // event.
    if (!process.send) resolve();
    process.send?.(message, undefined, undefined, () => {
      resolve();
    });
  });
}
