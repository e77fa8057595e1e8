/** What `sallyport certs` prints. Pure. */
import { X509Certificate } from 'node:crypto';
import { formatBytes } from '../base/bytes.js';
import type { StoreEntry } from '../certs/store.js';
import { type DeskStats, isGroupOf, type Purged, type Warmed } from './certs-desk.js';
import type { ControlCounters } from './control.js';
import { safeText } from './text.js';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** By host, then by profile, then by authority. */
export function sorted(entries: readonly StoreEntry[]): StoreEntry[] {
  const order = ({ key }: StoreEntry): string => `${key.host} ${key.profile} ${key.authority}`;
  return entries.toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** An entry as an object for JSON: times in ISO 8601, no PEM. */
export function entryRecord(entry: StoreEntry): Readonly<Record<string, unknown>> {
  const { key, state, problem = null, bytes, serial = null, notBefore, notAfter } = entry;
  return {
    host: key.host,
    profile: key.profile,
    authority: key.authority,
    state,
    problem,
    serial,
    notBefore: isoOf(notBefore),
    notAfter: isoOf(notAfter),
    bytes,
  };
}

/** The same and what only the certificate tells. */
export function certificateRecord(entry: StoreEntry): Readonly<Record<string, unknown>> {
  return { ...entryRecord(entry), names: namesOf(entry), fingerprint256: fingerprintOf(entry) ?? null };
}

/** A line per entry, under a heading; `now` in epoch milliseconds. */
export function formatList(entries: readonly StoreEntry[], now: number): string {
  if (entries.length === 0) return 'no certificates';
  const rows = entries.map((entry) => [
    safeText(entry.key.host),
    entry.key.profile,
    formatExpiry(entry, now),
    entry.serial ?? '-',
    entry.state,
    formatBytes(entry.bytes),
  ]);
  return table([['HOST', 'PROFILE', 'EXPIRES', 'SERIAL', 'STATE', 'SIZE'], ...rows]);
}

/** Everything about one entry, but its key. `asked`: the host that it was looked up for. */
export function formatEntry(entry: StoreEntry, now: number, asked?: string): string {
  const { key, state, problem, bytes, serial, notBefore } = entry;
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['host', key.host],
    ['group', asked !== undefined && isGroupOf(key.host, asked) ? `${asked} and others` : undefined],
    ['names', namesOf(entry)?.join(', ')],
    ['serial', serial],
    ['valid from', isoOf(notBefore) ?? undefined],
    ['valid to', entry.notAfter === undefined ? undefined : formatExpiry(entry, now)],
    ['profile', key.profile],
    ['authority', key.authority],
    ['SHA-256', fingerprintOf(entry)],
    ['size', formatBytes(bytes)],
    ['state', problem === undefined ? state : `${state}: ${problem}`],
  ];
  return rows
    .filter(([, text]) => text !== undefined)
    .map(([term, text]) => `${term.padEnd(11)} ${safeText(text ?? '')}`)
    .join('\n');
}

/** `2 certificates removed`, and which groups of hosts have none now. */
export function formatPurged({ removed, groups }: Purged): string {
  const count = `${removed} ${removed === 1 ? 'certificate' : 'certificates'} removed`;
  return [
    count,
    ...groups.map((group) => `${group} is that of a group: its other hosts have none now either`),
  ]
    .map(safeText)
    .join('\n');
}

/** `example.com  made  serial …`, or why not. */
export function formatWarmed(warmed: readonly Warmed[], now: number): string {
  return table(
    warmed.map(({ host, outcome, serial = '', notAfter, error }) => [
      safeText(host),
      outcome,
      error ? safeText(`${error.code}: ${error.detail}`) : serial,
      notAfter === undefined ? '' : relative(notAfter, now),
    ]),
  );
}

/** `proxy`: what the running one counted, if one runs. */
export function formatStats({ entries, bytes }: DeskStats, proxy: ControlCounters | undefined): string {
  const rows = [
    ['entries', String(entries)],
    ['size', formatBytes(bytes)],
  ];
  if (proxy) {
    rows.push(['proxy', `pid ${proxy.pid}, ${proxy.workers} ${proxy.workers === 1 ? 'process' : 'workers'}`]);
    for (const [name, count] of Object.entries(proxy.store)) rows.push([name, String(count)]);
  }
  return table(rows);
}

/** `in 198 days`, `3 hours ago`. */
function relative(time: number, now: number): string {
  const distance = Math.abs(time - now);
  const [unit, name]: readonly [number, string] =
    distance >= 2 * day ? [day, 'days'] : distance >= 2 * hour ? [hour, 'hours'] : [minute, 'minutes'];
  const count = Math.floor(distance / unit);
  const words = `${count} ${count === 1 ? name.slice(0, -1) : name}`;
  return time >= now ? `in ${words}` : `${words} ago`;
}

function formatExpiry({ notAfter }: StoreEntry, now: number): string {
  return notAfter === undefined ? '-' : `${isoOf(notAfter) ?? '-'} (${relative(notAfter, now)})`;
}

function isoOf(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString();
}

function parsed({ certificatePem }: StoreEntry): X509Certificate | undefined {
  return certificatePem === undefined ? undefined : new X509Certificate(certificatePem);
}

/** `DNS:example.com`, `IP Address:127.0.0.1`; a name may not hold a comma. */
function namesOf(entry: StoreEntry): readonly string[] | undefined {
  return parsed(entry)
    ?.subjectAltName?.split(', ')
    .map((name) => name.replace(/^(?:DNS|IP Address):/, ''));
}

function fingerprintOf(entry: StoreEntry): string | undefined {
  return parsed(entry)?.fingerprint256;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
