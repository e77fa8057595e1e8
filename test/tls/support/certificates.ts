/** Certificates of every kind that a test needs, made by the `openssl` command. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

export interface Credentials {
  /** In PEM, with the chain behind it where there is one. */
  readonly cert: string;
  readonly key: string;
}

export interface LeafOptions {
  /** `subjectAltName` as openssl takes it: `DNS:a.example,IP:127.0.0.1`. Without it there is none. */
  readonly names?: string;
  readonly commonName?: string;
  /** Days from now; default yesterday to in ten days. */
  readonly from?: number;
  readonly to?: number;
  /** Further lines for the extensions. */
  readonly extensions?: readonly string[];
}

const run = promisify(execFile);

/** A CA in a directory of its own; `close` removes it. */
export class TestAuthority {
  readonly cert: string;
  readonly #directory: string;
  #count = 0;

  private constructor(directory: string, cert: string) {
    this.#directory = directory;
    this.cert = cert;
  }

  static async create(name: string): Promise<TestAuthority> {
    const directory = await mkdtemp(path.join(tmpdir(), 'sallyport-test-'));
    const file = (part: string) => path.join(directory, part);
    await run('openssl', [
      'req',
      '-x509',
      ...newKey(file('ca.key')),
      '-out',
      file('ca.pem'),
      '-days',
      '30',
      '-subj',
      `/CN=${name}`,
    ]);
    await writeFile(file('index.txt'), '');
    await writeFile(
      file('ca.cnf'),
      [
        '[ca]',
        'default_ca = this',
        '[this]',
        `database = ${file('index.txt')}`,
        `new_certs_dir = ${directory}`,
        `certificate = ${file('ca.pem')}`,
        `private_key = ${file('ca.key')}`,
        'rand_serial = yes',
        'default_md = sha256',
        'unique_subject = no',
        'policy = any',
        '[any]',
        'commonName = supplied',
      ].join('\n'),
    );
    return new TestAuthority(directory, await readFile(file('ca.pem'), 'utf8'));
  }

  /** Issues a leaf. One at a time: openssl's database is a file. */
  async issue(options: LeafOptions): Promise<Credentials> {
    const { names, commonName = 'leaf', from = -1, to = 10, extensions = [] } = options;
    this.#count += 1;
    const file = (part: string) => path.join(this.#directory, `${this.#count}.${part}`);
    const altName = names === undefined ? [] : [`subjectAltName = ${names}`];
    await writeFile(file('ext'), ['basicConstraints = CA:FALSE', ...altName, ...extensions].join('\n'));
    await run('openssl', ['req', ...newKey(file('key')), '-out', file('csr'), '-subj', `/CN=${commonName}`]);
    const dates = ['-startdate', inDays(from), '-enddate', inDays(to)];
    const config = ['-config', path.join(this.#directory, 'ca.cnf'), '-extfile', file('ext')];
    await run('openssl', [
      'ca',
      '-batch',
      '-notext',
      ...config,
      ...dates,
      '-in',
      file('csr'),
      '-out',
      file('pem'),
    ]);
    return { cert: await readFile(file('pem'), 'utf8'), key: await readFile(file('key'), 'utf8') };
  }

  async close(): Promise<void> {
    await rm(this.#directory, { recursive: true });
  }
}

/** A certificate that is its own issuer. */
export async function selfSigned(names: string): Promise<Credentials> {
  const directory = await mkdtemp(path.join(tmpdir(), 'sallyport-test-'));
  try {
    const file = (part: string) => path.join(directory, part);
    const extensions = ['-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=CA:FALSE'];
    await run('openssl', [
      'req',
      '-x509',
      ...newKey(file('key')),
      '-out',
      file('pem'),
      '-days',
      '9',
      '-subj',
      '/CN=self',
      ...extensions,
    ]);
    return { cert: await readFile(file('pem'), 'utf8'), key: await readFile(file('key'), 'utf8') };
  } finally {
    await rm(directory, { recursive: true });
  }
}

function newKey(file: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file];
}

/** `YYYYMMDDHHMMSSZ` */
function inDays(days: number): string {
  const date = new Date(Date.now() + days * 86_400_000);
  return `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
}
