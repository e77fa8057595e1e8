/**
 * The codec beside two other parsers: Node's own (llhttp) and h11. What we accept and they accept too must
 * be the same messages with the same bodies; what both refuse we refuse, but for a list of what we take on
 * purpose.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { RequestParser } from '../../src/http/parser.js';
import { type Side, bytes, defaultLimits, split, transcribe } from './events.js';
import { H11Oracle } from './h11-oracle.js';
import {
  type Stream,
  commonRequestStream,
  mutatedBytes,
  mutation,
  requestStream,
  responseStream,
} from './messages.js';
import { nodeClientReading, nodeServer, nodeServerReading } from './node-oracle.js';
import { tables } from './smuggling/tables.js';
import { type Framed, type Reading, disagreement, ownReading } from './reading.js';

/** What both other parsers refuse and we accept: the reason of one of them is its own. */
const deliberate: readonly {
  readonly why: string;
  applies(accepted: Framed, found: Readings, stream: string): boolean;
}[] = [
  {
    why: 'bytes above 0x7F in a target: clients send raw UTF-8, and no parser reads it as a delimiter',
    applies: ({ start }) => /[\x80-\xff]/.test(start),
  },
  {
    why: 'white space before the semicolon of a chunk extension, which RFC 9112 §7.1.1 asks to be taken',
    applies: (_, __, stream) => /[0-9a-f][ \t]+;/i.test(stream),
  },
  {
    why: 'methods: Node has a list, any token will do (RFC 9110 §9.1)',
    applies: (_, { node }) => node.why === 'HPE_INVALID_METHOD',
  },
  {
    why: 'empty lines before a request line (RFC 9112 §2.2), which h11 does not pass over',
    applies: (_, { h11: theirs }) => theirs.why === 'no request line received',
  },
  {
    why: 'the same length written in two ways (5, 05) in a response, RFC 9112 §6.3: Node takes no repetition, h11 none that differs',
    applies: (_, { h11: theirs }) => theirs.why === 'conflicting Content-Length headers',
  },
];

let h11: H11Oracle;
const server = nodeServer();
before(async () => {
  h11 = await H11Oracle.start();
});
after(async () => await h11.close());

interface Readings {
  readonly own: Reading;
  readonly node: Reading;
  readonly h11: Reading;
}

async function readings(side: Side, method: string, stream: Buffer): Promise<Readings> {
  const [theirs] = await h11.read(side, method, [stream]);
  assert.ok(theirs);
  return {
    own: ownReading(side, [stream], { methods: [method] }),
    node: await (side === 'request'
      ? nodeServerReading(server, [stream])
      : nodeClientReading(method, [stream])),
    h11: theirs,
  };
}

function agree(found: Readings): void {
  for (const other of ['node', 'h11'] as const) {
    const contradiction = disagreement(found.own, found[other]);
    assert.equal(
      contradiction,
      undefined,
      `${other}: ${contradiction}\n${JSON.stringify(found, undefined, 1)}`,
    );
  }
}

/** What we accept must be accepted by one of the others, or be on the list. */
function takeNoMore(found: Readings, stream: Buffer): void {
  const { own, node, h11: theirs } = found;
  const at = node.messages.length;
  if (node.end !== 'refused' || theirs.end !== 'refused' || theirs.messages.length !== at) return;
  const accepted = own.messages[at];
  if (!accepted || deliberate.some((one) => one.applies(accepted, found, stream.toString('latin1')))) return;
  assert.fail(
    `only we accept this of ${JSON.stringify(stream.toString('latin1'))}: ${JSON.stringify(found)}`,
  );
}

const sides: readonly (readonly [string, Side, fc.Arbitrary<Stream>])[] = [
  ['requests', 'request', commonRequestStream],
  ['odd requests', 'request', requestStream],
  ['responses', 'response', responseStream],
];

for (const [name, side, stream] of sides) {
  test(`${name}, as they should be: the same messages`, async () => {
    let allAccept = 0;
    await fc.assert(
      fc.asyncProperty(stream, async ({ text, methods }) => {
        const found = await readings(side, methods[0] ?? 'GET', bytes(text));
        agree(found);
        assert.notEqual(found.own.end, 'refused');
        if (found.node.end !== 'refused' && found.h11.end !== 'refused') allAccept += 1;
      }),
      { numRuns: 300 },
    );
    const least = name === 'odd requests' ? 1 : 150;
    assert.ok(allAccept >= least, `all three accept ${allAccept} of 300`);
  });

  test(`${name}, broken: no contradiction, and nothing that both others refuse`, async () => {
    await fc.assert(
      fc.asyncProperty(
        stream,
        fc.array(mutation, { minLength: 1, maxLength: 3 }),
        async (given, mutations) => {
          const broken = mutatedBytes(given, mutations);
          const found = await readings(side, given.methods[0] ?? 'GET', broken);
          agree(found);
          takeNoMore(found, broken);
        },
      ),
      { numRuns: 1000 },
    );
  });
}

test('the wire of a chunked body is the same body to the others, and nothing more', async () => {
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
  await fc.assert(
    fc.asyncProperty(commonRequestStream, fc.array(fc.nat(), { maxLength: 6 }), async ({ text }, cuts) => {
      for (const { wire, payload } of wires(bytes(text), cuts)) {
        const stream = Buffer.concat([
          bytes(head),
          wire,
          bytes('0\r\n\r\n'),
          bytes(head),
          bytes('0\r\n\r\n'),
        ]);
        const found = await readings('request', 'GET', stream);
        const expected = {
          messages: [
            { start: 'POST /', body: payload },
            { start: 'POST /', body: '' },
          ],
          open: undefined,
          end: 'clean',
          why: undefined,
        };
        assert.deepEqual({ ...found.node, why: undefined }, expected);
        assert.deepEqual({ ...found.h11, why: undefined }, expected);
      }
    }),
    { numRuns: 150 },
  );
});

test('no contradiction about messages that are known to smuggle', async () => {
  for (const [side, vectors] of Object.values(tables)) {
    for (const { text, method } of vectors) agree(await readings(side, method ?? 'GET', bytes(text)));
  }
});

/** The wire and the payload of each chunked body of a stream that arrives in pieces. */
function wires(whole: Buffer, cuts: readonly number[]): { wire: Buffer; payload: string }[] {
  const found: { pieces: Buffer[]; payload: string }[] = [];
  const { messages } = transcribe('request', [whole]);
  let isChunked = false;
  const chunked = messages.filter(({ framing }) => framing === 'chunked');
  const parser = new RequestParser(
    {
      head({ framing }) {
        parser.wire = true;
        if (framing === 'chunked') found.push({ pieces: [], payload: chunked[found.length]?.body ?? '' });
        isChunked = framing === 'chunked';
      },
      data(piece) {
        if (isChunked) found.at(-1)?.pieces.push(piece);
      },
      end: () => undefined,
    },
    defaultLimits,
  );
  for (const part of split(whole, cuts)) parser.push(part);
  return found.map(({ pieces, payload }) => ({ wire: Buffer.concat(pieces), payload }));
}

describe('a contradiction is seen', () => {
  const message = (body: string): Framed => ({ start: 'POST /', body });
  const reading = (bodies: readonly string[], end: Reading['end'], open?: string): Reading => ({
    messages: bodies.map(message),
    open: open === undefined ? undefined : message(open),
    end,
  });
  const contradict = (name: string, one: Reading, other: Reading): void => {
    test(name, () => {
      assert.notEqual(disagreement(one, other), undefined);
      assert.notEqual(disagreement(other, one), undefined);
    });
  };
  const fit = (name: string, one: Reading, other: Reading): void => {
    test(name, () => {
      assert.equal(disagreement(one, other), undefined);
      assert.equal(disagreement(other, one), undefined);
    });
  };
  contradict('another body', reading(['a'], 'clean'), reading(['b'], 'clean'));
  contradict('one message more', reading(['a'], 'clean'), reading(['a', 'b'], 'clean'));
  contradict(
    'one message more before an error',
    reading(['a'], 'incomplete'),
    reading(['a', 'b'], 'refused'),
  );
  contradict('a body that is open to one only', reading(['a'], 'clean'), reading([], 'incomplete', 'a'));
  contradict('open bodies that differ', reading([], 'incomplete', 'a'), reading([], 'incomplete', 'ab'));
  contradict('an open body that is no beginning', reading([], 'refused', 'b'), reading(['ab'], 'clean'));
  contradict('another protocol to one only', reading(['a'], 'switched'), reading(['a', 'b'], 'clean'));
  fit('the same', reading(['a'], 'clean'), reading(['a'], 'clean'));
  fit('one refuses', reading([], 'refused'), reading(['a'], 'clean'));
  fit('one refuses within a body', reading([], 'refused', 'a'), reading(['ab'], 'clean'));
  fit('one reads no further', reading(['a'], 'closed'), reading(['a', 'b'], 'incomplete', 'c'));
});
