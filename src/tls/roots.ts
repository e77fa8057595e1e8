/** The certificates that are trusted to begin with, and those that a user adds. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import tls from 'node:tls';
import { SallyportError } from '../base/errors.js';

/**
 * The roots that Node trusts when it is given none, in PEM: what a list of our own has to begin with, since
 * the `ca` of a secure context replaces them.
 *
 * From Node 22.15 on this is what Node itself says, so that `NODE_EXTRA_CA_CERTS`, `--use-system-ca` and
 * `tls.setDefaultCACertificates` are honoured. Before, it is the bundled list and `NODE_EXTRA_CA_CERTS`.
 * The directories of OpenSSL (`--use-openssl-ca`) cannot be listed and are left out.
 */
export function defaultRoots(): readonly string[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => readonly string[] };
  return getCACertificates ? getCACertificates('default') : [...tls.rootCertificates, ...extraRoots()];
}

/** `parseCertificates` of a file, whose name is in the errors; `ERR_UPSTREAM_CA` too when it cannot be read. */
export async function loadUpstreamCa(file: string): Promise<readonly string[]> {
  let content: Buffer;
  try {
    content = await readFile(file);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw unusable(file, `it cannot be read (${reason})`, cause);
  }
  return parseCertificates(content, file);
}

/**
 * The certificates of a PEM text, one string each. Other blocks, and text between blocks, are passed over.
 * Throws `ERR_UPSTREAM_CA`, which begins with `source`, when there is no certificate or one that cannot be
 * parsed.
 */
export function parseCertificates(content: string | Buffer, source: string): readonly string[] {
  const blocks = pemBlocks(content.toString('latin1'));
  const certificates = blocks.filter(({ label }) => certificateLabels.has(label));
  if (certificates.length === 0) throw unusable(source, describeWithoutCertificates(content, blocks));
  return certificates.map(({ body, ended }, index) => {
    const position = `certificate ${index + 1} of ${certificates.length}`;
    if (!ended) throw unusable(source, `${position} has no END line`);
    try {
      return new X509Certificate(`-----BEGIN CERTIFICATE-----${body}-----END CERTIFICATE-----\n`).toString();
    } catch (cause) {
      throw unusable(source, `${position} cannot be parsed`, cause);
    }
  });
}

/** RFC 7468 §5.1: parsers should accept the second as the first. */
const certificateLabels: ReadonlySet<string> = new Set(['CERTIFICATE', 'X509 CERTIFICATE']);

interface PemBlock {
  readonly label: string;
  readonly body: string;
  /** Whether the END line is there. */
  readonly ended: boolean;
}

function pemBlocks(text: string): PemBlock[] {
  const blocks = text.matchAll(/-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]*)(-----END \1-----)?/g);
  return Array.from(blocks, ([, label = '', body = '', end]) => ({ label, body, ended: end !== undefined }));
}

function describeWithoutCertificates(content: string | Buffer, blocks: readonly PemBlock[]): string {
  if (content.length === 0) return 'it is empty';
  if (blocks.length > 0) {
    const labels = [...new Set(blocks.map(({ label }) => label))].slice(0, 5);
    return `it holds no certificate, but ${labels.join(', ')}`;
  }
  // A certificate in DER is a SEQUENCE with a length of two bytes.
  const isDer = typeof content !== 'string' && content[0] === 0x30 && content[1] === 0x82;
  return isDer ? 'it is DER: `openssl x509 -inform der` makes PEM of it' : 'it holds no PEM block';
}

/** A file that cannot be used is passed over, as Node has it, which also warns of it. */
function extraRoots(): readonly string[] {
  const file = process.env['NODE_EXTRA_CA_CERTS'];
  if (!file) return [];
  try {
    return parseCertificates(readFileSync(file), file);
  } catch {
    return [];
  }
}

function unusable(source: string, found: string, cause?: unknown): SallyportError {
  return new SallyportError(
    'ERR_UPSTREAM_CA',
    `${source}: ${found}`,
    cause === undefined ? undefined : { cause },
  );
}
