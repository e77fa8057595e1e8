/** Contexts that are closed on every path, and contexts that are not. */
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

const validRows: readonly ValidRow[] = [
  // using
  ['using', body('using c = parent.withCancel(); await c.sleep(1);')],
  ['await using', body('await using c = parent.withTimeout(5);')],
  [
    'using in a loop',
    body('for (const x of xs) { using c = parent.withTimeout(5); if (x) continue; await c.sleep(x); }'),
  ],
  ['using in the head of a loop', body('for (using c = parent.withCancel(); go(); ) step();')],
  ['using under another name', body('const c = parent.withCancel(); using d = c;')],
  [
    'a stack that disposes',
    body('using s = new DisposableStack(); const c = s.use(parent.withCancel()); go(c.signal);'),
    strict,
  ],
  // closed
  ['closed at the end', body('const c = parent.withCancel(); c.close();')],
  ['closed with a cause', body('const c = parent.withDeadline(new Date(0)); c.close(new Error("x"));')],
  ['closed at once', body('parent.withCancel().close();')],
  ['disposed by its symbol', body('const c = parent.withCancel(); c[Symbol.dispose]();')],
  ['waited for until it closed', body('const c = parent.withTimeout(5); await c.done();')],
  ['waited for in place', body('await parent.withTimeout(5).done();')],
  [
    'in finally',
    body('const c = parent.withTimeout(5); try { return await go(c.signal); } finally { c.close(); }'),
  ],
  [
    'in finally, with return, throw and break',
    body(`for (;;) {
    const c = parent.withTimeout(5);
    try { if (a) return 1; if (b) throw new Error("x"); if (d) break; if (e) continue; go(c.signal); } finally { c.close(); }
  }`),
  ],
  [
    'in finally, made inside',
    body('let c; try { c = parent.withCancel(); await go(c.signal); } finally { c?.close(); }'),
  ],
  [
    'in finally, after a test',
    body('let c; try { c = parent.withCancel(); await go(c.signal); } finally { if (c) c.close(); }'),
  ],
  [
    'in finally, after a test by &&',
    body('let c; try { c = parent.withCancel(); } finally { c && c.close(); }'),
  ],
  [
    'in finally, after a comparison',
    body('let c = null; try { c = parent.withCancel(); } finally { if (c !== null) c.close(); }'),
  ],
  ['in both branches', body('const c = parent.withCancel(); if (a) { c.close(1); } else { c.close(2); }')],
  [
    'before an early return',
    body('const c = parent.withCancel(); if (a) { c.close(); return; } go(c.signal); c.close();'),
  ],
  [
    'before a throw',
    body('const c = parent.withCancel(); if (a) { c.close(); throw new Error("x"); } c.close();'),
  ],
  [
    'thrown to a catch, and closed after',
    body('const c = parent.withCancel(); try { throw new Error("x"); } catch { go(); } c.close();'),
  ],
  [
    'in all cases of a switch',
    body(
      'const c = parent.withCancel(); switch (a) { case 1: c.close(1); break; case 2: default: c.close(2); }',
    ),
  ],
  [
    'after a switch',
    body('const c = parent.withCancel(); switch (a) { case 1: go(); break; case 2: go(2); } c.close();'),
  ],
  [
    'in a loop, before continue and break',
    body(`while (a()) {
    const c = parent.withCancel(); if (b()) { c.close(); continue; } if (d()) { c.close(); break; } c.close();
  }`),
  ],
  ['a loop that never ends', body('const c = parent.withCancel(); for (;;) await c.sleep(1);')],
  ['made on one branch', body('const c = a ? parent.withCancel() : undefined; c?.close();')],
  ['a test that it is open', body('const c = parent.withTimeout(5); if (!c.closed) c.close();')],
  [
    'a return when it is closed',
    body('const c = parent.withTimeout(5); if (c.closed) return 1; c.close(); return 2;'),
  ],
  [
    'a return when it has failed',
    body('const c = parent.withTimeout(5); if (c.err) throw c.err; c.close();'),
  ],
  ['a loop until it closes', body('const c = parent.withTimeout(5); while (!c.closed) await step();')],
  [
    'a loop with an end until it closes',
    body('const c = parent.withTimeout(5); for (let i = 0; !c.closed; i++) await step(i);'),
  ],
  [
    'a do-while until it closes',
    body('const c = parent.withTimeout(5); do await step(); while (!c.closed);'),
  ],
  [
    'a test that there is one, and it is open',
    body('let c; if (a) c = parent.withCancel(); if (c && !c.closed) c.close();'),
  ],
  [
    'a test that there is none',
    body('let c; if (a) c = parent.withCancel(); if (!c || c.closed) return; c.close();'),
  ],
  [
    'a comparison with undefined',
    body('let c; if (a) c = parent.withCancel(); if (c === undefined) return; c.close();'),
  ],
  ['by another name', body('const c = parent.withCancel(); const d = c; d.close();')],
  [
    'one after the other',
    body('let c = parent.withCancel(); c.close(); c = parent.withTimeout(1); c.close();'),
  ],
  [
    'one where there is none',
    body('let c; for (const x of xs) { c ??= parent.withCancel(); go(x, c.signal); } c?.close();'),
  ],
  [
    'by a function inside',
    body('const c = parent.withCancel(); const stop = () => c.close(); go(c.signal); stop();'),
  ],
  [
    'by a function that is hoisted',
    body('const c = parent.withCancel(); go(c.signal); stop(); function stop() { c.close(); }'),
  ],
  [
    'by a function that calls another',
    body('const c = parent.withCancel(); const a = () => c.close(); const b = () => { a(); }; b();'),
  ],
  [
    'by a function called in finally',
    body(
      'const c = parent.withCancel(); const stop = () => { c.close(); }; try { await go(); } finally { stop(); }',
    ),
  ],
  [
    'by a function called at once',
    body(
      'const c = parent.withCancel(); await (async () => { try { await go(); } finally { c.close(); } })();',
    ),
  ],
  [
    'by a listener',
    body('const c = parent.withCancel(); socket.once("close", () => c.close()); return c.signal;'),
  ],
  [
    'by a named listener',
    body('const c = parent.withCancel(); const stop = () => c.close(); socket.once("close", stop);'),
  ],
  [
    'by a listener that was there before',
    body('let c; socket.once("close", () => c?.close()); c = parent.withCancel();'),
  ],
  ['by a promise', body('const c = parent.withCancel(); return go(c.signal).finally(() => c.close());')],
  [
    'by a method that is handed on',
    body('const c = parent.withCancel(); socket.once("close", c.close.bind(c));'),
  ],
  [
    'in a generator',
    body(
      'const c = parent.withCancel(); try { yield 1; yield 2; } finally { c.close(); }',
      'function* f(parent = Context.background)',
    ),
  ],
  [
    'in an async generator',
    body(
      'using c = parent.withCancel(); for await (const x of go(c.signal)) yield x;',
      'async function* f(parent = Context.background)',
    ),
  ],
  [
    'in finally, with a labelled continue',
    body(`outer: for (const x of xs) {
    const c = parent.withTimeout(5);
    try { for (const y of x) { if (y) continue outer; } } finally { c.close(); }
  }`),
  ],
  [
    'in finally, with a break of a switch',
    body('const c = parent.withCancel(); try { switch (a) { case 1: break; } } finally { c.close(); }'),
  ],
  [
    'in finally, out of a try in it',
    body(
      'for (;;) { const c = parent.withCancel(); try { try { if (a()) break; } finally { go(); } } finally { c.close(); } }',
    ),
  ],
  [
    'in finally, with a continue in a switch',
    body(
      'for (const x of xs) { const c = parent.withCancel(); try { switch (x) { case 1: continue; } } finally { c.close(); } }',
    ),
  ],
  [
    'in finally, with a jump to the outer of two labels',
    body(
      'outer: for (const x of xs) { const c = parent.withCancel(); try { inner: for (const y of x) continue outer; } finally { c.close(); } }',
    ),
  ],
  [
    'one where there is none already',
    body('let c = parent.withCancel(); c ??= parent.withTimeout(1); c.close();'),
  ],
];

const invalidRows: readonly InvalidRow[] = [
  // a path that leaves
  ['an early return', body('const c = parent.withCancel();\nif (a) return;\nc.close();'), [['left', 3]]],
  [
    'an early return with a value',
    body('const c = parent.withCancel();\nif (a) {\nreturn go(c.signal);\n}\nc.close();'),
    [['left', 4]],
  ],
  [
    'an early throw',
    body('const c = parent.withCancel();\nif (a) throw new Error("x");\nc.close();'),
    [['left', 3]],
  ],
  ['one branch', body('const c = parent.withCancel(); if (a) c.close();'), [['end']]],
  ['one branch of a conditional', body('const c = parent.withCancel(); a ? c.close() : go();'), [['end']]],
  ['one side of &&', body('const c = parent.withCancel(); a && c.close();'), [['end']]],
  ['a chain of another', body('const c = parent.withCancel(); a?.b(c.close());'), [['end']]],
  ['a default of another', body('const c = parent.withCancel(); const { x = c.close() } = a;'), [['end']]],
  [
    'try without finally',
    body('const c = parent.withCancel();\ntry { go(); c.close(); return; } catch {\nreturn;\n}'),
    [['left', 4]],
  ],
  ['only in the catch', body('const c = parent.withCancel(); try { go(); } catch { c.close(); }'), [['end']]],
  [
    'a throw that is not caught here',
    body('const c = parent.withCancel();\ntry { go(); } catch (e) {\nthrow e;\n}\nc.close();'),
    [['left', 4]],
  ],
  [
    'finally on one branch',
    body('const c = parent.withCancel(); try { go(); } finally { if (a) c.close(); }'),
    [['end']],
  ],
  [
    'a return through a finally',
    body('const c = parent.withCancel();\ntry {\nif (a) return;\n} finally { go(); }\nc.close();'),
    [['left', 4]],
  ],
  [
    'made before the try',
    body(
      'const c = parent.withCancel();\nif (!await go()) return;\ntry { go(c.signal); } finally { c.close(); }',
    ),
    [['left', 3]],
  ],
  [
    'a case of a switch',
    body(
      'const c = parent.withCancel(); switch (a) { case 1: c.close(); break; case 2: break; default: c.close(); }',
    ),
    [['end']],
  ],
  [
    'a switch without default',
    body('const c = parent.withCancel(); switch (a) { case 1: c.close(); }'),
    [['end']],
  ],
  [
    'a return in a switch',
    body('const c = parent.withCancel();\nswitch (a) {\ncase 1: return;\n}\nc.close();'),
    [['left', 4]],
  ],
  [
    'a loop that may not run',
    body('const c = parent.withCancel(); for (const x of xs) c.close(x);'),
    [['end']],
  ],
  ['a while that may not run', body('const c = parent.withCancel(); while (a()) c.close();'), [['end']]],
  [
    'a break out of a loop until it closes',
    body('const c = parent.withTimeout(5); while (!c.closed) { if (await step()) break; }'),
    [['never']],
  ],
  [
    'a break past the close',
    body('const c = parent.withCancel(); for (;;) { if (a()) break; if (b()) { c.close(); return; } }'),
    [['end']],
  ],
  [
    'a labelled break',
    body(
      'outer: for (;;) { const c = parent.withCancel(); for (;;) { if (a()) break outer; if (b()) break; } c.close(); }',
    ),
    [['end']],
  ],
  [
    'closed by a function on one branch',
    body('const c = parent.withCancel(); const stop = () => c.close(); if (a) stop();'),
    [['end']],
  ],
  [
    'a listener on one branch',
    body('const c = parent.withCancel(); if (a) a.once("close", () => c.close());'),
    [['end']],
  ],
  ['handed on, on one branch', body('const c = parent.withCancel(); if (a) this.c = c;'), [['end']]],
  [
    'returned on one branch',
    body('const c = parent.withCancel();\nif (a) return c;\nreturn 1;'),
    [['left', 4]],
  ],
  [
    'made on a branch, closed on another',
    body('let c; if (a) c = parent.withCancel(); if (b) c.close();'),
    [['end']],
  ],
  [
    'a test of another',
    body('let c; if (a) c = parent.withCancel(); if (!b) return; c?.close();'),
    [['left', 2]],
  ],
  [
    'an open context returns',
    body('const c = parent.withTimeout(5);\nif (!c.closed) return;\nc.close();'),
    [['left', 3]],
  ],
  [
    'a generator that returns',
    body(
      'const c = parent.withCancel();\nif (yield 1) return;\nc.close();',
      'function* f(parent = Context.background)',
    ),
    [['left', 3]],
  ],
  [
    'an arrow that returns',
    `import { Context } from 'sallyport/context'; export const f = async (a) => { const c = Context.background.withCancel();\nif (a) return;\nc.close(); };`,
    [['left', 2]],
  ],
  [
    'a call in try that may throw',
    body('const c = parent.withCancel();\ntry { go(); } finally { other(); }\nc.close();'),
    [['end']],
  ],
  [
    'a break past a finally that does not close',
    body('for (;;) { const c = parent.withCancel(); try { if (a()) break; } finally { go(); } c.close(); }'),
    [['end']],
  ],
  [
    'a break out of a finally',
    body('for (;;) { const c = parent.withCancel(); try { go(); } finally { if (a()) break; c.close(); } }'),
    [['end']],
  ],
  [
    'a continue past an inner finally',
    body(
      'for (const x of xs) { const c = parent.withCancel();\nfor (const y of x) { try { continue; } finally { c.close(); } } }',
    ),
    [['again']],
  ],
  // replaced
  [
    'replaced',
    body('let c = parent.withCancel();\nc = parent.withTimeout(5);\nc.close();'),
    [['replaced', 3]],
  ],
  [
    'replaced by its child',
    body('let c = parent.withCancel();\nc = c.withValue(key, 1);\nc.close();'),
    [['replaced', 3]],
  ],
  [
    'replaced by nothing',
    body('let c = parent.withCancel();\nc = undefined;\nc?.close();'),
    [['replaced', 3]],
  ],
  ['replaced in a loop', body('let c;\nwhile (a())\nc = parent.withCancel();\nc?.close();'), [['again']]],
  [
    'made anew in a loop',
    body('for (const x of xs) {\nconst c = parent.withCancel();\nif (x) continue;\nc.close(); }'),
    [['again']],
  ],
];

export const valid: readonly Case[] = validCases(validRows);
export const invalid: readonly InvalidCase[] = invalidCases(invalidRows);
