/** The server with the bug: what waits for the deadline is kept until the deadline. */
import { findCard, metadataOf, timeoutOf } from './cards.mjs';

/** @type {import('./server.mjs').Answer} */
export async function plain(request, response) {
  const metadata = metadataOf(request);
  const signal = AbortSignal.timeout(timeoutOf(request));
  const late = new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error(`${metadata.trace}: too late`)));
  });
  response.end(JSON.stringify(await Promise.race([findCard(metadata.card), late])));
}
