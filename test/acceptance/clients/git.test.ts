/** git over HTTPS through the proxy, with the protocol of today: clone, and push in chunks. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { httpOrigin } from '../../support/origins.js';
import { environment, program, run } from '../../support/programs.js';
import { Scene } from '../../support/scene.js';
import { temporaryDirectory } from '../../support/stage.js';

/** A repository `project.git` with one commit, in a directory of its own; and git, as somebody who owns nothing. */
class Repository {
  readonly directory: string;
  readonly #env: Readonly<Record<string, string>>;

  constructor(directory: string, scene: Scene) {
    this.directory = directory;
    this.#env = {
      HOME: directory,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a@a.test',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a@a.test',
      https_proxy: scene.proxy.url,
      GIT_SSL_CAINFO: scene.proxy.ca.paths.certificate,
    };
  }

  static async make(t: TestContext, scene: Scene): Promise<Repository> {
    const repository = new Repository(await temporaryDirectory(t), scene);
    const work = join(repository.directory, 'work');
    await mkdir(work);
    await repository.git(work, 'init', '--quiet', '--initial-branch=main');
    await repository.commit(work, 'first', randomBytes(200_000));
    await repository.git(repository.directory, 'clone', '--quiet', '--bare', 'work', 'project.git');
    const bare = join(repository.directory, 'project.git');
    await repository.git(bare, 'config', 'http.receivepack', 'true');
    await repository.git(bare, 'update-server-info');
    return repository;
  }

  async git(cwd: string, ...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await run(program('git'), args, { cwd, env: this.#env });
    assert.equal(status, 0, `git ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  async commit(work: string, name: string, bytes: Uint8Array): Promise<void> {
    await writeFile(join(work, name), bytes);
    await this.git(work, 'add', name);
    await this.git(work, 'commit', '--quiet', '--message', name);
  }

  /** `git http-backend`, as a CGI program (RFC 3875). */
  serve(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, search } = new URL(request.url ?? '', 'https://x');
    const child = spawn(program('git'), ['http-backend'], {
      env: environment({
        ...this.#env,
        GIT_PROJECT_ROOT: this.directory,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: pathname,
        QUERY_STRING: search.slice(1),
        REQUEST_METHOD: request.method ?? '',
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
        REMOTE_USER: 'somebody',
      }),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    request.pipe(child.stdin);
    child.stdin.on('error', () => undefined);
    void answer(child.stdout, response);
  }
}

/** Makes a response of what a CGI program writes. */
async function answer(output: NodeJS.ReadableStream, response: ServerResponse): Promise<void> {
  let head = '';
  for await (const chunk of output) {
    const bytes = chunk as Buffer;
    if (response.headersSent) {
      if (!response.write(bytes)) await once(response, 'drain');
      continue;
    }
    head += bytes.toString('latin1');
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) continue;
    for (const line of head.slice(0, end).split('\r\n')) {
      const [name = '', value = ''] = line.split(/:\s*/, 2);
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.write(Buffer.from(head.slice(end + 4), 'latin1'));
  }
  response.end();
}

describe('git', () => {
  test('clones and pushes over https', async (t) => {
    const scene = await Scene.open(t);
    const repository = await Repository.make(t, scene);
    const origin = await httpOrigin(
      t,
      (request, response) => {
        repository.serve(request, response);
      },
      await scene.pki.anyHost(),
    );
    const url = `https://git.test:${origin.port}/project.git`;
    await repository.git(repository.directory, 'clone', '--quiet', url, 'copy');
    const copy = join(repository.directory, 'copy');
    const work = join(repository.directory, 'work');
    assert.deepEqual(await readFile(join(copy, 'first')), await readFile(join(work, 'first')));

    await repository.commit(copy, 'second', randomBytes(2_000_000));
    // More than the post buffer: git sends it in chunks.
    await repository.git(copy, '-c', 'http.postBuffer=65536', 'push', '--quiet', 'origin', 'main');
    const [here, there] = await Promise.all([
      repository.git(copy, 'rev-parse', 'HEAD'),
      repository.git(join(repository.directory, 'project.git'), 'rev-parse', 'main'),
    ]);
    assert.equal(here, there);
    assert.ok(scene.exchanges.some((exchange) => exchange.requestBytes > 2_000_000));
  });
});
