/** The promises of `CertificateStore`, one case each. */
import type { LeafMaterial } from '../certs/store.js';
import { failureDetail } from './store-recipe.js';
import { check, isCancelled, isFailure, outcome, sleep, type Stage } from './store-stage.js';

/** What a case needs of the store to be possible. */
export type Need = 'shared' | 'bounded';

export interface Case {
  readonly name: string;
  readonly needs?: Need;
  play(stage: Stage): Promise<void>;
}

export const generationCases: readonly Case[] = [
  {
    name: 'a thousand who ask at once wait for one generation',
    async play(stage) {
      const store = await stage.open();
      const key = stage.key('many.example');
      const recipe = stage.recipe(key, { hold: true });
      const answers = Array.from({ length: 1000 }, () => stage.ask(store, key, recipe));
      const settled = Promise.allSettled(answers);
      await sleep(50);
      recipe.release();
      await settled;
      const serials = new Set((await Promise.all(answers)).map(({ serial }) => serial));
      check(recipe.started === 1, `${recipe.started} generations ran for 1,000 who asked for one key`);
      check(serials.size === 1, `1,000 who asked for one key got ${serials.size} certificates`);
      await stage.ask(store, key, recipe);
      check(recipe.started === 1, 'what was generated is generated again by the next fetch');
    },
  },
  {
    name: 'what is handed out is what was generated',
    async play(stage) {
      const store = await stage.open();
      const key = stage.key('same.example');
      const recipe = stage.recipe(key);
      const first = await stage.ask(store, key, recipe);
      const second = await stage.ask(store, key, recipe);
      const [made] = recipe.made;
      check(made !== undefined && recipe.started === 1, 'a fetch of what is there generates again');
      for (const [which, found] of Object.entries({ 'the first': first, 'a later': second })) {
        const differs = differenceOf(made, found);
        check(differs === undefined, `${which} fetch gives another ${differs} than was generated`);
      }
    },
  },
  {
    name: 'hosts, authorities and profiles are not mixed up',
    async play(stage) {
      const store = await stage.open();
      const keys = [
        stage.key('a.example'),
        stage.key('b.example'),
        stage.key('*.a.example'),
        stage.key('a.example', { second: true }),
        stage.key('a.example', { rsa: true }),
      ];
      const recipes = keys.map((key) => stage.recipe(key));
      for (const round of ['first', 'second']) {
        for (const [index, key] of keys.entries()) {
          const recipe = recipes[index];
          check(recipe !== undefined, 'there is none');
          const found = await stage.ask(store, key, recipe);
          const owner = recipes.find(({ made }) => made.some(({ serial }) => serial === found.serial));
          const which = `${key.host}, ${key.profile}, authority ${key.authority.slice(0, 8)}…`;
          check(owner === recipe, `the ${round} fetch for ${which} gives what was made for another key`);
        }
      }
    },
  },
  {
    name: 'a store opened for another authority serves nothing of the first',
    needs: 'shared',
    async play(stage) {
      const key = stage.key('a.example');
      await stage.ask(await stage.open(), key, stage.recipe(key));
      const others = stage.key('a.example', { second: true });
      const recipe = stage.recipe(others);
      const found = await stage.ask(await stage.open({ second: true }), others, recipe);
      check(found.serial === recipe.made[0]?.serial, 'a leaf is served under another authority');
    },
  },
  {
    name: 'stores that share wait for one generation',
    needs: 'shared',
    async play(stage) {
      const stores = [await stage.open(), await stage.open(), await stage.open()];
      const key = stage.key('shared.example');
      const recipe = stage.recipe(key, { hold: true });
      const answers = stores.flatMap((store) =>
        Array.from({ length: 20 }, () => stage.ask(store, key, recipe)),
      );
      const settled = Promise.allSettled(answers);
      await sleep(200);
      recipe.release();
      await settled;
      const serials = new Set((await Promise.all(answers)).map(({ serial }) => serial));
      check(recipe.started === 1, `${recipe.started} generations ran in three stores that share`);
      check(serials.size === 1, `stores that share handed out ${serials.size} certificates`);
    },
  },
  {
    name: 'a store that closes in the middle of a generation is replaced',
    needs: 'shared',
    async play(stage) {
      const [first, second] = [await stage.open(), await stage.open()];
      const key = stage.key('closing.example');
      const recipe = stage.recipe(key, { hold: true });
      const leader = outcome(stage.ask(first, key, recipe));
      await stage.eventually(() => recipe.started === 1, 'a generation never starts');
      const successor = stage.recipe(key);
      const follower = stage.ask(second, key, successor);
      void outcome(follower);
      await first.close();
      check(isCancelled(await leader), 'who waits when a store closes is not rejected with ERR_CANCELLED');
      await stage.within(follower, 'nobody takes the place of a store that closed while it generated');
      check(successor.made.length === 1, 'what a closed store generated is handed out');
    },
  },
  {
    name: 'the entries are bounded in bytes',
    needs: 'bounded',
    async play(stage) {
      const capacity = 64 * 1024;
      const store = await stage.open({ capacity });
      const keys = Array.from({ length: 120 }, (_, index) => stage.key(`host-${index}.example`));
      const sizes: number[] = [];
      for (const key of keys) {
        const { certificatePem, privateKeyPem } = await stage.ask(store, key, stage.recipe(key));
        sizes.push(certificatePem.length + privateKeyPem.length);
      }
      let kept = 0;
      await stage.eventually(async () => {
        kept = 0;
        for (const [index, key] of keys.entries()) {
          const found = await outcome(stage.ask(store, key, stage.recipe(key, { fails: 'throws' })));
          if (found.status === 'fulfilled') kept += sizes[index] ?? 0;
        }
        return kept <= capacity;
      }, `more than its ${capacity} bytes are kept`);
      check(kept > 0, `nothing at all is kept in ${capacity} bytes`);
    },
  },
];

export const failureCases: readonly Case[] = (['throws', 'rejects'] as const).flatMap((fails) => [
  {
    name: `a generation that ${fails} fails all who wait for it, with its error`,
    async play(stage: Stage) {
      const store = await stage.open();
      const key = stage.key('failing.example');
      const recipe = stage.recipe(key, { fails, hold: true });
      const answers = Array.from({ length: 20 }, () => outcome(stage.ask(store, key, recipe)));
      await sleep(20);
      recipe.release();
      const outcomes = await Promise.all(answers);
      check(
        outcomes.every((one) => one.status === 'rejected'),
        'what failed is handed out to some',
      );
      check(outcomes.every(isFailure), `who waits gets another error than "${failureDetail}"`);
      check(recipe.most <= 1, `${recipe.most} failing generations ran at the same time`);
    },
  },
  {
    name: `a generation that ${fails} is remembered for a while`,
    async play(stage: Stage) {
      const store = await stage.open();
      // The while may be shorter than a slow machine takes: without a clock of ours there are more attempts.
      for (let attempt = stage.still ? 4 : 0; attempt < 5; attempt += 1) {
        const key = stage.key(`failing-${attempt}.example`);
        const recipe = stage.recipe(key, { fails });
        const first = await outcome(stage.ask(store, key, recipe));
        check(isFailure(first), `a fetch whose generation fails ends in another way: ${first.status}`);
        const again = await outcome(stage.ask(store, key, recipe));
        check(again.status === 'rejected', 'a failure became an entry');
        check(isFailure(again), `a failure is remembered with another error than "${failureDetail}"`);
        if (recipe.started === 1) return;
      }
      check(false, 'a fetch right after a failure generates again: failures are not remembered');
    },
  },
  {
    name: `a generation that ${fails} is not remembered for ever`,
    async play(stage: Stage) {
      const store = await stage.open();
      const key = stage.key('recovering.example');
      await outcome(stage.ask(store, key, stage.recipe(key, { fails })));
      const recipe = stage.recipe(key);
      let found: PromiseSettledResult<LeafMaterial> | undefined;
      await stage.eventually(async () => {
        found = await outcome(stage.ask(store, key, recipe));
        return found.status === 'fulfilled';
      }, 'a failure is remembered for too long');
      check(
        found?.status === 'fulfilled' && found.value.serial === recipe.made[0]?.serial,
        'after a failure something is handed out that was not generated then',
      );
    },
  },
]);

/** The first part of the material that is not as it was made. */
function differenceOf(made: LeafMaterial, found: LeafMaterial): string | undefined {
  const parts = ['certificatePem', 'privateKeyPem', 'serial', 'notBefore', 'notAfter'] as const;
  return parts.find((part) => made[part] !== found[part]);
}
