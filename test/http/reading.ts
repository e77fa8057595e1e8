/** How a parser frames the bytes of a connection, and whether two parsers disagree about it. */
import type { H1RequestHead, H1ResponseHead } from '../../src/http/head.js';
import { type Message, type RunOptions, type Side, transcribe } from './events.js';

/** A message as far as framing goes; strings are Latin-1. */
export interface Framed {
  /** `GET /path`, `200`. */
  readonly start: string;
  readonly body: string;
}

export interface Reading {
  /** The messages that are complete, in order. */
  readonly messages: readonly Framed[];
  /** The message whose head is complete and whose body is not. */
  readonly open: Framed | undefined;
  /**
   * How it ends: `clean` between messages; `incomplete` within one; `refused` by an error; `closed` where
   * the parser reads no further because the connection is not to be used again; `switched` where what
   * follows is another protocol.
   */
  readonly end: 'clean' | 'incomplete' | 'refused' | 'closed' | 'switched';
  /** The reason of another parser, in its own words, where it refuses. */
  readonly why?: string | undefined;
}

/** What this project's codec reads, as a server or client reads that hands the connection on where it must. */
export function ownReading(
  side: Side,
  chunks: readonly Buffer[],
  options: Pick<RunOptions, 'methods' | 'limits'> = {},
): Reading {
  const method = options.methods?.[0] ?? 'GET';
  const { messages, error } = transcribe(side, chunks, {
    ...options,
    // A client reads one final response at a time; so do the other parsers here.
    ...(side === 'request' ? { stopsAtClose: true } : { stopsAtEnd: true }),
    stopsAt: (head) => switches(head, method),
  });
  const framed = messages.map(({ start, body }) => ({ start: frameStart(side, start), body }));
  const last = messages.at(-1);
  const lastHead = framed.at(-1);
  if (last && lastHead && !last.ended && switchesStart(side, last.start, method)) {
    return { messages: framed, open: undefined, end: 'switched' };
  }
  const isOpen = last !== undefined && !last.ended && !isInterim(side, last.start);
  return {
    messages: isOpen ? framed.slice(0, -1) : framed,
    open: isOpen ? lastHead : undefined,
    end: endOf(error, side, last),
  };
}

function endOf(error: string | undefined, side: Side, last: Message | undefined): Reading['end'] {
  switch (error) {
    case undefined:
      // An answer is due; after it a client reads no further here.
      if (side === 'response') return last?.ended ? 'closed' : 'incomplete';
      return last?.ended && !last.persistent ? 'closed' : 'clean';
    case 'ERR_CLIENT_GONE':
    case 'ERR_UPSTREAM_RESET':
    case 'ERR_RESPONSE_TRUNCATED':
      return 'incomplete';
    default:
      return 'refused';
  }
}

function switches(head: H1RequestHead | H1ResponseHead, method: string): boolean {
  return 'status' in head
    ? head.status === 101 || (method === 'CONNECT' && head.status >= 200 && head.status < 300)
    : head.method === 'CONNECT';
}

function switchesStart(side: Side, start: string, method: string): boolean {
  if (side === 'request') return start.startsWith('CONNECT ');
  const status = frameStart(side, start);
  return status === '101' || (method === 'CONNECT' && status.startsWith('2'));
}

function isInterim(side: Side, start: string): boolean {
  return side === 'response' && frameStart(side, start).startsWith('1');
}

function frameStart(side: Side, start: string): string {
  return side === 'request' ? start.slice(0, start.lastIndexOf(' ')) : start.slice(9, 12);
}

/**
 * Where two readings of the same bytes contradict each other, in words; `undefined` where they do not.
 *
 * One may refuse what the other accepts, and may stop earlier because it takes the connection for closed.
 * What both accept must be the same messages, and none may see more of them than the other.
 */
export function disagreement(one: Reading, other: Reading): string | undefined {
  const both = Math.min(one.messages.length, other.messages.length);
  for (let at = 0; at < both; at += 1) {
    const found = different(one.messages[at], other.messages[at], at);
    if (found !== undefined) return found;
  }
  if (one.messages.length !== other.messages.length) {
    const [shorter, longer] = one.messages.length < other.messages.length ? [one, other] : [other, one];
    const next = longer.messages[both];
    if (shorter.end === 'clean' || shorter.end === 'incomplete' || shorter.end === 'switched') {
      return `message ${both} is ${JSON.stringify(next)} to one and not there to the other (${shorter.end})`;
    }
    // Refused within this body: what came of it must be its beginning.
    return shorter.open && next ? beginning(shorter.open, next, both) : undefined;
  }
  if (isFinal(one) || isFinal(other)) {
    return one.open && other.open ? beginning(one.open, other.open, both) : undefined;
  }
  if (one.end !== other.end) return `${one.end} to one, ${other.end} to the other`;
  if ((one.open === undefined) !== (other.open === undefined)) {
    return `after ${both} messages a body is open to one only: ${JSON.stringify(one.open ?? other.open)}`;
  }
  return different(one.open, other.open, both);
}

/** Nothing can be said about what comes after. */
function isFinal({ end }: Reading): boolean {
  return end === 'refused' || end === 'closed';
}

function different(one: Framed | undefined, other: Framed | undefined, at: number): string | undefined {
  if (one?.start === other?.start && one?.body === other?.body) return undefined;
  return `message ${at} is ${JSON.stringify(one)} to one and ${JSON.stringify(other)} to the other`;
}

function beginning(one: Framed, other: Framed, at: number): string | undefined {
  const [short, long] = one.body.length < other.body.length ? [one, other] : [other, one];
  if (short.start === long.start && long.body.startsWith(short.body)) return undefined;
  return different(one, other, at);
}
