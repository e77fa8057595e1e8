/** One file of src/, parsed: what it imports and re-exports, and a walk over its syntax tree. */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { type Program, parseSync, Visitor, type VisitorObject } from 'oxc-parser';

/** A module that is named in an import, a re-export, an `import()` or an `import('…')` type. */
export interface Reference {
  /** As written. */
  readonly specifier: string;
  /** Where in the file, as an offset. */
  readonly at: number;
  /** `export * from`. */
  readonly everything: boolean;
}

export interface Module {
  /** From the root, with slashes: `src/http/head.ts`. */
  readonly path: string;
  readonly references: readonly Reference[];
  readonly program: Program;
  /** Calls back for the nodes of the tree. */
  walk(visitor: VisitorObject): void;
  /** `path:line` of an offset. */
  where(offset: number): string;
}

/** A rule of the house that a file breaks. */
export interface Breach {
  readonly rule: string;
  /** `path:line`. */
  readonly where: string;
  /** What was found, and what the rule asks for instead. */
  readonly what: string;
}

/** Parses a file; a syntax error is thrown. */
export function parseModule(path: string, source: string): Module {
  const { program, errors } = parseSync(path, source, { lang: 'ts', sourceType: 'module' });
  const [error] = errors;
  if (error) throw new Error(`${path}: ${error.message}`);
  const references: Reference[] = [];
  const refer = (specifier: unknown, at: number, everything = false): void => {
    if (typeof specifier === 'string') references.push({ specifier, at, everything });
  };
  new Visitor({
    ImportDeclaration: (node) => refer(node.source.value, node.start),
    ExportNamedDeclaration: (node) => refer(node.source?.value, node.start),
    ExportAllDeclaration: (node) => refer(node.source.value, node.start, true),
    ImportExpression: (node) => refer(node.source.type === 'Literal' && node.source.value, node.start),
    TSImportType: (node) => refer(node.source.value, node.start),
  }).visit(program);
  return {
    path,
    references,
    program,
    walk: (visitor) => new Visitor(visitor).visit(program),
    where: (offset) => `${path}:${source.slice(0, offset).split('\n').length}`,
  };
}

/** Every TypeScript file of src/. `root` is the directory of package.json. */
export async function readSources(root: string): Promise<readonly Module[]> {
  const entries = await readdir(join(root, 'src'), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name));
  return Promise.all(
    files.map(async (entry) => {
      const file = join(entry.parentPath, entry.name);
      return parseModule(relative(root, file).replaceAll('\\', '/'), await readFile(file, 'utf8'));
    }),
  );
}
