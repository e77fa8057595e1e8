/** The same again, but for one thing: nobody closes the context. */
import { Context, contextValue } from 'sallyport/context';
import { findCard, metadataOf, timeoutOf } from './cards.mjs';
import { metadata } from './context.mjs';

/** @type {import('./server.mjs').Answer} */
export async function forgetful(request, response) {
  const values = [contextValue(metadata, metadataOf(request))];
  const child = Context.background.child({ timeout: timeoutOf(request), values, label: 'GET /cards' });
  response.end(JSON.stringify(await child.race(findCard(child.value(metadata)?.card ?? ''))));
}
