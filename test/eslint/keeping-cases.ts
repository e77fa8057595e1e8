/** Contexts that are handed on, dropped, or kept and never closed. */
import {
  body,
  type Case,
  type InvalidCase,
  invalidCases,
  type InvalidRow,
  validCases,
  type ValidRow,
} from './cases.js';

const validRows: readonly ValidRow[] = [
  // handed on
  ['returned', body('return parent.withCancel();')],
  [
    'returned by an arrow',
    `import { Context } from 'sallyport/context'; const f = () => Context.background.withCancel();`,
  ],
  ['returned later', body('const c = parent.withCancel(); go(c.signal); return c;')],
  ['returned or closed', body('const c = parent.withCancel(); if (a) return c; c.close();')],
  ['returned as it is assigned', body('let c; return (c = parent.withCancel());')],
  ['returned in an object', body('const c = parent.withCancel(); return { c, a };')],
  [
    'returned with its end',
    body('const c = parent.withCancel(); return { signal: c.signal, stop() { c.close(); } };'),
  ],
  ['yielded', body('yield parent.withCancel();', 'function* f(parent = Context.background)')],
  ['stored in a property', body('this.context = parent.withCancel();')],
  ['stored in a property later', body('const c = parent.withCancel(); this.context = c;')],
  [
    'stored in a field',
    `import { Context } from 'sallyport/context'; class A { #c = Context.background.withCancel(); }`,
  ],
  ['stored in an array', body('const all = [parent.withCancel()]; return all;')],
  ['stored by push', body('all.push(parent.withCancel());')],
  ['passed', body('go(parent.withCancel());')],
  ['passed later', body('const c = parent.withCancel(); await go(c);')],
  ['passed to a constructor', body('const c = parent.withCancel(); return new Server(c);')],
  [
    'exported',
    `import { Context } from 'sallyport/context'; export const c = Context.background.withCancel();`,
  ],
  [
    'exported later',
    `import { Context } from 'sallyport/context'; const c = Context.background.withCancel(); export { c };`,
  ],
  [
    'exported with its end',
    `import { Context } from 'sallyport/context'; const c = Context.background.withCancel(); export function stop() { c.close(); }`,
  ],
  [
    'kept by the module',
    `import { Context } from 'sallyport/context'; let c; export function start() { c = Context.background.withCancel(); } export function stop() { c.close(); }`,
  ],
  [
    'kept by a function around',
    body('let c; const start = () => { c = parent.withCancel(); }; start(); return () => c.close();'),
  ],
  ['not reached', body('return; parent.withCancel();')],
];

const invalidRows: readonly InvalidRow[] = [
  // dropped
  ['made and dropped', body('parent.withCancel();'), [['dropped']]],
  ['dropped after await', body('await parent.withTimeout(5);'), [['dropped']]],
  ['dropped in a void', body('void parent.withTimeout(5);'), [['dropped']]],
  ['dropped in a test', body('if (parent.withTimeout(5)) go();'), [['dropped']]],
  ['dropped by &&', body('a && parent.withTimeout(5);'), [['dropped']]],
  ['dropped in a sequence', body('return (parent.withTimeout(5), 1);'), [['dropped']]],
  ['only its signal kept', body('return parent.withTimeout(5).signal;'), [['dropped']]],
  [
    'only its signal passed',
    body('await fetch(url, { signal: parent.withTimeout(5).signal });'),
    [['dropped']],
  ],
  [
    'only its signal destructured',
    body('const { signal } = parent.withTimeout(5); return signal;'),
    [['dropped']],
  ],
  [
    'destructured by assignment',
    body('let signal; ({ signal } = parent.withTimeout(5)); return signal;'),
    [['dropped']],
  ],
  ['a child of a child', body('using c = parent.withCancel().withValue(key, 1);'), [['dropped']]],
  ['slept on', body('await parent.withTimeout(50).sleep(5);'), [['dropped']]],
  ['the parent of Context.run', body('await Context.run(parent.withCancel(), {}, go);'), [['passed']]],
  ['done, but nobody waits', body('const p = parent.withTimeout(5).done();'), [['dropped']]],
  // never closed
  ['never closed', body('const c = parent.withCancel(); await c.sleep(5);'), [['never']]],
  ['never closed with let', body('let c = parent.withValue(key, 1); go(c.value(key));'), [['never']]],
  [
    'never closed, in a program',
    `import { Context } from 'sallyport/context'; const c = Context.background.withCancel(); c.sleep(1);`,
    [['never']],
  ],
  [
    'only a child is closed',
    body('const c = parent.withCancel(); using d = c.withTimeout(5); await d.sleep(1);'),
    [['never']],
  ],
  ['its signal returned', body('const c = parent.withTimeout(5); return c.signal;'), [['never']]],
  [
    'used by a function inside',
    body('const c = parent.withTimeout(5); await (async () => { await c.sleep(1); })();'),
    [['never']],
  ],
  [
    'closed by a function that nobody calls',
    body('const c = parent.withTimeout(5); const stop = () => c.close(); go();'),
    [['never']],
  ],
  [
    'another name, never closed',
    body('const c = parent.withCancel(); const d = c; await d.sleep(1);'),
    [['never']],
  ],
  [
    'kept by the module, never closed',
    `import { Context } from 'sallyport/context'; let c; export function start() { c = Context.background.withCancel(); }`,
    [['never']],
  ],
  [
    'the parent of Context.run, kept',
    body('const c = parent.withCancel(); await Context.run(c, {}, go);'),
    [['never']],
  ],
  [
    'in a method',
    `import { Context } from 'sallyport/context'; class A { f() { const c = Context.background.withCancel(); return c.signal; } }`,
    [['never']],
  ],
  [
    'in a static block',
    `import { Context } from 'sallyport/context'; class A { static { const c = Context.background.withCancel(); } }`,
    [['never']],
  ],
  [
    'in a getter',
    `import { Context } from 'sallyport/context'; export const a = { get b() { const c = Context.background.withCancel(); return c.signal; } };`,
    [['never']],
  ],
];

export const valid: readonly Case[] = validCases(validRows);
export const invalid: readonly InvalidCase[] = invalidCases(invalidRows);
