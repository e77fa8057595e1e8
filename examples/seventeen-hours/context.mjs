/** The same server on `Context`: what waits for the deadline is gone with the answer. */
import { Context, contextKey, contextValue } from 'sallyport/context';
import { findCard, metadataOf, timeoutOf } from './cards.mjs';

/** @type {import('sallyport/context').ContextKey<import('./cards.mjs').Metadata>} */
export const metadata = contextKey('metadata');

/** @type {import('./server.mjs').Answer} */
export async function context(request, response) {
  const values = [contextValue(metadata, metadataOf(request))];
  const options = { timeout: timeoutOf(request), values, label: 'GET /cards' };
  await Context.run(Context.background, options, async (child) => {
    // A client that goes away ends the work for it, which plain.mjs would have needed another signal for.
    response.once('close', () => child.close());
    response.end(JSON.stringify(await child.race(findCard(child.value(metadata)?.card ?? ''))));
  });
}
