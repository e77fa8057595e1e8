/** The promises of `CertificateStore` about those who leave, about time, and about its own end. */
import type { LeafMaterial } from '../certs/store.js';
import type { Case } from './store-cases.js';
import { check, isCancelled, outcome, sleep, type Stage } from './store-stage.js';

const day = 24 * 60 * 60 * 1000;

export const cancellationCases: readonly Case[] = [
  {
    name: 'one who waits and leaves is rejected, and nobody else',
    async play(stage) {
      const store = await stage.open();
      const key = stage.key('leaving.example');
      const recipe = stage.recipe(key, { hold: true });
      const leader = outcome(stage.ask(store, key, recipe));
      const controller = new AbortController();
      const leaving = outcome(stage.ask(store, key, recipe, { signal: controller.signal }));
      const staying = outcome(stage.ask(store, key, recipe));
      await stage.eventually(() => recipe.started > 0, 'a generation never starts');
      controller.abort(new Error('the client went away'));
      check(isCancelled(await leaving), 'who leaves is not rejected with ERR_CANCELLED');
      recipe.release();
      const [first, second] = await Promise.all([leader, staying]);
      check(
        first.status === 'fulfilled' && second.status === 'fulfilled',
        'one who leaves takes others along',
      );
      check(recipe.started === 1, 'one who leaves has others generate again');
    },
  },
  {
    name: 'whose generation runs can leave, and it goes on for the others',
    async play(stage) {
      const store = await stage.open();
      const key = stage.key('leader.example');
      const recipe = stage.recipe(key, { hold: true });
      const controller = new AbortController();
      const leader = outcome(stage.ask(store, key, recipe, { signal: controller.signal }));
      await stage.eventually(() => recipe.started > 0, 'a generation never starts');
      const other = outcome(stage.ask(store, key, recipe));
      await sleep(20);
      controller.abort(new Error('the client went away'));
      check(isCancelled(await leader), 'who leaves is not rejected with ERR_CANCELLED');
      recipe.release();
      check((await other).status === 'fulfilled', 'when the leader leaves, those who wait fail');
      check(recipe.started === 1, 'when the leader leaves, what it began is thrown away');
    },
  },
  {
    name: 'a generation that ends with its caller is replaced by that of one who waits',
    async play(stage) {
      const store = await stage.open();
      const key = stage.key('successor.example');
      const controller = new AbortController();
      const { signal } = controller;
      const owned = stage.recipe(key, { hold: true, owner: signal });
      const leader = outcome(stage.ask(store, key, owned, { signal }));
      await stage.eventually(() => owned.started > 0, 'a generation never starts');
      const recipe = stage.recipe(key);
      const other = outcome(stage.ask(store, key, recipe));
      await sleep(20);
      controller.abort(new Error('the client went away'));
      check(isCancelled(await leader), 'who leaves is not rejected with ERR_CANCELLED');
      check((await other).status === 'fulfilled', 'those who wait fail for the cancellation of another');
      check(recipe.made.length === 1, 'the generation of one who waits did not take the place');
    },
  },
  {
    name: 'when all have left, the generation is told, and the next fetch generates',
    async play(stage) {
      const store = await stage.open();
      const key = stage.key('all.example');
      const recipe = stage.recipe(key, { hold: true });
      const controller = new AbortController();
      const options = { signal: controller.signal };
      const leaving = [1, 2, 3].map(() => outcome(stage.ask(store, key, recipe, options)));
      await stage.eventually(() => recipe.started > 0, 'a generation never starts');
      controller.abort(new Error('the client went away'));
      check((await Promise.all(leaving)).every(isCancelled), 'who leaves is not rejected with ERR_CANCELLED');
      await stage.eventually(
        () => recipe.signal?.aborted === true,
        'the signal of a generation that nobody waits for does not abort',
      );
      const next = stage.recipe(key);
      const found = await outcome(stage.ask(store, key, next));
      check(found.status === 'fulfilled', 'a generation that was cancelled is remembered as a failure');
      check(next.made.length === 1, 'after all have left, the next fetch does not generate');
    },
  },
  {
    name: 'a signal that has aborted ends the wait, and hurts nobody',
    async play(stage) {
      const store = await stage.open();
      const key = stage.key('aborted.example');
      const held = stage.recipe(key, { hold: true });
      const signal = AbortSignal.abort(new Error('gone before'));
      const answer = await outcome(stage.ask(store, key, held, { signal }));
      check(isCancelled(answer), 'a fetch with an aborted signal is not rejected with ERR_CANCELLED');
      const found = await outcome(stage.ask(store, key, stage.recipe(key)));
      check(found.status === 'fulfilled', 'a fetch fails for the aborted signal of one before');
    },
  },
  {
    name: 'closing rejects who waits and who comes, and can be done twice',
    async play(stage) {
      const store = await stage.open();
      const [there, waited] = [stage.key('there.example'), stage.key('waited.example')];
      await stage.ask(store, there, stage.recipe(there));
      const recipe = stage.recipe(waited, { hold: true });
      const waiting = [1, 2].map(() => outcome(stage.ask(store, waited, recipe)));
      await stage.eventually(() => recipe.started > 0, 'a generation never starts');
      const closing = (async () => await store.close())();
      const outcomes = await Promise.all(waiting);
      check(outcomes.every(isCancelled), 'who waits when it closes is not rejected with ERR_CANCELLED');
      recipe.release();
      await stage.within(closing, 'close does not end');
      const later = await outcome(stage.ask(store, there, stage.recipe(there)));
      check(isCancelled(later), 'a fetch after close is not rejected with ERR_CANCELLED');
      await store.close();
    },
  },
];

export const timeCases: readonly Case[] = [
  {
    name: 'nothing is handed out at its end or after',
    async play(stage) {
      const store = await stage.open();
      const key = stage.key('ending.example');
      const notAfter = stage.inFuture(stage.still ? 100 * day : 1500);
      const first = await stage.ask(store, key, stage.recipe(key, { notAfter }));
      await stage.until(notAfter);
      const found = await stage.ask(store, key, stage.recipe(key));
      check(found.serial !== first.serial, 'what has ended is handed out');
      check(found.notAfter > stage.now(), 'something else that has ended is handed out');
    },
  },
  {
    name: 'what ends soon is replaced in the background, while it is handed out',
    async play(stage) {
      await inRenewalTime(stage, async ({ store, key, first, renewed }) => {
        const recipe = stage.recipe(key, { hold: true });
        const answer = Promise.resolve(store.fetch(key, recipe.generate));
        // It is not left alone with a rejection when a check fails.
        void outcome(answer);
        check(recipe.started === 0, 'a fetch in the time of renewal generates before it answers');
        const found = await stage.within(answer, 'a fetch in the time of renewal waits for the generation');
        if (stage.now() >= first.notAfter) return false;
        check(found.serial === first.serial, 'a fetch in the time of renewal does not give what is there');
        await stage.eventually(async () => {
          if (!stage.still) return recipe.started > 0 || stage.now() >= first.notAfter;
          await stage.ask(store, key, recipe);
          return recipe.started > 0;
        }, 'a fetch in the time of renewal does not generate in the background');
        if (recipe.started === 0 || stage.now() >= first.notAfter) return false;
        recipe.release();
        await stage.eventually(
          async () => (await stage.ask(store, key, renewed)).serial !== first.serial,
          'what was generated in the background is not handed out',
        );
        if (stage.still) {
          check(recipe.made.length === 1 && renewed.started === 0, 'a renewal generates more than once');
        }
        return true;
      });
    },
  },
  {
    name: 'a renewal that fails keeps what is there, is not tried at every fetch, and not served past its end',
    async play(stage) {
      await inRenewalTime(stage, async ({ store, key, first, renewed }) => {
        const recipe = stage.recipe(key, { fails: 'rejects' });
        for (let round = 0; round < 40; round += 1) {
          const found = await outcome(stage.ask(store, key, recipe));
          if (stage.now() >= first.notAfter) return false;
          check(found.status === 'fulfilled', 'a renewal that fails reaches a request');
          check(found.value.serial === first.serial, 'a renewal that fails loses what is there');
          await sleep(2);
        }
        check(recipe.started > 0, 'a fetch in the time of renewal does not generate in the background');
        check(recipe.started <= 10, `a failing renewal ran ${recipe.started} times in 40 fetches`);
        await stage.until(first.notAfter);
        let found: LeafMaterial | undefined;
        await stage.eventually(async () => {
          const answer = await outcome(stage.ask(store, key, renewed));
          found = answer.status === 'fulfilled' ? answer.value : undefined;
          return found !== undefined;
        }, 'after a renewal that failed nothing is generated any more');
        check(found?.serial !== first.serial, 'what has ended is handed out, as its renewal failed');
        return true;
      });
    },
  },
];

interface Renewal {
  readonly store: Awaited<ReturnType<Stage['open']>>;
  readonly key: ReturnType<Stage['key']>;
  readonly first: LeafMaterial;
  /** What succeeds, without being held. */
  readonly renewed: ReturnType<Stage['recipe']>;
}

/**
 * Plays with an entry whose renewal is due. Without a clock of ours that is the last tenth of a few seconds: where
 * `play` says `false`, the machine was too slow, and the next attempt takes longer.
 */
async function inRenewalTime(stage: Stage, play: (renewal: Renewal) => Promise<boolean>): Promise<void> {
  const store = await stage.open();
  for (let life = 4000; life <= 32_000; life *= 2) {
    const key = stage.key(`renewal-${life}.example`);
    const notAfter = stage.inFuture(stage.still ? 100 * day : life);
    const first = await stage.ask(store, key, stage.recipe(key, { notAfter }));
    const left = notAfter - stage.now();
    // From renewalTime on: one day before the end, or a tenth of the time.
    await stage.until(stage.still ? notAfter - day / 2 : Math.ceil(notAfter - (left / 10) * 0.95));
    if (await play({ store, key, first, renewed: stage.recipe(key) })) return;
  }
  throw new Error('this machine is too slow to see a renewal in real time');
}
