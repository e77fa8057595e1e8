/**
 * Nothing global: a module may hold constants, not state, or two proxies in one process would share it.
 *
 * A simple scan, on purpose: it looks at what stands at the top of a module and in static fields, and
 * asks that what could be changed is declared as what cannot (`as const`, `readonly`, `ReadonlyMap`…).
 */
import type { BindingPattern, Expression, Statement } from 'oxc-parser';
import type { Breach, Module } from './module.js';

/** State that is meant to be shared by the process, as `path name`, each with its reason. */
const allowed: readonly string[] = [
  // Interned certificates: immutable, found by their contents, held weakly. Sharing them is what the pool is for.
  'src/certs/intern.ts pool',
  // `connectTls` is called as `tls.connect` is, and shares as `https.globalAgent` does. Never used by the proxy.
  'src/tls/connect.ts processWide',
  // What this version of Node can do: found out once, and the same for all.
  'src/base/user-buffer.ts userBuffers',
];

const collections = ['Map', 'Set', 'WeakMap', 'WeakSet', 'Array', 'FinalizationRegistry'];
const others = [
  'AbortController',
  'AsyncLocalStorage',
  'CertificatePool',
  'ClientTrusts',
  'EventEmitter',
  'EventTarget',
  'SessionCache',
  'TlsClient',
  'UserBuffers',
];
const readonlyTypes = /^(Readonly|ReadonlyMap|ReadonlySet|ReadonlyArray)$/;

export function checkState(modules: readonly Module[]): readonly Breach[] {
  return modules.flatMap((module) => {
    const breaches: Breach[] = [];
    const breach = (name: string, at: number, what: string): void => {
      if (allowed.includes(`${module.path} ${name}`)) return;
      breaches.push({ rule: 'state', where: module.where(at), what: `${name}: ${what}` });
    };
    for (const statement of module.program.body) checkStatement(statement, breach);
    module.walk({
      PropertyDefinition: (node) => {
        if (!node.static) return;
        const name = node.key.type === 'Identifier' ? `static ${node.key.name}` : 'a static field';
        if (!node.readonly)
          breach(name, node.start, 'a static field is shared by the process; make it readonly');
        else if (node.value)
          checkValue(name, node.value, isReadonly(node.typeAnnotation?.typeAnnotation), breach);
      },
    });
    return breaches;
  });
}

type Report = (name: string, at: number, what: string) => void;

function checkStatement(statement: Statement, breach: Report): void {
  const node = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
  if (node?.type !== 'VariableDeclaration') return;
  for (const { id, init, start } of node.declarations) {
    const name = nameOf(id);
    if (node.kind === 'let' || node.kind === 'var')
      breach(name, start, `${node.kind} at the top of a module is state`);
    const type = 'typeAnnotation' in id ? id.typeAnnotation?.typeAnnotation : undefined;
    if (init)
      checkValue(
        name,
        init,
        isReadonly(type) || (type !== undefined && init.type === 'ObjectExpression'),
        breach,
      );
  }
}

function checkValue(name: string, value: Expression, declaredReadonly: boolean, breach: Report): void {
  const inner = unwrap(value);
  if (inner === undefined) return;
  if (inner.type === 'NewExpression' && inner.callee.type === 'Identifier') {
    const kind = inner.callee.name;
    if (others.includes(kind) || (collections.includes(kind) && !declaredReadonly)) {
      breach(name, inner.start, `new ${kind} at the top of a module is state, or needs a readonly type`);
    }
  }
  if ((inner.type === 'ArrayExpression' || inner.type === 'ObjectExpression') && !declaredReadonly) {
    breach(name, inner.start, 'a literal that can be changed: give it a readonly type or `as const`');
  }
}

/** The expression under `satisfies` and `as`; `undefined` under `as const`. */
function unwrap(value: Expression): Expression | undefined {
  if (value.type === 'TSSatisfiesExpression') return unwrap(value.expression);
  if (value.type !== 'TSAsExpression') return value;
  const { typeAnnotation: type } = value;
  const isConst =
    type.type === 'TSTypeReference' && 'name' in type.typeName && type.typeName.name === 'const';
  return isConst || isReadonly(type) ? undefined : unwrap(value.expression);
}

function isReadonly(type: unknown): boolean {
  if (typeof type !== 'object' || type === null || !('type' in type)) return false;
  if (type.type === 'TSTypeOperator') return 'operator' in type && type.operator === 'readonly';
  if (type.type !== 'TSTypeReference' || !('typeName' in type)) return false;
  const { typeName } = type;
  if (typeof typeName !== 'object' || typeName === null || !('name' in typeName)) return false;
  return readonlyTypes.test(String(typeName.name));
}

const nameOf = (id: BindingPattern): string => (id.type === 'Identifier' ? id.name : 'a pattern');
