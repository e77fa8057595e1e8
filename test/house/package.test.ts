/** The package as its users get it, and the repository as strangers get it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** npm in an environment that the npm that runs these tests has not coloured. */
async function npm(args: readonly string[], cwd = process.cwd()): Promise<string> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  const { stdout } = await execute('npm', [...args], { cwd, env });
  return stdout;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

const manifest = JSON.parse(await readFile('package.json', 'utf8')) as Manifest;

describe('the package', () => {
  test('holds the build, the documents and nothing else', async () => {
    const [pack] = JSON.parse(await npm(['pack', '--dry-run', '--json', '--ignore-scripts'])) as [
      { readonly files: readonly { readonly path: string }[] },
    ];
    const paths = pack.files.map((file) => file.path);
    const strangers = paths.filter(
      (path) =>
        !/^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(path) &&
        !/^docs\/[^.].*\.(md|svg|png)$/.test(path) &&
        !/^dist\/[^.].*\.(js|d\.ts)$/.test(path),
    );
    assert.deepEqual(strangers, []);
    for (const path of ['README.md', 'LICENSE', 'CHANGELOG.md', 'docs/errors.md', 'dist/index.js']) {
      assert.ok(paths.includes(path), `${path} is not in the package`);
    }
  });

  test('has a file behind every export and command', async () => {
    const targets = Object.values(manifest.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : Object.values(target),
    );
    for (const target of [...targets, ...Object.values(manifest.bin)]) await access(target);
  });

  test('can be installed without a network, imported by each of its names, and run', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sallyport-install-'));
    try {
      await npm(['pack', '--ignore-scripts', '--pack-destination', folder]);
      await writeFile(join(folder, 'package.json'), '{"private":true,"type":"module"}');
      const tarball = `./${manifest.name}-${manifest.version}.tgz`;
      await npm(['install', '--offline', '--no-audit', '--no-fund', tarball], folder);

      const names = Object.keys(manifest.exports).filter((path) => !path.endsWith('.json'));
      const specifiers = names.map((path) => manifest.name + path.slice(1));
      assert.ok(specifiers.includes('sallyport') && specifiers.length >= 6);
      const code = specifiers
        .map((name) => `console.log(Object.keys(await import('${name}')).length)`)
        .join('\n');
      await writeFile(join(folder, 'main.mjs'), code);
      const { stdout } = await execute(process.execPath, ['main.mjs'], { cwd: folder });
      const exported = stdout.trim().split('\n').map(Number);
      assert.equal(exported.length, specifiers.length);
      specifiers.forEach((name, index) => assert.ok((exported[index] ?? 0) > 0, `${name} exports nothing`));

      const command = join(folder, 'node_modules', '.bin', 'sallyport');
      const version = await execute(process.execPath, [command, '--version'], { cwd: folder });
      assert.ok(version.stdout.includes(manifest.version), version.stdout);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('the repository', () => {
  /** What git has or would take: nothing that is ignored. */
  async function repositoryFiles(): Promise<readonly string[]> {
    // A checkout that belongs to another user (CI) is read all the same.
    const args = ['-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'];
    const { stdout } = await execute('git', args, { maxBuffer: 1 << 24 });
    return stdout.split('\0').filter((path) => path !== '');
  }

  test('has lock files without download addresses', async () => {
    const locks = (await repositoryFiles()).filter((path) => path.endsWith('package-lock.json'));
    assert.ok(locks.includes('package-lock.json'));
    for (const path of locks) {
      const found = (await readFile(path, 'utf8')).match(/"resolved": "(?!file:)[^"]*"/g) ?? [];
      assert.deepEqual(found, [], path);
    }
  });

  test('has lock files that name the packages of every platform', async () => {
    // npm leaves out what the registry that it asked did not have, and then `npm ci` refuses elsewhere.
    for (const path of (await repositoryFiles()).filter((name) => name.endsWith('package-lock.json'))) {
      const lock = JSON.parse(await readFile(path, 'utf8')) as {
        readonly packages: Readonly<Record<string, { readonly optionalDependencies?: object }>>;
      };
      const locked = new Set(
        Object.keys(lock.packages).map((place) => place.replace(/^.*node_modules\//, '')),
      );
      const wanted = Object.values(lock.packages).flatMap((entry) =>
        Object.keys(entry.optionalDependencies ?? {}),
      );
      const missing = wanted.filter((name) => !locked.has(name));
      assert.deepEqual(missing, [], `${path}: pin versions whose optional packages all exist`);
    }
  });

  test('names no registry and no folder of the machine that it was written on', async () => {
    // Written in pieces, or this file would find itself.
    const forbidden = new RegExp(
      [
        ['registry', '\\.[a-z0-9-]+\\.[a-z]{2,}'],
        ['npm', 'mirror\\.'],
        ['deb\\.', 'debian\\.org'],
        ['(?<![\\w.:-])/wo', 'rk/'],
        ['/tmp/', 'build'],
      ]
        .map((pieces) => pieces.join(''))
        .join('|'),
      'i',
    );
    const breaches: string[] = [];
    for (const path of await repositoryFiles()) {
      if (!existsSync(path)) continue; // deleted, and not committed yet
      const content = await readFile(path, 'utf8');
      content.split('\n').forEach((line, index) => {
        const [found] = forbidden.exec(line) ?? [];
        if (found !== undefined) breaches.push(`${path}:${index + 1}: ${found}`);
      });
    }
    assert.deepEqual(breaches, []);
  });
});
