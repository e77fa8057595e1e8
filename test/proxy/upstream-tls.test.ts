import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { TLSSocket } from 'node:tls';
import { Context } from '../../src/base/context.js';
import { Ledger } from '../../src/base/ledger.js';
import { UpstreamTls } from '../../src/proxy/upstream-tls.js';
import { virtualTime } from '../../src/testing/index.js';

test('TLS connections to origins count until they have closed, which the end waits for', async () => {
  const ledger = new Ledger();
  const open = new UpstreamTls(ledger);
  const sockets = [0, 1].map(() => new TLSSocket(new PassThrough()));
  for (const socket of sockets) open.add(socket);
  const order: string[] = [];
  for (const socket of sockets) socket.on('close', () => order.push('closed'));
  const ended = open.ended(Context.background).then(() => order.push('ended'));
  for (const socket of sockets) socket.destroy();
  assert.equal(ledger.outstanding('upstreamTls'), 2, 'it takes a turn');
  await ended;
  assert.deepEqual(order, ['closed', 'closed', 'ended']);
  assert.equal(ledger.outstanding('upstreamTls'), 0);
  await open.ended(Context.background);
});

test('the end does not wait for ever', async () => {
  const ledger = new Ledger();
  const open = new UpstreamTls(ledger);
  const socket = new TLSSocket(new PassThrough());
  open.add(socket);
  const time = virtualTime();
  const ended = open.ended(time.root.withTimeout(1000));
  await time.advance(1000);
  await ended;
  assert.equal(ledger.outstanding('upstreamTls'), 1);
  socket.destroy();
});
