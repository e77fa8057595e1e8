/**
 * Our certificates before zlint, the linter of public CAs, in Debian from release 13 on: the rules of RFC 5280 and of
 * the CA/Browser Forum's Baseline Requirements, of which some 120 apply to a leaf of ours.
 *
 * Theirs are the rules and the verdicts. Ours is the list of what is excepted, each with its reason; a rule of the
 * list that no longer complains fails the test too, so that the list stays as short as it can be. Rules that only
 * inform (result `info` or `notice`) are not counted. zlint does not check signatures: the verifiers do.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import {
  type Authority,
  certificateName,
  type LeafSubject,
  loadWildcardGroups,
  Minter,
  openAuthority,
} from '../../src/certs/index.js';
import { program, run } from '../support/programs.js';
import { later, temporaryDirectory } from '../support/stage.js';

/** The rules that complain of a certificate in DER. */
async function lint(t: TestContext, der: Uint8Array): Promise<readonly string[]> {
  const file = join(await temporaryDirectory(t), 'certificate.der');
  await writeFile(file, der);
  const { stdout, stderr } = await run(program('zlint'), ['-format', 'der', file]);
  assert.match(stdout, /^\{/, stderr);
  const verdicts = Object.entries(JSON.parse(stdout) as Record<string, { readonly result: string }>);
  const passed = verdicts.filter(([, { result }]) => result === 'pass');
  assert.ok(passed.length > 50, `only ${passed.length} rules passed`);
  return verdicts.filter(([, { result }]) => /^(?:warn|error|fatal)$/.test(result)).map(([rule]) => rule);
}

/** A private CA runs neither OCSP nor a site with its certificate, and has no policies to point to. */
const privateCa = [
  'e_sub_cert_aia_missing',
  'e_sub_cert_aia_does_not_contain_ocsp_url',
  'w_sub_cert_aia_does_not_contain_issuing_ca_url',
  'e_sub_cert_cert_policy_empty',
  'e_sub_cert_certificate_policies_missing',
  // RFC 5280 §4.2.1.2 says that leaves should have the identifier, the Baseline Requirements that they should not.
  'w_ext_subject_key_identifier_not_recommended_subscriber',
];
/** Old tools look at the commonName alone; public CAs are to leave it out. */
const named = [...privateCa, 'w_subject_common_name_included'];
/** Public CAs issue for public addresses and names only; a proxy is asked for any. */
const address = [...named, 'e_ext_san_contains_reserved_ip', 'e_subject_contains_reserved_ip'];
const notPublic = 'e_dnsname_not_valid_tld';
/** Host names have no underscores (RFC 1123 §2.1), but hosts with one are there and are asked for. */
const underscore = [
  ...named,
  'e_underscore_not_permissible_in_dnsname',
  'w_dnsname_underscore_in_trd',
  'w_rfc_dnsname_underscore_in_trd',
];

const label = 'a'.repeat(63);
const hosts: readonly (readonly [string, readonly string[]])[] = [
  ['www.example.com', named],
  ['WWW.Example.COM.', named],
  ['bücher.example.com', named],
  [`${'a'.repeat(52)}.example.com`, named],
  [`${'a'.repeat(53)}.example.com`, privateCa],
  [[label, label, label, 'b'.repeat(57), 'com'].join('.'), privateCa],
  ['127.0.0.1', address],
  ['::1', address],
  ['2001:db8::1:0:0:1', address],
  ['8.8.8.8', named],
  ['2606:4700::1111', named],
  ['localhost', [...named, notPublic]],
  ['_dmarc.example.com', underscore],
];

async function authorityOf(t: TestContext): Promise<Authority> {
  return openAuthority({ dir: join(await temporaryDirectory(t), 'ca') });
}

function minterOf(t: TestContext, issuer: Authority, profile: 'p256' | 'rsa-2048'): Minter {
  const minter = new Minter({ issuer, profile });
  later(t, () => {
    minter.close();
  });
  return minter;
}

async function leafDer(minter: Minter, subject: LeafSubject | LeafSubject['name']): Promise<Buffer> {
  return new X509Certificate((await minter.mint(subject)).certificatePem).raw;
}

function assertOnly(found: readonly string[], excepted: readonly string[], what: string): void {
  assert.deepEqual(found.toSorted(), excepted.toSorted(), what);
}

describe('zlint', () => {
  test('has nothing else against leaves for names of every kind', async (t) => {
    const minter = minterOf(t, await authorityOf(t), 'p256');
    for (const [host, excepted] of hosts) {
      assertOnly(await lint(t, await leafDer(minter, certificateName(host))), excepted, host);
    }
  });

  test('nor against wildcards, several names, and RSA keys', async (t) => {
    const authority = await authorityOf(t);
    const minter = minterOf(t, authority, 'p256');
    const group = await loadWildcardGroups();
    const name = certificateName;
    const wildcard = group(name('a.example.com'));
    assert.equal(wildcard.host, '*.example.com');
    assertOnly(await lint(t, await leafDer(minter, wildcard)), named, 'wildcard');
    const several = [name('www.example.com'), wildcard, name('8.8.8.8')];
    const subject = { name: name('www.example.com'), names: several };
    assertOnly(await lint(t, await leafDer(minter, subject)), named, 'several names');
    const rsa = minterOf(t, authority, 'rsa-2048');
    assertOnly(await lint(t, await leafDer(rsa, name('www.example.com'))), named, 'RSA');
  });

  test('nor against the CA', async (t) => {
    const { pem } = await authorityOf(t);
    assertOnly(
      await lint(t, new X509Certificate(pem).raw),
      [
        // It is nobody's country.
        'e_ca_country_name_missing',
        // Roots need no limit to the length of the path; ours signs nothing but leaves, and says so.
        'w_root_ca_basic_constraints_path_len_constraint_field_present',
      ],
      'CA',
    );
  });

  test('does say no', async (t) => {
    const authority = await authorityOf(t);
    const minter = minterOf(t, authority, 'p256');
    const good = (await leafDer(minter, certificateName('www.example.com'))).toString('hex');
    const hex = (text: string) => Buffer.from(text).toString('hex');
    const host = hex('www.example.com');
    // The SAN is the last extension, behind the commonName.
    const inSan = new RegExp(`${host}(?!.*${host})`);
    const mistakes: readonly (readonly [string, RegExp, string, string])[] = [
      ['version 1', /a003020102/, 'a003020100', 'e_cert_extensions_version_not_3'],
      ['a serial below zero', /(?<=a003020102021[01])../, '81', 'e_serial_number_not_positive'],
      ['another name', inSan, hex('xxx.example.com'), 'e_subject_common_name_not_exactly_from_san'],
      ['no name', inSan, hex('w w.example.com'), 'e_dnsname_bad_character_in_label'],
      ['a * within', inSan, hex('w*w.example.com'), 'e_dnsname_left_label_wildcard_correct'],
      ['an empty label', inSan, hex('www.example..om'), 'e_dnsname_empty_label'],
      ['signs certificates', /03020780/, '03020204', 'e_sub_cert_key_usage_cert_sign_bit_set'],
      ['no bit of key usage', /03020780/, '03020080', 'e_incorrect_ku_encoding'],
      [
        'constraints not critical',
        /551d130101ff/,
        '551d13010100',
        'e_sub_cert_basic_constraints_not_critical',
      ],
      ['years', /(?<=170d.{26}170d).{4}/, hex('39'), 'e_tls_server_cert_valid_time_longer_than_398_days'],
      ['two algorithms', /040302(?=.*040302)/, '040303', 'e_cert_sig_alg_not_match_tbs_sig_alg'],
      ['an extension twice', /0603551d25/, '0603551d0f', 'e_ext_duplicate_extension'],
      // Under another OID, which says nothing, an extension is as good as left out.
      ['no extended key usage', /0603551d25/, '0603551d63', 'e_sub_cert_eku_missing'],
      ['no issuer', /0603551d23/, '0603551d63', 'e_ext_authority_key_identifier_no_key_identifier'],
      ['no SAN', /0603551d11/, '0603551d63', 'e_ext_san_missing'],
    ];
    for (const [mistake, part, wrong, rule] of mistakes) {
      assert.match(good, part, mistake);
      const bad = good.replace(part, wrong);
      assert.equal(bad.length, good.length, mistake);
      const found = await lint(t, Buffer.from(bad, 'hex'));
      assert.ok(found.includes(rule), `${mistake}: ${rule} not among ${found.join(' ')}`);
    }
  });
});
