import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { readCommandLine } from '../../src/cli/command-line.js';
import { type Command, commandNames, commands } from '../../src/cli/commands.js';
import { commandHelp, generalHelp, groupHelp, optionsMarkdown } from '../../src/cli/help.js';
import { kebab, parseArguments } from '../../src/cli/options.js';
import { root } from './support.js';

describe('help', () => {
  for (const name of commandNames) {
    const command: Command = commands[name];
    const help = commandHelp(name);

    test(`${name}: every option with its default, and lines that fit`, () => {
      for (const [key, option] of Object.entries(command.options)) {
        assert.match(help, new RegExp(`^  --${kebab(key)}\\b`, 'm'), key);
        if (option.kind === 'value' && option.default !== undefined) {
          assert.ok(help.replace(/\s+/g, ' ').includes(` Default: ${option.default}.`), key);
        }
      }
      for (const line of help.split('\n')) assert.ok(line.length <= 90, line);
      assert.ok(help.endsWith('\n'));
    });

    test(`${name}: the examples are right`, () => {
      for (const example of command.examples) {
        const words = example
          .replace(/ >.*$/, '')
          .split(' ')
          .map((word) => word.replace(/^''$/, ''));
        const request = readCommandLine(words.slice(1));
        assert.ok(request.kind === 'command' && request.command === name, example);
        assert.doesNotThrow(() => parseArguments(command.options, request.args, command.operands), example);
      }
    });
  }

  test('the list has every command and the version', () => {
    const help = generalHelp('1.2.3');
    assert.ok(help.includes('1.2.3'));
    for (const name of commandNames) assert.ok(help.includes(`  ${name} `), name);
  });

  test('a group has its own', () => {
    assert.match(groupHelp('ca'), /^ {2}ca export {2}/m);
    assert.doesNotMatch(groupHelp('ca'), /doctor/);
  });
});

describe('docs/cli.md', async () => {
  const text = await readFile(join(root, 'docs', 'cli.md'), 'utf8');
  for (const name of commandNames) {
    test(`the options of ${name}`, () => {
      const section = text.split(/^## /m).find((part) => part.startsWith(`\`sallyport ${name}\``)) ?? '';
      const table = optionsMarkdown(commands[name].options);
      assert.ok(section.includes(table), `docs/cli.md, ${name}: the table has to be\n\n${table}\n`);
    });
  }
});
