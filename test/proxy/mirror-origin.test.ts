/** What is known ahead of the first request, where leaves mirror: what no client can bring about by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Context } from '../../src/base/context.js';
import { SallyportError } from '../../src/base/errors.js';
import { Ledger } from '../../src/base/ledger.js';
import { Identities, intern, type Signer } from '../../src/certs/index.js';
import { failedAhead, identityFor } from '../../src/proxy/mirror-origin.js';
import { Standing } from '../../src/proxy/standing.js';
import { temporaryAuthority } from '../certs/support.js';
import { dns, unsignedOrigin } from '../support/origin-ca.js';

const minute = 60_000;

test('an origin whose leaf ended since it was verified is not mirrored: the host has its usual leaf', async (t) => {
  const made = await temporaryAuthority(t);
  let works = true;
  const signer: Signer = {
    algorithm: made.signer.algorithm,
    sign: (bytes) => {
      if (works) return made.signer.sign(bytes);
      throw new Error('no signature today');
    },
  };
  const identities = new Identities({ authority: { ...made, signer } });
  const ledger = new Ledger();
  t.after(() => identities.close());
  using handshake = Context.background.withCancel();
  const names = [dns('a.example'), dns('b.example')];
  const ended = intern(unsignedOrigin({ names, notAfter: Date.now() - 1000 }));
  const plain = await identities.get('a.example');
  assert.equal(await identityFor({ identities, ledger }, 'a.example', ended, handshake), plain);
  assert.equal(await identityFor({ identities, ledger }, 'a.example', undefined, handshake), plain);
  const lasting = intern(unsignedOrigin({ names }));
  const mirrored = await identityFor({ identities, ledger }, 'a.example', lasting, handshake);
  assert.match(mirrored.host, /^a\.example\/mirror:/);
  // Only that is a reason: whatever else fails is no case for another leaf, even if there is one.
  works = false;
  const other = intern(unsignedOrigin({ names: [dns('c.example')] }));
  await assert.rejects(
    identityFor({ identities, ledger }, 'a.example', other, handshake),
    /no signature today/,
  );
});

test('a certificate stands until it ends, and for an hour; not when the clock was set back', (t) => {
  const start = Date.parse('2026-03-01T12:00:00Z');
  t.mock.timers.enable({ apis: ['Date'], now: start });
  const standing = (notAfter?: number): Standing => {
    const leaf = unsignedOrigin({ names: [], ...(notAfter !== undefined && { notAfter }) });
    return new Standing({ shownAt: start, chain: [leaf] });
  };
  const says = (what: Standing, ms: number): string => {
    t.mock.timers.setTime(start + ms);
    return what.ended ? 'ended' : what.over ? 'over' : 'stands';
  };
  const short = standing(start + 10 * minute);
  const long = standing();
  const unread = new Standing({ shownAt: start, chain: [Buffer.from('no certificate')] });
  const none = new Standing({ shownAt: start, chain: [] });
  assert.equal(says(short, 0), 'stands');
  assert.equal(says(short, 10 * minute - 1), 'stands');
  assert.equal(says(short, 10 * minute), 'ended');
  for (const one of [long, unread, none]) {
    assert.equal(says(one, 60 * minute - 1), 'stands');
    assert.equal(says(one, 60 * minute), 'over');
    assert.equal(says(one, -minute), 'stands', 'clocks are set right by a little all the time');
    assert.equal(says(one, -60 * minute), 'over');
  }
});

test('what failed ahead is told once, and not when it is old', () => {
  let now = 0;
  const error = new SallyportError('ERR_UPSTREAM_REFUSED', 'a.example:443');
  const soon = failedAhead(error, () => now);
  const late = failedAhead(error, () => now);
  now = 1999;
  assert.equal(soon.take(), error);
  assert.equal(soon.take(), undefined);
  now = 2000;
  assert.equal(late.take(), undefined);
});
