/** What the values of options may look like. Each parser throws `ERR_OPTION_VALUE` that names the option. */
import { availableParallelism, homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { isIP } from 'node:net';
import { type Bytes, type Milliseconds, parseBytes, parseDuration } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';
import { defaultLimits, defaultTimeouts, type Limits, type Timeouts } from '../base/limits.js';
import { leastReadBuffer, mostReadBuffer } from '../base/read-memory.js';
import { kebab, type ParseValue } from './options.js';
import { didYouMean } from './suggest.js';

/** `127.0.0.1`, `::1`, `[::1]`, `localhost`. Brackets are taken off. */
export function parseHost(text: string, option: string): string {
  const bare = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  if (isIP(bare) === 0 && !/^[a-z0-9][a-z0-9.-]{0,252}$/i.test(bare)) {
    throw wrong(option, 'an address of this machine, such as 127.0.0.1, ::1 or localhost', text);
  }
  return bare;
}

export function parsePort(text: string, option: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw wrong(option, 'a port from 0 (any free one) to 65535', text);
  return port;
}

/** `off`, or a port. */
export function parsePortOrOff(text: string, option: string): number | 'off' {
  if (text === 'off') return text;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw wrong(option, `a port from 0 to 65535, or off`, text);
  return port;
}

/** A whole number from `least` up to a thousand million. */
export function parseCount(least: number): ParseValue<number> {
  return (text, option) => {
    const count = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (!(count >= least && count <= 1e9)) throw wrong(option, `a whole number from ${least}`, text);
    return count;
  };
}

const mostWorkers = 1024;

/** A number of processes; `auto` is one for each CPU that this process may use. */
export function parseWorkers(text: string, option: string): number {
  if (text === 'auto') return availableParallelism();
  const count = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (!(count >= 1 && count <= mostWorkers)) {
    throw wrong(option, `a number of processes from 1 to ${mostWorkers}, or auto`, text, ['auto']);
  }
  return count;
}

/** One of a few words. */
export function parseChoice<T extends string>(...choices: readonly T[]): ParseValue<T> {
  return (text, option) => {
    const choice = choices.find((one) => one === text);
    if (choice === undefined) throw wrong(option, choices.join(' or '), text, choices);
    return choice;
  };
}

/** An absolute path; `~` is the home directory, which shells do not put in after an equals sign. */
export function parsePath(text: string): string {
  if (text === '~') return homedir();
  return /^~[/\\]/.test(text) ? join(homedir(), text.slice(2)) : resolve(text);
}

export function parseText(text: string): string {
  return text;
}

/** Over nothing: a deadline of no time at all fails everything. */
export function parsePositiveDuration(text: string, option: string): Milliseconds {
  const ms = parseDuration(text, option);
  if (ms <= 0) throw wrong(option, 'a duration over 0, such as 500ms, 10s or 2m', text);
  return ms;
}

/** `off`, or a duration over 0. */
export function parseDurationOrOff(text: string, option: string): Milliseconds | 'off' {
  return text === 'off' ? text : parsePositiveDuration(text, option);
}

/**
 * Stands for `--store` where that is absent. Who may list processes sees their arguments, and nobody else's
 * environment: the URL of a store can have a password.
 */
export const storeVariable = 'SALLYPORT_STORE';

/** Where certificates are kept, as `--store` spells it. */
export type StoreChoice =
  | { readonly kind: 'memory' }
  | { readonly kind: 'file'; readonly directory: string }
  | { readonly kind: 'redis'; readonly url: string };

export function parseStore(text: string, option: string): StoreChoice {
  if (text === 'memory') return { kind: 'memory' };
  if (/^file:./.test(text)) return { kind: 'file', directory: parsePath(text.slice(5)) };
  if (/^rediss?:\/\/./.test(text) && URL.canParse(text)) return { kind: 'redis', url: text };
  // Nothing that may be a password is printed.
  const shown = /[@]|\/\//.test(text) ? '***' : text;
  throw wrong(option, 'memory, file:DIR or redis://HOST:PORT', shown, ['memory']);
}

export function parseReadBufferSize(text: string, option: string): Bytes | 'adaptive' {
  if (text === 'adaptive') return text;
  const bytes = parseBytes(text, option);
  if (bytes < leastReadBuffer || bytes > mostReadBuffer) {
    throw wrong(option, 'adaptive or a size from 4KiB to 4MiB', text);
  }
  return bytes;
}

/** One `NAME=VALUE` of a repeatable option. */
export interface Setting<N extends string> {
  readonly name: N;
  readonly value: number;
}

const timeoutNames = Object.keys(defaultTimeouts) as readonly (keyof Timeouts)[];
const limitNames = Object.keys(defaultLimits) as readonly (keyof Limits)[];

/** `connect=5s`; `idle-tunnel=off` for none. */
export function parseTimeout(text: string, option: string): Setting<keyof Timeouts> {
  const { name, value } = splitSetting(text, option, 'DURATION', timeoutNames);
  const whole = `${option} ${kebab(name)}`;
  return { name, value: value === 'off' ? Number.POSITIVE_INFINITY : parsePositiveDuration(value, whole) };
}

/** `sniff=10s, server-first=500ms, …`: every name with its default, as it could be typed. */
export function timeoutDefaults(): string {
  return timeoutNames.map((name) => `${kebab(name)}=${spellDuration(defaultTimeouts[name])}`).join(', ');
}

/** `connections=20000, head=64KiB, …` */
export function limitDefaults(): string {
  const spell = (name: keyof Limits): string => {
    const value = defaultLimits[name];
    return byteLimits.includes(name) ? spellBytes(value) : String(value);
  };
  return limitNames.map((name) => `${kebab(name)}=${spell(name)}`).join(', ');
}

function spellDuration(ms: Milliseconds): string {
  if (ms === Number.POSITIVE_INFINITY) return 'off';
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

function spellBytes(bytes: Bytes): string {
  if (bytes === Number.POSITIVE_INFINITY) return 'off';
  if (bytes % 1024 ** 2 === 0) return `${bytes / 1024 ** 2}MiB`;
  return bytes % 1024 === 0 ? `${bytes / 1024}KiB` : String(bytes);
}

/** Limits that count bytes, and take `64KiB`; the others count things. */
const byteLimits: readonly (keyof Limits)[] = ['head', 'uri', 'requestBody', 'collectedBody', 'buffered'];
/** Where nothing at all is a meaningful limit. */
const mayBeZero: readonly (keyof Limits)[] = [
  'requestBody',
  'collectedBody',
  'upstreamIdlePerOrigin',
  'upstreamWaiters',
];

/** `head=128KiB`, `upstream-per-origin=64`; `request-body=off` for none. */
export function parseLimit(text: string, option: string): Setting<keyof Limits> {
  const { name, value } = splitSetting(text, option, 'VALUE', limitNames);
  const whole = `${option} ${kebab(name)}`;
  if (value === 'off' && name === 'requestBody') return { name, value: Number.POSITIVE_INFINITY };
  const least = mayBeZero.includes(name) ? 0 : 1;
  if (!byteLimits.includes(name)) return { name, value: parseCount(least)(value, whole) };
  const bytes = parseBytes(value, whole);
  if (bytes < least) throw wrong(whole, 'a size over 0, such as 64KiB', value);
  return { name, value: bytes };
}

/** The settings as an object. Throws when one name is set twice. */
export function gather<N extends string>(
  settings: readonly Setting<N>[],
  option: string,
): Partial<Record<N, number>> {
  const gathered: Partial<Record<N, number>> = {};
  for (const { name, value } of settings) {
    if (gathered[name] !== undefined) {
      throw new SallyportError('ERR_OPTION_VALUE', `${option} ${kebab(name)} is given twice`);
    }
    gathered[name] = value;
  }
  return gathered;
}

function splitSetting<N extends string>(
  text: string,
  option: string,
  unit: string,
  names: readonly N[],
): { readonly name: N; readonly value: string } {
  const equals = text.indexOf('=');
  const typed = equals === -1 ? text : text.slice(0, equals);
  const spelled = names.map(kebab);
  const name = names.find((one) => kebab(one) === typed);
  if (name === undefined) {
    const near = didYouMean(typed, spelled) || `; it takes ${spelled.join(', ')}`;
    throw new SallyportError('ERR_OPTION_VALUE', `${option} does not know '${typed.slice(0, 40)}'${near}`);
  }
  const value = equals === -1 ? '' : text.slice(equals + 1);
  if (value === '') {
    throw new SallyportError('ERR_OPTION_VALUE', `${option} takes ${typed}=${unit}, not '${text}'`);
  }
  return { name, value };
}

function wrong(
  option: string,
  expected: string,
  text: string,
  candidates: readonly string[] = [],
): SallyportError {
  const near = didYouMean(text, candidates);
  return new SallyportError(
    'ERR_OPTION_VALUE',
    `${option} takes ${expected}, not '${text.slice(0, 80)}'${near}`,
  );
}
