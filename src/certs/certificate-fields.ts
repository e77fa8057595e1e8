/** What minting needs of a CA certificate, byte for byte as it stands in its DER. */
import { tags } from './der.js';
import { DerError, expectTag, readConstructed, readElement, readTime, readWholeBits } from './der-reader.js';

/** Views of the bytes that were read; times in epoch milliseconds. */
export interface CertificateFields {
  /** The subject as a DER Name: the issuer of a leaf must equal it octet for octet. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** The bits within SubjectPublicKeyInfo. */
  readonly publicKeyBits: Uint8Array;
  /** The subjectKeyIdentifier extension, if there is one. */
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  /** Whether it has the nameConstraints extension (RFC 5280 §4.2.1.10). */
  readonly nameConstrained: boolean;
  readonly notBefore: number;
  readonly notAfter: number;
}

const subjectKeyIdentifierOid = '551d0e';
const nameConstraintsOid = '551d1e';

/** Reads a Certificate of RFC 5280 §4.1. Throws `DerError` at the first thing that is not one. */
export function readCertificateFields(certificate: Uint8Array): CertificateFields {
  const [tbs] = readConstructed(certificate, tags.sequence);
  const fields = readConstructed(expectTag(tbs, tags.sequence).encoded, tags.sequence);
  // Version 1 has no version field, version 3 has it as [0].
  const first = fields[0]?.tag === 0xa0 ? 1 : 0;
  const [, , , validity, subject, publicKey, ...optional] = fields.slice(first);
  const [notBefore, notAfter] = readConstructed(expectTag(validity, tags.sequence).encoded, tags.sequence);
  const key = expectTag(publicKey, tags.sequence);
  const extensions = optional.find(({ tag }) => tag === 0xa3)?.contents;
  return {
    subject: expectTag(subject, tags.sequence).encoded,
    publicKey: key.encoded,
    publicKeyBits: readPublicKeyBits(key.encoded),
    subjectKeyIdentifier: readSubjectKeyIdentifier(findExtension(extensions, subjectKeyIdentifierOid)),
    nameConstrained: findExtension(extensions, nameConstraintsOid) !== undefined,
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
  };
}

/** The key within a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7). */
export function readPublicKeyBits(subjectPublicKeyInfo: Uint8Array): Uint8Array {
  return readWholeBits(readConstructed(subjectPublicKeyInfo, tags.sequence)[1]);
}

/** The value of an extension: what its OCTET STRING holds. */
function findExtension(extensions: Uint8Array | undefined, wanted: string): Uint8Array | undefined {
  if (!extensions) return undefined;
  for (const extension of readConstructed(extensions, tags.sequence)) {
    const parts = readConstructed(extension.encoded, tags.sequence);
    const id = expectTag(parts[0], tags.oid).contents;
    if (Buffer.from(id).toString('hex') === wanted) return expectTag(parts.at(-1), tags.octetString).contents;
  }
  return undefined;
}

function readSubjectKeyIdentifier(value: Uint8Array | undefined): Uint8Array | undefined {
  if (!value) return undefined;
  const identifier = expectTag(readElement(value), tags.octetString);
  if (identifier.encoded.length !== value.length) throw new DerError('bytes after the key identifier');
  return identifier.contents;
}
