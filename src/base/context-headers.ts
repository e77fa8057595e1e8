/**
 * What clients say of their patience in headers: parsed, and rendered anew with what remains of it.
 *
 * `grpc-timeout` is as the specification of gRPC over HTTP/2 has it: at most eight digits and a unit. For
 * `request-timeout` there is no specification; it is a number with or without a unit, and without one it means
 * seconds, as the numbers of HTTP do (`Retry-After`, `Keep-Alive: timeout`, RFC 7240 `wait`). Others can be named.
 */
import type { Milliseconds } from './bytes.js';

/**
 * How a header writes a time. `grpc`: digits and one of `H M S m u n`. `seconds` and `milliseconds`: a decimal
 * number of these. `duration`: a decimal number with `h`, `m`, `s`, `ms`, `us` or `ns`, seconds without a unit.
 */
export type TimeoutFormat = 'grpc' | 'seconds' | 'milliseconds' | 'duration';

export interface TimeoutHeader {
  /** In any case. */
  readonly name: string;
  readonly format: TimeoutFormat;
}

export const defaultTimeoutHeaders: readonly TimeoutHeader[] = [
  { name: 'grpc-timeout', format: 'grpc' },
  { name: 'request-timeout', format: 'duration' },
];

const grpcUnits: Readonly<Record<string, Milliseconds>> = {
  n: 1e-6,
  u: 1e-3,
  m: 1,
  S: 1000,
  M: 60_000,
  H: 3_600_000,
};
/** From fine to coarse: what is rendered has the finest unit in which it fits. */
const grpcOrder = ['n', 'u', 'm', 'S', 'M', 'H'] as const;
const mostDigits = 8;
const longestGrpc = 10 ** mostDigits - 1;

const durationUnits: Readonly<Record<string, Milliseconds>> = {
  ns: 1e-6,
  us: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Longer numbers are nobody's patience. */
const decimal = /^(?<number>\d{1,15}(?:\.\d{1,9})?) *(?<unit>[a-z]{0,2})$/;
const grpc = /^(?<number>\d{1,8})(?<unit>[HMSmun])$/;

/** Milliseconds, or `undefined` for what is not of this format: then nothing was said. */
export function parseTimeout(format: TimeoutFormat, value: string): Milliseconds | undefined {
  const { number, unit } =
    (format === 'grpc' ? grpc : decimal).exec(value.replaceAll(/^[ \t]+|[ \t]+$/g, ''))?.groups ?? {};
  if (number === undefined || unit === undefined) return undefined;
  const factor = factorOf(format, unit);
  return factor === undefined ? undefined : Number(number) * factor;
}

function factorOf(format: TimeoutFormat, unit: string): Milliseconds | undefined {
  switch (format) {
    case 'grpc':
      return grpcUnits[unit];
    case 'duration':
      return unit === '' ? 1000 : durationUnits[unit];
    case 'seconds':
      return unit === '' ? 1000 : undefined;
    case 'milliseconds':
      return unit === '' ? 1 : undefined;
  }
}

/**
 * `ms` in a header's format, rounded down, so that nobody waits longer than is left; what is less than the
 * smallest that can be said is the smallest. `undefined` for `Infinity`, which has no header.
 */
export function renderTimeout(format: TimeoutFormat, ms: Milliseconds): string | undefined {
  if (!(ms < Number.POSITIVE_INFINITY)) return undefined;
  const left = Math.max(0, ms);
  switch (format) {
    case 'grpc':
      return renderGrpc(left);
    case 'seconds':
    case 'duration':
      // A thousandth is what a clock of ours can keep.
      return String(Math.max(1, Math.floor(Math.min(left, 1e15))) / 1000);
    case 'milliseconds':
      return String(Math.max(1, Math.floor(Math.min(left, 1e15))));
  }
}

function renderGrpc(ms: Milliseconds): string {
  for (const unit of grpcOrder) {
    const count = countOf(ms, unit);
    if (count <= longestGrpc) return `${Math.max(1, count)}${unit}`;
  }
  return `${longestGrpc}H`;
}

/** Whole units in `ms`. Below a millisecond by multiplication: 1e-6 has no exact double. */
function countOf(ms: Milliseconds, unit: (typeof grpcOrder)[number]): number {
  if (unit === 'n') return Math.floor(ms * 1e6);
  if (unit === 'u') return Math.floor(ms * 1e3);
  return Math.floor(ms / (grpcUnits[unit] ?? 1));
}

/** What a request's headers wish. */
export interface TimeoutWish {
  /** The shortest of what they say. */
  readonly ms: Milliseconds;
  /** The headers that were understood, to be sent on with what remains. */
  readonly headers: readonly TimeoutHeader[];
}

/**
 * The wish of `fields` (name and value, names in any case), by the headers of `known`; `undefined` without one. What
 * cannot be understood is as if it were not there, and goes on as it is.
 */
export function readTimeout(
  fields: Iterable<readonly [name: string, value: string]>,
  known: readonly TimeoutHeader[] = defaultTimeoutHeaders,
): TimeoutWish | undefined {
  let shortest = Number.POSITIVE_INFINITY;
  const headers: TimeoutHeader[] = [];
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    const header = known.find((candidate) => candidate.name.toLowerCase() === lower);
    if (!header) continue;
    const ms = parseTimeout(header.format, value);
    if (ms === undefined) continue;
    shortest = Math.min(shortest, ms);
    if (!headers.includes(header)) headers.push(header);
  }
  return headers.length > 0 ? { ms: shortest, headers } : undefined;
}

/** The fields to send on in place of those that `wish` was read from, when `remaining` is left of it. */
export function remainingTimeout(
  wish: TimeoutWish,
  remaining: Milliseconds,
): readonly (readonly [name: string, value: string])[] {
  return wish.headers.flatMap(({ name, format }) => {
    const value = renderTimeout(format, remaining);
    return value === undefined ? [] : [[name, value] as const];
  });
}
