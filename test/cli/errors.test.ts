/** What a user sees of a wrong command line: one line that says what to do, and status 2. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { mainScript, root } from './support.js';

let home = '';
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'sallyport-cli-test-'));
});
after(() => rm(home, { recursive: true, force: true }));

function call(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const env = { PATH: process.env['PATH'] ?? '', HOME: home };
  return spawnSync(process.execPath, [mainScript, ...args], { encoding: 'utf8', env, timeout: 30_000 });
}

describe('wrong command lines', () => {
  const cases: readonly (readonly [args: string, line: RegExp])[] = [
    ['rn', /ERR_COMMAND_UNKNOWN: .*'rn'; did you mean run\? Run `sallyport --help`/],
    ['ca shwo', /ERR_COMMAND_UNKNOWN: .*did you mean ca show\?/],
    ['heap top', /ERR_COMMAND_UNKNOWN/],
    ['--prot 1', /ERR_OPTION_UNKNOWN: .*'--prot'; did you mean --port\? See `sallyport run --help`\.$/],
    ['ca show --port 1', /ERR_OPTION_UNKNOWN: .*'--port'.* See `sallyport ca show --help`\.$/],
    ['--port 70000', /ERR_OPTION_VALUE: --port takes a port from 0 .* to 65535, not '70000'/],
    ['--port=abc', /ERR_OPTION_VALUE: --port/],
    ['--port -5', /ERR_OPTION_VALUE: --port .* not '-5'/],
    ['--port', /ERR_OPTION_VALUE: --port needs a value/],
    ['--port 1 --port 2', /ERR_OPTION_VALUE: --port is given twice/],
    ['run stray', /ERR_OPTION_VALUE: 'stray' is not expected/],
    ['--log-format jsno', /ERR_OPTION_VALUE: .*did you mean json\?/],
    ['--timeout connet=1s', /ERR_OPTION_VALUE: .*did you mean connect\?/],
    ['--timeout connect=1s --timeout connect=2s', /ERR_OPTION_VALUE: --timeout connect is given twice/],
    ['--max-connections 5 --limit connections=5', /ERR_OPTION_VALUE: .*give one/],
    ['--store disk', /ERR_OPTION_VALUE: --store/],
    ['--store rediss//me:secret@host', /^(?!.*secret)sallyport: ERR_OPTION_VALUE: --store/],
    ['--workers many', /ERR_OPTION_VALUE: --workers/],
    ['--workers 0', /ERR_OPTION_VALUE: --workers/],
    ['--ui-port 9000', /ERR_OPTION_UNAVAILABLE: --ui-port/],
    ['--ui-port nine', /ERR_OPTION_VALUE: --ui-port/],
    ['--read-buffer-size 8MiB', /ERR_OPTION_VALUE: --read-buffer-size/],
    ['--read-buffer-size big', /ERR_OPTION_VALUE: --read-buffer-size/],
    ['exec', /ERR_OPTION_VALUE: there is no command to run: sallyport exec \[options\] -- CMD/],
    ['exec --log x --verbose -- true', /ERR_OPTION_VALUE: --log and --verbose/],
    ['ca trust', /ERR_OPTION_VALUE: .*--print/],
    ['ca import --cert x', /ERR_OPTION_VALUE: .*--cert FILE and --key FILE/],
  ];
  for (const [args, line] of cases) {
    test(`sallyport ${args}`, () => {
      const { status, stdout, stderr } = call(...args.split(' '));
      assert.equal(status, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, /^sallyport: ERR_[A-Z_]+: [^\n]+\n$/);
      assert.match(stderr.trimEnd(), line);
    });
  }

  test('an escape in an argument does not reach the terminal', () => {
    assert.match(call('--port', '\x1b[2J').stderr, /not '\\x1b\[2J'/);
  });
});

describe('what fails at run time', () => {
  test('an upstream CA that is not there or holds nothing', async () => {
    const missing = call('--upstream-ca', join(home, 'missing.pem'));
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, /^sallyport: ERR_UPSTREAM_CA: .*missing\.pem.*\n$/);
    await writeFile(join(home, 'empty.pem'), 'nothing');
    assert.match(call('--upstream-ca', join(home, 'empty.pem')).stderr, /ERR_UPSTREAM_CA: .*empty\.pem/);
  });

  test('a CA directory that is a file, and a CA that is broken', async () => {
    const file = join(home, 'file');
    await writeFile(file, '');
    const { status, stderr } = call('--port', '0', '--ca-dir', file);
    assert.equal(status, 1);
    assert.match(stderr, /^sallyport: ERR_CA_DIR: [^\n]*\n$/);
    const dir = join(home, 'broken');
    mkdirSync(dir);
    await writeFile(join(dir, 'ca.pem'), 'x');
    await writeFile(join(dir, 'ca-key.pem'), 'x', { mode: 0o600 });
    assert.match(call('--port', '0', '--ca-dir', dir).stderr, /^sallyport: ERR_CA_BROKEN: [^\n]*\n$/);
  });

  const fullDevice = '/dev/full';
  if (existsSync(fullDevice))
    test('output that cannot be written', () => {
      const env = { PATH: process.env['PATH'] ?? '', HOME: home };
      const shell = `'${process.execPath}' '${mainScript}' --version > ${fullDevice}`;
      const { status, stderr } = spawnSync('/bin/sh', ['-c', shell], { encoding: 'utf8', env });
      assert.equal(status, 1);
      assert.match(stderr, /ENOSPC/);
    });
});

describe('help and version', () => {
  test('are on stdout, with status 0', async () => {
    const manifest: unknown = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    const { version } = manifest as { version: string };
    assert.deepEqual([call('--version').status, call('--version').stdout], [0, `${version}\n`]);
    for (const args of [['--help'], ['help'], ['run', '-h'], ['ca', '--help'], ['ca', 'show', '--help']]) {
      const { status, stdout, stderr } = call(...args);
      assert.equal(status, 0, args.join(' '));
      assert.match(stdout, /^(?:Usage: |sallyport )/);
      assert.equal(stderr, '');
    }
  });

  test('a reader that does not read is no failure', () => {
    const env = { PATH: process.env['PATH'] ?? '', HOME: home };
    const shell = `{ '${process.execPath}' '${mainScript}' run --help; echo status $? >&2; } | true`;
    assert.equal(spawnSync('/bin/sh', ['-c', shell], { encoding: 'utf8', env }).stderr, 'status 0\n');
  });

  test('exec leaves the --help of its command alone', () => {
    const { status, stdout } = call('exec', '--', 'sh', '-c', 'echo "$@"', 'sh', '--help', '--version');
    assert.deepEqual([status, stdout], [0, '--help --version\n']);
  });
});
