/** examples/seventeen-hours/ does what its README says: counts, and the heap after a collection; never time. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fetch } from 'undici';
import { Example } from '../support/example.js';
import { eventually } from '../support/patience.js';
import { run } from '../support/programs.js';

const requests = 4000;

interface Load {
  /** Bytes of the heap. */
  readonly keptPerRequest: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly output: string;
}

async function load(kind: string): Promise<Load> {
  const file = join(process.cwd(), 'examples/seventeen-hours/load.mjs');
  const options = { timeout: 120_000 };
  const { status, stdout, stderr } = await run(process.execPath, [file, kind, String(requests)], options);
  assert.equal(status, 0, stderr);
  const [, kept = ''] = new RegExp(`^${kind}: (-?\\d+) bytes kept `, 'm').exec(stdout) ?? [];
  const [, line = ''] = /^contexts: (.*)$/m.exec(stdout) ?? [];
  const pairs = [...line.matchAll(/(\w+) (\d+)/g)].map(
    ([, name = '', count]) => [name, Number(count)] as const,
  );
  assert.match(kept, /\d/, stdout);
  return { keptPerRequest: Number(kept), counts: Object.fromEntries(pairs), output: stdout };
}

interface Contexts {
  readonly counts: { readonly outstanding: number; readonly created: number };
  readonly outstanding: readonly {
    readonly label: string;
    readonly remainingMs: number;
    readonly stack: string;
  }[];
}

/** Starts server.mjs; asks with `request-timeout: timeout`. */
async function server(t: TestContext, kind: string) {
  const example = await Example.start(t, 'seventeen-hours/server.mjs', kind);
  const [origin] = await example.printed(/^http:\S+/m);
  const ask = async (path: string, timeout: string, signal?: AbortSignal) => {
    const headers = { 'request-timeout': timeout, connection: 'close' };
    const response = await fetch(`${origin}${path}`, { headers, ...(signal && { signal }) });
    return { status: response.status, text: await response.text() };
  };
  const contexts = async () => JSON.parse((await ask('/contexts', '60')).text) as Contexts;
  return { ask, contexts };
}

describe('examples/seventeen-hours', () => {
  test('plain: every request stays, and no counter knows', async () => {
    const { keptPerRequest, counts, output } = await load('plain');
    assert.ok(keptPerRequest > 500, output);
    assert.deepEqual(counts, { created: 0, closed: 0, leaked: 0, outstanding: 0 });
  });

  test('context: nothing stays', async () => {
    const { keptPerRequest, counts, output } = await load('context');
    assert.ok(keptPerRequest < 150, output);
    assert.deepEqual(counts, { created: requests, closed: requests, leaked: 0, outstanding: 0 });
  });

  test('forgetful: nothing stays, all are counted, and it is said where they were made', async () => {
    const { keptPerRequest, counts, output } = await load('forgetful');
    assert.ok(keptPerRequest < 150, output);
    assert.deepEqual(counts, { created: requests, closed: 0, leaked: requests, outstanding: 0 });
    assert.match(output, /^leaked \d+: at forgetful \(.*\/forgetful\.mjs:\d+:\d+\)$/m);
  });

  for (const kind of ['plain', 'context', 'forgetful']) {
    test(`${kind}: an answer, and at the deadline a 504`, async (t) => {
      const { ask } = await server(t, kind);
      assert.deepEqual(await ask('/cards/7', '60000'), { status: 200, text: '{"card":"7","holder":"Ada"}' });
      assert.equal((await ask('/cards/lost', '0.05')).status, 504);
    });
  }

  test('context: outstanding() shows the 16.7 hours, and a client that goes away ends them', async (t) => {
    const { ask, contexts } = await server(t, 'context');
    const client = new AbortController();
    const lost = assert.rejects(ask('/cards/lost', '60000', client.signal), { name: 'AbortError' });
    await eventually('it waits', async () => (await contexts()).counts.outstanding === 1);
    const [waiting] = (await contexts()).outstanding;
    assert.ok(waiting);
    assert.equal(waiting.label, 'GET /cards');
    assert.ok(waiting.remainingMs > 59_000_000 && waiting.remainingMs <= 60_000_000);
    assert.match(waiting.stack, /\/seventeen-hours\/context\.mjs:/);
    client.abort();
    await lost;
    await eventually('it was closed', async () => (await contexts()).counts.outstanding === 0);
    assert.equal((await contexts()).counts.created, 1);
  });

  test('server.mjs and load.mjs say how they are used', async () => {
    for (const name of ['server.mjs', 'load.mjs']) {
      const file = join(process.cwd(), 'examples/seventeen-hours', name);
      const { status, stderr } = await run(process.execPath, [file]);
      assert.equal(status, 1);
      assert.match(stderr, /^usage: server\.mjs plain \| context \| forgetful$/m);
    }
  });
});
