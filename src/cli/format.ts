/** A line for people per exchange, tunnel and failure. Pure: from an event's message to text. */
import { formatBytes, formatDuration } from '../base/bytes.js';
import type { SallyportError } from '../base/errors.js';
import type { EventMap, ExchangeEnd, TunnelClose, TunnelOpen } from '../base/events.js';
import type { LegTls } from '../base/exchange.js';
import { type Color, type Paint, painter } from './colors.js';
import { cutEnd, cutMiddle, safeText, safeUrl } from './text.js';

/** How lines are laid out. */
export interface Style {
  readonly color: boolean;
  /** Columns of the terminal: URLs are cut and padded to it. `undefined`: lines are as long as they are. */
  readonly width: number | undefined;
}

/** Below this many columns a URL says nothing: the line may rather be wider than the terminal. */
const leastUrlWidth = 24;
const longestErrorDetail = 200;

/** `12:30:01.250 GET https://example.com/ 200 1.2 KiB 34 ms TLS 1.3/1.3 new` */
export function formatExchange(end: ExchangeEnd, style: Style): string {
  const paint = painter(style.color);
  const status = end.status === undefined ? '---' : String(end.status);
  const facts: Fact[] = [
    [statusColor(end.status), status],
    [undefined, sizes(end.requestBytes, end.responseBytes)],
    [undefined, formatDuration(end.duration)],
    ['dim', legs(end)],
    ['dim', connectionWord(end)],
  ];
  const method = safeText(cutEnd(end.method, 20));
  return line(end.started, 'bold', method, safeUrl(end.url), facts, style, paint) + failed(end.error, paint);
}

/** `12:30:01.250 TUNNEL example.com:22 open (not-http)` */
export function formatTunnelOpen(open: TunnelOpen, now: number, style: Style): string {
  const facts: Fact[] = [[undefined, `open (${open.reason})`]];
  return line(now, 'cyan', 'TUNNEL', safeUrl(open.target), facts, style, painter(style.color));
}

/** `12:30:01.250 TUNNEL example.com:22 closed ↑1.2 KiB 40 KiB 3.20 s (not-http)` */
export function formatTunnelClose(close: TunnelClose, now: number, style: Style): string {
  const paint = painter(style.color);
  const facts: Fact[] = [
    [undefined, 'closed'],
    [undefined, sizes(close.sent, close.received)],
    [undefined, formatDuration(close.duration)],
    ['dim', `(${close.reason})`],
  ];
  return line(now, 'cyan', 'TUNNEL', safeUrl(close.target), facts, style, paint) + failed(close.error, paint);
}

/** `12:30:01.250 FAILED example.com:443 ERR_CLIENT_HANDSHAKE: …`, with what to do where `hint` is true. */
export function formatFailure(
  failure: EventMap['failure'],
  now: number,
  hint: boolean,
  style: Style,
): string {
  const paint = painter(style.color);
  const { error, target, connection } = failure;
  const what =
    target === undefined ? (connection === undefined ? '-' : `client #${connection}`) : safeUrl(target);
  const advice = hint ? paint('dim', ` (${error.entry.hint})`) : '';
  return (
    line(now, 'red', 'FAILED', what, [], { ...style, width: undefined }, paint) +
    failed(error, paint) +
    advice
  );
}

/** A JSON object's fields for an exchange; names and meanings are those of docs/cli.md. */
export function exchangeRecord(end: ExchangeEnd): Readonly<Record<string, unknown>> {
  const { client, server } = end;
  return {
    time: new Date(end.started).toISOString(),
    event: 'exchange',
    id: end.id,
    method: end.method,
    url: safeUrl(end.url),
    status: end.status ?? null,
    requestBytes: end.requestBytes,
    responseBytes: end.responseBytes,
    durationMs: rounded(end.duration),
    answeredBy: end.answeredBy,
    client: {
      connection: client.connection,
      address: client.address,
      port: client.port,
      tls: tlsRecord(client.tls),
    },
    server: server
      ? { address: server.address, port: server.port, reused: server.reused, tls: tlsRecord(server.tls) }
      : null,
    error: errorRecord(end.error),
  };
}

export function tunnelOpenRecord(open: TunnelOpen, now: number): Readonly<Record<string, unknown>> {
  return {
    time: new Date(now).toISOString(),
    event: 'tunnel.open',
    id: open.id,
    connection: open.connection,
    target: safeUrl(open.target),
    reason: open.reason,
  };
}

export function tunnelCloseRecord(close: TunnelClose, now: number): Readonly<Record<string, unknown>> {
  return {
    ...tunnelOpenRecord(close, now),
    event: 'tunnel.close',
    sentBytes: close.sent,
    receivedBytes: close.received,
    durationMs: rounded(close.duration),
    error: errorRecord(close.error),
  };
}

export function failureRecord(failure: EventMap['failure'], now: number): Readonly<Record<string, unknown>> {
  return {
    time: new Date(now).toISOString(),
    event: 'failure',
    connection: failure.connection ?? null,
    target: failure.target === undefined ? null : safeUrl(failure.target),
    error: errorRecord(failure.error),
  };
}

/** What takes the place of lines that were dropped because the reader of the log was too slow. */
export function formatDropped(lines: number): string {
  return `… ${lines} ${lines === 1 ? 'line' : 'lines'} dropped: whoever reads this log is too slow`;
}

export function droppedRecord(lines: number, now: number): Readonly<Record<string, unknown>> {
  return { time: new Date(now).toISOString(), event: 'dropped', lines };
}

type Fact = readonly [color: Color | undefined, text: string];

/** Time, a word, what it is about, facts. What it is about gives way when the terminal is narrow. */
function line(
  time: number,
  wordColor: Color,
  word: string,
  subject: string,
  facts: readonly Fact[],
  style: Style,
  paint: Paint,
): string {
  const clock = clockTime(time);
  const tail = facts.map(([, text]) => ` ${text}`).join('');
  let shown = subject;
  if (style.width !== undefined) {
    // One column stays free: terminals differ in whether a full line wraps.
    const room = style.width - 1 - clock.length - word.length - 2 - tail.length;
    const fitting = Math.max(leastUrlWidth, room);
    shown = cutMiddle(subject, fitting).padEnd(Math.min(fitting, room));
  }
  const painted = facts
    .map(([color, text]) => ` ${color === undefined ? text : paint(color, text)}`)
    .join('');
  return `${paint('dim', clock)} ${paint(wordColor, word)} ${shown}${painted}`;
}

/** `HH:MM:SS.mmm` in local time. */
function clockTime(epoch: number): string {
  const date = new Date(epoch);
  const two = (value: number): string => String(value).padStart(2, '0');
  const ms = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

/** What came back; what was sent only if something was. */
function sizes(sent: number, received: number): string {
  const up = sent > 0 ? `↑${formatBytes(sent)} ` : '';
  return `${up}${formatBytes(received)}`;
}

/** Versions of both legs, the client's first: `TLS 1.3/1.2`, `TLS -/1.3`, `plain`. */
function legs(end: ExchangeEnd): string {
  if (!end.client.tls && !end.server?.tls) return 'plain';
  return `TLS ${version(end.client.tls)}/${version(end.server?.tls)}`;
}

function version(tls: LegTls | undefined): string {
  return tls ? safeText(tls.version.replace(/^TLSv/, '')) : '-';
}

function connectionWord(end: ExchangeEnd): string {
  if (end.server) return end.server.reused ? 'reused' : 'new';
  return end.answeredBy === 'hook' ? 'by hook' : 'no origin';
}

function statusColor(status: number | undefined): Color {
  if (status === undefined || status >= 500) return 'red';
  if (status >= 400) return 'yellow';
  return status >= 300 ? 'cyan' : 'green';
}

function failed(error: SallyportError | undefined, paint: Paint): string {
  if (!error) return '';
  const detail = cutEnd(safeText(error.detail), longestErrorDetail);
  return ` ${paint('red', error.code)}${detail === '' ? '' : `: ${detail}`}`;
}

function errorRecord(error: SallyportError | undefined): Readonly<Record<string, unknown>> | null {
  return error ? { code: error.code, detail: error.detail } : null;
}

function tlsRecord(tls: LegTls | undefined): Readonly<Record<string, unknown>> | null {
  if (!tls) return null;
  return {
    version: tls.version,
    cipher: tls.cipher,
    alpn: tls.alpn ?? null,
    serverName: tls.serverName ?? null,
    resumed: tls.resumed,
  };
}

/** Microseconds are enough. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
