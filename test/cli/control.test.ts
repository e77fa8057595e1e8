/** The control socket while much is asked of it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { describe, test, type TestContext } from 'node:test';
import { Context } from '../../src/base/context.js';
import { MemoryStore, openAuthority } from '../../src/certs/index.js';
import type { StoreEntry } from '../../src/certs/store.js';
import { type Desk, StoreDesk } from '../../src/cli/certs-desk.js';
import { openControl } from '../../src/cli/control.js';
import { controlPath } from '../../src/cli/control-paths.js';
import { within } from '../support/patience.js';
import { temporaryDirectory } from './support.js';

/** Opens a socket before `desk`; what comes back asks it. */
async function asking(
  t: TestContext,
  desk: Desk,
): Promise<(method: string, path: string, body?: unknown, signal?: AbortSignal) => Promise<IncomingMessage>> {
  const caDir = await temporaryDirectory(t);
  const store = { hits: 0, generated: 0, failed: 0, waited: 0, renewed: 0, evicted: 0, broken: 0 };
  const close = await openControl({
    caDir,
    desk,
    counters: () => ({ workers: 1, store, proxy: {} }),
    forget: () => undefined,
    unavailable: (why) => assert.fail(why),
  });
  t.after(close);
  const socketPath = controlPath(caDir, process.pid);
  return async (method, path, body, signal) => {
    const asked = request({ socketPath, method, path, agent: false, ...(signal && { signal }) });
    asked.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    return response;
  };
}

async function text(response: IncomingMessage): Promise<string> {
  let all = '';
  response.setEncoding('utf8');
  for await (const piece of response as AsyncIterable<string>) all += piece;
  return all;
}

/** A desk that does what `parts` say, and else is not asked. */
function deskWith(parts: Partial<Desk>): Desk {
  const never = (): never => assert.fail('it is not asked this');
  return { entries: never, purge: never, warm: never, stats: never, ...parts };
}

async function* manyEntries(count: number): AsyncIterable<StoreEntry> {
  for (let index = 0; index < count; index += 1) {
    await Promise.resolve();
    const key = { host: `h${index}.example.com`, authority: 'AA', profile: 'p256' } as const;
    yield { key, state: 'valid', bytes: 1500, certificatePem: 'C'.repeat(1200), serial: '01' };
  }
}

describe('the control socket', () => {
  test('many entries for a slow reader: all of them, and no listener is left over', async (t) => {
    const warnings: string[] = [];
    const hear = ({ name }: Error): void => void warnings.push(name);
    process.on('warning', hear);
    t.after(() => process.off('warning', hear));
    const ask = await asking(t, deskWith({ entries: () => manyEntries(7500) }));
    const response = await ask('GET', '/certs');
    // What is waiting for a reader fills the socket, again and again.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const lines = (await text(response)).trimEnd().split('\n');
    assert.equal(lines.length, 7500);
    assert.match(lines.at(-1) ?? '', /"host":"h7499\.example\.com"/);
    assert.deepEqual(warnings, []);
  });

  test('a reader that leaves ends the listing', async (t) => {
    let ended: () => void = () => undefined;
    const end = new Promise<void>((resolve) => (ended = resolve));
    async function* endless(): AsyncIterable<StoreEntry> {
      try {
        for (;;) yield* manyEntries(100);
      } finally {
        ended();
      }
    }
    const ask = await asking(t, deskWith({ entries: endless }));
    const response = await ask('GET', '/certs');
    response.destroy();
    await within(end, 'the end of the listing');
  });

  test('it answers others while hosts are warmed', async (t) => {
    const authority = await openAuthority({ dir: await temporaryDirectory(t) });
    const store = new MemoryStore();
    let begun: () => void = () => undefined;
    const beginning = new Promise<void>((resolve) => (begun = resolve));
    const desk = new StoreDesk({
      store,
      authority,
      fetchFrom: {
        fetch: (...args) => {
          begun();
          return store.fetch(...args);
        },
        close: () => undefined,
      },
    });
    const ask = await asking(t, desk);
    const hosts = Array.from({ length: 1000 }, (_, index) => `h${index}.example.com`);
    const order: string[] = [];
    const warming = ask('POST', '/warm', { hosts })
      .then(text)
      .then((answer) => {
        order.push('warmed');
        return answer;
      });
    await beginning;
    await text(await ask('GET', '/certs'));
    order.push('listed');
    const answer = JSON.parse(await warming) as { readonly hosts: readonly { readonly outcome: string }[] };
    assert.deepEqual(order, ['listed', 'warmed']);
    assert.equal(answer.hosts.filter(({ outcome }) => outcome === 'made').length, hosts.length);
  });

  test('hosts are not warmed for a client that has gone', async (t) => {
    let begun: () => void = () => undefined;
    const beginning = new Promise<void>((resolve) => (begun = resolve));
    let stopped: () => void = () => undefined;
    const stop = new Promise<void>((resolve) => (stopped = resolve));
    const desk = deskWith({
      entries: () => manyEntries(1),
      warm: async (_hosts, _leaves, context = Context.background) => {
        begun();
        await context.done();
        stopped();
        context.throwIfClosed();
        return [];
      },
    });
    const ask = await asking(t, desk);
    const leaving = new AbortController();
    const asked = ask('POST', '/warm', { hosts: ['a.example.com'] }, leaving.signal);
    await beginning;
    leaving.abort();
    await assert.rejects(asked, { name: 'AbortError' });
    await within(stop, 'the end of the warming');
    assert.equal((await ask('GET', '/certs')).statusCode, 200);
  });
});
