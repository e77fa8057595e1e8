/** The promises of `CertificateStore` that keys have nothing to do with each other, however alike they look. */
import { getEventListeners } from 'node:events';
import type { LeafMaterial } from '../certs/store.js';
import type { Case } from './store-cases.js';
import type { Recipe } from './store-recipe.js';
import { check, isFailure, outcome, type Stage } from './store-stage.js';

/** As long as a host can be; only the end tells which. */
function longHost(end: string): string {
  const label = 'a'.repeat(63);
  return `${label}.${label}.${label}.${'b'.repeat(61 - end.length)}${end}`;
}

/** Of the length that ours have; only the end tells which. */
const digests = ['e', 'f'].map((end) => `${'0123456789abcdef'.repeat(2).slice(1)}${end}`);

/** What a store that cuts, folds or splits hosts takes for one. */
const lookalikes: Readonly<Record<string, readonly string[]>> = {
  'hosts of 253 characters that differ at their ends': [longHost('x'), longHost('y')],
  'a host and what mirrors its origin': [
    'm.example',
    ...digests.map((digest) => `m.example/mirror:${digest}`),
    `m.example_mirror_${digests[0]}`,
    `m.example-mirror-${digests[0]}`,
  ],
  'hosts that differ in a separator': [
    'a-b.example',
    'a_b.example',
    'a.b.example',
    'ab.example',
    '*.b.example',
    '_.b.example',
  ],
  'addresses and hosts that look like them': [
    '2001:db8::1',
    '2001-db8--1',
    '2001_db8__1',
    '2001:db8::11',
    '10.0.0.1',
    '10-0-0-1',
  ],
};

const likeCases = Object.entries(lookalikes).map(([which, hosts]) => ({
  name: `${which} are not mixed up`,
  async play(stage: Stage) {
    const store = await stage.open();
    const recipes = new Map<string, Recipe>();
    for (const round of ['first', 'second']) {
      for (const host of hosts) {
        const key = stage.key(host);
        const recipe = recipes.get(host) ?? stage.recipe(key);
        recipes.set(host, recipe);
        const { serial } = await stage.ask(store, key, recipe);
        const [owner] = [...recipes].find(([, { made }]) => made.some((one) => one.serial === serial)) ?? [];
        check(owner === host, `the ${round} fetch for ${host} gives what was made for ${owner ?? 'nobody'}`);
      }
    }
  },
}));

export const keyCases: readonly Case[] = [
  ...likeCases,
  {
    name: 'a key that takes long, or fails, holds up no other',
    async play(stage) {
      const store = await stage.open();
      const slow = stage.key('slow.example');
      const held = stage.recipe(slow, { hold: true });
      const waiting = outcome(stage.ask(store, slow, held));
      await stage.eventually(() => held.started > 0, 'a generation never starts');
      try {
        const broken = 'while one key is generated, another is not';
        const other = stage.key('other.example');
        await stage.within(stage.ask(store, other, stage.recipe(other)), broken);
      } finally {
        held.release();
        await waiting;
      }
      const failing = stage.key('failing.example');
      const failed = await outcome(stage.ask(store, failing, stage.recipe(failing, { fails: 'rejects' })));
      check(isFailure(failed), 'a failing generation ends in another way');
      const next = stage.key('next.example');
      const found = await outcome(stage.ask(store, next, stage.recipe(next)));
      check(found.status === 'fulfilled', 'the failure of one key fails another');
    },
  },
  {
    name: "nothing is left on a caller's signal when its fetch has ended",
    async play(stage) {
      const store = await stage.open();
      // Of a caller that lives as long as the store.
      const { signal } = new AbortController();
      const ask = async (host: string, hold: boolean): Promise<void> => {
        const key = stage.key(host);
        const recipe = stage.recipe(key, { hold });
        const answers = [1, 2].map(() => stage.ask(store, key, recipe, { signal }));
        const settled = Promise.allSettled(answers);
        if (hold) await stage.eventually(() => recipe.started > 0, 'a generation never starts');
        recipe.release();
        await settled;
        await Promise.all(answers);
        await stage.ask(store, key, recipe, { signal });
      };
      for (let index = 0; index < 10; index += 1) await ask(`listening-${index}.example`, index % 2 === 0);
      const left = (): number => getEventListeners(signal, 'abort').length;
      // One for all fetches of a signal does not pile up.
      await stage.eventually(() => left() <= 1, `${left()} listeners are left on a signal after 30 fetches`);
    },
  },
  {
    name: 'nothing is handed out before its beginning',
    async play(stage) {
      const store = await stage.open();
      const early = stage.key('early.example');
      const notBefore = stage.inFuture(90 * 60_000);
      const first = await outcome(stage.ask(store, early, stage.recipe(early, { notBefore })));
      check(first.status === 'rejected', 'what was generated before its beginning is handed out');
      const good = stage.recipe(early);
      let found: PromiseSettledResult<LeafMaterial> | undefined;
      await stage.eventually(async () => {
        found = await outcome(stage.ask(store, early, good));
        return found.status === 'fulfilled';
      }, 'after a certificate before its beginning nothing is generated any more');
      check(
        found?.status === 'fulfilled' && found.value.serial === good.made[0]?.serial,
        'what is kept is handed out before its beginning',
      );
      if (!stage.still) return;
      // A clock that was ahead is corrected.
      const key = stage.key('ahead.example');
      const ahead = await stage.ask(store, key, stage.recipe(key));
      stage.setBack(20 * 24 * 60 * 60_000);
      check(ahead.notBefore > stage.now(), 'the clock was not set back');
      const recipe = stage.recipe(key);
      const corrected = await stage.ask(store, key, recipe);
      check(corrected.serial !== ahead.serial, 'what was made when a clock was ahead is handed out');
      const again = await stage.ask(store, key, recipe);
      check(again.serial === corrected.serial, 'what was made after a clock was corrected is not kept');
    },
  },
];
