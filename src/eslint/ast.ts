/** The nodes of ESTree that the rules look at, and how one walks among them. No parser's own types: any will do. */

/** What all nodes have. `parent` is set by the linter. */
export interface Node {
  readonly type: string;
  readonly parent?: Node | null;
  readonly range: [number, number];
  readonly loc?: { readonly start: { readonly line: number } } | null;
}

interface FunctionNode extends Node {
  readonly id?: Node | null;
  readonly params: readonly Node[];
  readonly body: Node;
}

interface Wrapper extends Node {
  readonly expression: Node;
}

interface Nodes {
  Program: Node & { readonly body: readonly Node[] };
  Identifier: Node & { readonly name: string; readonly typeAnnotation?: Node | null };
  PrivateIdentifier: Node & { readonly name: string };
  Literal: Node & { readonly value?: unknown };
  TemplateLiteral: Node & {
    readonly quasis: readonly { readonly value: { readonly cooked?: string | null } }[];
  };
  MemberExpression: Node & { readonly object: Node; readonly property: Node; readonly computed: boolean };
  CallExpression: Node & { readonly callee: Node; readonly arguments: readonly Node[] };
  NewExpression: Node & { readonly callee: Node; readonly arguments: readonly Node[] };
  AwaitExpression: Node & { readonly argument: Node };
  UnaryExpression: Node & { readonly operator: string; readonly argument: Node };
  BinaryExpression: Node & { readonly operator: string; readonly left: Node; readonly right: Node };
  LogicalExpression: Node & { readonly operator: string; readonly left: Node; readonly right: Node };
  AssignmentExpression: Node & { readonly operator: string; readonly left: Node; readonly right: Node };
  AssignmentPattern: Node & { readonly left: Node; readonly right: Node };
  ConditionalExpression: Node & {
    readonly test: Node;
    readonly consequent: Node;
    readonly alternate: Node;
  };
  SequenceExpression: Node & { readonly expressions: readonly Node[] };
  ImportExpression: Node & { readonly source: Node };
  VariableDeclaration: Node & { readonly kind: string };
  VariableDeclarator: Node & { readonly id: Node; readonly init?: Node | null };
  Property: Node & { readonly key: Node; readonly value: Node; readonly computed: boolean };
  MethodDefinition: Node & { readonly key: Node; readonly computed: boolean };
  ObjectPattern: Node & { readonly properties: readonly Node[] };
  PropertyDefinition: Node & {
    readonly key: Node;
    readonly value?: Node | null;
    readonly computed: boolean;
    readonly static: boolean;
    readonly typeAnnotation?: Node | null;
  };
  ClassBody: Node & { readonly body: readonly Node[] };
  IfStatement: Node & { readonly test: Node; readonly consequent: Node; readonly alternate?: Node | null };
  WhileStatement: Node & { readonly test: Node; readonly body: Node };
  DoWhileStatement: Node & { readonly test: Node; readonly body: Node };
  ForStatement: Node & { readonly test?: Node | null; readonly body: Node };
  BreakStatement: Node & { readonly label?: Node | null };
  ContinueStatement: Node & { readonly label?: Node | null };
  LabeledStatement: Node & { readonly label: Node };
  TryStatement: Node & { readonly finalizer?: Node | null };
  ImportDeclaration: Node & { readonly source: Node & { readonly value?: unknown } };
  ImportSpecifier: Node & { readonly imported: Node; readonly local: Node };
  FunctionDeclaration: FunctionNode;
  FunctionExpression: FunctionNode;
  ArrowFunctionExpression: FunctionNode;
  ChainExpression: Wrapper;
  TSAsExpression: Wrapper;
  TSNonNullExpression: Wrapper;
  TSSatisfiesExpression: Wrapper;
  TSTypeAssertion: Wrapper;
  TSTypeAnnotation: Node & { readonly typeAnnotation: Node };
  TSTypeReference: Node & { readonly typeName: Node };
}

export type NodeOf<Type extends keyof Nodes> = Nodes[Type];

/** Whether `node` is of one of these types. */
export function is<Type extends keyof Nodes>(
  node: Node | null | undefined,
  ...types: readonly Type[]
): node is Nodes[Type] {
  return node ? (types as readonly string[]).includes(node.type) : false;
}

/** A function in any of its forms. */
export function isFunction(node: Node | null | undefined): node is FunctionNode {
  return is(node, 'FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression');
}

/** The value of a string written in place, or `undefined`. */
export function stringOf(node: Node): string | undefined {
  if (is(node, 'Literal')) return typeof node.value === 'string' ? node.value : undefined;
  if (!is(node, 'TemplateLiteral') || node.quasis.length !== 1) return undefined;
  return node.quasis[0]?.value.cooked ?? undefined;
}

/** The name of a member, a property or a field where it can be read: `a.b`, `a['b']`, `a.#b` (with its `#`). */
export function keyOf(key: Node, computed: boolean): string | undefined {
  if (is(key, 'PrivateIdentifier')) return `#${key.name}`;
  if (!computed && is(key, 'Identifier')) return key.name;
  return stringOf(key);
}

/** As `keyOf`, for `a.b`. */
export function memberName(node: NodeOf<'MemberExpression'>): string | undefined {
  return keyOf(node.property, node.computed);
}

const wrappers = [
  'ChainExpression',
  'TSAsExpression',
  'TSNonNullExpression',
  'TSSatisfiesExpression',
  'TSTypeAssertion',
] as const;

/** Whether `node` hands the value of its one expression through. */
export function isWrapper(node: Node | null | undefined): node is NodeOf<(typeof wrappers)[number]> {
  return is(node, ...wrappers);
}

/** The expression inside `?.` chains, type assertions and `await`. */
export function unwrap(node: Node): Node {
  let inner = node;
  for (;;) {
    if (isWrapper(inner)) inner = inner.expression;
    else if (is(inner, 'AwaitExpression')) inner = inner.argument;
    else return inner;
  }
}

/** The function, field, static block or program whose code `node` is part of; a function is part of the one around it. */
export function homeOf(node: Node): Node | undefined {
  let child = node;
  for (let { parent } = node; parent; child = parent, { parent } = parent) {
    if (isFunction(parent) || parent.type === 'StaticBlock' || parent.type === 'Program') return parent;
    if (is(parent, 'PropertyDefinition') && parent.value === child) return parent;
  }
  return undefined;
}

/** The nearest node of `type` around `node`. */
export function around<Type extends keyof Nodes>(node: Node, type: Type): Nodes[Type] | undefined {
  for (let { parent } = node; parent; { parent } = parent) if (is(parent, type)) return parent;
  return undefined;
}

/** The line that `node` begins on, for messages. */
export function lineOf(node: Node): string {
  return String(node.loc?.start.line ?? '?');
}
