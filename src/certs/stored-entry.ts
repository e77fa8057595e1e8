/**
 * A certificate as it is kept outside this process: JSON text in which the private key is sealed and everything
 * else is authenticated with it. What is read was written by somebody, so nothing in it is believed unseen.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import type { Bytes } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';
import { readCertificateFields } from './certificate-fields.js';
import type { KeyProfile } from './leaf-keys.js';
import type { CertificateKey, LeafMaterial, Sealer } from './store.js';

const version = 1;
/** An entry with an RSA key takes about 4 KiB. */
const longestEntry: Bytes = 64 * 1024;
const profiles: readonly string[] = ['p256', 'rsa-2048'] satisfies readonly KeyProfile[];

/** The members in the order in which they are written. Times in epoch milliseconds. */
interface EntryRecord {
  readonly version: number;
  readonly host: string;
  readonly authority: string;
  readonly profile: KeyProfile;
  readonly certificate: string;
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** When it was stored: it tells when to renew it. */
  readonly obtained: number;
  /** What `Sealer.seal` made of the private key's PEM, in base64. */
  readonly sealedKey: string;
}

type Read = { readonly ok: true; readonly record: EntryRecord } | Problem;

interface Problem {
  readonly ok: false;
  /** What is wrong, for people; it holds no secret. */
  readonly problem: string;
}

/**
 * The bytes to keep for `key`. `obtained` is the time of the generation in epoch milliseconds, by default as old
 * as the certificate. Throws `ERR_LEAF_CERTIFICATE` when they would be more than 64 KiB.
 */
export function encodeEntry(
  key: CertificateKey,
  material: LeafMaterial,
  sealer: Sealer,
  obtained: number = material.notBefore,
): Buffer {
  const { certificatePem, privateKeyPem, serial, notBefore, notAfter } = material;
  const { host, authority, profile } = key;
  const open = {
    version,
    host,
    authority,
    profile,
    certificate: certificatePem,
    serial,
    notBefore,
    notAfter,
  };
  const record = { ...open, obtained, sealedKey: '' };
  const sealed = sealer.seal(Buffer.from(privateKeyPem), sealingContext(record));
  const bytes = write({ ...record, sealedKey: sealed.toString('base64') });
  if (bytes.length > longestEntry) {
    throw new SallyportError(
      'ERR_LEAF_CERTIFICATE',
      `the certificate for ${host} takes ${bytes.length} bytes in the store; at most ${longestEntry} are kept`,
    );
  }
  return bytes;
}

/** The material in `bytes`, if they were written for `key` under this sealer and nobody changed them since. */
export function decodeEntry(
  key: CertificateKey,
  bytes: Uint8Array,
  sealer: Sealer,
): { readonly ok: true; readonly material: LeafMaterial; readonly obtained: number } | Problem {
  const read = readRecord(bytes);
  if (!read.ok) return read;
  const { record } = read;
  const { host, authority, profile } = record;
  if (host !== key.host || authority !== key.authority || profile !== key.profile) {
    return broken(`it belongs to ${host} (${profile}) of the CA ${authority}`);
  }
  const secret = sealer.open(Buffer.from(record.sealedKey, 'base64'), sealingContext(record));
  if (!secret) return broken('it was changed, or was sealed under another key');
  const privateKeyPem = secret.toString();
  const certificate = readCertificate(record);
  if (!certificate.ok) return certificate;
  if (!holdsKey(certificate.certificate, privateKeyPem)) {
    return broken('the private key does not belong to the certificate');
  }
  const { serial, notBefore, notAfter, obtained } = record;
  const material = { certificatePem: record.certificate, privateKeyPem, notBefore, notAfter, serial };
  return { ok: true, material, obtained };
}

/** What an entry says of itself, for those who have no sealer: it may have been written by anybody. */
export function describeEntry(bytes: Uint8Array):
  | {
      readonly ok: true;
      readonly key: CertificateKey;
      readonly certificatePem: string;
      readonly serial: string;
      readonly notBefore: number;
      readonly notAfter: number;
    }
  | Problem {
  const read = readRecord(bytes);
  if (!read.ok) return read;
  const certificate = readCertificate(read.record);
  if (!certificate.ok) return certificate;
  const { host, authority, profile, certificate: certificatePem, serial, notBefore, notAfter } = read.record;
  return { ok: true, key: { host, authority, profile }, certificatePem, serial, notBefore, notAfter };
}

function sealingContext({ sealedKey: _sealed, ...open }: EntryRecord): string {
  return JSON.stringify(open);
}

function write(record: EntryRecord): Buffer {
  return Buffer.from(JSON.stringify(record));
}

function readRecord(bytes: Uint8Array): Read {
  if (bytes.length > longestEntry) return broken(`it has ${bytes.length} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return broken(bytes.length === 0 ? 'it is empty' : 'it is not JSON');
  }
  if (typeof value !== 'object' || value === null) return broken('it is not a JSON object');
  const fields = value as { readonly [name in keyof EntryRecord]?: unknown };
  if (fields.version !== version) return broken(`its version is not ${version}`);
  const record = {
    version,
    host: text(fields.host),
    authority: text(fields.authority),
    profile: text(fields.profile) as KeyProfile,
    certificate: text(fields.certificate),
    serial: text(fields.serial),
    notBefore: time(fields.notBefore),
    notAfter: time(fields.notAfter),
    obtained: time(fields.obtained),
    sealedKey: text(fields.sealedKey),
  };
  // One entry has one spelling: no member too few or too many, no other type, order or escape.
  if (!write(record).equals(bytes)) return broken('its members are not those of an entry');
  if (!profiles.includes(record.profile)) return broken('its profile is unknown');
  const sealed = Buffer.from(record.sealedKey, 'base64').toString('base64');
  if (sealed !== record.sealedKey) return broken('its key is not base64');
  return { ok: true, record };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function time(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function readCertificate(
  record: EntryRecord,
): { readonly ok: true; readonly certificate: X509Certificate } | Problem {
  let certificate: X509Certificate;
  let notBefore: number;
  let notAfter: number;
  try {
    certificate = new X509Certificate(record.certificate);
    ({ notBefore, notAfter } = readCertificateFields(certificate.raw));
  } catch {
    return broken('its certificate cannot be parsed');
  }
  if (bareSerial(certificate.serialNumber) !== bareSerial(record.serial)) {
    return broken('its serial is not that of its certificate');
  }
  if (!sameSecond(notBefore, record.notBefore) || !sameSecond(notAfter, record.notAfter)) {
    return broken('its times are not those of its certificate');
  }
  return { ok: true, certificate };
}

/** Node writes serials in whole octets, others as numbers. */
function bareSerial(serial: string): string {
  return serial.toLowerCase().replace(/^0+/, '');
}

/** Certificates know no fractions of seconds. */
function sameSecond(one: number, other: number): boolean {
  return Math.floor(one / 1000) === Math.floor(other / 1000);
}

function holdsKey(certificate: X509Certificate, privateKeyPem: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(privateKeyPem));
  } catch {
    return false;
  }
}

function broken(problem: string): Problem {
  return { ok: false, problem };
}
