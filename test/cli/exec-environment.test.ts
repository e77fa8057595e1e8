import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { execEnvironment, execNotices, outsideRootFiles } from '../../src/cli/exec-environment.js';

const setting = {
  proxyUrl: 'http://127.0.0.1:4711',
  caFile: '/ca/ca.pem',
  extraFile: '/t/extra.pem',
  bundleFile: '/t/roots.pem',
  wgetrcFile: '/t/wgetrc',
  noProxy: undefined,
};

describe('the environment of the command', () => {
  test('everything goes to the proxy, in both spellings', () => {
    const environment = execEnvironment({ HTTPS_PROXY: 'http://corporate:3128', http_proxy: 'x' }, setting);
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY']) {
      assert.equal(environment[name], setting.proxyUrl, name);
      assert.equal(environment[name.toLowerCase()], setting.proxyUrl, name);
    }
    assert.equal(environment['NODE_USE_ENV_PROXY'], '1');
    assert.equal(environment['WGETRC'], setting.wgetrcFile);
    assert.equal(environment['SALLYPORT_PROXY'], setting.proxyUrl);
    assert.equal(environment['SALLYPORT_CA_FILE'], setting.caFile);
  });

  test('what replaces roots gets the bundle, what adds to them the additions', () => {
    const environment = execEnvironment({ SSL_CERT_FILE: '/old.pem' }, setting);
    const complete =
      'SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO CARGO_HTTP_CAINFO AWS_CA_BUNDLE PIP_CERT ' +
      'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH npm_config_cafile';
    for (const name of complete.split(' ')) assert.equal(environment[name], setting.bundleFile, name);
    for (const name of ['NODE_EXTRA_CA_CERTS', 'DENO_CERT']) {
      assert.equal(environment[name], setting.extraFile, name);
    }
  });

  test('the rest stays, NO_PROXY too unless it is set', () => {
    const outside = { PATH: '/bin', NO_PROXY: 'internal', LANG: undefined };
    const kept = execEnvironment(outside, setting);
    assert.equal(kept['PATH'], '/bin');
    assert.equal(kept['NO_PROXY'], 'internal');
    assert.ok(!('no_proxy' in kept));
    assert.ok(!('LANG' in kept));
    const cleared = execEnvironment(outside, { ...setting, noProxy: '' });
    assert.equal(cleared['NO_PROXY'], '');
    assert.equal(cleared['no_proxy'], '');
    assert.equal(outside.NO_PROXY, 'internal');
  });
});

test('the files that the outside trusts, each once', () => {
  const outside = {
    NODE_EXTRA_CA_CERTS: '/a.pem',
    SSL_CERT_FILE: '/b.pem',
    PIP_CERT: '/a.pem',
    AWS_CA_BUNDLE: '',
  };
  assert.deepEqual(outsideRootFiles(outside), [
    { name: 'NODE_EXTRA_CA_CERTS', path: '/a.pem', additional: true },
    { name: 'SSL_CERT_FILE', path: '/b.pem', additional: false },
  ]);
  assert.deepEqual(outsideRootFiles({}), []);
});

describe('notices', () => {
  test('nothing to say of an empty environment', () => {
    assert.deepEqual(execNotices({ NO_PROXY: '', HTTP_PROXY: '' }, undefined), []);
  });

  test('proxies of the outside are named, never shown: they can hold passwords', () => {
    const [notice = ''] = execNotices({ HTTPS_PROXY: 'http://u:secret@corp' }, undefined);
    assert.match(notice, /^HTTPS_PROXY of your environment is not used/);
    assert.doesNotMatch(notice, /secret|corp/);
  });

  test('NO_PROXY that stays', () => {
    assert.match(execNotices({ no_proxy: 'localhost' }, undefined).join(), /^no_proxy=localhost .* stays/);
    assert.deepEqual(execNotices({ NO_PROXY: 'localhost' }, ''), []);
  });
});
