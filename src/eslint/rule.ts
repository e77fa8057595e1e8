/** What ESLint and oxlint give a rule and take from it, as far as the rules here use it. */
import type { Node } from './ast.js';

export interface Reference {
  readonly identifier: Node;
  readonly resolved: Variable | null;
  isRead(): boolean;
  isWrite(): boolean;
}

export interface Variable {
  readonly name: string;
  readonly defs: readonly { readonly type: string; readonly name: Node; readonly node: Node }[];
  readonly references: readonly Reference[];
}

export interface Scope {
  readonly upper: Scope | null;
  readonly set: ReadonlyMap<string, Variable>;
}

export interface SourceCode {
  readonly text: string;
  getScope(node: Node): Scope;
  getDeclaredVariables(node: Node): readonly Variable[];
}

/** A piece of code without branches. */
export interface Segment {
  readonly id: string;
  readonly nextSegments: readonly Segment[];
  readonly reachable: boolean;
}

/** The branches of a function, a field's value, a static block or a program. */
export interface CodePath {
  readonly finalSegments: readonly Segment[];
}

export interface RuleContext {
  readonly options: readonly unknown[];
  readonly sourceCode: SourceCode;
  report(problem: {
    readonly node: Node;
    readonly messageId: string;
    readonly data?: Readonly<Record<string, string>>;
  }): void;
}

/** The handlers that the rules here have, by the names of the linters; a type, as linters ask for any other name, too. */
export type Visitor = {
  onCodePathStart?(path: CodePath, node: Node): void;
  onCodePathEnd?(path: CodePath, node: Node): void;
  onCodePathSegmentStart?(segment: Segment, node: Node): void;
  onCodePathSegmentEnd?(segment: Segment, node: Node): void;
  onUnreachableCodePathSegmentStart?(segment: Segment, node: Node): void;
  onUnreachableCodePathSegmentEnd?(segment: Segment, node: Node): void;
  Identifier?(node: Node): void;
  MemberExpression?(node: Node): void;
  ObjectPattern?(node: Node): void;
  'CallExpression:exit'?(node: Node): void;
  'AssignmentExpression:exit'?(node: Node): void;
  'VariableDeclarator:exit'?(node: Node): void;
  BreakStatement?(node: Node): void;
  ContinueStatement?(node: Node): void;
  'ReturnStatement:exit'?(node: Node): void;
  'ThrowStatement:exit'?(node: Node): void;
  'Program:exit'?(node: Node): void;
};

export interface Rule {
  readonly meta: {
    readonly type: 'problem';
    readonly docs: { readonly description: string; readonly recommended: boolean };
    readonly messages: Record<string, string>;
    readonly schema: [object];
  };
  /** @param context a `RuleContext`; `never`, so that the types of every linter take the rule for one of theirs */
  create(context: never): Visitor;
}

/** The variable that `name` means at `node`, or `undefined` for what no file declares. */
export function variableAt(sourceCode: SourceCode, node: Node, name: string): Variable | undefined {
  for (let scope: Scope | null = sourceCode.getScope(node); scope; scope = scope.upper) {
    const variable = scope.set.get(name);
    if (variable) return variable;
  }
  return undefined;
}

/** The first of a rule's options: an object, as its schema says. */
export function optionsOf(context: RuleContext): Readonly<Record<string, unknown>> {
  const [options] = context.options;
  return typeof options === 'object' && options !== null ? { ...options } : {};
}

/** The strings of an option that is a list of them. */
export function stringsOf(option: unknown): readonly string[] {
  return Array.isArray(option) ? option.filter((item): item is string => typeof item === 'string') : [];
}
