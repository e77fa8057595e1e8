/**
 * Lines to a stream that may be slow, full or gone.
 *
 * A pipe whose reader stands still must not make a proxy grow: beyond `limit` bytes waiting in the stream,
 * lines are dropped and counted until it has drained, and then the count takes their place. A stream that
 * fails (`| head` ends: EPIPE; a full disk) is not written to again; the proxy goes on.
 */
import type { Writable } from 'node:stream';
import type { Bytes } from '../base/bytes.js';
import type { Context } from '../base/context.js';

export interface LineWriterOptions {
  /** Bytes that may wait in the stream, at least its high-water mark; default 1 MiB. */
  readonly limit?: Bytes;
  /** The line that tells of dropped ones. */
  readonly dropped: (lines: number) => string;
  /** Called once when the stream fails. */
  readonly onFailure?: (error: Error) => void;
}

/** Owns its listeners on `stream`, not the stream: `close()` takes them away. */
export class LineWriter {
  readonly #stream: Writable;
  readonly #limit: Bytes;
  readonly #droppedLine: (lines: number) => string;
  readonly #onFailure: ((error: Error) => void) | undefined;
  #dropped = 0;
  #failed = false;

  constructor(stream: Writable, { limit = 1024 * 1024, dropped, onFailure }: LineWriterOptions) {
    this.#stream = stream;
    this.#limit = limit;
    this.#droppedLine = dropped;
    this.#onFailure = onFailure;
    stream.on('error', this.#fail);
    stream.on('drain', this.#drained);
  }

  /** Whether the stream has failed: nothing written from now on goes anywhere. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Writes `line` and a line end, or counts it as dropped. Never throws, never waits. */
  write(line: string): void {
    if (this.#failed) return;
    // Without `writableNeedDrain` no 'drain' would come to end the dropping.
    const { writableLength, writableNeedDrain } = this.#stream;
    if (this.#dropped > 0 || (writableNeedDrain && writableLength > this.#limit)) {
      this.#dropped += 1;
      return;
    }
    this.#stream.write(`${line}\n`);
  }

  /** Resolves when everything has left, the stream has failed, or `context` closes. */
  async flush(context: Context): Promise<void> {
    while (!this.#failed && !context.closed && (this.#stream.writableLength > 0 || this.#dropped > 0)) {
      await new Promise<void>((resolve) => {
        const stop = context.onClose(() => {
          resolve();
        });
        // Called when all that was written before is out; 'drain' is not told of short queues.
        this.#stream.write('', () => {
          stop();
          resolve();
        });
      });
    }
  }

  close(): void {
    this.#stream.off('error', this.#fail);
    this.#stream.off('drain', this.#drained);
  }

  readonly #drained = (): void => {
    if (this.#dropped === 0) return;
    const lines = this.#dropped;
    this.#dropped = 0;
    this.write(this.#droppedLine(lines));
  };

  readonly #fail = (error: Error): void => {
    if (this.#failed) return;
    this.#failed = true;
    this.#onFailure?.(error);
  };
}
