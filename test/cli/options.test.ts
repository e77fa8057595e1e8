import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ErrorCode, SallyportError } from '../../src/base/errors.js';
import { commandNames, commands, type Command } from '../../src/cli/commands.js';
import { kebab, type OptionTable, parseArguments, withoutOption } from '../../src/cli/options.js';

const table = {
  port: { kind: 'value', placeholder: 'PORT', about: '', parse: Number, default: '8080' },
  caDir: { kind: 'value', placeholder: 'DIR', about: '', parse: String },
  except: { kind: 'value', placeholder: 'LIST', about: '', parse: String, mayBeEmpty: true },
  limit: { kind: 'list', placeholder: 'N', about: '', parse: Number },
  quiet: { kind: 'flag', about: '' },
} as const satisfies OptionTable;

function fails(args: readonly string[], code: ErrorCode, detail: RegExp, operands?: 'command'): void {
  assert.throws(
    () => parseArguments(table, args, operands),
    (error) => {
      assert.ok(error instanceof SallyportError, String(error));
      assert.equal(error.code, code);
      assert.match(error.detail, detail);
      return true;
    },
  );
}

describe('a value from the environment', () => {
  const fromEnvironment = {
    store: { ...table.port, environment: 'SALLYPORT_TEST' },
  } as const satisfies OptionTable;
  const parsed = (args: readonly string[], environment: NodeJS.ProcessEnv): number =>
    parseArguments(fromEnvironment, args, 'none', environment).values.store;

  test('comes before the default, and after what is typed', () => {
    assert.equal(parsed([], {}), 8080);
    assert.equal(parsed([], { SALLYPORT_TEST: '5' }), 5);
    assert.equal(parsed([], { SALLYPORT_TEST: '' }), 8080);
    assert.equal(parsed(['--store', '7'], { SALLYPORT_TEST: '5' }), 7);
  });

  test('is parsed under the name of the variable, and only where it counts', () => {
    const strict = {
      store: {
        ...fromEnvironment.store,
        parse: (text: string, option: string) => assert.equal(text, 'good', option),
      },
    } as const satisfies OptionTable;
    assert.throws(() => parseArguments(strict, [], 'none', { SALLYPORT_TEST: 'bad' }), /SALLYPORT_TEST/);
    parseArguments(strict, ['--store', 'good'], 'none', { SALLYPORT_TEST: 'bad' });
    parseArguments(strict, ['--help'], 'none', { SALLYPORT_TEST: 'bad' });
  });
});

test('an option is taken out with its value, in both spellings, and only before --', () => {
  assert.deepEqual(
    withoutOption(
      ['run', '--store', 'x', '--port', '1', '--store=y', '--stores=z', '--', '--store', 'c'],
      '--store',
    ),
    ['run', '--port', '1', '--stores=z', '--', '--store', 'c'],
  );
  assert.deepEqual(withoutOption(['--quiet'], '--store'), ['--quiet']);
});

describe('what is accepted', () => {
  test('nothing: defaults', () => {
    const { values, help, operands } = parseArguments(table, []);
    assert.deepEqual(values, { port: 8080, caDir: undefined, except: undefined, limit: [], quiet: false });
    assert.equal(help, false);
    assert.deepEqual(operands, []);
  });

  test('both spellings of a value', () => {
    assert.equal(parseArguments(table, ['--port', '1']).values.port, 1);
    assert.equal(parseArguments(table, ['--port=1']).values.port, 1);
    assert.equal(parseArguments(table, ['--ca-dir=a=b']).values.caDir, 'a=b');
    assert.equal(parseArguments(table, ['--ca-dir=--odd']).values.caDir, '--odd');
    assert.equal(parseArguments(table, ['--ca-dir', '-']).values.caDir, '-');
  });

  test('a list keeps its order', () => {
    assert.deepEqual(parseArguments(table, ['--limit', '2', '--quiet', '--limit=1']).values.limit, [2, 1]);
  });

  test('an empty value where it means something', () => {
    assert.equal(parseArguments(table, ['--except', '']).values.except, '');
    assert.equal(parseArguments(table, ['--except=']).values.except, '');
  });

  test('help ends the reading, and needs nothing to be right after it', () => {
    for (const help of ['--help', '-h']) {
      assert.equal(parseArguments(table, ['--port', '1', help, '--nonsense', 'x']).help, true);
    }
  });

  test('a command of the user is left alone, with and without --', () => {
    const args = ['--quiet', '--', 'curl', '--port', '--help'];
    assert.deepEqual(parseArguments(table, args, 'command').operands, ['curl', '--port', '--help']);
    const without = parseArguments(table, ['--quiet', 'curl', '--help'], 'command');
    assert.deepEqual(without.operands, ['curl', '--help']);
    assert.equal(without.help, false);
    assert.deepEqual(parseArguments(table, ['--', '--'], 'command').operands, ['--']);
  });
});

describe('what is refused', () => {
  test('an option that is not there, with the one that was meant', () => {
    fails(['--prot', '1'], 'ERR_OPTION_UNKNOWN', /'--prot'; did you mean --port\?/);
    fails(['--cadir=x'], 'ERR_OPTION_UNKNOWN', /'--cadir'; did you mean --ca-dir\?/);
    fails(['--caDir', 'x'], 'ERR_OPTION_UNKNOWN', /'--caDir'; did you mean --ca-dir\?/);
    fails(['-x'], 'ERR_OPTION_UNKNOWN', /'-x'$/);
    fails(['--__proto__', '1'], 'ERR_OPTION_UNKNOWN', /__proto__/);
    fails(['--constructor'], 'ERR_OPTION_UNKNOWN', /constructor/);
  });

  test('an option given twice', () => {
    fails(['--port', '1', '--port=2'], 'ERR_OPTION_VALUE', /^--port is given twice$/);
    fails(['--quiet', '--quiet'], 'ERR_OPTION_VALUE', /^--quiet is given twice$/);
  });

  test('a value that is missing or empty', () => {
    fails(['--port'], 'ERR_OPTION_VALUE', /^--port needs a value: --port PORT$/);
    fails(['--port', '--quiet'], 'ERR_OPTION_VALUE', /--port=PORT/);
    fails(['--port', '--'], 'ERR_OPTION_VALUE', /needs a value/);
    fails(['--port='], 'ERR_OPTION_VALUE', /needs a value/);
    fails(['--port', ' '], 'ERR_OPTION_VALUE', /needs a value/);
    fails(['--limit', ''], 'ERR_OPTION_VALUE', /needs a value/);
  });

  test('a value where none belongs', () => {
    fails(['--quiet=yes'], 'ERR_OPTION_VALUE', /^--quiet takes no value$/);
    fails(['stray'], 'ERR_OPTION_VALUE', /'stray' is not expected/);
    fails(['--', 'stray'], 'ERR_OPTION_VALUE', /'stray' is not expected/);
    fails(['port', '80'], 'ERR_OPTION_VALUE', /did you mean --port\?/);
    fails(['-'], 'ERR_OPTION_VALUE', /'-' is not expected/);
  });
});

test('every default in the table can be parsed', () => {
  for (const name of commandNames) {
    const { options, operands }: Command = commands[name];
    assert.doesNotThrow(() => parseArguments(options, [], operands), name);
  }
});

test('names are spelled with hyphens', () => {
  assert.equal(kebab('upstreamIdlePerOrigin'), 'upstream-idle-per-origin');
  assert.equal(kebab('head'), 'head');
});
