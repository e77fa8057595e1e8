/** `--allocator jemalloc`, where the system's 'jemalloc' is there: it is among the packages that `npm test` has. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import fc from 'fast-check';
import {
  findJemalloc,
  fromLoader,
  installCommand,
  isLoaded,
  type Machine,
  preloadedBy,
  thisMachine,
  withAllocator,
  withoutAllocator,
} from '../../src/cli/allocator.js';
import { checkAllocator } from '../../src/cli/doctor-checks.js';
import {
  getThrough,
  mainScript,
  Running,
  type RunningProxy,
  sallyport,
  startOrigin,
  startProxy,
  temporaryDirectory,
} from './support.js';

/** Takes `process.execve` away, which Node 20 has not. */
const withoutExecve = { NODE_OPTIONS: '--import=data:text/javascript,process.execve=undefined' };
const hasExecve = 'execve' in process;

function jemallocIn(pid: number): boolean {
  return /\/libjemalloc\.so/.test(readFileSync(`/proc/${pid}/maps`, 'utf8'));
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((one) => {
      try {
        return new RegExp(`^PPid:\\s+${pid}$`, 'm').test(readFileSync(`/proc/${one}/status`, 'utf8'));
      } catch {
        // It has ended meanwhile.
        return false;
      }
    });
}

function pidOf({ child }: RunningProxy): number {
  assert.ok(child.pid !== undefined);
  return child.pid;
}

/** Works for the two ways of beginning anew. */
async function launched(t: TestContext, env: Readonly<Record<string, string>>): Promise<RunningProxy> {
  return await startProxy(t, ['--allocator', 'jemalloc'], { env });
}

const ways = [
  ...(hasExecve ? [{ way: 'in the same process', env: {}, same: true }] : []),
  { way: 'in a child', env: withoutExecve, same: false },
];

for (const { way, env, same } of ways) {
  describe(`run, ${way}`, () => {
    test('serves with the library loaded, and ends with 0 by SIGTERM', async (t) => {
      const origin = await startOrigin(t, (_request, response) => response.end('hello'));
      const proxy = await startProxy(t, ['--allocator', 'jemalloc', '--upstream-ca', origin.caFile], { env });
      const pid = pidOf(proxy);
      const serving = same ? pid : childrenOf(pid)[0];
      assert.ok(serving !== undefined && jemallocIn(serving));
      assert.equal((await getThrough(t, proxy, origin.url)).body, 'hello');
      // Once, and not again and again.
      assert.deepEqual(childrenOf(serving), []);
      proxy.child.kill('SIGTERM');
      const { status, signal } = await proxy.ended;
      assert.deepEqual([status, signal], [0, null]);
      assert.ok(!existsSync(`/proc/${serving}`), 'it is still there');
    });

    test('SIGINT too', async (t) => {
      const proxy = await launched(t, env);
      proxy.child.kill('SIGINT');
      assert.equal((await proxy.ended).status, 0);
    });

    test('what keeps it from starting has its own status', async (t) => {
      const { port } = await startOrigin(t, (_request, response) => response.end());
      const args = ['run', '--allocator', 'jemalloc', '--port', String(port)];
      const { status, stderr } = await sallyport(t, args, { env });
      assert.match(stderr, /ERR_PORT_IN_USE/);
      assert.equal(stderr.match(/ERR_/g)?.length, 1);
      assert.equal(status, 1);
    });

    test('every worker has it', async (t) => {
      const proxy = await startProxy(t, ['--allocator', 'jemalloc', '--workers', '2'], { env });
      const pid = pidOf(proxy);
      const primary = same ? pid : (childrenOf(pid)[0] ?? 0);
      const workers = childrenOf(primary);
      assert.equal(workers.length, 2);
      for (const worker of workers) assert.ok(jemallocIn(worker));
      proxy.child.kill('SIGTERM');
      assert.equal((await proxy.ended).status, 0);
    });

    test('the command of exec does not, and has the environment of before', async (t) => {
      const script = `
        const { LD_PRELOAD, MALLOC_CONF } = process.env;
        const ours = Object.keys(process.env).filter((name) => name.startsWith('SALLYPORT_ALLOCATOR'));
        const loaded = require('fs').readFileSync('/proc/self/maps', 'utf8').includes('libjemalloc');
        const parent = require('fs').readFileSync('/proc/' + process.ppid + '/maps', 'utf8').includes('libjemalloc');
        console.log(JSON.stringify({ LD_PRELOAD, MALLOC_CONF, ours, loaded, parent, ipc: !!process.channel }));
        process.exit(7);`;
      const args = ['exec', '--allocator', 'jemalloc', '--', process.execPath, '-e', script];
      const { status, stdout } = await sallyport(t, args, { env });
      assert.deepEqual(JSON.parse(stdout), { ours: [], loaded: false, parent: true, ipc: false });
      assert.equal(status, 7);
    });
  });
}

test('the child of a wrapper that is killed ends by itself', async (t) => {
  const proxy = await launched(t, withoutExecve);
  const [serving = 0] = childrenOf(pidOf(proxy));
  proxy.child.kill('SIGKILL');
  // stdout is the child's too: it closes when both have ended.
  await proxy.ended;
  assert.ok(!existsSync(`/proc/${serving}/maps`) || readFileSync(`/proc/${serving}/maps`, 'utf8') === '');
});

test('a wrapper ends by the signal that ended its child', async (t) => {
  const proxy = await launched(t, withoutExecve);
  const [serving = 0] = childrenOf(pidOf(proxy));
  process.kill(serving, 'SIGKILL');
  const { status, signal } = await proxy.ended;
  assert.deepEqual([status, signal], [null, 'SIGKILL']);
});

test('a signal to the whole process group drains, and does not cut off', async (t) => {
  let finish: (() => void) | undefined;
  let asked: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => (asked = resolve));
  const origin = await startOrigin(t, (_request, response) => {
    response.write('begun ');
    finish = () => response.end('done');
    asked();
  });
  const caDir = join(await temporaryDirectory(t), 'ca');
  const options = ['--port', '0', '--ca-dir', caDir, '--upstream-ca', origin.caFile];
  const child = spawn(process.execPath, [mainScript, 'run', '--allocator', 'jemalloc', ...options], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], ...withoutExecve },
  });
  const running = new Running(child);
  t.after(() => child.kill('SIGKILL'));
  const [, url = ''] = await running.sees(/^listening on (http:\/\/\S+)\n/m);
  const answer = getThrough(t, { url, caDir }, origin.url);
  await begun;
  assert.ok(child.pid !== undefined);
  process.kill(-child.pid, 'SIGTERM');
  await running.sees(/waiting up to/, 'stderr');
  finish?.();
  assert.equal((await answer).body, 'begun done');
  assert.equal((await running.ended).status, 0);
});

describe('it is not to be had', () => {
  test('after one attempt that the loader did not take', async (t) => {
    const env = { [preloadedBy]: '/no/such/libjemalloc.so.2' };
    const { status, stderr, stdout } = await sallyport(t, ['run', '--allocator', 'jemalloc'], { env });
    assert.match(
      stderr,
      /^sallyport: ERR_ALLOCATOR: .*the loader did not take \/no\/such\/libjemalloc\.so\.2/,
    );
    assert.equal(status, 1);
    assert.equal(stdout, '');
  });

  test('other names are refused', async (t) => {
    const { status, stderr } = await sallyport(t, ['run', '--allocator', 'jemallok']);
    assert.match(stderr, /ERR_OPTION_VALUE: --allocator takes system or jemalloc/);
    assert.equal(status, 2);
  });

  test('no Linux, no glibc, no library', async () => {
    const here: Machine = { platform: 'linux', arch: process.arch, glibc: true, candidates: async () => [] };
    assert.match(said(await findJemalloc({ ...here, platform: 'darwin' })), /needs Linux; this is darwin/);
    assert.match(said(await findJemalloc({ ...here, glibc: false })), /needs a Node\.js for glibc/);
    const absent = await findJemalloc(here);
    assert.match(said(absent), /libjemalloc\.so\.2 was not found/);
    assert.ok('advice' in absent && /jemalloc/.test(absent.advice ?? ''));
  });

  test('doctor says so, and that nothing is wrong', () => {
    const missing = checkAllocator({ missing: 'not there', advice: 'get it' });
    assert.deepEqual([missing.status, missing.advice], ['ok', 'To have it: get it']);
    assert.match(checkAllocator({ path: '/x/libjemalloc.so.2' }).found, /^\/x\/libjemalloc\.so\.2/);
  });
});

function said(found: Awaited<ReturnType<typeof findJemalloc>>): string {
  return 'missing' in found ? found.missing : '';
}

describe('finding it', () => {
  test('on this machine', async () => {
    const found = await findJemalloc(thisMachine());
    assert.ok('path' in found && existsSync(found.path));
    assert.equal(await isLoaded(), false);
  });

  test('a library of another machine, a text and a directory are passed over', async (t) => {
    const directory = await temporaryDirectory(t);
    const elf = Buffer.alloc(64);
    elf.write('\x7fELF', 'latin1');
    const other = join(directory, 'other');
    elf.writeUInt16LE(8, 18);
    await writeFile(other, elf);
    const text = join(directory, 'text');
    await writeFile(text, '/* GNU ld script: this is a text */');
    const folder = join(directory, 'folder');
    await mkdir(folder);
    const right = join(directory, 'right');
    elf.writeUInt16LE(62, 18);
    await writeFile(right, elf);
    const machine: Machine = {
      platform: 'linux',
      arch: 'x64',
      glibc: true,
      candidates: async () => [join(directory, 'none'), other, text, folder, right],
    };
    assert.deepEqual(await findJemalloc(machine), { path: right });
  });

  test("the loader's cache", () => {
    const cache = [
      "2 libs found in cache `/etc/ld.so.cache'",
      '\tlibjemalloc.so.2 (libc6,x86-64) => /opt/j e/libjemalloc.so.2',
      '\tlibjemalloc.so.1 (libc6,x86-64) => /old/libjemalloc.so.1',
      '\tlibjemalloc.so.2 (libc6) => /lib32/libjemalloc.so.2',
      '',
    ].join('\n');
    assert.deepEqual(fromLoader(cache), ['/opt/j e/libjemalloc.so.2', '/lib32/libjemalloc.so.2']);
  });

  test('the command that installs it, by distribution', () => {
    assert.match(installCommand('ID=ubuntu\nID_LIKE=debian\n'), /apt-get install libjemalloc2$/);
    assert.match(
      installCommand('NAME="Rocky"\nID="rocky"\nID_LIKE="rhel centos fedora"\n'),
      /dnf install jemalloc$/,
    );
    assert.match(installCommand('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n'), /zypper/);
    assert.match(installCommand('ID=arch\n'), /pacman/);
    assert.match(installCommand(''), /package manager/);
  });
});

describe('the environment', () => {
  test('is for children what it was before', () => {
    const value = fc.option(fc.constantFrom('', '/a.so', '/a.so:/b.so', 'narenas:1'), { nil: undefined });
    const property = fc.property(value, value, (preload, conf) => {
      const before = {
        PATH: '/bin',
        ...(preload === undefined ? {} : { LD_PRELOAD: preload }),
        ...(conf === undefined ? {} : { MALLOC_CONF: conf }),
      };
      const within = withAllocator(before, '/j.so');
      assert.ok(within['LD_PRELOAD']?.startsWith('/j.so'));
      if (preload) assert.equal(within['LD_PRELOAD'], `/j.so:${preload}`);
      assert.equal(within['MALLOC_CONF'], conf ?? 'background_thread:true');
      const after = withoutAllocator(within);
      // An empty LD_PRELOAD is none.
      const expected = preload === '' ? { ...before, LD_PRELOAD: undefined } : before;
      assert.deepEqual(
        { ...after, LD_PRELOAD: after['LD_PRELOAD'] },
        { ...expected, LD_PRELOAD: preload || undefined },
      );
      assert.ok(!Object.keys(after).some((name) => name.startsWith('SALLYPORT_')));
    });
    fc.assert(property);
  });

  test('is left alone where nothing was put in', () => {
    const environment = { LD_PRELOAD: '/a.so', MALLOC_CONF: 'narenas:1', PATH: '/bin' };
    assert.deepEqual(withoutAllocator(environment), environment);
  });
});
