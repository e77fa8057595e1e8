/** The workers of `--workers`: as many as asked for, each started anew when it dies. */
import cluster, { type Worker as Process } from 'node:cluster';
import { fileURLToPath } from 'node:url';
import { formatDuration, type Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import type { InspectableStore } from '../certs/store.js';
import type { ProxyCounters } from '../proxy/certificates.js';
import { withoutOption } from './options.js';
import { notice } from './output.js';
import { safeText } from './text.js';
import type { PurgedHosts } from './certs-desk.js';
import type { StoreNotices } from './store-notices.js';
import { type StoreChoice, storeVariable } from './values.js';
import { forEachLine } from './workers-lines.js';
import { fromWire, type ToPrimary, type ToWorker } from './workers-messages.js';
import { RestartDelays } from './workers-restart.js';
import { Tally } from './workers-tally.js';
import { WorkerFetches } from './workers-store.js';

export interface CrewOptions {
  readonly size: number;
  /** What a worker that begins is told. */
  readonly start: () => Omit<Extract<ToWorker, { readonly kind: 'start' }>, 'kind'>;
  /** How long what is under way may go on when they are to end. */
  readonly drainTimeout: Milliseconds;
  /** What `--store` says. */
  readonly storeChoice: StoreChoice;
  /** The store in this process's memory that they share, if it is one. */
  readonly store: InspectableStore | undefined;
  /** Takes a line that a worker wrote to its stdout. */
  readonly line: (line: string) => void;
  readonly notices: StoreNotices;
}

interface Member {
  readonly process: Process;
  readonly fetches: WorkerFetches | undefined;
  /** Closes when it ends. */
  readonly gone: Context;
  ready: boolean;
  /**
   * How much was under way when it began to drain: it may do so before it is told to, by a signal of its own.
   */
  running: number | undefined;
}

/** How long a worker may take to answer. */
const answerTime: Milliseconds = 2000;

/** How much longer than its exchanges a worker may take to end: it has lines to write, for up to a second. */
const drainGrace: Milliseconds = 3000;

export class Crew {
  readonly size: number;
  readonly #options: CrewOptions;
  readonly #context = Context.background.withCancel();
  readonly #members = new Set<Member>();
  readonly #waiting = new Map<number, () => void>();
  readonly #tally = new Tally();
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
    // Each worker accepts by itself. When the primary accepts and hands on (SCHED_RR), a connection that was
    // on its way to a worker that is killed stays open with nobody at its end: 1 to 3 of 20 in a burst.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({
      exec: fileURLToPath(new URL('./main.js', import.meta.url)),
      args: isSecret(options.storeChoice)
        ? withoutOption(process.argv.slice(2), '--store')
        : process.argv.slice(2),
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

  /** What each counts, or counted when it was last heard of; `workers`: how many have answered in time. */
  async counters(): Promise<{ readonly workers: number; readonly all: readonly ProxyCounters[] }> {
    const answered = await this.#askAll((id) => ({ kind: 'counters', id }));
    return { workers: answered.filter(Boolean).length, all: this.#tally.all };
  }

  /** Has all look again for what they have at hand of these hosts; resolves when they do, or are too slow. */
  async forget(hosts: PurgedHosts): Promise<void> {
    await this.#askAll((id) => ({ kind: 'forget', id, hosts }));
  }

  /** Called once, with how much is under way when all drain; it must come before `drain`. */
  onDraining(tell: (running: number) => void): void {
    this.#onDraining = tell;
  }

  /** Has all end; resolves when they have. One that hangs is killed when its time is over. */
  async drain(): Promise<void> {
    this.#ending = true;
    this.#context.close();
    this.tell({ kind: 'drain' });
    this.#tellDraining();
    if (this.#members.size === 0) return;
    const time = this.#options.drainTimeout + drainGrace;
    using patience = Context.background.withTimeout(time);
    const stop = patience.onClose(() => {
      for (const { process: worker } of this.#members) {
        notice(`WARNING: worker ${worker.process.pid ?? '?'} did not end in ${formatDuration(time)}: killed`);
        worker.process.kill('SIGKILL');
      }
    });
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
    stop();
  }

  /** Ends all at once. */
  kill(): void {
    this.#ending = true;
    this.#context.close();
    for (const { process: worker } of this.#members) worker.process.kill('SIGKILL');
  }

  #start(delays: RestartDelays): void {
    const { store, storeChoice, line, notices } = this.#options;
    const worker = cluster.fork(isSecret(storeChoice) ? { [storeVariable]: storeChoice.url } : {});
    const started = performance.now();
    const fetches =
      store &&
      new WorkerFetches(store, (message) => {
        send(worker, message);
      });
    const gone = Context.background.withCancel();
    const member: Member = { process: worker, fetches, gone, ready: false, running: undefined };
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
      gone.close();
      this.#tally.end(worker.id);
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
        this.#tally.take(worker.id, message.counters);
        this.#waiting.get(message.id)?.();
        return;
      case 'forgotten':
        this.#waiting.get(message.id)?.();
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

  /** Asks each that serves; whether it answered in time. */
  async #askAll(question: (id: number) => ToWorker): Promise<readonly boolean[]> {
    const asked = [...this.#members].filter(({ ready }) => ready);
    using patience = this.#context.withTimeout(answerTime);
    return await Promise.all(asked.map((member) => this.#ask(member, question, patience)));
  }

  async #ask(member: Member, question: (id: number) => ToWorker, patience: Context): Promise<boolean> {
    const id = (this.#numbers += 1);
    try {
      return await new Promise<boolean>((resolve) => {
        this.#waiting.set(id, () => {
          resolve(true);
        });
        patience.onClose(() => {
          resolve(false);
        });
        member.gone.onClose(() => {
          resolve(false);
        });
        send(member.process, question(id));
      });
    } finally {
      this.#waiting.delete(id);
    }
  }
}

/** Whether it may have a password, which is not for the arguments of a process. */
function isSecret(choice: StoreChoice): choice is Extract<StoreChoice, { readonly kind: 'redis' }> {
  return choice.kind === 'redis';
}

function describe({ code, detail }: { readonly code: string; readonly detail: string }): string {
  return safeText(`${code}: ${detail}`);
}

function send(worker: Process, message: ToWorker): void {
  // A worker that has died meanwhile is told by its 'close'.
  if (worker.isConnected()) worker.process.send(message, () => undefined);
}
