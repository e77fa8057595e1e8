/** What is a context of sallyport and what is not; the options of the rule; types. */
import {
  body,
  type Case,
  type InvalidCase,
  invalidCases,
  type InvalidRow,
  type Options,
  validCases,
  type ValidRow,
} from './cases.js';

const strict: [Options] = [{ strict: true }];
const anyReceiver: [Options] = [{ anyReceiver: true }];

const validRows: readonly ValidRow[] = [
  // not ours
  [
    'another member of the class',
    `import { Context } from 'sallyport/context'; const { other } = Context; other.withCancel();`,
  ],
  [
    'another parameter in Context.run',
    body('await Context.run(parent, {}, (child, other) => { other.withTimeout(5); });'),
  ],
  ['a Context from elsewhere', `import { Context } from 'koa'; Context.background.withCancel();`],
  ['a Context of its own', 'class Context {} Context.background.withCancel();'],
  ['a Context from nowhere', 'Context.background.withCancel();'],
  ['another receiver', body('other.withTimeout(5); this.other.withValue(1, 2);')],
  ['another method', body('parent.withNothing(); parent.sleep(1);')],
  [
    'Context.run',
    body('await Context.run(parent, { timeout: 5 }, async (child) => { await child.sleep(1); });'),
  ],
  [
    'a namespace of something else',
    `import * as context from 'elsewhere'; context.Context.background.withCancel();`,
  ],
  ['passed to what disposes, strictly', body('stack.use(parent.withCancel());'), strict],
  [
    'closed by a listener, strictly',
    body('const c = parent.withCancel(); socket.once("close", () => c.close());'),
    strict,
  ],
  ['passed and closed, strictly', body('using c = parent.withCancel(); await go(c);'), strict],
  ['child() of something else, by any receiver', body('logger.child({ a: 1 });'), anyReceiver],
  ['child(), closed', body('using c = parent.child({ timeout: 5 }); go(c.signal);')],
  ['any receiver', body('using a = x.y.withCancel(); z().withTimeout(5).close();'), anyReceiver],
];

const invalidRows: readonly InvalidRow[] = [
  ['child()', body('const c = parent.child({ timeout: 5 }); return c.signal;'), [['never']]],
  ['child() by any receiver', body('parent.child({});'), [['dropped']], anyReceiver],
  [
    'the child of Context.race',
    body('await Context.race(parent, {}, [async (child) => { child.child({}); }, other]);'),
    [['dropped']],
  ],
  ['the parent of Context.race', body('await Context.race(parent.child({}), {}, []);'), [['passed']]],
  // who is a context
  ['Context.current()', body('Context.current().withCancel();'), [['dropped']]],
  [
    'another name of the class',
    `import { Context as C } from 'sallyport/context'; C.background.withCancel();`,
    [['dropped']],
  ],
  [
    'a namespace',
    `import * as context from 'sallyport/context'; context.Context.background.withCancel();`,
    [['dropped']],
  ],
  [
    'a module of sallyport',
    `import { Context } from 'sallyport'; Context.background.withCancel();`,
    [['dropped']],
  ],
  [
    'a file that exports it again',
    `import { Context } from './context.js'; Context.background.withCancel();`,
    [['dropped']],
  ],
  [
    'a package that exports it again',
    `import { Context } from 'ours'; Context.background.withCancel();`,
    [['dropped']],
    [{ modules: ['ours'] }],
  ],
  [
    'require',
    `const { Context } = require('sallyport/context'); Context.background.withCancel();`,
    [['dropped']],
  ],
  [
    'import()',
    `const { Context: C } = await import('sallyport/context'); C.background.withCancel();`,
    [['dropped']],
  ],
  [
    'a module that was required',
    `const context = require('sallyport/context'); context.Context.background.withCancel();`,
    [['dropped']],
  ],
  [
    'background, destructured',
    `import { Context } from 'sallyport/context'; const { background } = Context; background.withCancel();`,
    [['dropped']],
  ],
  ['a name in brackets', body(`parent['withTimeout'](5);`), [['dropped']]],
  ['a variable', body('const root = Context.background; root.withCancel();'), [['dropped']]],
  [
    'a variable that is assigned',
    body('let root; root = Context.root(wheel); root.withCancel();'),
    [['dropped']],
  ],
  ['a child in using', body('using c = parent.withCancel(); c.withTimeout(5);'), [['dropped']]],
  [
    'one or the other',
    body(
      '(other ?? parent).withCancel(); (parent ?? other).withCancel(); (a ? parent : other).withCancel();',
    ),
    [['dropped'], ['dropped'], ['dropped']],
  ],
  [
    'the child of Context.run',
    body('await Context.run(parent, {}, async (child) => { child.withTimeout(5); });'),
    [['dropped']],
  ],
  [
    'a field',
    `import { Context } from 'sallyport/context'; export class A { #c = Context.background; f() { this.#c.withCancel(); } }`,
    [['dropped']],
  ],
  ['any receiver', 'x.y.withCancel();', [['dropped']], anyReceiver],
  // strict
  ['passed, strictly', body('go(parent.withCancel());'), [['passed']], strict],
  ['passed later, strictly', body('const c = parent.withCancel(); await go(c);'), [['never']], strict],
  [
    'passed to a constructor, strictly',
    body('const c = parent.withCancel(); return new Server(c);'),
    [['never']],
    strict,
  ],
  [
    'two at once',
    body('parent.withCancel(); const c = parent.withCancel(); go(c.signal);'),
    [['dropped'], ['never']],
  ],
];

export const valid: readonly Case[] = validCases(validRows);
export const invalid: readonly InvalidCase[] = invalidCases(invalidRows);

/** With type annotations: for oxlint alone, whose parser has them. */
const typed = (parameter: string, code: string): string =>
  `import { type Context } from 'sallyport/context'; export function f(${parameter}) { ${code} }`;

export const validTyped: readonly Case[] = [
  { name: 'a parameter of another type', code: typed('c: Other', 'c.withCancel();') },
  { name: 'a parameter that closes', code: typed('c: Context', 'using d = c.withCancel() as Context;') },
  { name: 'not null', code: typed('c: Context', 'let d: Context | undefined = c.withCancel(); d!.close();') },
  {
    name: 'another Context',
    code: `import type { Context } from 'koa'; export function f(c: Context) { c.withCancel(); }`,
  },
];

export const invalidTyped: readonly InvalidCase[] = [
  { name: 'a parameter', code: typed('c: Context', 'c.withCancel();'), errors: [['dropped']] },
  {
    name: 'a parameter with a default',
    code: typed('c: Context = x', 'c.withCancel();'),
    errors: [['dropped']],
  },
  { name: 'an arrow', code: typed('', 'return (c: Context) => { c.withCancel(); };'), errors: [['dropped']] },
  {
    name: 'an assertion',
    code: typed('c: Context', 'const d = c!.withCancel() as Context; d.sleep(1);'),
    errors: [['never']],
  },
  {
    name: 'a field',
    code: `import type { Context } from 'sallyport/context'; export class A { readonly #c: Context; f() { const d = this.#c.withCancel(); return d.signal; } }`,
    errors: [['never']],
  },
];
