/**
 * A strict, bounded reader for the few fields that are taken out of a CA certificate. What is not DER (an
 * indefinite or a longer length than needed, a tag number over 30, a cut end, bytes left over) is refused:
 * the parts are copied verbatim into other certificates, where a second reading of them would be a fault.
 */
import { tags } from './der.js';

/** What `readElement` and its company throw: the bytes are not the DER that was asked for. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

/** One element; both arrays are views of the bytes that were read. */
export interface DerElement {
  readonly tag: number;
  readonly contents: Uint8Array;
  /** Identifier, length and contents. */
  readonly encoded: Uint8Array;
}

const maximumElements = 4096;

/** The element that begins at `offset`. Lengths up to 2^24 − 1 are read. */
export function readElement(bytes: Uint8Array, offset = 0): DerElement {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw new DerError('an element is cut short');
  if ((tag & 0x1f) === 0x1f) throw new DerError('a tag number over 30');
  let start = offset + 2;
  let length = first;
  if (first >= 0x80) {
    const octets = first & 0x7f;
    if (octets === 0) throw new DerError('an indefinite length');
    if (octets > 3) throw new DerError('an element of 16 MiB or more');
    length = 0;
    for (const octet of bytes.subarray(start, start + octets)) length = length * 256 + octet;
    start += octets;
    if (length < 0x80 || length < 256 ** (octets - 1)) throw new DerError('a length that is not minimal');
  }
  const end = start + length;
  if (end > bytes.length) throw new DerError('an element is cut short');
  return { tag, contents: bytes.subarray(start, end), encoded: bytes.subarray(offset, end) };
}

/** The elements that fill `contents` exactly, one after the other. */
export function readElements(contents: Uint8Array): DerElement[] {
  const elements: DerElement[] = [];
  for (let offset = 0; offset < contents.length;) {
    if (elements.length === maximumElements) throw new DerError('too many elements');
    const next = readElement(contents, offset);
    elements.push(next);
    offset += next.encoded.length;
  }
  return elements;
}

/** The one element that fills `bytes` exactly and has this tag; its elements. */
export function readConstructed(bytes: Uint8Array, tag: number): DerElement[] {
  const outer = expectTag(readElement(bytes), tag);
  if (outer.encoded.length !== bytes.length) throw new DerError('bytes after the end');
  return readElements(outer.contents);
}

/** `element`, if it is there and has this tag. */
export function expectTag(element: DerElement | undefined, tag: number): DerElement {
  if (element?.tag !== tag) {
    const found = element ? `0x${element.tag.toString(16)}` : 'nothing';
    throw new DerError(`tag 0x${tag.toString(16)} expected, ${found} found`);
  }
  return element;
}

/** The octets of a BIT STRING that has no unused bits, as a public key is. */
export function readWholeBits(element: DerElement | undefined): Uint8Array {
  const { contents } = expectTag(element, tags.bitString);
  if (contents[0] !== 0) throw new DerError('a bit string with unused bits');
  return contents.subarray(1);
}

/** A UTCTime or GeneralizedTime in the forms of RFC 5280 §4.1.2.5, as epoch milliseconds. */
export function readTime(element: DerElement | undefined): number {
  const text = Buffer.from(element?.contents ?? []).toString('latin1');
  const match = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  const [, year = '', month = '', day = '', hour = '', minute = '', second = ''] = match ?? [];
  if (!match || element?.tag !== (year.length === 2 ? tags.utcTime : tags.generalizedTime)) {
    throw new DerError('a time that RFC 5280 does not allow');
  }
  const fullYear = year.length === 4 ? year : `${Number(year) >= 50 ? '19' : '20'}${year}`;
  const epochMs = Date.parse(`${fullYear}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(epochMs)) throw new DerError('a time that no calendar has');
  return epochMs;
}
