/** Where a variable's context is taken care of: by its uses, by its other names, by functions that it is part of. */
import { homeOf, is, isFunction, type Node } from './ast.js';
import type { ContextNames } from './context-names.js';
import { fateOf } from './fate.js';
import { type Reference, type SourceCode, type Variable, variableAt } from './rule.js';

/** The nodes of the code around a context at which it is taken care of; `always` where something else sees to it. */
export type Endings = ReadonlySet<Node> | 'always';

export class EndingFinder {
  readonly #sourceCode: SourceCode;
  readonly #names: ContextNames;
  readonly #strict: boolean;

  /** @param strict a context that is an argument of a call is not taken care of by that */
  constructor(sourceCode: SourceCode, names: ContextNames, strict: boolean) {
    this.#sourceCode = sourceCode;
    this.#names = names;
    this.#strict = strict;
  }

  /** Where the context that `made` gives is taken care of when it is kept in `variable`. */
  endingsOf(variable: Variable, made: Node): Endings {
    if (isExported(variable)) return 'always';
    const home = homeOf(made);
    const uses = this.#usesThatEnd(variable, new Set());
    if (!home || !variable.defs.some(({ name }) => homeOf(name) === home)) {
      // It outlives the code that makes it: as with a property, somebody has to see to it somewhere.
      return uses.length > 0 ? 'always' : new Set();
    }
    const endings = new Set<Node>();
    for (const use of uses) {
      const places = this.#placesIn(home, use, made, new Set());
      if (places === 'always') return 'always';
      for (const place of places) endings.add(place);
    }
    return endings;
  }

  /** Whether what stands at `node` is taken care of there. */
  isEnd(node: Node): boolean {
    const fate = fateOf(node);
    if (fate.kind === 'passed') {
      // The parent of Context.run stays its owner's.
      return !this.#strict && !(is(fate.call, 'CallExpression') && this.#names.isRun(fate.call));
    }
    return fate.kind === 'closed' || fate.kind === 'handed' || (fate.kind === 'kept' && fate.using);
  }

  #usesThatEnd(variable: Variable, seen: Set<Variable>): readonly Node[] {
    if (seen.has(variable)) return [];
    seen.add(variable);
    return reads(variable).flatMap((identifier) => {
      if (this.isEnd(identifier)) return [identifier];
      const fate = fateOf(identifier);
      if (fate.kind !== 'kept') return [];
      const other = variableAt(this.#sourceCode, fate.target, fate.target.name);
      if (!other) return [identifier];
      return isExported(other) ? [identifier] : this.#usesThatEnd(other, seen);
    });
  }

  /** Where in the code of `home` the use at `node`, perhaps in a function inside, happens or is arranged. */
  #placesIn(home: Node, node: Node, made: Node, seen: Set<Node>): readonly Node[] | 'always' {
    let inner = homeOf(node);
    if (inner === home) return [node];
    for (let outer = inner && homeOf(inner); outer !== home; inner = outer, outer = inner && homeOf(inner)) {
      if (!outer) return 'always';
    }
    if (!inner || seen.has(inner)) return [];
    seen.add(inner);
    if (!isFunction(inner)) return 'always';
    const name = this.#nameOf(inner);
    if (!name) return isBefore(inner, made) ? 'always' : [inner];
    if (isExported(name)) return 'always';
    const places: Node[] = [];
    for (const identifier of reads(name)) {
      const { parent } = identifier;
      const isCall = is(parent, 'CallExpression') && parent.callee === identifier;
      // Given away before there was a context to close: it is there when it is needed.
      if (!isCall && (isBefore(identifier, made) || parent?.type === 'ExportSpecifier')) return 'always';
      const found = this.#placesIn(home, identifier, made, seen);
      if (found === 'always') return 'always';
      places.push(...found);
    }
    return places;
  }

  /** The variable by which alone the function `node` is known. */
  #nameOf(node: Node): Variable | undefined {
    if (is(node, 'FunctionDeclaration')) {
      return this.#sourceCode
        .getDeclaredVariables(node)
        .find(({ defs }) => defs.some(({ name }) => name === node.id));
    }
    const { parent } = node;
    if (!is(parent, 'VariableDeclarator') || parent.init !== node) return undefined;
    const [variable] = this.#sourceCode.getDeclaredVariables(parent);
    return variable;
  }
}

function reads(variable: Variable): readonly Node[] {
  return variable.references
    .filter((reference: Reference) => reference.isRead())
    .map((each) => each.identifier);
}

/** Whether another file can reach `variable`. */
function isExported(variable: Variable): boolean {
  return (
    variable.defs.some(({ node }) => {
      const declaration = is(node, 'VariableDeclarator') ? node.parent : node;
      return /^Export(Named|Default)Declaration$/.test(declaration?.parent?.type ?? '');
    }) || variable.references.some(({ identifier }) => identifier.parent?.type === 'ExportSpecifier')
  );
}

function isBefore(node: Node, other: Node): boolean {
  return node.range[0] < other.range[0];
}
