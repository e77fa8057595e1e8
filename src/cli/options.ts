/**
 * Options as a table: the same table parses the command line, renders `--help` and fills docs/cli.md.
 *
 * Keys are in camelCase and are spelled with hyphens on the command line (`caDir` is `--ca-dir`).
 */
import { SallyportError } from '../base/errors.js';
import { didYouMean } from './suggest.js';

/** Turns what was typed into a value, or throws `ERR_OPTION_VALUE` that names `option`. */
export type ParseValue<T> = (text: string, option: string) => T;

/** `--quiet`: there or not. */
export interface Flag {
  readonly kind: 'flag';
  readonly about: string;
}

/** `--port PORT`: at most once. */
export interface Value<T> {
  readonly kind: 'value';
  /** What stands for the value in help, such as `PORT`. */
  readonly placeholder: string;
  readonly about: string;
  readonly parse: ParseValue<T>;
  /** Used, and shown in help, when the option is absent; goes through `parse` as if it was typed. */
  readonly default?: string;
  /** The variable that is asked when the option is absent, before the default; an empty one counts as none. */
  readonly environment?: string;
  /** Whether `--option ''` means something. */
  readonly mayBeEmpty?: boolean;
}

/** `--limit NAME=VALUE`: any number of times. */
export interface List<T> {
  readonly kind: 'list';
  readonly placeholder: string;
  readonly about: string;
  readonly parse: ParseValue<T>;
}

export type Option = Flag | Value<unknown> | List<unknown>;
export type OptionTable = Readonly<Record<string, Option>>;

/** What the options of a table come to. */
export type OptionValues<T extends OptionTable> = { readonly [K in keyof T]: ValueOf<T[K]> };

type ValueOf<O extends Option> = O extends Flag
  ? boolean
  : O extends List<infer T>
    ? readonly T[]
    : O extends Value<infer T>
      ? O extends { readonly default: string }
        ? T
        : T | undefined
      : never;

/**
 * What is not an option: nothing, a command of the user's with its own arguments after the options, or words
 * that may stand between the options too.
 */
export type Operands = 'none' | 'command' | 'words';

export interface ParsedArguments<T extends OptionTable> {
  /** Whether `--help` or `-h` was met; everything else is then as far as it was read. */
  readonly help: boolean;
  readonly values: OptionValues<T>;
  /** The words, or the user's command and its arguments, untouched; empty where a command takes none. */
  readonly operands: readonly string[];
}

/** How an option is spelled on the command line, without its hyphens: `caDir` → `ca-dir`. */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * Reads `args` by `table`. `--name value` and `--name=value` are the same; `--` ends the options. Throws
 * `ERR_OPTION_UNKNOWN` and `ERR_OPTION_VALUE`.
 */
export function parseArguments<T extends OptionTable>(
  table: T,
  args: readonly string[],
  operands: Operands = 'none',
  environment: Readonly<NodeJS.ProcessEnv> = process.env,
): ParsedArguments<T> {
  const typed = new Map<string, string[]>();
  const words: string[] = [];
  let help = false;
  let index = 0;
  for (; index < args.length && !help; index += 1) {
    const argument = args[index] ?? '';
    if (argument === '--') {
      index += 1;
      break;
    }
    if (!argument.startsWith('-') || argument === '-') {
      if (operands !== 'words') break;
      words.push(argument);
      continue;
    }
    if (argument === '--help' || argument === '-h') {
      help = true;
      continue;
    }
    const [spelling, attached] = splitOption(argument);
    const key = findOption(table, spelling);
    const option = table[key];
    const texts = typed.get(key) ?? [];
    if (texts.length > 0 && option?.kind !== 'list') throw invalid(`${spelling} is given twice`);
    typed.set(key, texts);
    if (option?.kind === 'flag') {
      if (attached !== undefined) throw invalid(`${spelling} takes no value`);
      texts.push('');
      continue;
    }
    const text = attached ?? valueAfter(args, index, spelling, option);
    if (attached === undefined) index += 1;
    texts.push(text);
  }
  const rest = help ? [] : [...words, ...args.slice(index)];
  if (operands === 'none' && rest.length > 0) throw stray(rest[0] ?? '', table);
  return { help, values: evaluate(table, typed, { help, environment }), operands: rest };
}

function splitOption(argument: string): readonly [spelling: string, attached: string | undefined] {
  const equals = argument.indexOf('=');
  if (equals === -1) return [argument, undefined];
  return [argument.slice(0, equals), argument.slice(equals + 1)];
}

function findOption(table: OptionTable, spelling: string): string {
  const known = Object.keys(table);
  const key = known.find((name) => `--${kebab(name)}` === spelling);
  if (key !== undefined) return key;
  const names = [...known.map((name) => `--${kebab(name)}`), '--help'];
  throw new SallyportError(
    'ERR_OPTION_UNKNOWN',
    `there is no option ${quoted(spelling)}${didYouMean(spelling, names)}`,
  );
}

/** `args` without the option `spelling` (`--store`) and its value, up to `--`. */
export function withoutOption(args: readonly string[], spelling: string): string[] {
  const end = args.indexOf('--');
  const left: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const argument = args[index] ?? '';
    const counts = end === -1 || index < end;
    if (counts && argument === spelling) index += 1;
    else if (!counts || !argument.startsWith(`${spelling}=`)) left.push(argument);
  }
  return left;
}

/** The next argument, unless it is an option itself: `--host --port 1` has forgotten the host. */
function valueAfter(
  args: readonly string[],
  index: number,
  spelling: string,
  option: Option | undefined,
): string {
  const next = args[index + 1];
  const isOption = next !== undefined && /^--?[a-z]/i.test(next);
  if (next !== undefined && next !== '--' && !isOption) return next;
  const placeholder = option && option.kind !== 'flag' ? option.placeholder : 'VALUE';
  const forced = isOption ? ` (a value that begins with a hyphen is written ${spelling}=${placeholder})` : '';
  throw invalid(`${spelling} needs a value: ${spelling} ${placeholder}${forced}`);
}

function stray(argument: string, table: OptionTable): SallyportError {
  const names = Object.keys(table).map(kebab);
  const near = names.includes(argument) ? `; did you mean --${argument}?` : '';
  return invalid(`${quoted(argument)} is not expected here${near}`);
}

function evaluate<T extends OptionTable>(
  table: T,
  typed: ReadonlyMap<string, readonly string[]>,
  { help, environment }: { readonly help: boolean; readonly environment: Readonly<NodeJS.ProcessEnv> },
): OptionValues<T> {
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(table)) {
    const texts = typed.get(key);
    const spelling = `--${kebab(key)}`;
    if (option.kind === 'flag') values[key] = texts !== undefined;
    else if (help) values[key] = option.kind === 'list' ? [] : undefined;
    else if (option.kind === 'list') values[key] = (texts ?? []).map((text) => one(option, text, spelling));
    else {
      const variable = texts ? undefined : option.environment;
      const fromVariable = variable === undefined ? undefined : environment[variable] || undefined;
      const text = texts?.[0] ?? fromVariable ?? option.default;
      const source = fromVariable === undefined ? spelling : (variable ?? spelling);
      values[key] = text === undefined ? undefined : one(option, text, source);
    }
  }
  return values as OptionValues<T>;
}

function one(option: Value<unknown> | List<unknown>, text: string, spelling: string): unknown {
  const mayBeEmpty = option.kind === 'value' && option.mayBeEmpty === true;
  if (text.trim() === '' && !mayBeEmpty) {
    throw invalid(`${spelling} needs a value: ${spelling} ${option.placeholder}`);
  }
  return option.parse(text, spelling);
}

function invalid(detail: string): SallyportError {
  return new SallyportError('ERR_OPTION_VALUE', detail);
}

function quoted(text: string): string {
  return `'${text.slice(0, 80)}'`;
}
