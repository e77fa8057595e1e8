/** Which file may import which: the layers of design.md, and what an import may look like. */
import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import type { Breach, Module, Reference } from './module.js';

const stations = ['listener', 'connect', 'tls', 'http', 'rules', 'upstream'] as const;

/**
 * What the files of a folder of src/ may import beside their own folder. Imports point downward; a
 * station never knows another station, and what stands beside the road knows only base/.
 */
const below: Readonly<Record<string, readonly string[]>> = {
  base: [],
  certs: ['base'],
  ...Object.fromEntries(stations.map((station) => [station, ['base']])),
  diagnostics: ['base'],
  // A plugin for linters: it reads the code of others, and runs none of ours.
  eslint: [],
  recording: ['base'],
  ui: ['base'],
  proxy: ['base', 'certs', ...stations],
  testing: ['base', 'certs', 'diagnostics', 'proxy'],
  cli: ['base', 'certs', ...stations, 'diagnostics', 'recording', 'ui', 'proxy'],
  // src/index.ts and its like: the public surface
  '.': ['base', 'certs', ...stations, 'diagnostics', 'proxy'],
};

/** The folder of src/ that a file belongs to; `.` for the files in src/ itself. */
function folderOf(path: string): string {
  const [, folder = '', ...rest] = path.split('/');
  return rest.length === 0 ? '.' : folder;
}

/** The file of src/ that a relative import means, or `undefined` for another kind of import. */
function targetOf(module: Module, { specifier }: Reference): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  return posix.join(posix.dirname(module.path), specifier).replace(/\.js$/, '.ts');
}

/** Imports that point up, sideways or out of src/. */
export function checkLayers(modules: readonly Module[]): readonly Breach[] {
  return modules.flatMap((module) => {
    const from = folderOf(module.path);
    const allowed = below[from];
    if (!allowed) {
      const what = `src/${from} is not a folder of the design; add it to the table of layers`;
      return [{ rule: 'layers', where: module.path, what }];
    }
    return module.references.flatMap((reference) => {
      const target = targetOf(module, reference);
      if (target === undefined) return [];
      const to = target.startsWith('src/') ? folderOf(target) : `outside (${target})`;
      if (to === from || allowed.includes(to)) return [];
      const what = `${from} imports ${to} (${reference.specifier}); it may import only ${allowed.join(', ') || 'itself'}`;
      return [{ rule: 'layers', where: module.where(reference.at), what }];
    });
  });
}

/** Cycles of files, each once, whether or not the compiler would erase them. */
export function checkCycles(modules: readonly Module[]): readonly Breach[] {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  const done = new Set<string>();
  const breaches: Breach[] = [];
  const visit = (module: Module, trail: readonly string[]): void => {
    if (trail.includes(module.path)) {
      const cycle = [...trail.slice(trail.indexOf(module.path)), module.path];
      breaches.push({ rule: 'cycles', where: module.path, what: cycle.join(' → ') });
      return;
    }
    if (done.has(module.path)) return;
    for (const reference of module.references) {
      const target = byPath.get(targetOf(module, reference) ?? '');
      if (target) visit(target, [...trail, module.path]);
    }
    done.add(module.path);
  };
  for (const module of modules) visit(module, []);
  return breaches;
}

/**
 * How a module is named: relative ones by a file that exists, with `.js`; Node's own with `node:`;
 * others only where package.json has them as a dependency, and never in base/. No `export *`.
 */
export function checkSpecifiers(
  modules: readonly Module[],
  dependencies: readonly string[],
): readonly Breach[] {
  const paths = new Set(modules.map((module) => module.path));
  return modules.flatMap((module) =>
    module.references.flatMap((reference) => {
      const breach = (what: string): readonly Breach[] => [
        { rule: 'specifiers', where: module.where(reference.at), what },
      ];
      const { specifier } = reference;
      if (reference.everything) return breach(`export * from '${specifier}': name what is exported`);
      const target = targetOf(module, reference);
      if (target !== undefined) {
        if (!specifier.endsWith('.js')) return breach(`${specifier}: write the .js`);
        return paths.has(target) ? [] : breach(`${specifier}: there is no ${target}`);
      }
      if (specifier.startsWith('node:')) return [];
      if (isBuiltin(specifier)) return breach(`${specifier}: write node:${specifier}`);
      if (folderOf(module.path) === 'base') return breach(`${specifier}: base knows nobody but Node`);
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      return dependencies.includes(name) ? [] : breach(`${specifier}: not a dependency in package.json`);
    }),
  );
}
