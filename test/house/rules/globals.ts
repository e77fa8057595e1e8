/** Who may touch the process and its timers, and that nobody touches Node's insides. */
import type { Argument } from 'oxc-parser';
import type { Breach, Module } from './module.js';

/** A name, or a member of a name, that only the files of one folder may write (nobody where absent). */
interface Ban {
  readonly rule: string;
  /** `console`, or `process.exit`. */
  readonly names: readonly string[];
  /** Modules that hand out the same thing under another name. */
  readonly modules?: readonly string[];
  readonly exceptIn?: string;
  readonly instead: string;
}

const bans: readonly Ban[] = [
  {
    rule: 'timers',
    names: ['setTimeout', 'setInterval', 'AbortSignal.timeout', 'AbortSignal.any'],
    modules: ['node:timers', 'node:timers/promises'],
    exceptIn: 'src/base/',
    instead: 'deadlines are those of base/context, so that they are counted and end with their owner',
  },
  {
    rule: 'process',
    names: ['console', 'process.exit', 'process.exitCode', 'process.abort', 'process.reallyExit'],
    modules: ['node:console', 'node:process'],
    exceptIn: 'src/cli/',
    instead: 'a library neither prints nor ends the process: throw, or publish an event',
  },
  {
    rule: 'internals',
    names: ['_handle', 'process.binding', 'process._linkedBinding'],
    // Looked for before it is used, measured, and tested on every Node.
    exceptIn: 'src/base/user-buffer.ts',
    instead: "only Node's public API: what is internal changes without notice",
  },
];

/**
 * Every use of a banned name, even as a property: `socket.setTimeout` is a timer too. `setTimeout` of a context,
 * which is told apart by the code that it takes, is what the rule asks for.
 */
export function checkGlobals(modules: readonly Module[]): readonly Breach[] {
  return modules.flatMap((module) =>
    bans
      .filter((ban) => !ban.exceptIn || !module.path.startsWith(ban.exceptIn))
      .flatMap((ban) => find(module, ban)),
  );
}

function find(module: Module, ban: Ban): readonly Breach[] {
  const breaches: Breach[] = [];
  const found = (name: string, at: number): void => {
    breaches.push({ rule: ban.rule, where: module.where(at), what: `${name}: ${ban.instead}` });
  };
  const deadlines = new Set<number>();
  const banned = (name: string, at: number): void => {
    if (ban.names.includes(name) && !deadlines.has(at)) found(name, at);
  };
  for (const { specifier, at } of module.references) {
    if (ban.modules?.includes(specifier)) found(specifier, at);
  }
  module.walk({
    CallExpression: ({ callee, arguments: given }) => {
      if (callee.type !== 'MemberExpression' || given.length !== 2) return;
      if (isErrorCode(given[1])) deadlines.add(callee.property.start);
    },
    Identifier: (node) => banned(node.name, node.start),
    MemberExpression: ({ object, property, computed, start }) => {
      const name = computed
        ? property.type === 'Literal' && property.value
        : property.type === 'Identifier' && property.name;
      if (typeof name !== 'string') return;
      // A computed name is no identifier, so it is looked at here: socket['_handle'].
      if (computed) banned(name, start);
      if (object.type === 'Identifier') banned(`${object.name}.${name}`, start);
      // globalThis.process.exit
      if (object.type === 'MemberExpression' && object.property.type === 'Identifier') {
        banned(`${object.property.name}.${name}`, start);
      }
    },
  });
  return breaches;
}

/** `'ERR_…'`, or a variable that is called `code`. */
function isErrorCode(argument: Argument | undefined): boolean {
  if (argument?.type === 'Identifier') return argument.name === 'code';
  return (
    argument?.type === 'Literal' && typeof argument.value === 'string' && argument.value.startsWith('ERR_')
  );
}
