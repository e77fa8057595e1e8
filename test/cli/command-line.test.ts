import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SallyportError } from '../../src/base/errors.js';
import { readCommandLine, type Request } from '../../src/cli/command-line.js';

const requests: readonly (readonly [args: string, request: Request])[] = [
  ['', { kind: 'command', command: 'run', args: [] }],
  ['--port 0', { kind: 'command', command: 'run', args: ['--port', '0'] }],
  ['run --port 0', { kind: 'command', command: 'run', args: ['--port', '0'] }],
  ['exec -- ca show', { kind: 'command', command: 'exec', args: ['--', 'ca', 'show'] }],
  ['ca show --json', { kind: 'command', command: 'ca show', args: ['--json'] }],
  ['--version', { kind: 'version' }],
  ['--help', { kind: 'help', about: 'everything' }],
  ['-h', { kind: 'help', about: 'everything' }],
  ['help', { kind: 'help', about: 'everything' }],
  ['help exec', { kind: 'help', about: 'command', command: 'exec' }],
  ['help ca trust', { kind: 'help', about: 'command', command: 'ca trust' }],
  ['help ca', { kind: 'help', about: 'group', group: 'ca' }],
  ['ca --help', { kind: 'help', about: 'group', group: 'ca' }],
];

for (const [args, request] of requests) {
  test(`sallyport ${args}`, () => {
    assert.deepEqual(readCommandLine(args.split(' ').filter((word) => word !== '')), request);
  });
}

const refused: readonly (readonly [args: string, detail: RegExp])[] = [
  ['rn', /no command 'rn'; did you mean run\?/],
  ['docter', /did you mean doctor\?/],
  ['ca shwo', /no command 'ca shwo'; did you mean ca show\?/],
  ['ca banana', /there are ca show, ca export, ca import, ca trust/],
  ['ca', /'ca' needs one of: ca show/],
  ['ca --json', /'ca' needs one of/],
  ['help banana', /no command 'banana'$/],
  ['heap top', /no command 'heap'/],
  ['certs', /'certs' needs one of: certs list/],
  ['toString', /no command 'toString'/],
];

for (const [args, detail] of refused) {
  test(`sallyport ${args}: unknown`, () => {
    assert.throws(
      () => readCommandLine(args.split(' ')),
      (error) =>
        error instanceof SallyportError && error.code === 'ERR_COMMAND_UNKNOWN' && detail.test(error.detail),
    );
  });
}

for (const later of ['heap', 'gc', 'config', 'investigate', 'top']) {
  test(`${later} is not there before it does something`, () => {
    assert.throws(() => readCommandLine([later]), { code: 'ERR_COMMAND_UNKNOWN' });
  });
}
