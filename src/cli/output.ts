/** What a command writes to stdout and stderr, waited for: nothing is lost when the process ends after it. */
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { type ErrorCode, SallyportError } from '../base/errors.js';
import { safeText } from './text.js';

/**
 * Writes to stdout. A reader that has gone (EPIPE) is no failure: it has what it wanted. Rejects with
 * `ERR_INTERNAL` when the output cannot be written, as on a full disk.
 */
export async function print(output: string | Uint8Array): Promise<void> {
  const error = await new Promise<Error | null | undefined>((resolve) => {
    process.stdout.write(output, resolve);
  });
  if (error && !('code' in error && error.code === 'EPIPE')) {
    throw new SallyportError('ERR_INTERNAL', `cannot write to stdout: ${error.message}`, { cause: error });
  }
}

/** How long a reader of stderr that stands still can hold up the end of the process. */
const patience: Milliseconds = 1000;

/** Writes a line to stderr. There is nobody to tell when that fails. */
export async function complain(line: string): Promise<void> {
  using context = Context.background.withTimeout(patience);
  await new Promise<void>((resolve) => {
    const stop = context.onClose(() => {
      resolve();
    });
    process.stderr.write(`${line}\n`, () => {
      stop();
      resolve();
    });
  });
}

/** A line for people on stderr that is not an error, not waited for: `sallyport: …`. */
export function notice(text: string): void {
  process.stderr.write(`sallyport: ${safeText(text)}\n`);
}

const usageCodes: readonly ErrorCode[] = [
  'ERR_COMMAND_UNKNOWN',
  'ERR_OPTION_UNKNOWN',
  'ERR_OPTION_VALUE',
  'ERR_OPTION_UNAVAILABLE',
];

/** What the process exits with: 2 where the command line is at fault, 1 otherwise. */
export function exitCodeOf(error: SallyportError): number {
  return usageCodes.includes(error.code) ? 2 : 1;
}

/**
 * `sallyport: ERR_PORT_IN_USE: 127.0.0.1:8080 is already in use. Choose another with --port …`: the code, what
 * was found, what to do, on one line. `command` is what was run, for the advice of usage errors.
 */
export function errorLine(error: SallyportError, command: string | undefined): string {
  const options = error.code === 'ERR_OPTION_UNKNOWN' || error.code === 'ERR_OPTION_VALUE';
  const advice = options
    ? `See \`sallyport ${command === undefined ? '' : `${command} `}--help\`.`
    : error.entry.hint;
  const detail = safeText(error.detail).trim();
  const stop = /[.?!]$/.test(detail) ? '' : '.';
  return `sallyport: ${error.code}: ${detail}${stop} ${advice}`;
}
