/** What the three servers have in common: the back end, the metadata of a request, and the client's wish. */
import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';

/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {ReturnType<typeof metadataOf>} Metadata */

/** What a server likes to know of a request until it is answered. @param {IncomingMessage} request */
export function metadataOf({ url = '/', headers }) {
  return { trace: randomUUID(), card: url.split('/').at(-1) ?? '', headers, received: new Date() };
}

/** The back end: finds a card within a turn of the event loop, but for the lost one. @param {string} card */
export async function findCard(card) {
  await (card === 'lost' ? new Promise(() => undefined) : setImmediate());
  return { card, holder: 'Ada' };
}

/**
 * How many milliseconds the client grants. `request-timeout` is in seconds, and this client takes it for
 * milliseconds: it sends 60000 for a minute, and grants 16.7 hours.
 *
 * @param {IncomingMessage} request
 */
export function timeoutOf({ headers }) {
  const seconds = Number(headers['request-timeout']);
  return seconds > 0 ? Math.ceil(seconds * 1000) : 30_000;
}
