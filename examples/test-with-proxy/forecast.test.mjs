/** Tests of `forecast` against an API that each test makes up. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { answer, refuse } from 'sallyport';
import { withProxy } from 'sallyport/testing';
import { forecast } from './forecast.mjs';

describe('forecast', () => {
  /** A CA for these tests alone: nothing of the machine's is read or changed. @type {string} */
  let caDir;
  before(async () => {
    caDir = await mkdtemp(join(tmpdir(), 'forecast-'));
  });
  after(() => rm(caDir, { recursive: true }));

  /** Runs the program with `request` in the place of the API. @param {import('sallyport').Hooks['request'] & {}} request */
  const withApi = (request, city = 'Zürich') =>
    withProxy({ caDir, hooks: { request } }, (proxy) =>
      forecast(city, { proxy: proxy.url, ca: proxy.ca.pem }),
    );

  test('says what the weather service says', async () => {
    const line = await withApi(({ request }) => {
      assert.equal(request.url, 'https://weather.example.com/v1/forecast?city=Z%C3%BCrich');
      return answer({ status: 200, body: JSON.stringify({ low: 3, high: 11 }) });
    });
    assert.equal(line, 'Zürich: 3 to 11 °C');
  });

  test('knows that there are cities that nobody knows', async () => {
    assert.equal(await withApi(() => answer({ status: 404 }), 'Atlantis'), 'Atlantis is not known');
  });

  test('does not make weather out of an error', async () => {
    await assert.rejects(
      withApi(() => refuse({ status: 503 })),
      /answered 503/,
    );
  });

  test('does not make weather out of nonsense', async () => {
    await assert.rejects(
      withApi(() => answer({ status: 200, body: '<html>' })),
      SyntaxError,
    );
  });
});
