/** Connections without sockets, and dials that end when the test says so. */
import type { Context } from '../../src/base/context.js';
import type { Open, PooledConnection } from '../../src/upstream/pool.js';

/** What the fakes report as it happens. */
export interface Watcher {
  idle?(connection: FakeConnection): void;
  closed?(connection: FakeConnection): void;
}

export class FakeConnection implements PooledConnection {
  readonly key: string;
  readonly #watcher: Watcher;
  usable = true;
  closed = false;
  idled = 0;
  onClosed: (() => void) | undefined;

  constructor(key: string, watcher: Watcher = {}) {
    this.key = key;
    this.#watcher = watcher;
  }

  onIdle(): void {
    this.idled += 1;
    this.#watcher.idle?.(this);
  }

  /** By the pool. The socket is closed a little later, as a real one. */
  close(): void {
    if (this.closed) throw new Error('closed twice');
    this.closed = true;
    this.usable = false;
    this.#watcher.closed?.(this);
    process.nextTick(() => this.onClosed?.());
  }

  /** By its origin, or by its user. */
  die(): void {
    this.closed = true;
    this.usable = false;
    this.onClosed?.();
  }
}

export interface FakeDial {
  readonly key: string;
  readonly context: Context;
  /** Its context was closed before it had ended. */
  cancelled: boolean;
  succeed(connection?: FakeConnection): FakeConnection;
  fail(error: Error): void;
}

/** Dials in the order in which they were begun; those that ended have left. */
export class FakeDials {
  readonly open: FakeDial[] = [];
  /** How many were begun. */
  begun = 0;
  readonly #watcher: Watcher;

  constructor(watcher: Watcher = {}) {
    this.#watcher = watcher;
  }

  /** For `acquire`. A stubborn dial does not end when it is cancelled. */
  opener(key: string, stubborn = false): Open<FakeConnection> {
    return (context) =>
      new Promise<FakeConnection>((resolve, reject) => {
        this.begun += 1;
        const end = (): void => {
          stop();
          this.open.splice(this.open.indexOf(dial), 1);
        };
        const dial: FakeDial = {
          key,
          context,
          cancelled: false,
          succeed: (connection = new FakeConnection(key, this.#watcher)) => {
            end();
            resolve(connection);
            return connection;
          },
          fail: (error) => {
            end();
            reject(error);
          },
        };
        const stop = context.onClose(({ err }) => {
          dial.cancelled = true;
          if (!stubborn) dial.fail(err ?? new Error('closed without a cause'));
        });
        this.open.push(dial);
      });
  }

  /** The dial at a place of the list of those under way. */
  at(index: number): FakeDial {
    const dial = this.open[index];
    if (!dial) throw new Error(`no dial ${index} is under way`);
    return dial;
  }
}

/** Lets everything happen that can without a push from outside. */
export const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
