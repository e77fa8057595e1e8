/** What a command line asks for, before anything is done about it. */
import { SallyportError } from '../base/errors.js';
import { type CommandName, commandNames } from './commands.js';
import { didYouMean } from './suggest.js';

export type Request =
  | { readonly kind: 'version' }
  | { readonly kind: 'help'; readonly about: 'everything' }
  | { readonly kind: 'help'; readonly about: 'group'; readonly group: string }
  | { readonly kind: 'help'; readonly about: 'command'; readonly command: CommandName }
  | { readonly kind: 'command'; readonly command: CommandName; readonly args: readonly string[] };

/** Finds the command in `args` (without `node` and the script). Throws `ERR_COMMAND_UNKNOWN`. */
export function readCommandLine(args: readonly string[]): Request {
  const [first = ''] = args;
  if (first === '--version') return { kind: 'version' };
  if (first === '--help' || first === '-h') return { kind: 'help', about: 'everything' };
  if (args.length === 0 || first.startsWith('-')) return { kind: 'command', command: 'run', args };
  if (first === 'help') return readHelp(args.slice(1));
  const found = findCommand(args);
  if (found) return { kind: 'command', command: found.command, args: args.slice(found.words) };
  const asksHelp = args[1] === '--help' || args[1] === '-h';
  if (isGroup(first) && asksHelp) return { kind: 'help', about: 'group', group: first };
  throw unknown(args);
}

function readHelp(args: readonly string[]): Request {
  const [first = ''] = args;
  if (args.length === 0) return { kind: 'help', about: 'everything' };
  const found = findCommand(args);
  if (found) return { kind: 'help', about: 'command', command: found.command };
  if (isGroup(first) && args.length === 1) return { kind: 'help', about: 'group', group: first };
  throw unknown(args);
}

function findCommand(
  args: readonly string[],
): { readonly command: CommandName; readonly words: number } | undefined {
  for (const words of [2, 1]) {
    const typed = args.slice(0, words).join(' ');
    const command = args.length >= words ? commandNames.find((name) => name === typed) : undefined;
    if (command !== undefined) return { command, words };
  }
  return undefined;
}

function isGroup(word: string): boolean {
  return commandNames.some((name) => name.startsWith(`${word} `));
}

function unknown(args: readonly string[]): SallyportError {
  const [first = '', second] = args;
  if (isGroup(first)) {
    const inGroup = commandNames.filter((name) => name.startsWith(`${first} `));
    if (second === undefined || second.startsWith('-')) {
      return new SallyportError('ERR_COMMAND_UNKNOWN', `'${first}' needs one of: ${inGroup.join(', ')}`);
    }
    const typed = `${first} ${second.slice(0, 40)}`;
    const near = didYouMean(typed, inGroup) || `; there are ${inGroup.join(', ')}`;
    return new SallyportError('ERR_COMMAND_UNKNOWN', `there is no command '${typed}'${near}`);
  }
  const words = [...new Set(commandNames.map((name) => name.split(' ')[0] ?? name)), 'help'];
  const detail = `there is no command '${first.slice(0, 40)}'${didYouMean(first, words)}`;
  return new SallyportError('ERR_COMMAND_UNKNOWN', detail);
}
