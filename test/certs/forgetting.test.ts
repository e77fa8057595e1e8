/** What is purged does not come back: not from memory, and not from what was under way meanwhile. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Authority } from '../../src/certs/authority.js';
import { isForOneOf, Underway } from '../../src/certs/forgetting.js';
import type { Identity } from '../../src/certs/host-identity.js';
import { Identities } from '../../src/certs/identity.js';
import { MemoryStore } from '../../src/certs/memory-store.js';
import { Minter } from '../../src/certs/mint.js';
import { type CertificateName, certificateName } from '../../src/certs/names.js';
import type { Signer } from '../../src/certs/signer.js';
import type { CertificateKey, CertificateStore, LeafMaterial } from '../../src/certs/store.js';
import { TieredStore } from '../../src/certs/tiered-store.js';
import { loadWildcardGroups } from '../../src/certs/wildcards.js';
import { temporaryAuthority } from './support.js';

const key: CertificateKey = { host: 'a.example', authority: 'AA:BB', profile: 'p256' };

let made = 0;
const material = (notAfter = 1000): LeafMaterial => {
  made += 1;
  return { certificatePem: 'c', privateKeyPem: 'k', notBefore: 0, notAfter, serial: String(made) };
};

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
}

/** Work whose results the test gives, one after the other. */
class Desk<T> {
  readonly #asked: ((result: T) => void)[] = [];
  times = 0;

  readonly ask = (): Promise<T> => {
    this.times += 1;
    return new Promise((resolve) => void this.#asked.push(resolve));
  };

  async answer(result: T): Promise<void> {
    const resolve = this.#asked.shift();
    assert.ok(resolve, 'nobody asks');
    resolve(result);
    await settled();
  }
}

test('which entries are for a host: its own, those that mirror, and the one of its group', () => {
  const isGone = isForOneOf(['a.x.example', 'b.example/mirror:00', '*.y.example']);
  const gone = ['a.x.example', 'a.x.example/mirror:11', '*.x.example', 'b.example', '*.y.example'];
  for (const stored of gone) assert.ok(isGone(stored), stored);
  const kept = ['x.example', 'b.x.example', 'z.a.x.example', '*.a.x.example', 'a.y.example', 'a.x.exampl'];
  for (const stored of kept) assert.ok(!isGone(stored), stored);
  assert.ok(isForOneOf(undefined)('a.example') && !isForOneOf([])('a.example'));
});

describe('work under way', () => {
  test('is done again as often as it was forgotten meanwhile, and accepted once', async () => {
    const underway = new Underway();
    const [a, b] = [new Desk<number>(), new Desk<number>()];
    const accepted: number[] = [];
    const accept = (result: number): number => accepted.push(result);
    const results = [underway.run('a', a.ask, accept), underway.run('b', b.ask, accept)];
    underway.forget((name) => name === 'a');
    await a.answer(1);
    underway.forget((name) => name === 'a');
    await a.answer(2);
    await b.answer(10);
    await a.answer(3);
    await Promise.all(results);
    assert.deepEqual(accepted, [10, 3]);
  });

  test('that fails is not done again, and what was there at once makes no promise', async () => {
    const underway = new Underway();
    let times = 0;
    const failing = underway.run(
      'a',
      async () => {
        times += 1;
        throw new Error('gone');
      },
      () => assert.fail('accepted'),
    );
    underway.forget(() => true);
    await assert.rejects(async () => failing, /gone/);
    assert.equal(times, 1);
    assert.equal(
      underway.run(
        'a',
        () => 1,
        (one) => one + 1,
      ),
      2,
    );
  });
});

for (const how of ['delete', 'forget'] as const) {
  const forget = async (store: MemoryStore): Promise<void> => {
    if (how === 'delete') await store.delete(key);
    else store.forget(({ host }) => host === key.host);
  };

  test(`memory: what is being generated at a ${how} is generated again, for all who wait`, async () => {
    const store = new MemoryStore({ now: () => 0 });
    const [mine, other] = [new Desk<LeafMaterial>(), new Desk<LeafMaterial>()];
    const before = store.fetch(key, mine.ask);
    const elsewhere = store.fetch({ ...key, host: 'b.example' }, other.ask);
    await forget(store);
    const after = store.fetch(key, () => assert.fail('a second generation at a time'));
    await mine.answer(material());
    const second = material();
    await mine.answer(second);
    await other.answer(material());
    assert.deepEqual(
      (await Promise.all([before, after])).map(({ serial }) => serial),
      [second.serial, second.serial],
    );
    await elsewhere;
    assert.equal(store.peek(key)?.serial, second.serial);
    assert.deepEqual([mine.times, other.times, store.counters.generated], [2, 1, 2]);
    store.close();
  });

  test(`memory: a renewal under way at a ${how} does not bring the old one back`, async () => {
    let now = 0;
    const store = new MemoryStore({ now: () => now });
    const first = await store.fetch(key, () => material());
    now = 950;
    const renewal = new Desk<LeafMaterial>();
    assert.equal(await store.fetch(key, renewal.ask), first);
    await settled();
    await forget(store);
    assert.equal(store.peek(key), undefined);
    await renewal.answer(material(2000));
    assert.equal(store.peek(key), undefined);
    const last = material(2000);
    await renewal.answer(last);
    assert.equal(store.peek(key)?.serial, last.serial);
    store.close();
  });
}

test('memory in front: what the store behind had before is not kept, and asked for again', async () => {
  const behind = new Desk<LeafMaterial>();
  let done: () => void = () => undefined;
  const back: CertificateStore = {
    fetch: behind.ask,
    forget: () => new Promise<void>((resolve) => void (done = resolve)),
    close: () => undefined,
  };
  const front = new MemoryStore({ now: () => 0 });
  const store = new TieredStore({ front, back });
  const waiting = store.fetch(key, () => assert.fail('generated'));
  const forgetting = store.forget(() => true);
  done();
  await forgetting;
  await behind.answer(material());
  assert.equal(front.counters.entries, 0);
  const next = material();
  await behind.answer(next);
  assert.equal((await waiting).serial, next.serial);
  assert.equal(front.peek(key)?.serial, next.serial);
  await store.close();
});

/** Leaves of `authority`, each with a key of its own. */
function leavesOf(authority: Authority): (name: CertificateName) => LeafMaterial {
  return (name) => {
    const minter = new Minter({ issuer: authority });
    const leaf = minter.mint(name);
    minter.close();
    assert.ok(!(leaf instanceof Promise));
    return leaf;
  };
}

describe('identities', () => {
  test('what the store was asked for before is no identity after: it is asked again, for all who wait', async (t) => {
    const authority = await temporaryAuthority(t);
    const leaf = leavesOf(authority);
    const desks = new Map<string, Desk<LeafMaterial>>();
    const store: CertificateStore = {
      fetch: ({ host }) => {
        const desk = desks.get(host) ?? new Desk<LeafMaterial>();
        desks.set(host, desk);
        return desk.ask();
      },
      close: () => undefined,
    };
    const wildcards = await loadWildcardGroups();
    const identities = new Identities({ authority, store, wildcards });
    const get = async (host: string): Promise<Identity> => await identities.get(host);
    const group = wildcards(certificateName('a.x.example.com'));
    const own = certificateName('example.org');
    const [a, b] = [get('a.x.example.com'), get('example.org')];
    await identities.forget(['b.x.example.com']);
    const late = get('a.x.example.com');
    const [old, fresh, kept] = [leaf(group), leaf(group), leaf(own)];
    const answer = async ({ host }: CertificateName, one: LeafMaterial): Promise<void> => {
      await (desks.get(host) ?? assert.fail(host)).answer(one);
    };
    await answer(group, old);
    assert.equal(identities.peek('a.x.example.com'), undefined);
    await answer(group, fresh);
    await answer(own, kept);
    assert.deepEqual(
      (await Promise.all([a, late, b])).map(({ serial }) => serial),
      [fresh.serial, fresh.serial, kept.serial],
    );
    assert.equal(identities.peek('a.x.example.com')?.serial, fresh.serial);
    assert.equal(desks.get('example.org')?.times, 1);
    await identities.close();
  });

  test('what a store that takes its time gave before it had forgotten goes, too', async (t) => {
    const authority = await temporaryAuthority(t);
    const leaf = leavesOf(authority);
    const name = certificateName('a.example');
    let current = leaf(name);
    const { serial } = current;
    let done: () => void = () => undefined;
    const store: CertificateStore = {
      fetch: () => current,
      forget: () => new Promise<void>((resolve) => void (done = resolve)),
      close: () => undefined,
    };
    const identities = new Identities({ authority, store });
    const forgetting = identities.forget(['a.example']);
    assert.equal((await identities.get('a.example')).serial, serial);
    current = leaf(name);
    done();
    await forgetting;
    assert.equal((await identities.get('a.example')).serial, current.serial);
    await identities.close();
  });

  test('forget leaves nothing of a host in the memory that is the store, and nothing with the old key', async (t) => {
    const authority = await temporaryAuthority(t);
    const { algorithm } = authority.signer;
    let slow = false;
    const signer: Signer = {
      algorithm,
      sign: async (tbs) => {
        if (slow) await settled();
        return authority.signer.sign(tbs);
      },
    };
    const store = new MemoryStore();
    const identities = new Identities({ authority: { ...authority, signer }, store });
    const before = await identities.get('a.example');
    const other = await identities.get('b.example');
    slow = true;
    const waiting = identities.get('c.example');
    await identities.forget(['a.example', 'c.example']);
    assert.deepEqual(await hostsOf(store), ['b.example']);
    const after = await identities.get('a.example');
    const keys = [after, await waiting].map(({ privateKeyPem }) => privateKeyPem);
    assert.ok(after.serial !== before.serial && !keys.includes(before.privateKeyPem));
    assert.equal(identities.peek('b.example'), other);
    await identities.forget();
    assert.deepEqual(await hostsOf(store), []);
    await identities.close();
    store.close();
  });
});

async function hostsOf(store: MemoryStore): Promise<string[]> {
  const hosts: string[] = [];
  for await (const entry of store.entries()) hosts.push(entry.key.host);
  return hosts;
}
