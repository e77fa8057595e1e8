/** `sallyport/no-abort-signal-timeout`: signals that keep memory for each call until a timer fires. */
import { homeOf, is, isFunction, keyOf, memberName, type Node, unwrap } from './ast.js';
import { optionsOf, type Rule, type RuleContext, type SourceCode, stringsOf, variableAt } from './rule.js';

const methods: ReadonlySet<string> = new Set(['timeout', 'any']);
const globals: ReadonlySet<string> = new Set(['globalThis', 'global', 'window', 'self']);

export const noAbortSignalTimeout: Rule = {
  meta: {
    type: 'problem',
    docs: {
      description: 'No `AbortSignal.timeout` and no `AbortSignal.any` inside functions.',
      recommended: true,
    },
    messages: {
      timeout:
        'AbortSignal.timeout() keeps 1.2 to 2.3 kB for each call until its timer fires, also when the work ended long before. ' +
        'Use a context: `using c = context.withTimeout(ms)`, and `c.signal`.',
      any:
        'AbortSignal.any() keeps 1.2 to 2.3 kB for each call for as long as a signal that it follows waits for its timer. ' +
        'Use a context: `using c = context.withTimeout(ms)` closes with its parent, too; then `c.signal`.',
    },
    schema: [
      {
        type: 'object',
        properties: {
          allow: { type: 'array', items: { enum: ['timeout', 'any'] }, uniqueItems: true },
          allowIn: { type: 'array', items: { type: 'string' }, uniqueItems: true },
        },
        additionalProperties: false,
      },
    ],
  },

  create(context: RuleContext) {
    const options = optionsOf(context);
    const allow = stringsOf(options['allow']);
    const allowIn = stringsOf(options['allowIn']);
    const report = (node: Node, name: string | undefined): void => {
      if (name === undefined || !methods.has(name) || allow.includes(name)) return;
      if (isInFunction(node, allowIn)) context.report({ node, messageId: name });
    };
    return {
      MemberExpression(node) {
        if (!is(node, 'MemberExpression')) return;
        const name = memberName(node);
        if (name !== undefined && isAbortSignal(node.object, context.sourceCode)) report(node, name);
      },
      // const { timeout } = AbortSignal
      ObjectPattern(node) {
        if (!is(node, 'ObjectPattern') || !is(node.parent, 'VariableDeclarator') || !node.parent.init) return;
        if (!isAbortSignal(node.parent.init, context.sourceCode)) return;
        for (const property of node.properties) {
          if (is(property, 'Property')) report(property, keyOf(property.key, property.computed));
        }
      },
    };
  },
};

/** Whether `expression` is Node's `AbortSignal`, and not something of that name that the file declares. */
function isAbortSignal(expression: Node, sourceCode: SourceCode): boolean {
  const node = unwrap(expression);
  if (is(node, 'Identifier')) return node.name === 'AbortSignal' && isGlobal(node, node.name, sourceCode);
  if (!is(node, 'MemberExpression') || memberName(node) !== 'AbortSignal') return false;
  const { object } = node;
  return is(object, 'Identifier') && globals.has(object.name) && isGlobal(object, object.name, sourceCode);
}

function isGlobal(node: Node, name: string, sourceCode: SourceCode): boolean {
  return (variableAt(sourceCode, node, name)?.defs.length ?? 0) === 0;
}

/** Whether `node` may run more than once: it is part of a function or of a field of instances. `allowed` are names of functions that may have it. */
function isInFunction(node: Node, allowed: readonly string[]): boolean {
  let found = false;
  for (let home = homeOf(node); home; home = homeOf(home)) {
    if (isFunction(home)) {
      const name = nameOf(home);
      if (name !== undefined && allowed.includes(name)) return false;
      found = true;
    }
    if (is(home, 'PropertyDefinition') && !home.static) found = true;
  }
  return found;
}

/** The name that a function is called by: its own, its variable's, its method's. */
function nameOf(node: Node): string | undefined {
  if (isFunction(node) && is(node.id, 'Identifier')) return node.id.name;
  const { parent } = node;
  if (is(parent, 'VariableDeclarator') && is(parent.id, 'Identifier')) return parent.id.name;
  if (is(parent, 'Property', 'PropertyDefinition', 'MethodDefinition')) {
    return keyOf(parent.key, parent.computed);
  }
  return undefined;
}
