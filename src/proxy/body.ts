/** Bodies that somebody collects, replaces or does not want. */
import type { Bytes } from '../base/bytes.js';
import { type ErrorCode, SallyportError } from '../base/errors.js';
import type { CollectableBody } from '../base/exchange.js';
import type { BodySink, BodySource } from '../base/flow.js';

/** A body up to this size is read to its end, so that its connection can go on. */
export const smallBody: Bytes = 64 * 1024;

/** A sink for a body that nobody wants. */
export class DiscardedBody implements BodySink {
  source: BodySource | undefined;
  readonly takesChunked = false;
  #over: (() => void) | undefined;
  #size = 0;

  /** `over` is called at the end of the body, or as soon as it turns out not to be small. */
  constructor(over?: () => void) {
    this.#over = over;
  }

  write(chunk: Buffer): boolean {
    this.#size += chunk.length;
    if (this.#size > smallBody) this.end();
    return true;
  }

  writeEncoded(chunk: Buffer): boolean {
    return this.write(chunk);
  }

  flush(): void {
    // Nothing is held back.
  }

  end(): void {
    const over = this.#over;
    this.#over = undefined;
    over?.();
  }

  abort(): void {
    // Whoever aborts a body tells its exchange too.
  }
}

/** Whom a body that is collected tells. */
export interface BodyKeeper {
  /** Somebody asked for it, or it is complete. */
  collecting(begins: boolean): void;
  /** So much more memory is kept for it. */
  kept(bytes: Bytes): void;
}

/** A body as a hook sees it: collected when it asks, up to a limit, and kept for being sent on. */
export class CollectedBody implements CollectableBody, BodySink {
  source: BodySource | undefined;
  readonly takesChunked = false;
  readonly #from: BodySource | undefined;
  readonly #defaultLimit: Bytes;
  readonly #tooLarge: ErrorCode;
  readonly #keeper: BodyKeeper;
  #bytes: Buffer = Buffer.alloc(0);
  #size = 0;
  #limit: Bytes = 0;
  #collected: Promise<Buffer> | undefined;
  #resolve: ((bytes: Buffer) => void) | undefined;
  #reject: ((error: SallyportError) => void) | undefined;

  /**
   * `from` is `undefined` for a message without a body.
   */
  constructor(from: BodySource | undefined, defaultLimit: Bytes, tooLarge: ErrorCode, keeper: BodyKeeper) {
    this.#from = from;
    this.#keeper = keeper;
    this.#defaultLimit = defaultLimit;
    this.#tooLarge = tooLarge;
  }

  /** The body, if a hook asked for it; it may still be on its way. */
  get collected(): Promise<Buffer> | undefined {
    return this.#collected;
  }

  bytes(options: { readonly limit?: Bytes } = {}): Promise<Buffer> {
    return (this.#collected ??= this.#collect(options.limit ?? this.#defaultLimit));
  }

  text(options?: { readonly limit?: Bytes }): Promise<string> {
    return quiet(this.bytes(options).then((bytes) => bytes.toString('utf8')));
  }

  json(options?: { readonly limit?: Bytes }): Promise<unknown> {
    return quiet(this.text(options).then((text) => JSON.parse(text) as unknown));
  }

  #collect(limit: Bytes): Promise<Buffer> {
    this.#limit = limit;
    const from = this.#from;
    if (!from) return Promise.resolve(Buffer.alloc(0));
    const collected = new Promise<Buffer>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (!from.taken) this.#keeper.collecting(true);
    from.pipe(this);
    return quiet(collected);
  }

  write(chunk: Buffer): boolean {
    const size = this.#size;
    this.#size += chunk.length;
    if (this.#size > this.#limit) {
      this.#bytes = Buffer.alloc(0);
      this.abort(new SallyportError(this.#tooLarge, `more than ${this.#limit} bytes`));
      return true;
    }
    // One buffer that doubles: a list of chunks of a byte each would take a hundred times their size.
    if (this.#size > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(
        Math.max(4096, this.#size, Math.min(this.#limit, this.#bytes.length * 2)),
      );
      this.#keeper.kept(larger.length - this.#bytes.length);
      this.#bytes.copy(larger, 0, 0, size);
      this.#bytes = larger;
    }
    chunk.copy(this.#bytes, size);
    return true;
  }

  writeEncoded(chunk: Buffer): boolean {
    return this.write(chunk);
  }

  flush(): void {
    // Nothing is held back.
  }

  end(): void {
    if (this.#size > this.#limit) return;
    this.#keeper.collecting(false);
    this.#resolve?.(this.#bytes.subarray(0, this.#size));
  }

  abort(error: SallyportError): void {
    this.#reject?.(error);
  }

  /** The exchange is over: whoever still waits for the body is told. */
  giveUp(error: SallyportError | (() => SallyportError)): void {
    if (this.#collected) this.#reject?.(typeof error === 'function' ? error() : error);
  }
}

/** The exchange fails on its own account: a hook that does not wait for the body must not end the process. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
