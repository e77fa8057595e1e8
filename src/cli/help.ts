/** `--help`, and the option tables of docs/cli.md, both from the table of commands. */
import { type Command, type CommandName, commandNames, commands } from './commands.js';
import { kebab, type Option, type OptionTable } from './options.js';

const width = 88;

/** What `sallyport --help` prints. */
export function generalHelp(version: string): string {
  const names = commandNames.map((name) => [name, commands[name].about] as const);
  return [
    `sallyport ${version}: a TLS-intercepting forward proxy`,
    '',
    'Usage: sallyport [COMMAND] [options]',
    '',
    'Commands',
    ...columns(names),
    '',
    'Options',
    ...columns([
      ['-h, --help', 'This text; after a command, its own.'],
      ['--version', 'The version.'],
    ]),
    '',
    'To begin: `sallyport` in one terminal, the curl line that it prints in another.',
    '',
  ].join('\n');
}

/** What `sallyport NAME --help` prints. */
export function commandHelp(name: CommandName): string {
  const command: Command = commands[name];
  return [
    `Usage: sallyport ${command.usage}`,
    '',
    command.about,
    '',
    ...command.details.flatMap((paragraph) => [...wrap(paragraph, width), '']),
    'Options',
    ...columns([...optionRows(command.options), ['-h, --help', 'This text.']]),
    '',
    command.examples.length === 1 ? 'Example' : 'Examples',
    ...command.examples.map((example) => `  ${example}`),
    '',
  ].join('\n');
}

/** What `sallyport ca --help` prints: the commands that begin with `prefix`. */
export function groupHelp(prefix: string): string {
  const names = commandNames.filter((name) => name.startsWith(`${prefix} `));
  return [
    `Usage: sallyport ${prefix} COMMAND [options]`,
    '',
    'Commands',
    ...columns(names.map((name) => [name, commands[name].about] as const)),
    '',
    `Each has --help: sallyport ${names[0] ?? prefix} --help`,
    '',
  ].join('\n');
}

/** The options of a command as a Markdown table. */
export function optionsMarkdown(options: OptionTable): string {
  const cells = Object.entries(options).map(
    ([key, option]) =>
      `| \`${spelled(key, option).replaceAll('|', '\\|')}\` | ${option.about.replaceAll('|', '\\|')} | ${defaultOf(option, '`')} |`,
  );
  return ['| option | | default |', '|---|---|---|', ...cells].join('\n');
}

function optionRows(options: OptionTable): (readonly [string, string])[] {
  return Object.entries(options).map(([key, option]) => {
    const shown = defaultOf(option, '');
    return [
      spelled(key, option),
      shown === '' ? option.about : `${option.about} Default: ${shown}.`,
    ] as const;
  });
}

function spelled(key: string, option: Option): string {
  return option.kind === 'flag' ? `--${kebab(key)}` : `--${kebab(key)} ${option.placeholder}`;
}

function defaultOf(option: Option, quote: string): string {
  return option.kind === 'value' && option.default !== undefined ? `${quote}${option.default}${quote}` : '';
}

/** Two columns; a left side that is too long has its text on the next line. */
function columns(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.min(26, Math.max(...rows.map(([term]) => term.length)) + 2);
  return rows.flatMap(([term, text]) => {
    const lines = wrap(text, width - left - 2);
    const first = term.length + 2 > left ? [`  ${term}`] : [];
    const start = first.length === 0 ? [`  ${term.padEnd(left)}${lines.shift() ?? ''}`] : first;
    return [...start, ...lines.map((line) => `  ${' '.repeat(left)}${line}`)];
  });
}

function wrap(text: string, limit: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > limit) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
