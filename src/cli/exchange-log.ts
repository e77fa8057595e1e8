/** The lines that a running proxy writes: its events, formatted, into a bounded writer. */
import type { Writable } from 'node:stream';
import type { ErrorCode } from '../base/errors.js';
import type { EventMap, EventName } from '../base/events.js';
import {
  droppedRecord,
  exchangeRecord,
  failureRecord,
  formatDropped,
  formatExchange,
  formatFailure,
  formatTunnelClose,
  formatTunnelOpen,
  type Style,
  tunnelCloseRecord,
  tunnelOpenRecord,
} from './format.js';
import { LineWriter } from './log.js';
import { safeJson } from './text.js';

/** The part of a proxy that is listened to. */
export interface EventSource {
  on<K extends EventName>(name: K, listener: (message: EventMap[K]) => void): () => void;
}

export interface ExchangeLogOptions {
  readonly format: 'pretty' | 'json';
  readonly color: boolean;
  /** The columns of the terminal at this moment; `undefined` where lines are not to be cut. */
  readonly width: () => number | undefined;
  /** Called once when the stream fails; the log has stopped listening then. */
  readonly onFailure: (error: Error) => void;
}

/** Listens to `proxy` from the call on, until `stop()` or a failure of the stream. */
export class ExchangeLog {
  readonly writer: LineWriter;
  readonly #subscriptions: (() => void)[];
  /** Codes whose advice has been printed: once is help, every time is noise. */
  readonly #hinted = new Set<ErrorCode>();

  constructor(proxy: EventSource, stream: Writable, options: ExchangeLogOptions) {
    this.writer = new LineWriter(stream, {
      dropped: (lines) =>
        options.format === 'json' ? safeJson(droppedRecord(lines, Date.now())) : formatDropped(lines),
      onFailure: (error) => {
        this.stop();
        options.onFailure(error);
      },
    });
    this.#subscriptions =
      options.format === 'json' ? this.#listenForJson(proxy) : this.#listen(proxy, options);
  }

  /** Stops listening; what was written may still be on its way: see `writer.flush`. */
  stop(): void {
    for (const unsubscribe of this.#subscriptions.splice(0)) unsubscribe();
  }

  #listen(proxy: EventSource, options: ExchangeLogOptions): (() => void)[] {
    const style = (): Style => ({ color: options.color, width: options.width() });
    const { writer } = this;
    return [
      proxy.on('exchange.end', (end) => {
        writer.write(formatExchange(end, style()));
      }),
      proxy.on('tunnel.open', (open) => {
        writer.write(formatTunnelOpen(open, Date.now(), style()));
      }),
      proxy.on('tunnel.close', (close) => {
        writer.write(formatTunnelClose(close, Date.now(), style()));
      }),
      proxy.on('failure', (failure) => {
        const { code } = failure.error;
        writer.write(formatFailure(failure, Date.now(), !this.#hinted.has(code), style()));
        this.#hinted.add(code);
      }),
    ];
  }

  #listenForJson(proxy: EventSource): (() => void)[] {
    const write = (record: Readonly<Record<string, unknown>>): void => {
      this.writer.write(safeJson(record));
    };
    return [
      proxy.on('exchange.end', (end) => {
        write(exchangeRecord(end));
      }),
      proxy.on('tunnel.open', (open) => {
        write(tunnelOpenRecord(open, Date.now()));
      }),
      proxy.on('tunnel.close', (close) => {
        write(tunnelCloseRecord(close, Date.now()));
      }),
      proxy.on('failure', (failure) => {
        write(failureRecord(failure, Date.now()));
      }),
    ];
  }
}
