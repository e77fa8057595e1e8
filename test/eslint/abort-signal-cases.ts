/** Code that the rule `no-abort-signal-timeout` lets pass, and code that it does not. */
import {
  type Case,
  type InvalidCase,
  invalidCases,
  type InvalidRow,
  type Options,
  validCases,
  type ValidRow,
} from './cases.js';

const allowTimeout: [Options] = [{ allow: ['timeout'] }];
const allowMain: [Options] = [{ allowIn: ['main', 'start'] }];

const valid: readonly ValidRow[] = [
  ['at the top of a module', 'await go({ signal: AbortSignal.timeout(5) });'],
  ['in a block at the top', 'if (a) { for (const x of xs) await go(AbortSignal.any([x])); }'],
  ['in a static field', 'class A { static signal = AbortSignal.timeout(5); }'],
  ['in a static block', 'class A { static { go(AbortSignal.timeout(5)); } }'],
  ['another method', 'function f() { return AbortSignal.abort(); }'],
  ['another object', 'function f() { return signals.timeout(5) ?? x.AbortSignal.timeout(5); }'],
  ['a name that is not known', 'function f() { return AbortSignal[x](5); }'],
  ['a class of its own', 'class AbortSignal {} function f() { return AbortSignal.timeout(5); }'],
  ['a parameter', 'function f(AbortSignal) { return AbortSignal.timeout(5); }'],
  ['an import', `import { AbortSignal } from 'x'; export const f = () => AbortSignal.any([]);`],
  ['a local globalThis', 'function f(globalThis) { return globalThis.AbortSignal.any([]); }'],
  ['text', 'function f() { return "AbortSignal.timeout(5)"; }'],
  ['allowed', 'function f() { return AbortSignal.timeout(5); }', allowTimeout],
  ['allowed in a function', 'async function main() { await go(AbortSignal.timeout(5)); }', allowMain],
  [
    'allowed in a function inside',
    'const start = () => { xs.map((x) => AbortSignal.any([x])); };',
    allowMain,
  ],
  ['allowed in a method', 'class A { start() { return AbortSignal.any([]); } }', allowMain],
];

const invalid: readonly InvalidRow[] = [
  ['in a function', 'function f() { return AbortSignal.timeout(5); }', [['timeout']]],
  ['in an arrow', 'export const f = () => AbortSignal.any([]);', [['any']]],
  ['in an async function', 'async function f() { await go(AbortSignal.timeout(5)); }', [['timeout']]],
  ['in a generator', 'function* f() { yield AbortSignal.timeout(5); }', [['timeout']]],
  ['in a method', 'class A { f() { return AbortSignal.timeout(5); } }', [['timeout']]],
  ['in a field', 'class A { signal = AbortSignal.timeout(5); }', [['timeout']]],
  ['in a callback at the top', 'server.on("request", () => { AbortSignal.timeout(5); });', [['timeout']]],
  ['in a default', 'function f(signal = AbortSignal.timeout(5)) {}', [['timeout']]],
  [
    'in a function of a static block',
    'class A { static { go(() => AbortSignal.timeout(5)); } }',
    [['timeout']],
  ],
  ['both', 'function f(a) { return AbortSignal.any([a, AbortSignal.timeout(5)]); }', [['any'], ['timeout']]],
  [
    'in brackets',
    'function f() { return AbortSignal["timeout"](5) ?? AbortSignal[`any`]([]); }',
    [['timeout'], ['any']],
  ],
  ['by globalThis', 'function f() { return globalThis.AbortSignal.timeout(5); }', [['timeout']]],
  ['by a chain', 'function f() { return AbortSignal?.timeout?.(5); }', [['timeout']]],
  ['not called', 'function f() { return xs.map(AbortSignal.timeout); }', [['timeout']]],
  ['destructured', 'function f() { const { timeout: t, any } = AbortSignal; }', [['timeout'], ['any']]],
  ['the other is allowed', 'function f() { return AbortSignal.any([]); }', [['any']], allowTimeout],
  ['another function is allowed', 'function f() { return AbortSignal.any([]); }', [['any']], allowMain],
];

export const validSignals: readonly Case[] = validCases(valid);

export const invalidSignals: readonly InvalidCase[] = invalidCases(invalid);
