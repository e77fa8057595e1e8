/** Leaves for every kind of name, judged by verifiers that others wrote: OpenSSL, GnuTLS, Go and Node. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { checkServerIdentity } from 'node:tls';
import {
  certificateName,
  type LeafSubject,
  loadWildcardGroups,
  Minter,
  openAuthority,
} from '../../src/certs/index.js';
import { program, run } from '../support/programs.js';
import { temporaryDirectory } from '../support/stage.js';

const label = 'a'.repeat(63);
const hosts: readonly string[] = [
  'www.example.com',
  'WWW.Example.COM.',
  'localhost',
  'bücher.example',
  'xn--bcher-kva.www.example',
  `${'a'.repeat(60)}.example`,
  [label, label, label, 'b'.repeat(61)].join('.'),
  '127.0.0.1',
  '::1',
  '2001:db8::1:0:0:1',
];
const wild: readonly string[] = [
  'a.example.com',
  'xn--bcher-kva.example.com',
  'a.example.co.uk',
  'x.github.io',
];

const goProgram = `package main

import ("bufio"; "crypto/x509"; "encoding/pem"; "fmt"; "os"; "strings")

func read(path string) *x509.Certificate {
	text, err := os.ReadFile(path)
	if err != nil { panic(err) }
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil { panic(err) }
	return certificate
}

func main() {
	roots := x509.NewCertPool()
	roots.AddCert(read(os.Args[1]))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		host, path, _ := strings.Cut(lines.Text(), " ")
		if strings.Contains(host, ":") { host = "[" + host + "]" }
		_, err := read(path).Verify(x509.VerifyOptions{Roots: roots, DNSName: host})
		fmt.Println(host, err)
	}
}
`;

async function stage(t: TestContext) {
  const dir = await temporaryDirectory(t);
  const authority = await openAuthority({ dir: join(dir, 'ca') });
  const ca = authority.paths.certificate;
  let count = 0;
  const mint = async (minter: Minter, subject: LeafSubject | LeafSubject['name']) => {
    const { certificatePem } = await minter.mint(subject);
    const file = join(dir, `${(count += 1)}.pem`);
    await writeFile(file, certificatePem);
    return { certificatePem, file };
  };
  /** `host` in the spelling of a client, and the file of a leaf for it. */
  const leaf = async (minter: Minter, host: string, wildcards = false) => {
    const name = certificateName(host);
    const subject = wildcards ? (await loadWildcardGroups())(name) : name;
    return { name, host: name.host, subject, ...(await mint(minter, subject)) };
  };
  const openssl = async (host: string, kind: 'dns' | 'ip', file: string): Promise<string> => {
    const check = kind === 'ip' ? '-verify_ip' : '-verify_hostname';
    const strict = ['verify', '-x509_strict', '-purpose', 'sslserver', check, host, '-CAfile', ca, file];
    const { stdout, stderr } = await run(program('openssl'), strict);
    return stdout + stderr;
  };
  const gnutls = async (host: string, file: string): Promise<string> => {
    const checks = ['--verify', '--verify-profile=medium', `--verify-hostname=${host}`];
    const args = [...checks, '--load-ca-certificate', ca, '--infile', file];
    const { stdout, stderr } = await run(program('certtool'), args);
    return stdout + stderr;
  };
  const go = async (lines: readonly string[]): Promise<readonly string[]> => {
    const folder = join(dir, 'go');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'main.go'), goProgram);
    const env = {
      GOCACHE: join(dir, 'go-cache'),
      GOPATH: join(dir, 'gopath'),
      GOPROXY: 'off',
      GO111MODULE: 'off',
    };
    const { stdout, stderr } = await run(program('go'), ['run', join(folder, 'main.go'), ca], {
      env,
      input: `${lines.join('\n')}\n`,
      timeout: 120_000,
    });
    assert.equal(stderr, '');
    return stdout.trimEnd().split('\n');
  };
  return { authority, mint, leaf, openssl, gnutls, go };
}

test('all verifiers take a leaf for its host, and for no other', { timeout: 180_000 }, async (t) => {
  const { authority, leaf, openssl, gnutls, go } = await stage(t);
  const leaves = [];
  for (const profile of ['p256', 'rsa-2048'] as const) {
    const minter = new Minter({ issuer: authority, profile });
    const some = profile === 'p256' ? hosts : hosts.slice(0, 1);
    for (const host of some) leaves.push(await leaf(minter, host));
    if (profile === 'p256') for (const host of wild) leaves.push(await leaf(minter, host, true));
    minter.close();
  }
  for (const { host, name, subject, file, certificatePem } of leaves) {
    if (wild.includes(host)) assert.match(subject.host, /^\*\./);
    assert.match(await openssl(host, name.kind, file), /: OK/, host);
    // An address is asked for as a name there, and its library takes it for what it is.
    assert.match(
      await gnutls(host, file),
      /Chain verification output: Verified\. The certificate is trusted/,
      host,
    );
    const certificate = new X509Certificate(certificatePem).toLegacyObject();
    assert.equal(checkServerIdentity(host, certificate), undefined, host);
    assert.ok(checkServerIdentity('other.test', certificate), host);
    assert.match(await openssl('other.test', 'dns', file), /hostname mismatch/i, host);
  }
  const verdicts = await go(leaves.map(({ host, file }) => `${host} ${file}`));
  assert.equal(verdicts.length, leaves.length);
  for (const verdict of verdicts) assert.match(verdict, / <nil>$/);
  const [first] = leaves;
  assert.match((await go([`other.test ${first?.file ?? ''}`]))[0] ?? '', /not other\.test/);
});

test('each takes all names of a SAN, and nothing that is not in it', { timeout: 180_000 }, async (t) => {
  const { authority, mint, openssl, gnutls, go } = await stage(t);
  const minter = new Minter({ issuer: authority });
  const wildcard: LeafSubject['name'] = { kind: 'dns', host: '*.example.com' };
  const name = certificateName('www.shop.test');
  const names = [...['shop.test', '10.0.0.1', '2001:db8::1'].map(certificateName), wildcard];
  const several = await mint(minter, { name, names });
  const one = await mint(minter, wildcard);
  const future = await mint(minter, { name, notBefore: Date.now() + 3_600_000 });
  minter.close();
  const cases: readonly (readonly [
    string,
    { readonly file: string; readonly certificatePem: string },
    boolean,
  ])[] = [
    ['shop.test', several, true],
    ['SHOP.test', several, true],
    ['10.0.0.1', several, true],
    ['2001:db8::1', several, true],
    ['a.example.com', several, true],
    // The commonName counts for nothing beside a SAN.
    ['www.shop.test', several, false],
    ['10.0.0.2', several, false],
    ['a.shop.test', several, false],
    ['a.example.com', one, true],
    ['xn--bcher-kva.example.com', one, true],
    ['example.com', one, false],
    ['a.b.example.com', one, false],
    ['a.example.org', one, false],
    ['www.shop.test', future, false],
  ];
  const verdicts = await go(cases.map(([host, { file }]) => `${host} ${file}`));
  for (const [index, [host, { file, certificatePem }, good]] of cases.entries()) {
    const what = `${host}, ${index}`;
    const kind = certificateName(host).kind;
    assert.equal(/: OK/.test(await openssl(host, kind, file)), good, `OpenSSL: ${what}`);
    assert.equal(
      /Chain verification output: Verified\./.test(await gnutls(host, file)),
      good,
      `GnuTLS: ${what}`,
    );
    assert.equal(verdicts[index]?.endsWith(' <nil>'), good, `Go: ${what}: ${verdicts[index]}`);
    // Times are not its business, but the handshake's.
    if (file === future.file) continue;
    const certificate = new X509Certificate(certificatePem).toLegacyObject();
    assert.equal(checkServerIdentity(host, certificate) === undefined, good, `Node: ${what}`);
  }
});
