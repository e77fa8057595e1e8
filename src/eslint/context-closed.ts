/** `sallyport/context-closed`: the lostcancel of `go vet`, for contexts. */
import { is, lineOf, type Node, type NodeOf } from './ast.js';
import { ContextNames, makerOf, mention } from './context-names.js';
import { EndingFinder } from './endings.js';
import { fateOf } from './fate.js';
import { impossibleEdges } from './guards.js';
import { jumpsPast } from './jumps.js';
import { type Loss, Paths } from './paths.js';
import { optionsOf, type Rule, type RuleContext, stringsOf, type Variable, variableAt } from './rule.js';

const remedy = 'Declare it with `using`, or close it in `finally`.';

export const contextClosed: Rule = {
  meta: {
    type: 'problem',
    docs: { description: 'A context that is made is closed on every path.', recommended: true },
    messages: {
      dropped: `Nobody can close the context that {{method}}() makes here. ${remedy}`,
      passed: `The context that {{method}}() makes here is passed on, and its owner never closes it. ${remedy}`,
      never: `The context that {{method}}() makes is never closed. ${remedy}`,
      left: `The context that {{method}}() makes is still open where line {{line}} leaves. ${remedy}`,
      end: `The context that {{method}}() makes is still open at the end of a path. ${remedy}`,
      again: `The context that {{method}}() makes is still open when the loop makes the next one. ${remedy}`,
      replaced: `The context that {{method}}() makes is still open where line {{line}} puts another in its place. ${remedy}`,
    },
    schema: [
      {
        type: 'object',
        properties: {
          strict: { type: 'boolean' },
          anyReceiver: { type: 'boolean' },
          modules: { type: 'array', items: { type: 'string' }, uniqueItems: true },
        },
        additionalProperties: false,
      },
    ],
  },

  create(context: RuleContext) {
    const options = optionsOf(context);
    const { sourceCode } = context;
    if (!mention.test(sourceCode.text)) return {};
    const modules = ['sallyport', 'sallyport/context', ...stringsOf(options['modules'])];
    const names = new ContextNames(sourceCode, modules);
    const paths = new Paths();
    const finder = new EndingFinder(sourceCode, names, options['strict'] === true);
    const made: Made[] = [];
    return {
      ...paths.visitor(() => {
        for (const each of made) check(each, { context, finder, paths });
      }),
      'CallExpression:exit': (node) => {
        if (!is(node, 'CallExpression')) return;
        const method = makerOf(node);
        if (method === undefined || !is(node.callee, 'MemberExpression')) return;
        // Loggers have a child(), too.
        const any = options['anyReceiver'] === true && method !== 'child';
        if (!any && !names.isContext(node.callee.object)) return;
        paths.record(node);
        made.push({ node, method });
      },
    };
  },
};

/** A call that makes a context. */
interface Made {
  readonly node: NodeOf<'CallExpression'>;
  readonly method: string;
}

interface Tools {
  readonly context: RuleContext;
  readonly finder: EndingFinder;
  readonly paths: Paths;
}

function check({ node, method }: Made, { context, finder, paths }: Tools): void {
  const report = (messageId: string, line = ''): void => {
    context.report({ node, messageId, data: { method, line } });
  };
  if (finder.isEnd(node) || paths.at(node).length === 0) return;
  const fate = fateOf(node);
  if (fate.kind !== 'kept') {
    report(fate.kind === 'passed' ? 'passed' : 'dropped');
    return;
  }
  const variable = variableAt(context.sourceCode, fate.target, fate.target.name);
  if (!variable) return;
  const endings = finder.endingsOf(variable, node);
  if (endings === 'always') return;
  const identifiers = variable.references.filter((each) => each.isRead()).map((each) => each.identifier);
  const ends = new Set([...endings, ...jumpsPast(endings, paths.jumps)]);
  const impossible = impossibleEdges(identifiers, paths);
  const loss = paths.lossOf(node, { ends, writes: writesTo(variable, fate.at), impossible });
  if (!loss || isOwnFallback(loss, fate.at)) return;
  if (ends.size === 0) report('never');
  else report(loss.kind === 'left' && !loss.at ? 'end' : loss.kind, loss.at && lineOf(loss.at));
}

/** The assignments that put something else in `variable`, but for `own`. */
function writesTo(variable: Variable, own: Node): ReadonlySet<Node> {
  const writes = new Set<Node>();
  for (const reference of variable.references) {
    const { parent } = reference.identifier;
    if (!reference.isWrite() || !parent || parent === own) continue;
    if (is(parent, 'VariableDeclarator')) writes.add(parent);
    // `??=` and `||=` leave a context where it is.
    if (is(parent, 'AssignmentExpression') && !isFallback(parent)) writes.add(parent);
  }
  return writes;
}

function isFallback(node: Node): boolean {
  return is(node, 'AssignmentExpression') && (node.operator === '??=' || node.operator === '||=');
}

/** `c ??= parent.withCancel()` in a loop is evaluated again only where there is none. */
function isOwnFallback(loss: Loss, at: Node): boolean {
  return loss.kind === 'again' && isFallback(at);
}
