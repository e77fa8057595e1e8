/**
 * A writer for the DER that certificates and PKCS #12 files need (ITU-T X.690 §8 and §10), and nothing more.
 *
 * Every function takes whole parts and gives one whole element, so a template is a list of buffers that were
 * encoded before. Nothing here knows what the elements mean.
 */

/** Identifier octets (X.690 §8.1.2) of the universal types used here. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One element: identifier octet, definite length in its shortest form, and the parts as its contents. */
export function element(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const sizeOctets = length < 0x80 ? 0 : Math.ceil((32 - Math.clz32(length)) / 8);
  const encoded = Buffer.allocUnsafe(2 + sizeOctets + length);
  encoded[0] = tag;
  if (sizeOctets === 0) {
    encoded[1] = length;
  } else {
    encoded[1] = 0x80 | sizeOctets;
    encoded.writeUIntBE(length, 2, sizeOctets);
  }
  let offset = 2 + sizeOctets;
  for (const part of parts) {
    encoded.set(part, offset);
    offset += part.length;
  }
  return encoded;
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return element(tags.sequence, ...parts);
}

/** SET OF: the elements in ascending order of their encodings (X.690 §11.6). */
export function setOf(...parts: readonly Uint8Array[]): Buffer {
  return element(tags.set, ...parts.toSorted((a, b) => Buffer.compare(a, b)));
}

export function octetString(...parts: readonly Uint8Array[]): Buffer {
  return element(tags.octetString, ...parts);
}

/** `unusedBits` (0 to 7) at the end of the last octet belong to no bit of the string. */
export function bitString(bits: Uint8Array, unusedBits = 0): Buffer {
  return element(tags.bitString, Uint8Array.of(unusedBits), bits);
}

/** A non-negative INTEGER, from a number below 2^48 or from its big-endian octets (leading zeros allowed). */
export function integer(value: number | Uint8Array): Buffer {
  let octets: Uint8Array;
  if (typeof value === 'number') {
    const six = Buffer.alloc(6);
    six.writeUIntBE(value, 0, 6);
    octets = six;
  } else {
    octets = value;
  }
  let start = 0;
  while (start < octets.length - 1 && octets[start] === 0) start += 1;
  const magnitude = octets.subarray(start);
  const first = magnitude[0];
  // Without a zero in front, a first octet of 0x80 or more would make the number negative (X.690 §8.3.3).
  if (first === undefined || first >= 0x80) return element(tags.integer, Uint8Array.of(0), magnitude);
  return element(tags.integer, magnitude);
}

/** An OBJECT IDENTIFIER from its dotted form; each arc is below 2^31. */
export function oid(dotted: string): Buffer {
  const arcs = dotted.split('.').map(Number);
  const octets: number[] = [];
  const [first = 0, second = 0, ...rest] = arcs;
  for (const arc of [first * 40 + second, ...rest]) {
    const base128 = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) base128.unshift((left & 0x7f) | 0x80);
    octets.push(...base128);
  }
  return element(tags.oid, Uint8Array.from(octets));
}

export function utf8String(text: string): Buffer {
  return element(tags.utf8String, Buffer.from(text, 'utf8'));
}

/** A BMPString: UTF-16 in big-endian order. */
export function bmpString(text: string): Buffer {
  return element(tags.bmpString, Buffer.from(text, 'utf16le').swap16());
}

/** BOOLEAN TRUE. FALSE is the default wherever it is used here, and DER leaves defaults out (X.690 §11.5). */
export function booleanTrue(): Buffer {
  return element(tags.boolean, Uint8Array.of(0xff));
}

export function nullValue(): Buffer {
  return element(tags.null);
}

/** A constructed context-specific element `[number]`, as EXPLICIT tagging makes it; `number` is below 31. */
export function explicit(number: number, ...parts: readonly Uint8Array[]): Buffer {
  return element(0xa0 | number, ...parts);
}

/** A primitive context-specific element `[number]`, as IMPLICIT tagging of a primitive type makes it. */
export function implicit(number: number, ...parts: readonly Uint8Array[]): Buffer {
  return element(0x80 | number, ...parts);
}

/**
 * A Time of RFC 5280 §4.1.2.5: UTCTime from 1950 through 2049, GeneralizedTime otherwise.
 * `epochMs` is cut to the whole second.
 */
export function time(epochMs: number): Buffer {
  const digits = new Date(epochMs)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:T]/g, '');
  const year = Number(digits.slice(0, 4));
  const utc = year >= 1950 && year < 2050;
  return element(
    utc ? tags.utcTime : tags.generalizedTime,
    Buffer.from(utc ? digits.slice(2) : digits, 'latin1'),
  );
}
