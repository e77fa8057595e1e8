/** A chain of three certificates as large as real ones, made by the `openssl` command: RSA-2048 above a P-256 leaf. */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Chain {
  /** In PEM. */
  readonly root: string;
  readonly intermediate: string;
  readonly leaf: string;
  /** Of the leaf. */
  readonly key: string;
  /** What a server sends: leaf and intermediate. */
  readonly sent: string;
  /** Leaf, intermediate, root, as Node parses them. */
  readonly certificates: readonly X509Certificate[];
}

/** What public CAs put into theirs: where to ask, what applies, and who has seen it. */
const usual = [
  'authorityInfoAccess = OCSP;URI:http://ocsp.authority.example/responder,caIssuers;URI:http://certs.authority.example/issuing/intermediate-g2.crt',
  'crlDistributionPoints = URI:http://crl.authority.example/issuing/intermediate-g2.crl',
  'certificatePolicies = 2.23.140.1.2.2,1.3.6.1.4.1.99999.1.1.1',
  `1.3.6.1.4.1.11129.2.4.2 = DER:04:82:01:6e${':5a'.repeat(366)}`,
];

/** For `names`, such as `DNS:shop.test`. */
export async function makeChain(names: string): Promise<Chain> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-test-'));
  try {
    const file = (name: string) => join(directory, name);
    const openssl = (...args: readonly string[]) => run('openssl', args);
    const ca = ['basicConstraints = critical,CA:TRUE', 'keyUsage = critical,keyCertSign,cRLSign'];
    const subject = (name: string) => `/C=XX/O=An Organization of Tests Limited/OU=Trust Services/CN=${name}`;
    const section = (name: string, lines: readonly string[]) => `[${name}]\n${lines.join('\n')}\n`;
    await writeFile(
      file('x.cnf'),
      section('req', ['distinguished_name = dn']) +
        section('dn', []) +
        section('root', [...ca, ...usual]) +
        section('intermediate', [...ca, 'authorityKeyIdentifier = keyid', ...usual]) +
        section('leaf', [
          'basicConstraints = CA:FALSE',
          `subjectAltName = ${names}`,
          'authorityKeyIdentifier = keyid',
          ...usual,
        ]),
    );
    const config = ['-config', file('x.cnf')];
    const rsa = ['-newkey', 'rsa:2048', '-nodes'];
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    await openssl('req', '-x509', ...config, '-extensions', 'root', ...rsa, '-keyout', file('root.key'),
      '-out', file('root.pem'), '-days', '30', '-subj', subject('Root')); // prettier-ignore
    const issue = async (name: string, issuer: string, key: readonly string[]): Promise<void> => {
      await openssl('req', ...config, ...key, '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`),
        '-subj', subject(name)); // prettier-ignore
      await openssl('x509', '-req', '-in', file(`${name}.csr`), '-out', file(`${name}.pem`), '-days', '20',
        '-CA', file(`${issuer}.pem`), '-CAkey', file(`${issuer}.key`), '-CAcreateserial',
        '-extfile', file('x.cnf'), '-extensions', name); // prettier-ignore
    };
    await issue('intermediate', 'root', rsa);
    await issue('leaf', 'intermediate', ec);
    const read = (name: string) => readFile(file(name), 'utf8');
    const [root, intermediate, leaf] = await Promise.all(
      ['root.pem', 'intermediate.pem', 'leaf.pem'].map(read),
    );
    if (root === undefined || intermediate === undefined || leaf === undefined) throw new Error('never');
    return {
      root,
      intermediate,
      leaf,
      key: await read('leaf.key'),
      sent: leaf + intermediate,
      certificates: [leaf, intermediate, root].map((pem) => new X509Certificate(pem)),
    };
  } finally {
    await rm(directory, { recursive: true });
  }
}
