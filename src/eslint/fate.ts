/** What becomes of a value at the place where it stands: the first step that its surroundings take with it. */
import { is, isWrapper, memberName, type Node, type NodeOf } from './ast.js';

export type Fate =
  /** `close()` is called on it, or something that closes it in every case. */
  | { readonly kind: 'closed' }
  /** It is somebody else's now: returned, stored, thrown, yielded. */
  | { readonly kind: 'handed' }
  /** It is an argument of a call. */
  | { readonly kind: 'passed'; readonly call: NodeOf<'CallExpression' | 'NewExpression'> }
  /** It is kept in a variable. `at` is the declarator or the assignment; `using` closes it. */
  | {
      readonly kind: 'kept';
      readonly target: NodeOf<'Identifier'>;
      readonly at: Node;
      readonly using: boolean;
    }
  /** It is looked at, and not kept. */
  | { readonly kind: 'used' };

const closed: Fate = { kind: 'closed' };
const handed: Fate = { kind: 'handed' };
const used: Fate = { kind: 'used' };

/** What a value with one of these around it is given to. */
const takers: ReadonlySet<string> = new Set([
  'ArrayExpression',
  'ArrowFunctionExpression',
  'AssignmentPattern',
  'ExportDefaultDeclaration',
  'ExportSpecifier',
  'JSXExpressionContainer',
  'Property',
  'PropertyDefinition',
  'ReturnStatement',
  'ThrowStatement',
  'TSExportAssignment',
  'YieldExpression',
]);

/** What becomes of the value of the expression `node`. */
export function fateOf(node: Node): Fate {
  const { parent } = node;
  if (!parent) return used;
  if (isWrapper(parent) || is(parent, 'AwaitExpression')) return fateOf(parent);
  if (is(parent, 'ConditionalExpression')) return parent.test === node ? used : fateOf(parent);
  if (is(parent, 'LogicalExpression')) {
    return parent.left === node && parent.operator === '&&' ? used : fateOf(parent);
  }
  if (is(parent, 'SequenceExpression')) return parent.expressions.at(-1) === node ? fateOf(parent) : used;
  if (is(parent, 'MemberExpression')) return parent.object === node ? fateByMember(parent) : used;
  if (is(parent, 'CallExpression', 'NewExpression')) {
    return parent.callee === node ? used : fateAsArgument(parent);
  }
  if (is(parent, 'VariableDeclarator')) {
    if (!is(parent.id, 'Identifier')) return used;
    const using = is(parent.parent, 'VariableDeclaration') && parent.parent.kind.endsWith('using');
    return { kind: 'kept', target: parent.id, at: parent, using };
  }
  if (is(parent, 'AssignmentExpression')) return parent.right === node ? fateByAssignment(parent) : used;
  if (is(parent, 'Property') && parent.value !== node) return used;
  return takers.has(parent.type) ? handed : used;
}

/** `c.close()`, `c[Symbol.dispose]()`, `await c.done()`; `c.close` without a call is somebody else's to call. */
function fateByMember(member: NodeOf<'MemberExpression'>): Fate {
  const name = memberName(member);
  const disposes = member.computed && isSymbolDispose(member.property);
  const call = member.parent;
  const calls = is(call, 'CallExpression') && call.callee === member;
  if (name === 'close' || disposes) return calls ? closed : handed;
  // Resolves when it has closed, and never rejects.
  return name === 'done' && calls && is(call.parent, 'AwaitExpression') ? closed : used;
}

function isSymbolDispose(node: Node): boolean {
  if (!is(node, 'MemberExpression') || !is(node.object, 'Identifier')) return false;
  return node.object.name === 'Symbol' && memberName(node) === 'dispose';
}

/** A `DisposableStack` takes what it is given to `use` and `adopt`; others only may. */
function fateAsArgument(call: NodeOf<'CallExpression' | 'NewExpression'>): Fate {
  const method = is(call.callee, 'MemberExpression') ? memberName(call.callee) : undefined;
  return method === 'use' || method === 'adopt' ? handed : { kind: 'passed', call };
}

function fateByAssignment(assignment: NodeOf<'AssignmentExpression'>): Fate {
  const { left } = assignment;
  if (is(left, 'MemberExpression')) return handed;
  // The assignment has a value too: `return (c = parent.withCancel())`.
  const further = fateOf(assignment);
  if (further.kind !== 'used') return further;
  return is(left, 'Identifier') ? { kind: 'kept', target: left, at: assignment, using: false } : used;
}
