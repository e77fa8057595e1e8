/** PEM (RFC 7468): the text around DER. */

/** One block of a PEM file. */
export interface PemBlock {
  /** What stands after `BEGIN`, such as `CERTIFICATE`. */
  readonly label: string;
  /** The block with its two lines, with `\n` line ends. */
  readonly text: string;
}

/** `der` as a PEM block that ends in a line end. */
export function toPem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.length).toString('base64');
  let text = `-----BEGIN ${label}-----\n`;
  for (let offset = 0; offset < base64.length; offset += 64) {
    text += `${base64.slice(offset, offset + 64)}\n`;
  }
  return `${text}-----END ${label}-----\n`;
}

/** The blocks of a text, in order. What stands between them is comment; a block without an end is left out. */
export function pemBlocks(text: string): PemBlock[] {
  const pattern = /-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]*-----END \1-----/g;
  return Array.from(text.matchAll(pattern), ([block, label = '']) => ({
    label,
    text: `${block.replace(/\r\n?/g, '\n')}\n`,
  }));
}

/** What one block encodes: the DER of a certificate for example. Not checked, as whoever parses it does. */
export function pemBytes(block: string): Buffer {
  return Buffer.from(block.replace(/-----[^\n]*-----/g, ''), 'base64');
}
