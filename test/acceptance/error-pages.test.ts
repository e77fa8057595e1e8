/** What a client is told when something failed: by its own wishes, with a stable code, without internals. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { freePort } from '../support/origins.js';
import { Scene, statusOf } from '../support/scene.js';

/** The answer to a request to a port where nobody listens. */
async function refused(scene: Scene, lines: string, method = 'GET') {
  const client = await scene.client();
  const url = `http://127.0.0.1:${await freePort()}/<b>&"'?token=secret`;
  client.send(`${method} ${url} HTTP/1.1\r\nHost: x\r\n${lines}\r\n`);
  const head = await client.head();
  assert.equal(statusOf(head), 502);
  const length = Number(/\r\nContent-Length: (\d+)\r\n/.exec(head)?.[1]);
  return { head, length, client, body: method === 'HEAD' ? '' : await client.bytes(length) };
}

describe('An error response', () => {
  test('is a short text for a client without wishes', async (t) => {
    const { head, body } = await refused(await Scene.open(t), '');
    assert.match(head, /\r\nContent-Type: text\/plain; charset=utf-8\r\n/);
    assert.match(body, /^The origin refused the connection\n\nconnecting to 127\.0\.0\.1:\d+: ECONNREFUSED/);
    assert.match(body, /\nERR_UPSTREAM_REFUSED \(sallyport\)\n$/);
  });

  test('is JSON for a client that accepts JSON', async (t) => {
    const { head, body } = await refused(await Scene.open(t), 'Accept: application/json, */*;q=0.1\r\n');
    assert.match(head, /\r\nContent-Type: application\/json; charset=utf-8\r\n/);
    const { error } = JSON.parse(body) as { error: Record<string, unknown> };
    assert.deepEqual(Object.keys(error), ['code', 'status', 'phase', 'title', 'detail', 'hint']);
    assert.equal(error['code'], 'ERR_UPSTREAM_REFUSED');
    assert.equal(error['status'], 502);
    assert.equal(error['phase'], 'connect');
  });

  test('is a page for a browser', async (t) => {
    const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
    const { head, body } = await refused(await Scene.open(t), `Accept: ${accept}\r\n`);
    assert.match(head, /\r\nContent-Type: text\/html; charset=utf-8\r\n/);
    assert.match(body, /^<!doctype html>/);
    assert.match(body, /answered by sallyport, not by the origin/);
  });

  test('escapes what came from the client', async (t) => {
    const scene = await Scene.open(t);
    const client = await scene.client();
    client.send('GET http://a<script>.test/ HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n');
    const { body } = await client.message();
    assert.match(body, /ERR_TARGET_INVALID/);
    assert.doesNotMatch(body, /<script>/);
    assert.match(body, /&#60;script&#62;/);
  });

  test('names the error for machines, and is not to be cached', async (t) => {
    const { head } = await refused(await Scene.open(t), '');
    assert.match(
      head,
      /\r\nProxy-Status: sallyport; error=connection_refused; details="ERR_UPSTREAM_REFUSED"\r\n/,
    );
    assert.match(head, /\r\nCache-Control: no-store\r\n/);
  });

  test('to HEAD has the length and not the body', async (t) => {
    const scene = await Scene.open(t);
    const { length, client } = await refused(scene, '', 'HEAD');
    assert.ok(length > 0);
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.equal(statusOf(await client.head()), 400, 'the next bytes are the next response');
  });

  for (const accept of ['text/plain', 'application/json', 'text/html']) {
    test(`as ${accept} tells nothing of the inside, nor what may be a secret`, async (t) => {
      const { head, body } = await refused(await Scene.open(t), `Accept: ${accept}\r\n`);
      assert.doesNotMatch(head + body, /node:|\.js|\.ts|node_modules|stack|    at |secret/);
    });
  }

  test('leaves the connection open for the next request', async (t) => {
    const scene = await Scene.open(t);
    const origin = await scene.tcpOrigin();
    const { client } = await refused(scene, '');
    client.send(`GET http://${origin.at}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    (await origin.next()).send('HTTP/1.1 204 No Content\r\n\r\n');
    assert.equal(statusOf(await client.head()), 204);
  });
});
