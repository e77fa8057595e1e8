/** The roots that a system trusts, and PEM bundles of certificates. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as tls from 'node:tls';

/** Where systems keep their roots in one PEM file, the first that is there. */
const bundlePaths: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt', // Debian, Ubuntu, Alpine, Arch
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', // Fedora, RHEL
  '/etc/pki/tls/certs/ca-bundle.crt', // older ones of these
  '/etc/ssl/ca-bundle.pem', // openSUSE
  '/etc/ssl/cert.pem', // macOS, the BSDs
];

export interface SystemRoots {
  /** The file they were read from, or what else they came from. */
  readonly source: string;
  readonly certificates: readonly string[];
}

/**
 * The roots of the system: its bundle file; on macOS and Windows, whose store is no file, what Node (from
 * 22.15 on) reads from the store too. Where there is neither, the roots that Node brings along.
 */
export async function systemRoots(paths: readonly string[] = bundlePaths): Promise<SystemRoots> {
  const fromStore = process.platform === 'linux' ? [] : storeRoots();
  for (const path of paths) {
    const certificates = certificateBlocks((await readIfThere(path)) ?? '');
    if (certificates.length > 0) return { source: path, certificates: [...certificates, ...fromStore] };
  }
  if (fromStore.length > 0) return { source: "the system's store", certificates: fromStore };
  return { source: 'the roots of Node.js', certificates: tls.rootCertificates };
}

/** The certificates of a PEM text, each with its two lines and nothing around it. */
export function certificateBlocks(text: string): string[] {
  // OpenSSL's TRUSTED CERTIFICATE carries more than a certificate; no tool that reads bundles needs it.
  const pattern =
    /-----BEGIN (?:X509 )?CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END (?:X509 )?CERTIFICATE-----/g;
  return Array.from(text.matchAll(pattern), ([block]) => block.replace(/\r\n?/g, '\n'));
}

/** Whether OpenSSL can read a block. */
export function isCertificate(block: string): boolean {
  try {
    return new X509Certificate(block).raw.length > 0;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

/** A bundle without duplicates, in order; ends in a line end. */
export function bundle(certificates: readonly string[]): string {
  const distinct = new Map<string, string>();
  for (const certificate of certificates) {
    const key = body(certificate);
    if (!distinct.has(key)) distinct.set(key, certificate.trim());
  }
  return `${[...distinct.values()].join('\n')}\n`;
}

/** The certificates that are not among `others`. */
export function difference(certificates: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others.map(body));
  return certificates.filter((certificate) => !known.has(body(certificate)));
}

/** Whether a certificate is among those of a list. */
export function holds(certificates: readonly string[], { raw }: X509Certificate): boolean {
  const wanted = raw.toString('base64');
  return certificates.some((certificate) => body(certificate) === wanted);
}

/** The Base64 within a block: what makes two of them the same, whatever their line ends. */
function body(certificate: string): string {
  return certificate.replace(/-----[^-]*-----|\s/g, '');
}

/** The text of a file, or `undefined` where there is none that can be read. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}

/** `tls.getCACertificates('system')`, which the oldest supported Node does not have. */
function storeRoots(): readonly string[] {
  const { getCACertificates } = tls as { readonly getCACertificates?: (type: 'system') => string[] };
  return getCACertificates?.('system') ?? [];
}
