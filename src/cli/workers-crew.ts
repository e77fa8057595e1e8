/** The workers of `--workers`: as many as asked for, each started anew when it dies. */
import cluster, { type Worker as Process } from 'node:cluster';
import { fileURLToPath } from 'node:url';
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import type { InspectableStore } from '../certs/store.js';
import type { ProxyCounters } from '../proxy/certificates.js';
import { notice } from './output.js';
import { safeText } from './text.js';
import type { StoreNotices } from './store-notices.js';
import { forEachLine } from './workers-lines.js';
import { fromWire, type ToPrimary, type ToWorker } from './workers-messages.js';
import { RestartDelays } from './workers-restart.js';
import { WorkerFetches } from './workers-store.js';

export interface CrewOptions {
  readonly size: number;
  /** What a worker that begins is told. */
  readonly start: () => Omit<Extract<ToWorker, { readonly kind: 'start' }>, 'kind'>;
  /** The store in this process's memory that they share, if it is one. */
  readonly store: InspectableStore | undefined;
  /** Takes a line that a worker wrote to its stdout. */
  readonly line: (line: string) => void;
  readonly notices: StoreNotices;
}

interface Member {
  readonly process: Process;
  readonly fetches: WorkerFetches | undefined;
  ready: boolean;
  /** How much was under way when it began to drain: it may do so before it is told to, by a signal of its own. */
  running: number | undefined;
}

/** How long a worker may take to say what it has counted. */
const countTime: Milliseconds = 2000;

export class Crew {
  readonly size: number;
  readonly #options: CrewOptions;
  readonly #context = Context.background.withCancel();
  readonly #members = new Set<Member>();
  readonly #waiting = new Map<number, (counters: ProxyCounters) => void>();
  readonly #ready: Promise<void>;
  #allReady: () => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;
  #serving = false;
  #ending = false;
  #whenEmpty: () => void = () => undefined;
  #onDraining: ((running: number) => void) | undefined;
  #numbers = 0;

  constructor(options: CrewOptions) {
    this.#options = options;
    this.size = options.size;
    this.#ready = new Promise((resolve, reject) => {
      this.#allReady = resolve;
      this.#fail = reject;
    });
    // Each worker accepts by itself. When the primary accepts and hands on (SCHED_RR), a connection that was on its
    // way to a worker that is killed stays open with nobody at its end: 1 to 3 of 20 in a burst.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({
      exec: fileURLToPath(new URL('./main.js', import.meta.url)),
      args: process.argv.slice(2),
      silent: true,
    });
    for (let place = 0; place < options.size; place += 1) this.#start(new RestartDelays());
  }

  /** Resolves when all serve. Rejects with what keeps one of them from it. */
  async ready(): Promise<void> {
    await this.#ready;
    this.#serving = true;
  }

  tell(message: ToWorker): void {
    for (const { process: worker } of this.#members) send(worker, message);
  }

  /** What each counts that answers in time. */
  async counters(): Promise<readonly ProxyCounters[]> {
    const asked = [...this.#members].filter(({ ready }) => ready);
    using patience = this.#context.withTimeout(countTime);
    const all = await Promise.all(asked.map(({ process: worker }) => this.#count(worker, patience)));
    return all.filter((counters) => counters !== undefined);
  }

  /** Called once, with how much is under way when all drain; it must come before `drain`. */
  onDraining(tell: (running: number) => void): void {
    this.#onDraining = tell;
  }

  /** Has all end; resolves when they have. */
  async drain(): Promise<void> {
    this.#ending = true;
    this.#context.close();
    this.tell({ kind: 'drain' });
    this.#tellDraining();
    if (this.#members.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
  }

  /** Ends all at once. */
  kill(): void {
    this.#ending = true;
    this.#context.close();
    for (const { process: worker } of this.#members) worker.process.kill('SIGKILL');
  }

  #start(delays: RestartDelays): void {
    const { store, line, notices } = this.#options;
    const worker = cluster.fork();
    const started = performance.now();
    const fetches =
      store &&
      new WorkerFetches(store, (message) => {
        send(worker, message);
      });
    const member: Member = { process: worker, fetches, ready: false, running: undefined };
    this.#members.add(member);
    const { stdout, stderr, pid } = worker.process;
    if (stdout) forEachLine(stdout, line);
    if (stderr) {
      forEachLine(stderr, (text) => {
        process.stderr.write(`${text}\n`);
      });
    }
    worker.on('message', (message: ToPrimary) => {
      this.#take(member, message);
    });
    // Of the channel, which breaks when the worker dies: that is told by 'close'.
    worker.on('error', () => undefined);
    worker.process.on('close', (code, signal) => {
      this.#members.delete(member);
      fetches?.end();
      notices.forget(String(worker.id));
      if (this.#members.size === 0) this.#whenEmpty();
      if (this.#ending) return;
      const delay = delays.next(performance.now() - started);
      const how = signal === null ? `ended with status ${code}` : `was ended by ${signal}`;
      notice(`WARNING: worker ${pid ?? '?'} ${how}; another starts in ${delay} ms`);
      void this.#restart(delays, delay);
    });
  }

  async #restart(delays: RestartDelays, delay: Milliseconds): Promise<void> {
    using wait = this.#context.withCancel();
    try {
      await wait.sleep(delay);
    } catch {
      // The crew ends: there will be no other.
      return;
    }
    this.#start(delays);
  }

  #take(member: Member, message: ToPrimary): void {
    const { process: worker } = member;
    switch (message.kind) {
      case 'hello':
        send(worker, { kind: 'start', ...this.#options.start() });
        if (this.#ending) send(worker, { kind: 'drain' });
        return;
      case 'ready':
        member.ready = true;
        if ([...this.#members].filter(({ ready }) => ready).length === this.size) this.#allReady();
        return;
      case 'failed':
        // While others serve, it is tried again: a port or a CA can come back.
        if (this.#serving) notice(`WARNING: a worker cannot start: ${describe(message.error)}`);
        else this.#fail(fromWire(message.error));
        return;
      case 'draining':
        member.running = message.running;
        this.#tellDraining();
        return;
      case 'counters':
        this.#waiting.get(message.id)?.(message.counters);
        return;
      case 'report':
        this.#options.notices.take(message.report, String(worker.id));
        return;
      default:
        member.fetches?.take(message);
    }
  }

  /** When all have begun. */
  #tellDraining(): void {
    const all = [...this.#members].map(({ running }) => running);
    if (!this.#ending || all.includes(undefined)) return;
    this.#onDraining?.(all.reduce<number>((sum, running = 0) => sum + running, 0));
    this.#onDraining = undefined;
  }

  async #count(worker: Process, patience: Context): Promise<ProxyCounters | undefined> {
    const id = (this.#numbers += 1);
    try {
      return await new Promise<ProxyCounters | undefined>((resolve) => {
        this.#waiting.set(id, resolve);
        patience.onClose(() => {
          resolve(undefined);
        });
        send(worker, { kind: 'counters', id });
      });
    } finally {
      this.#waiting.delete(id);
    }
  }
}

function describe({ code, detail }: { readonly code: string; readonly detail: string }): string {
  return safeText(`${code}: ${detail}`);
}

function send(worker: Process, message: ToWorker): void {
  // A worker that has died meanwhile is told by its 'close'.
  if (worker.isConnected()) worker.process.send(message, () => undefined);
}
