/**
 * The rules of the house that can be read from the source: who imports whom, who touches the process and
 * its timers, that no module holds state. Each rule is also shown a file that breaks it.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { checkGlobals } from './rules/globals.js';
import { checkCycles, checkLayers, checkSpecifiers } from './rules/imports.js';
import { type Breach, type Module, parseModule, readSources } from './rules/module.js';
import { checkState } from './rules/state.js';

/** The tests are run from the directory of package.json. */
const root = process.cwd();

type Check = (modules: readonly Module[]) => readonly Breach[];

const checks: Readonly<Record<string, Check>> = {
  layers: checkLayers,
  cycles: checkCycles,
  specifiers: (modules) => checkSpecifiers(modules, ['ws', '@scope/name']),
  globals: checkGlobals,
  state: checkState,
};

const text = (breaches: readonly Breach[]): string =>
  breaches.map(({ rule, where, what }) => `\n  ${where}: [${rule}] ${what}`).join('');

describe('src/ keeps the rules of the house', async () => {
  const modules = await readSources(root);
  const manifest: unknown = JSON.parse(await readFile(`${root}/package.json`, 'utf8'));
  const declared = manifest as { dependencies?: object; peerDependencies?: object };
  const dependencies = Object.keys({ ...declared.dependencies, ...declared.peerDependencies });

  test('there are files to look at', () => {
    assert.ok(modules.length > 0);
    assert.ok(modules.some((module) => module.path === 'src/base/errors.ts'));
  });
  for (const [name, check] of Object.entries({
    ...checks,
    specifiers: (found: readonly Module[]) => checkSpecifiers(found, dependencies),
  })) {
    test(name, () => assert.equal(text(check(modules)), ''));
  }
});

/** Small trees of files that break one rule, or that look like it and do not. */
interface Example {
  readonly check: keyof typeof checks;
  readonly files: Readonly<Record<string, string>>;
  /** What the breach says; absent where there must be none. */
  readonly found?: RegExp;
}

const examples: Readonly<Record<string, Example>> = {
  'a station imports another station': {
    check: 'layers',
    files: { 'src/http/a.ts': `import { b } from '../tls/b.js';` },
    found: /http imports tls/,
  },
  'a station imports the type of another station': {
    check: 'layers',
    files: { 'src/http/a.ts': `import type { B } from '../tls/b.js';` },
    found: /http imports tls/,
  },
  'a station names the type of another station in place': {
    check: 'layers',
    files: { 'src/http/a.ts': `export type B = import('../tls/b.js').B;` },
    found: /http imports tls/,
  },
  'a station re-exports another station': {
    check: 'layers',
    files: { 'src/http/a.ts': `export { b } from '../tls/b.js';` },
    found: /http imports tls/,
  },
  'a station loads another station late': {
    check: 'layers',
    files: { 'src/http/a.ts': `export const load = () => import('../tls/b.js');` },
    found: /http imports tls/,
  },
  'a station imports the proxy': {
    check: 'layers',
    files: { 'src/http/a.ts': `import { b } from '../proxy/b.js';` },
    found: /http imports proxy/,
  },
  'certs imports a station': {
    check: 'layers',
    files: { 'src/certs/a.ts': `import { b } from '../tls/b.js';` },
    found: /certs imports tls/,
  },
  'diagnostics imports a station': {
    check: 'layers',
    files: { 'src/diagnostics/a.ts': `import { b } from '../http/b.js';` },
    found: /diagnostics imports http/,
  },
  'base imports a station': {
    check: 'layers',
    files: { 'src/base/a.ts': `import { b } from '../http/b.js';` },
    found: /base imports http/,
  },
  'the proxy imports the command': {
    check: 'layers',
    files: { 'src/proxy/a.ts': `import { b } from '../cli/b.js';` },
    found: /proxy imports cli/,
  },
  'src/ imports what is outside': {
    check: 'layers',
    files: { 'src/http/a.ts': `import { b } from '../../test/b.js';` },
    found: /outside/,
  },
  'a folder that the design does not have': {
    check: 'layers',
    files: { 'src/utils/a.ts': `export const a = 1;` },
    found: /not a folder of the design/,
  },
  'imports that point downward': {
    check: 'layers',
    files: {
      'src/cli/a.ts': `import { b } from '../proxy/b.js';`,
      'src/proxy/b.ts': `import { c } from '../http/c.js'; import { d } from '../certs/d.js';`,
      'src/http/c.ts': `import { e } from './e.js'; import { f } from '../base/f.js';`,
      'src/index.ts': `export { b } from './proxy/b.js';`,
    },
  },
  'two files import each other': {
    check: 'cycles',
    files: {
      'src/base/a.ts': `import { b } from './b.js'; export const a = b;`,
      'src/base/b.ts': `import { a } from './a.js'; export const b = a;`,
    },
    found: /src\/base\/a\.ts → src\/base\/b\.ts → src\/base\/a\.ts/,
  },
  'a cycle of three, by types': {
    check: 'cycles',
    files: {
      'src/base/a.ts': `import type { B } from './b.js';`,
      'src/base/b.ts': `import type { C } from './c.js';`,
      'src/base/c.ts': `import type { A } from './a.js';`,
    },
    found: /→/,
  },
  'two roads to one file': {
    check: 'cycles',
    files: {
      'src/base/a.ts': `import './b.js'; import './c.js';`,
      'src/base/b.ts': `import './c.js';`,
      'src/base/c.ts': `export const c = 1;`,
    },
  },
  'export *': {
    check: 'specifiers',
    files: { 'src/index.ts': `export * from './a.js';`, 'src/a.ts': '' },
    found: /export \*/,
  },
  'an import without .js': {
    check: 'specifiers',
    files: { 'src/http/a.ts': `import { b } from './b';`, 'src/http/b.ts': '' },
    found: /write the \.js/,
  },
  'an import of a file that is not there': {
    check: 'specifiers',
    files: { 'src/http/a.ts': `import { b } from './b.js';` },
    found: /there is no src\/http\/b\.ts/,
  },
  'an import without node:': {
    check: 'specifiers',
    files: { 'src/http/a.ts': `import net from 'net';` },
    found: /write node:net/,
  },
  'an import of what is not a dependency': {
    check: 'specifiers',
    files: { 'src/http/a.ts': `import { b } from 'lodash/b';` },
    found: /not a dependency/,
  },
  'base imports a package': {
    check: 'specifiers',
    files: { 'src/base/a.ts': `import { b } from 'ws';` },
    found: /base knows nobody/,
  },
  'dependencies, Node and files that exist': {
    check: 'specifiers',
    files: {
      'src/http/a.ts': `import ws from 'ws'; import x from '@scope/name/x'; import net from 'node:net'; import './b.js';`,
      'src/http/b.ts': '',
    },
  },
  setTimeout: {
    check: 'globals',
    files: { 'src/http/a.ts': `setTimeout(() => {}, 1);` },
    found: /setTimeout/,
  },
  'setInterval by globalThis': {
    check: 'globals',
    files: { 'src/http/a.ts': `globalThis.setInterval(() => {}, 1);` },
    found: /setInterval/,
  },
  'socket.setTimeout': {
    check: 'globals',
    files: { 'src/http/a.ts': `export const f = (s) => s.setTimeout(1);` },
    found: /setTimeout/,
  },
  'socket.setTimeout with a listener': {
    check: 'globals',
    files: { 'src/http/a.ts': `export const f = (s, end) => s.setTimeout(1, end);` },
    found: /setTimeout/,
  },
  'the deadline of a context': {
    check: 'globals',
    files: {
      'src/http/a.ts': `export const f = (c, code) => { c.setTimeout(1, 'ERR_A'); c.setTimeout(1, code); };`,
    },
  },
  'timers by import': {
    check: 'globals',
    files: { 'src/http/a.ts': `import { scheduler } from 'node:timers/promises';` },
    found: /node:timers\/promises/,
  },
  'AbortSignal.timeout': {
    check: 'globals',
    files: { 'src/cli/a.ts': `AbortSignal.timeout(1);` },
    found: /AbortSignal\.timeout/,
  },
  'AbortSignal.any by globalThis': {
    check: 'globals',
    files: { 'src/cli/a.ts': `globalThis.AbortSignal.any([]);` },
    found: /AbortSignal\.any/,
  },
  'process.exit': {
    check: 'globals',
    files: { 'src/proxy/a.ts': `export const f = () => { process.exit(1); };` },
    found: /process\.exit/,
  },
  'process.exitCode': {
    check: 'globals',
    files: { 'src/proxy/a.ts': `process.exitCode = 1;` },
    found: /process\.exitCode/,
  },
  'exit by import': {
    check: 'globals',
    files: { 'src/proxy/a.ts': `import { exit } from 'node:process';` },
    found: /node:process/,
  },
  console: {
    check: 'globals',
    files: { 'src/base/a.ts': `console.log(1);` },
    found: /console/,
  },
  _handle: {
    check: 'globals',
    files: { 'src/base/a.ts': `export const f = (s) => s._handle.fd;` },
    found: /_handle/,
  },
  'a quoted _handle': {
    check: 'globals',
    files: { 'src/base/a.ts': `export const f = (s) => s['_handle'];` },
    found: /_handle/,
  },
  '_handle by destructuring': {
    check: 'globals',
    files: { 'src/base/a.ts': `export const f = ({ _handle: h }) => h;` },
    found: /_handle/,
  },
  'process.binding': {
    check: 'globals',
    files: { 'src/cli/a.ts': `process.binding('tcp_wrap');` },
    found: /process\.binding/,
  },
  'timers in base, the process in cli, names in comments and strings': {
    check: 'globals',
    files: {
      'src/base/a.ts': `setTimeout(() => {}, 1);`,
      'src/cli/a.ts': `console.log(1); process.exit(1);`,
      'src/http/a.ts': `// setTimeout, console.log, _handle\nexport const a = 'setTimeout'; setImmediate(() => {});`,
    },
  },
  'let at the top': {
    check: 'state',
    files: { 'src/http/a.ts': `let count = 0;` },
    found: /count: let/,
  },
  'an exported let': {
    check: 'state',
    files: { 'src/http/a.ts': `export let count = 0;` },
    found: /count: let/,
  },
  'a Map at the top': {
    check: 'state',
    files: { 'src/http/a.ts': `const known = new Map<string, string>();` },
    found: /known: new Map/,
  },
  'a WeakMap that only says Readonly of something else': {
    check: 'state',
    files: { 'src/http/a.ts': `const known: WeakMap<object, Readonly<X>> = new WeakMap();` },
    found: /known: new WeakMap/,
  },
  'an array at the top': {
    check: 'state',
    files: { 'src/http/a.ts': `export const list: string[] = [];` },
    found: /list: a literal/,
  },
  'an object at the top': {
    check: 'state',
    files: { 'src/http/a.ts': `const counters = { requests: 0 };` },
    found: /counters: a literal/,
  },
  'a storage at the top': {
    check: 'state',
    files: { 'src/http/a.ts': `export const current = new AsyncLocalStorage();` },
    found: /current: new AsyncLocalStorage/,
  },
  'a client that shares sessions, at the top': {
    check: 'state',
    files: { 'src/proxy/a.ts': `const client = new TlsClient();` },
    found: /client: new TlsClient/,
  },
  'a static field': {
    check: 'state',
    files: { 'src/http/a.ts': `export class A { static count = 0; }` },
    found: /static count/,
  },
  'a static collection': {
    check: 'state',
    files: { 'src/http/a.ts': `export class A { static readonly all = new Set<A>(); }` },
    found: /static all: new Set/,
  },
  'constants, and state inside': {
    check: 'state',
    files: {
      'src/http/a.ts': `
        const names = ['a', 'b'] as const;
        const methods: ReadonlySet<string> = new Set(['GET']);
        const list: readonly string[] = ['a'];
        const table = { a: 1 } as const satisfies Record<string, number>;
        const defaults: Limits = { head: 1 };
        const tokens = new Uint8Array(256);
        export class A { static readonly none = new A(); readonly #seen = new Map<string, string>(); }
        export function f(): number { let n = 0; const m = new Map(); n += m.size; return n; }
      `,
    },
  },
};

describe('each rule sees what breaks it', () => {
  for (const [name, { check, files, found }] of Object.entries(examples)) {
    test(name, () => {
      const modules = Object.entries(files).map(([path, source]) => parseModule(path, source));
      const breaches = text(checks[check]?.(modules) ?? []);
      if (found) assert.match(breaches, found);
      else assert.equal(breaches, '');
    });
  }
});
