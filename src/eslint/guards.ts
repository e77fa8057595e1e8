/** Tests by which a path knows that a variable holds no open context: `if (c)`, `c.closed`, `c !== undefined`. */
import { is, isWrapper, memberName, type Node } from './ast.js';
import type { Edges, Paths } from './paths.js';
import type { Segment } from './rule.js';

/** The edges that no path takes while the variable that `identifiers` mean holds an open context. */
export function impossibleEdges(identifiers: readonly Node[], paths: Paths): Edges {
  const edges = new Map<Segment, Set<Segment>>();
  for (const identifier of identifiers) {
    const { test, goneIf } = testOf(identifier);
    const gone = startsOf(destination(test, goneIf), paths);
    const open = startsOf(destination(test, !goneIf), paths);
    if (gone.length === 0 && open.length === 0) continue;
    for (const segment of paths.at(identifier)) {
      const impossible = segment.nextSegments.filter((next) =>
        gone.length > 0 ? gone.includes(next) : !open.includes(next),
      );
      edges.set(segment, new Set([...(edges.get(segment) ?? []), ...impossible]));
    }
  }
  return edges;
}

function startsOf(node: Node | undefined, paths: Paths): readonly Segment[] {
  return node ? paths.startingAt(node) : [];
}

/** The expression that tests `identifier`, and the outcome that says there is no open context in it. */
function testOf(identifier: Node): { readonly test: Node; readonly goneIf: boolean } {
  const { parent } = identifier;
  if (is(parent, 'MemberExpression') && parent.object === identifier) {
    const name = memberName(parent);
    // `c?.closed` is not one: it is false, too, where there is no context.
    const tells = (name === 'closed' || name === 'err') && !isWrapper(parent.parent);
    return { test: tells ? parent : identifier, goneIf: tells };
  }
  if (is(parent, 'BinaryExpression')) {
    const other = parent.left === identifier ? parent.right : parent.left;
    const isNothing =
      other.type === 'Literal' ? 'value' in other && other.value === null : isUndefined(other);
    if (isNothing) return { test: parent, goneIf: parent.operator === '===' || parent.operator === '==' };
  }
  return { test: identifier, goneIf: false };
}

function isUndefined(node: Node): boolean {
  return is(node, 'Identifier') && node.name === 'undefined';
}

/** The node that is evaluated next when the condition `test` has this outcome; `undefined` where it is no condition, or nothing stands there. */
function destination(test: Node, outcome: boolean): Node | undefined {
  const { parent } = test;
  if (is(parent, 'UnaryExpression')) {
    return parent.operator === '!' ? destination(parent, !outcome) : undefined;
  }
  if (is(parent, 'LogicalExpression') && parent.operator !== '??') {
    const goesOn = parent.operator === '&&' ? outcome : !outcome;
    return parent.left === test && goesOn ? parent.right : destination(parent, outcome);
  }
  if (is(parent, 'IfStatement', 'ConditionalExpression') && parent.test === test) {
    return (outcome ? parent.consequent : parent.alternate) ?? undefined;
  }
  if (is(parent, 'WhileStatement', 'DoWhileStatement', 'ForStatement') && parent.test === test) {
    return outcome ? parent.body : undefined;
  }
  return undefined;
}
