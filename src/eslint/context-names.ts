/** Which expressions are contexts of sallyport, as far as a file tells by itself. */
import {
  around,
  is,
  isFunction,
  keyOf,
  memberName,
  type Node,
  type NodeOf,
  stringOf,
  unwrap,
} from './ast.js';
import { type SourceCode, type Variable, variableAt } from './rule.js';

/** The methods that make a context which has to be closed. */
const makers: ReadonlySet<string> = new Set([
  'withCancel',
  'withTimeout',
  'withDeadline',
  'withValue',
  'child',
]);

/** Whether code that has none of these words makes no context. */
export const mention = new RegExp(`\\b(?:${[...makers].join('|')})\\b`);

/** What gives a context that somebody else closes: `Context.background`, `Context.current()`, `Context.root(wheel)`. */
const sources: ReadonlySet<string> = new Set(['background', 'current', 'root']);

/** The method by which `node` would make a context, if what it is called on is one. */
export function makerOf(node: NodeOf<'CallExpression'>): string | undefined {
  if (!is(node.callee, 'MemberExpression')) return undefined;
  const name = memberName(node.callee);
  return name !== undefined && makers.has(name) ? name : undefined;
}

export class ContextNames {
  readonly #sourceCode: SourceCode;
  readonly #modules: ReadonlySet<string>;
  readonly #known = new Map<Variable, boolean>();

  /** @param modules that export `Context`, beside relative ones: a file of one's own that exports it again */
  constructor(sourceCode: SourceCode, modules: readonly string[]) {
    this.#sourceCode = sourceCode;
    this.#modules = new Set(modules);
  }

  /** Whether the value of `expression` is a context. */
  isContext(expression: Node): boolean {
    const node = unwrap(expression);
    if (is(node, 'Identifier')) {
      const variable = variableAt(this.#sourceCode, node, node.name);
      return variable !== undefined && this.#holdsContext(variable);
    }
    if (is(node, 'MemberExpression')) {
      if (memberName(node) === 'background' && this.isContextClass(node.object)) return true;
      return node.object.type === 'ThisExpression' && this.#isContextField(node);
    }
    if (is(node, 'CallExpression') && is(node.callee, 'MemberExpression')) {
      const name = memberName(node.callee) ?? '';
      if (makers.has(name)) return this.isContext(node.callee.object);
      return sources.has(name) && this.isContextClass(node.callee.object);
    }
    if (is(node, 'LogicalExpression')) return this.isContext(node.left) || this.isContext(node.right);
    if (is(node, 'ConditionalExpression')) {
      return this.isContext(node.consequent) || this.isContext(node.alternate);
    }
    return is(node, 'AssignmentExpression') && this.isContext(node.right);
  }

  /** Whether `expression` is the class `Context` itself. */
  isContextClass(expression: Node): boolean {
    const node = unwrap(expression);
    if (is(node, 'MemberExpression')) {
      return memberName(node) === 'Context' && this.#isModule(node.object);
    }
    if (!is(node, 'Identifier')) return false;
    const variable = variableAt(this.#sourceCode, node, node.name);
    return variable !== undefined && this.#isImported(variable, 'Context');
  }

  /** Whether `expression` is a module that exports `Context`, as a whole. */
  #isModule(expression: Node): boolean {
    const node = unwrap(expression);
    if (is(node, 'ImportExpression')) return this.#exportsContext(stringOf(node.source));
    if (is(node, 'CallExpression')) {
      const [source] = node.arguments;
      if (!source || !is(node.callee, 'Identifier') || node.callee.name !== 'require') return false;
      return this.#exportsContext(stringOf(source));
    }
    if (!is(node, 'Identifier')) return false;
    const definition = variableAt(this.#sourceCode, node, node.name)?.defs[0];
    if (definition?.node.type === 'ImportNamespaceSpecifier') return this.#isFrom(definition.node);
    if (!is(definition?.node, 'VariableDeclarator') || definition.node.id !== definition.name) return false;
    return definition.node.init ? this.#isModule(definition.node.init) : false;
  }

  #exportsContext(specifier: string | undefined): boolean {
    return specifier !== undefined && (/^\.\.?\//.test(specifier) || this.#modules.has(specifier));
  }

  /** Whether the import that `specifier` is part of is from a module that exports `Context`. */
  #isFrom({ parent }: Node): boolean {
    return is(parent, 'ImportDeclaration') && this.#exportsContext(stringOf(parent.source));
  }

  /** Whether `variable` is what such a module exports by the name `exported`. */
  #isImported(variable: Variable, exported: string): boolean {
    const [definition] = variable.defs;
    if (!definition) return false;
    if (is(definition.node, 'ImportSpecifier')) {
      const { imported } = definition.node;
      const name = is(imported, 'Identifier') ? imported.name : stringOf(imported);
      return name === exported && this.#isFrom(definition.node);
    }
    const from = destructuredFrom(definition.name, definition.node);
    return from !== undefined && from.key === exported && this.#isModule(from.object);
  }

  #holdsContext(variable: Variable): boolean {
    const known = this.#known.get(variable);
    if (known !== undefined) return known;
    this.#known.set(variable, false); // while it is asked: `c = c.withCancel()`
    const holds =
      variable.defs.some(({ name, node }) => this.#definesContext(name, node)) ||
      variable.references.some(({ identifier }) => {
        const { parent } = identifier;
        return (
          is(parent, 'AssignmentExpression') && parent.left === identifier && this.isContext(parent.right)
        );
      });
    this.#known.set(variable, holds);
    return holds;
  }

  /** @param node what declares `name`: a declarator, or the function that it is a parameter of */
  #definesContext(name: Node, node: Node): boolean {
    if (is(name, 'Identifier') && this.#isContextType(name.typeAnnotation, name)) return true;
    if (is(node, 'VariableDeclarator') && node.init) {
      if (node.id === name) return this.isContext(node.init);
      const from = destructuredFrom(name, node);
      return from?.key === 'background' && this.isContextClass(from.object);
    }
    if (!isFunction(node)) return false;
    if (is(name.parent, 'AssignmentPattern') && name.parent.left === name) {
      return this.isContext(name.parent.right);
    }
    // Context.run(parent, options, (child) => …), Context.race(parent, options, [(child) => …])
    const call = node.parent?.type === 'ArrayExpression' ? node.parent.parent : node.parent;
    if (node.params[0] !== name || !is(call, 'CallExpression') || call.callee === node) return false;
    return this.isRun(call);
  }

  /** Whether `call` is `Context.run(…)` or `Context.race(…)`, which close the child that they make. */
  isRun({ callee }: NodeOf<'CallExpression'>): boolean {
    if (!is(callee, 'MemberExpression') || !this.isContextClass(callee.object)) return false;
    return memberName(callee) === 'run' || memberName(callee) === 'race';
  }

  /** `Context` as a type, where the parser keeps types. @param place a node beside it: linters may not know where types are */
  #isContextType(annotation: Node | null | undefined, place: Node): boolean {
    const type = is(annotation, 'TSTypeAnnotation') ? annotation.typeAnnotation : undefined;
    if (!is(type, 'TSTypeReference') || !is(type.typeName, 'Identifier')) return false;
    const variable = variableAt(this.#sourceCode, place, type.typeName.name);
    return variable !== undefined && this.#isImported(variable, 'Context');
  }

  /** Whether `this.x` is a field that its class declares as a context. */
  #isContextField(member: NodeOf<'MemberExpression'>): boolean {
    const name = memberName(member);
    const fields = name === undefined ? [] : (around(member, 'ClassBody')?.body ?? []);
    return fields.some((field) => {
      if (!is(field, 'PropertyDefinition') || keyOf(field.key, field.computed) !== name) return false;
      return (
        this.#isContextType(field.typeAnnotation, field) ||
        (field.value ? this.isContext(field.value) : false)
      );
    });
  }
}

/** For `name` in `const { key: name } = object`: the key and the object. */
function destructuredFrom(
  name: Node,
  declarator: Node,
): { readonly key: string | undefined; readonly object: Node } | undefined {
  if (!is(declarator, 'VariableDeclarator') || !declarator.init || !is(declarator.id, 'ObjectPattern')) {
    return undefined;
  }
  const property = declarator.id.properties.find((each) => is(each, 'Property') && each.value === name);
  if (!is(property, 'Property')) return undefined;
  return { key: keyOf(property.key, property.computed), object: declarator.init };
}
