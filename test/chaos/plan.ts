/** What one seed decides: who visits whom how, what the origin does, and when and how the client vanishes. Pure. */
import type { Random } from '../fuzz/random.js';
import { answerNames, type AnswerName } from './answers.js';

/** How a client gets to what it wants. */
type Road = 'http' | 'https' | 'tunnel';

/** What an origin does with a TLS handshake; its host has the name (`<handshake>.chaos.test`). */
const brokenHandshakes = [
  'untrusted',
  'expired',
  'misnamed',
  'silent',
  'garbage',
  'plaintext',
  'fin',
  'rst',
  // The origin's part of a good handshake up to so many bytes, and then …
  ...[1, 5, 90, 400, 1000].flatMap((bytes) => ['stall', 'fin', 'rst'].map((end) => `cut-${bytes}-${end}`)),
] as const;

/** Where a client vanishes, in the order in which it comes there. */
export const phases = [
  'connected',
  'connect-head',
  'connect-sent',
  'tunnel-open',
  'client-hello',
  'client-hello-sent',
  'handshake-done',
  'request-head',
  'request-body',
  'waiting',
  'response',
] as const;
export type Phase = (typeof phases)[number];

/** `fin` closes one direction and reads on; `close` closes the socket, `rst` breaks the connection. */
export type Way = 'fin' | 'close' | 'rst';

export interface Leaving {
  readonly phase: Phase;
  readonly way: Way;
  /** How far into the phase, from 0 to 1, or after how many bytes of a response. */
  readonly share: number;
  readonly bytes: number;
}

export interface RequestPlan {
  readonly method: 'GET' | 'POST';
  /** How many bytes; sent in chunks or with their length. */
  readonly body: number;
  readonly chunked: boolean;
  readonly answer: AnswerName;
  /** The size of what is answered, in bytes or whatever the answer counts. */
  readonly size: number;
}

/** One connection of a client, with one exchange or several. */
export interface Visit {
  readonly number: number;
  readonly road: Road;
  /** Which of the proxies of the run. */
  readonly proxy: number;
  readonly host: string;
  /** Nobody listens there. */
  readonly refused: boolean;
  readonly requests: readonly RequestPlan[];
  readonly leaving: Leaving | undefined;
}

const proxies = 2;

/** Visits with `exchanges` exchanges in all, or a few more. */
export function planRound(random: Random, exchanges: number, from: number): Visit[] {
  const visits: Visit[] = [];
  for (let count = 0; count < exchanges; count += visits.at(-1)?.requests.length ?? 0) {
    visits.push(planVisit(random, from + visits.length));
  }
  return visits;
}

function planVisit(random: Random, number: number): Visit {
  const road = random.pick<Road>(['http', 'https', 'https', 'https', 'tunnel']);
  const length = random.oneIn(3) ? 1 + random.below(3) : 1;
  const requests = Array.from({ length }, () => planRequest(random));
  const proxy = random.below(proxies);
  const host = planHost(random, road);
  const refused = random.oneIn(40);
  const leaving = random.oneIn(3) ? planLeaving(random, road) : undefined;
  return { number, road, proxy, host, refused, requests, leaving };
}

function planHost(random: Random, road: Road): string {
  if (random.oneIn(40)) return 'nowhere.invalid';
  if (road === 'https' && random.oneIn(5)) return `${random.pick(brokenHandshakes)}.chaos.test`;
  return `good-${random.below(20)}.chaos.test`;
}

function planRequest(random: Random): RequestPlan {
  const posts = random.oneIn(3);
  return {
    method: posts ? 'POST' : 'GET',
    body: posts ? planSize(random) : 0,
    chunked: random.oneIn(2),
    answer: random.oneIn(3) ? 'length' : random.pick(answerNames),
    size: planSize(random),
  };
}

/** Mostly small, some of more than all buffers together. */
function planSize(random: Random): number {
  const most = random.pick([10, 10, 1000, 20_000, 20_000, 500_000]);
  return random.below(most);
}

function planLeaving(random: Random, road: Road): Leaving {
  const road2phases: Readonly<Record<Road, readonly Phase[]>> = {
    http: ['connected', 'request-head', 'request-body', 'waiting', 'response'],
    https: phases,
    tunnel: ['connected', 'connect-head', 'connect-sent', 'tunnel-open', 'waiting', 'response'],
  };
  return {
    phase: random.pick(road2phases[road]),
    way: random.pick<Way>(['fin', 'close', 'rst']),
    share: random.below(1000) / 1000,
    bytes: random.below(random.pick([2, 300, 40_000])),
  };
}
