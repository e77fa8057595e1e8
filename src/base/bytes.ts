/** Quantities with units, and the two spellings that people write them in: `256KiB` and `1.5s`. */
import { SallyportError } from './errors.js';

/** A number of bytes. */
export type Bytes = number;
/** A duration in milliseconds. */
export type Milliseconds = number;

const byteUnits: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
};

const timeUnits: Readonly<Record<string, number>> = { '': 1, ms: 1, s: 1e3, m: 6e4, min: 6e4, h: 36e5 };

/** `256KiB`, `1MiB`, `64k`, `1000` → bytes. Throws `ERR_OPTION_VALUE` that names `option`. */
export function parseBytes(text: string, option: string): Bytes {
  return parseQuantity(text, option, byteUnits, 'a size such as 65536, 64KiB or 1MiB');
}

/** `250ms`, `10s`, `2m`, `1000` (milliseconds) → milliseconds. Throws `ERR_OPTION_VALUE` that names `option`. */
export function parseDuration(text: string, option: string): Milliseconds {
  return parseQuantity(text, option, timeUnits, 'a duration such as 500ms, 10s or 2m');
}

function parseQuantity(
  text: string,
  option: string,
  units: Readonly<Record<string, number>>,
  expected: string,
): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([a-z]*)$/i.exec(text);
  const unit = match ? units[(match[2] ?? '').toLowerCase()] : undefined;
  const value = match && unit !== undefined ? Math.round(Number(match[1]) * unit) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw new SallyportError('ERR_OPTION_VALUE', `${option} takes ${expected}, not '${text.slice(0, 80)}'`);
  }
  return value;
}

/** Bytes for people: `0 B`, `812 B`, `1.4 KiB`, `23 MiB`. */
export function formatBytes(bytes: Bytes): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < names.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 10 ? 0 : 1;
  return `${value.toFixed(digits)} ${names[unit] ?? ''}`;
}

/** Durations for people: `0.4 ms`, `12 ms`, `1.24 s`. */
export function formatDuration(ms: Milliseconds): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}
