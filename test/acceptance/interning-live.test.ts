/** The certificates of 300 live connections. Alone in its process, whose counters it reads. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, describe, test } from 'node:test';
import tls from 'node:tls';
import { Context } from '../../src/base/context.js';
import { internCounters } from '../../src/certs/index.js';
import { OriginCertificates } from '../../src/proxy/origin-certificates.js';
import { TrustContext } from '../../src/tls/trust.js';
import { openUpstreamTls } from '../../src/tls/upstream.js';
import { type Chain, makeChain } from '../support/chain.js';
import { untilCollected } from '../support/garbage.js';
import { eventually } from '../support/patience.js';
import { later } from '../support/stage.js';

let chain: Chain;

before(async () => {
  chain = await makeChain('DNS:shop.test');
});

const texts = (certificates: readonly unknown[] | undefined): readonly string[] =>
  (certificates ?? []).map(String);

describe('300 live connections to one origin', () => {
  for (const sessions of [0, 100]) {
    const how = sessions === 0 ? 'none resumed' : 'all but one resumed';
    test(`${how}: three objects, three parses; none when they are closed`, async (t) => {
      const greeted = new Set<tls.TLSSocket>();
      const server = tls.createServer({ cert: chain.sent, key: chain.key }, (socket) => {
        greeted.add(socket.on('error', () => socket.destroy()));
        socket.write('!');
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      later(t, async () => {
        for (const socket of greeted) socket.destroy();
        server.close();
        await once(server, 'close');
      });
      const { port } = server.address() as { port: number };
      const trust = new TrustContext({ verify: true, ca: [chain.root] }, { sessions });
      await untilCollected('what earlier tests held is gone', nothingLeft);
      const earlier = internCounters();
      await (async () => {
        const live = [];
        for (let count = 0; count < 300; count += 1) {
          const socket = await openUpstreamTls({
            host: '127.0.0.1',
            serverName: 'shop.test',
            port,
            trust,
            context: Context.background,
          });
          const certificates = OriginCertificates.of(socket);
          live.push({ socket, certificates, all: certificates?.all });
          await once(socket, 'data');
          // Its ticket may come after the byte.
          if (count === 0 && sessions > 0) await eventually('a session', () => trust.sessions.size === 1);
        }
        const resumed = live.filter(({ socket }) => socket.isSessionReused()).length;
        assert.equal(resumed, sessions === 0 ? 0 : 299);
        for (const { all } of live) assert.deepEqual(texts(all), texts(chain.certificates));
        assert.equal(new Set(live.flatMap(({ all }) => all)).size, 3);
        await untilCollected('only what is held counts', () => internCounters().references === 900);
        const now = internCounters();
        assert.equal(now.distinct, 3);
        assert.equal(now.parses - earlier.parses, 3);
        await Promise.all(live.map(({ socket }) => once(socket.destroy(), 'close')));
      })();
      await untilCollected('all are gone', nothingLeft);
      // And yet the session has what it needs.
      assert.equal(trust.sessions.size, sessions === 0 ? 0 : 1);
    });
  }
});

const nothingLeft = (): boolean => internCounters().references === 0 && internCounters().distinct === 0;
