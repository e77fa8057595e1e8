/** `break` and `continue` out of a `try`: code path analysis has them jump past its `finally`. */
import { is, isFunction, type Node } from './ast.js';

/** A `break` or `continue`, and the `finally` blocks that run before it arrives. */
export interface Jump {
  readonly node: Node;
  readonly finalizers: readonly Node[];
}

const loops: ReadonlySet<string> = new Set([
  'DoWhileStatement',
  'ForInStatement',
  'ForOfStatement',
  'ForStatement',
  'WhileStatement',
]);

/** The jump that the statement `node` is; `undefined` where no `finally` is on its way. */
export function jumpOf(node: Node): Jump | undefined {
  const finalizers: Node[] = [];
  let child = node;
  for (let { parent } = node; parent && !isTarget(parent, node); child = parent, { parent } = parent) {
    if (isFunction(parent)) break;
    if (is(parent, 'TryStatement') && parent.finalizer && parent.finalizer !== child) {
      finalizers.push(parent.finalizer);
    }
  }
  return finalizers.length > 0 ? { node, finalizers } : undefined;
}

/** Whether `jump` leads to, or out of, `statement`. */
function isTarget(statement: Node, jump: Node): boolean {
  if (!is(jump, 'BreakStatement', 'ContinueStatement')) return false;
  if (is(jump.label, 'Identifier')) {
    if (!is(statement, 'LabeledStatement') || !is(statement.label, 'Identifier')) return false;
    return statement.label.name === jump.label.name;
  }
  if (loops.has(statement.type)) return true;
  return jump.type === 'BreakStatement' && statement.type === 'SwitchStatement';
}

/** Those of `jumps` that pass one of `nodes` in a `finally`. */
export function jumpsPast(nodes: ReadonlySet<Node>, jumps: readonly Jump[]): readonly Node[] {
  const passes = ({ finalizers }: Jump): boolean =>
    finalizers.some((finalizer) => [...nodes].some((node) => isInside(node, finalizer)));
  return jumps.filter(passes).map(({ node }) => node);
}

function isInside(node: Node, outer: Node): boolean {
  for (let at: Node | null | undefined = node; at; at = at.parent) if (at === outer) return true;
  return false;
}
